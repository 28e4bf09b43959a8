//! What tests, benches, examples and fuzz targets of both packages share: random inputs, devices, other executors. None of it needs OpenVM;
//! what does is in `tests/stock`.
#![allow(dead_code)] // each user takes its part

pub mod dawn;
#[cfg(target_os = "linux")]
pub mod faulty;
pub mod fence;
pub mod field_ops;
pub mod flat;
pub mod hostile;
pub mod kernel_table;
pub mod mutant;
pub mod portable;
pub mod random_air;
pub mod satisfying;
pub mod translate;
pub mod watchdog;
pub mod wide_air;

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use logup_wgpu::{
    Air, AirBuilder, Challenges, ConstraintCheck, EF, F, FieldForm, Frac, Gpu, GpuOptions, Instance, Layout, Matrix, Round0, Round0Plan,
    Round0Polys, Schedule, Strategy, Trace, compute,
    reference::{self, ReferenceInstance},
    wgpu,
};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use rand::{Rng, SeedableRng, rngs::StdRng};

pub const STRATEGIES: [Strategy; 2] = [Strategy::Split, Strategy::Direct];
/// Where this kernel comes from, what was asked for, and the default.
pub const WAYS: [(&str, Strategy, Schedule); 3] = [
    ("direct_per_coset", Strategy::Direct, Schedule::PerCoset),
    ("direct_batched", Strategy::Direct, Schedule::Batched),
    ("split_batched", Strategy::Split, Schedule::Batched),
];
pub const SCHEDULES: [Schedule; 2] = [Schedule::Batched, Schedule::PerCoset];

/// The repository's root, from whichever package these files were compiled in.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let nested = ["openvm-wgpu", "fuzz"].iter().any(|name| package.ends_with(name));
    if nested { package.parent().expect("a package in the repository") } else { package }.to_owned()
}

/// The device with one of the field forms. A run without an adapter fails here.
pub fn gpu(form: FieldForm) -> &'static Gpu {
    static U64: LazyLock<Gpu> = LazyLock::new(|| open(FieldForm::U64));
    static U32: LazyLock<Gpu> = LazyLock::new(|| open(FieldForm::U32));
    match form {
        FieldForm::U64 => &U64,
        FieldForm::U32 => &U32,
    }
}

fn open(form: FieldForm) -> Gpu {
    Gpu::new(GpuOptions { field_form: Some(form), ..GpuOptions::default() }).unwrap_or_else(|error| panic!("{error}"))
}

/// A device of its own with changed limits, opened as a caller would who brings their own. It has 64-bit integers only if the form asks.
pub fn limited_gpu(form: FieldForm, limits: impl FnOnce(wgpu::Limits) -> wgpu::Limits) -> Gpu {
    gpu_of_my_own(GpuOptions { field_form: Some(form), ..GpuOptions::default() }, limits)
}

/// The same with chosen options.
pub fn gpu_of_my_own(options: GpuOptions, limits: impl FnOnce(wgpu::Limits) -> wgpu::Limits) -> Gpu {
    open_with(options, wgpu::Features::empty(), limits)
}

fn open_with(options: GpuOptions, features: wgpu::Features, limits: impl FnOnce(wgpu::Limits) -> wgpu::Limits) -> Gpu {
    static INSTANCE: LazyLock<wgpu::Instance> = LazyLock::new(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::METAL | wgpu::Backends::VULKAN);
        wgpu::Instance::new(descriptor)
    });
    let adapter = pollster::block_on(INSTANCE.request_adapter(&wgpu::RequestAdapterOptions::default())).expect("a GPU adapter");
    let descriptor = wgpu::DeviceDescriptor {
        required_features: match options.field_form {
            Some(FieldForm::U32) => features,
            _ => features | wgpu::Features::SHADER_INT64,
        },
        required_limits: limits(adapter.limits()),
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    Gpu::from_device(adapter.get_info(), device, queue, &options).unwrap()
}

/// A device with more features than this crate asks for.
pub fn gpu_with_features(form: FieldForm, features: wgpu::Features) -> Gpu {
    open_with(GpuOptions { field_form: Some(form), ..GpuOptions::default() }, features, |limits| limits)
}

/// What a device buffer holds.
pub fn read_buffer(gpu: &Gpu, buffer: &compute::Buffer) -> Vec<u32> {
    let (device, size) = (gpu.device(), buffer.size());
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let copy = device.create_buffer(&wgpu::BufferDescriptor { label: Some("copy"), size, usage, mapped_at_creation: false });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer.memory(), 0, &copy, 0, size);
    gpu.queue().submit([encoder.finish()]);
    copy.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    bytemuck::pod_collect_to_vec(&copy.get_mapped_range(..).unwrap())
}

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Uniform elements; one in eight is 0, 1 or -1.
pub fn random_f(rng: &mut StdRng, num: usize) -> Vec<F> {
    (0..num)
        .map(|_| match rng.random_range(0..24) {
            0 => F::ZERO,
            1 => F::ONE,
            2 => F::NEG_ONE,
            _ => rng.random(),
        })
        .collect()
}

pub fn random_ef(rng: &mut StdRng, num: usize) -> Vec<EF> {
    (0..num).map(|_| EF::from_basis_coefficients_fn(|_| rng.random::<F>())).collect()
}

/// One sumcheck's challenges, of which every random case takes its part: cases can share calls.
pub fn challenges() -> Challenges<'static> {
    static ALL: LazyLock<Vec<EF>> = LazyLock::new(|| random_ef(&mut rng(0x5eed), 33));
    let (xi, rest) = ALL.split_at(31);
    Challenges { xi, beta: rest[0], lambda: rest[1] }
}

/// The host side of one instance.
#[derive(Clone)]
pub struct Case {
    pub air: Air,
    pub l_skip: usize,
    pub height: usize,
    pub layout: Layout,
    pub preprocessed: Option<(Vec<F>, usize)>,
    pub main: Vec<(Vec<F>, usize)>,
    pub public_values: Vec<F>,
    pub xi: Vec<EF>,
    pub beta: EF,
    pub lambda: EF,
    pub weights: Vec<EF>,
}

impl Case {
    /// Random traces and challenges for an AIR whose matrices have these widths.
    pub fn random(air: Air, l_skip: usize, height: usize, widths: (Option<usize>, &[usize]), num_public: usize, rng: &mut StdRng) -> Self {
        let mut matrix = |width: usize| (random_f(rng, width * if width == 0 { 0 } else { height }), width);
        let preprocessed = widths.0.map(&mut matrix);
        let main = widths.1.iter().copied().map(&mut matrix).collect();
        let num_x = (height >> l_skip).max(1);
        Self {
            l_skip,
            height,
            layout: if rng.random() { Layout::ColMajor } else { Layout::RowMajor },
            preprocessed,
            main,
            public_values: random_f(rng, num_public),
            xi: challenges().xi[..num_x.ilog2() as usize].to_vec(),
            beta: challenges().beta,
            lambda: challenges().lambda,
            weights: random_ef(rng, air.interactions().len()),
            air,
        }
    }

    pub fn plan(&self, strategy: Strategy) -> Round0Plan {
        Round0Plan::new(self.air.clone(), self.l_skip, strategy).unwrap()
    }

    fn matrix<'a>(&self, (values, width): &'a (Vec<F>, usize)) -> Matrix<'a> {
        Matrix { values, width: *width, layout: self.layout }
    }

    /// All matrices, preprocessed first.
    pub fn matrices(&self) -> Vec<Matrix<'_>> {
        self.preprocessed.iter().chain(&self.main).map(|matrix| self.matrix(matrix)).collect()
    }

    /// `eq(xi, x)`, `x` ascending, as a product over the bits of `x`.
    pub fn eq_evals(&self) -> Vec<EF> {
        (0..1usize << self.xi.len())
            .map(|x| self.xi.iter().enumerate().map(|(i, &xi)| if x >> i & 1 == 1 { xi } else { EF::ONE - xi }).product())
            .collect()
    }

    pub fn reference(&self) -> Round0Polys {
        self.with_reference(reference::round0)
    }

    /// The constraints that fail, by the reference: (constraint, number of rows, the first rows).
    pub fn failing(&self) -> Vec<(usize, u64, Vec<usize>)> {
        let mut rows = vec![vec![]; self.air.constraints().len()];
        self.with_reference(|instance| {
            for row in 0..self.height {
                for (value, rows) in reference::constraints_on_row(instance, row).into_iter().zip(&mut rows) {
                    if value != F::ZERO {
                        rows.push(row);
                    }
                }
            }
        });
        let failing = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        let first = |rows: &[usize]| rows[..rows.len().min(ConstraintCheck::MAX_ROWS)].to_vec();
        failing.map(|(constraint, rows)| (constraint, rows.len() as u64, first(&rows))).collect()
    }

    /// The reference's `s_p` and `s_q` at one point: for cases whose polynomials take it long.
    pub fn reference_at(&self, point: EF) -> Frac {
        self.with_reference(|instance| reference::round0_at(instance, point)).logup
    }

    pub fn with_reference<T>(&self, work: impl FnOnce(&ReferenceInstance<'_>) -> T) -> T {
        let main: Vec<_> = self.main.iter().map(|matrix| self.matrix(matrix)).collect();
        work(&ReferenceInstance {
            air: &self.air,
            l_skip: self.l_skip,
            preprocessed: self.preprocessed.as_ref().map(|matrix| self.matrix(matrix)),
            main: &main,
            public_values: &self.public_values,
            eq: &self.eq_evals(),
            beta: self.beta,
            lambda: self.lambda,
            weights: &self.weights,
        })
    }
}

/// Constraints over every operation and so many parts of two columns, of which some fail on some rows of a trace of small numbers.
pub fn failing_case(num_parts: usize, height: usize, layout: Layout) -> Case {
    let mut air = AirBuilder::new(format!("constraints over {num_parts} parts"));
    air.public_values(1);
    let (public, first, last, transition) = (air.public_value(0), air.is_first_row(), air.is_last_row(), air.is_transition());
    let mut constraints = vec![air.mul(first, last), air.sub(transition, first)];
    for _ in 0..num_parts {
        let part = air.main_part(2);
        let (a, b) = (air.column(part, 0), air.next(part, 1));
        let product = air.mul(a, b);
        let sum = air.add(product, public);
        let negated = air.neg(sum);
        constraints.extend([product, air.mul(negated, transition), a]);
    }
    constraints.into_iter().for_each(|constraint| air.constraint(constraint));
    let mut rng = rng(num_parts as u64);
    let case = Case::random(air.build().unwrap(), 2, if num_parts > 0 { height } else { 1 }, (None, &vec![2; num_parts]), 1, &mut rng);
    let main = case.main.iter().map(|(cells, width)| (cells.iter().map(|_| F::from_u32(rng.random_range(0..3))).collect(), *width));
    Case { layout, main: main.collect(), public_values: vec![F::TWO], ..case }
}

/// Cases with their plans and traces, ready to be instances.
pub struct Uploaded<'a> {
    pub cases: &'a [Case],
    pub plans: Vec<Round0Plan>,
    pub traces: Vec<Vec<Trace>>,
}

impl<'a> Uploaded<'a> {
    /// One buffer for all traces, as a prover that batches would do it.
    pub fn together(gpu: &Gpu, cases: &'a [Case], strategy: Strategy) -> Self {
        let matrices: Vec<Matrix<'_>> = cases.iter().flat_map(Case::matrices).collect();
        let mut all = Trace::upload(gpu, &matrices).unwrap().into_iter();
        let traces = cases.iter().map(|case| all.by_ref().take(case.matrices().len()).collect()).collect();
        Self::with_traces(cases, strategy, traces)
    }

    /// A buffer for every trace.
    pub fn apart(gpu: &Gpu, cases: &'a [Case], strategy: Strategy) -> Self {
        let traces = cases.iter().map(|case| case.matrices().into_iter().map(|m| Trace::new(gpu, m).unwrap()).collect()).collect();
        Self::with_traces(cases, strategy, traces)
    }

    fn with_traces(cases: &'a [Case], strategy: Strategy, traces: Vec<Vec<Trace>>) -> Self {
        let plans = cases.iter().map(|case| case.plan(strategy)).collect();
        Self { cases, plans, traces }
    }

    /// The challenges that all cases take theirs from.
    pub fn challenges(&self) -> Challenges<'_> {
        let Some(longest) = self.cases.iter().max_by_key(|case| case.xi.len()) else { return challenges() };
        assert!(
            self.cases.iter().all(|case| longest.xi.starts_with(&case.xi) && (case.beta, case.lambda) == (longest.beta, longest.lambda)),
            "cases of several sumchecks"
        );
        Challenges { xi: &longest.xi, beta: longest.beta, lambda: longest.lambda }
    }

    pub fn instances(&self) -> Vec<Instance<'_>> {
        let each = self.cases.iter().zip(&self.plans).zip(&self.traces);
        each.map(|((case, plan), traces)| Instance::new(plan).traces(traces).public_values(&case.public_values).weights(&case.weights))
            .collect()
    }

    pub fn evaluate(&self, round0: &Round0) -> logup_wgpu::Round0Output {
        round0.evaluate(&self.challenges(), &self.instances()).unwrap()
    }
}

/// Whether a check of one case found what the reference does.
pub fn found_as(check: &ConstraintCheck, case: &Case) -> bool {
    let found = check.failing.iter().map(|failing| (failing.constraint, failing.num_rows, failing.rows.clone()));
    found.eq(case.failing())
}

/// A check of the cases found what the reference does.
pub fn assert_found(check: &ConstraintCheck, cases: &[Case], how: &str) {
    for (i, case) in cases.iter().enumerate() {
        let found = check.failing.iter().filter(|failing| failing.instance == i);
        let found: Vec<_> = found.map(|failing| (failing.constraint, failing.num_rows, failing.rows.clone())).collect();
        assert_eq!(found, case.failing(), "{how}, {}, height {}, {:?}", case.air.name(), case.height, case.layout);
    }
    assert!(check.failing.iter().all(|failing| failing.air == cases[failing.instance].air.name()));
}

/// Evaluates in every field form, strategy and schedule, and compares with what is expected.
pub fn check_all(cases: &[Case], expected: &[Round0Polys]) {
    for form in FieldForm::ALL {
        check_form(form, cases, expected);
    }
}

/// Evaluates in every strategy and schedule with one field form.
pub fn check_form(form: FieldForm, cases: &[Case], expected: &[Round0Polys]) {
    for strategy in STRATEGIES {
        let uploaded = Uploaded::together(gpu(form), cases, strategy);
        for schedule in SCHEDULES {
            let output = uploaded.evaluate(&Round0::with_schedule(gpu(form), schedule));
            for ((case, got), expected) in cases.iter().zip(&output.polys).zip(expected) {
                let how = format!("{}, height {}, l_skip {}", case.air.name(), case.height, case.l_skip);
                assert_same(got, expected, &format!("{how}, {form:?}, {strategy:?}, {schedule:?}, {:?}", case.layout));
            }
        }
    }
}

/// Equal lengths and coefficients; names the first that differs.
pub fn assert_same(got: &Round0Polys, expected: &Round0Polys, how: &str) {
    for (what, got, expected) in [
        ("numerator", &got.numerator, &expected.numerator),
        ("denominator", &got.denominator, &expected.denominator),
        ("zerocheck", &got.zerocheck, &expected.zerocheck),
    ] {
        assert_eq!(got.len(), expected.len(), "{how}: number of coefficients of the {what}");
        if let Some(i) = (0..got.len()).find(|&i| got[i] != expected[i]) {
            panic!("{how}: coefficient {i} of {} of the {what} is {}, expected {}", got.len(), got[i], expected[i]);
        }
    }
}
