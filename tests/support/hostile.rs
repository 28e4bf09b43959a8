//! Hostile input: any bytes as an AIR and its shapes, and what must hold whatever they are. The bodies are shared by the fuzz targets in
//! `fuzz/` and by the bounded property tests in `tests/suite/hostile.rs`.
//!
//! The bytes are read as a small program that drives an [`AirBuilder`]; where they end, zeros follow. A [`Tame`] reading of them is an AIR
//! that is not refused and that lavapipe compiles in a fraction of a second; a [`Wild`](Reading::Wild) one names columns that are not there,
//! nodes of another builder, degrees beyond all bounds, and grows chains of thousands of nodes from a few bytes.
//!
//! [`Tame`]: Reading::Tame

use std::sync::LazyLock;

use logup_wgpu::{
    Air, AirBuilder, Error, F, FieldForm, Gpu, GpuOptions, Layout, MAX_L_SKIP, NodeId, P, Part, Rates, Result, Round0, Round0Plan,
    Schedule, Strategy, compute::Variant, introspect::kernels,
};
use p3_field::PrimeCharacteristicRing;

use super::{Case, STRATEGIES, Uploaded, assert_same, random_ef, rng, translate};

/// How bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// An AIR that is not refused, of a few dozen nodes and degree 6 at most.
    Tame,
    /// Anything that a caller can say.
    Wild,
}

/// Bytes in order, then zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Below `limit`, which is at least 1 and at most 256.
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// A number that is small as a rule and sometimes the worst one.
    fn hostile(&mut self) -> usize {
        match self.byte() {
            small @ 0..=247 => usize::from(small % 16),
            248 => 255,
            249 => 256,
            250 => 1 << 16,
            251 => (1 << 31) - 1,
            252 => 1 << 32,
            253 => usize::MAX - 1,
            254 => usize::MAX,
            255 => self.word() as usize,
        }
    }
}

/// What bytes say.
pub struct Spoken {
    pub air: Result<Air>,
    pub l_skip: usize,
    pub height: usize,
    preprocessed: Option<usize>,
    main: Vec<usize>,
    num_public: usize,
    /// What a target may choose by.
    choice: u8,
}

/// Nodes that a wild AIR grows to at most: many times what any kernel takes, and soon planned.
const MAX_WILD_NODES: usize = 20_000;
const MAX_TAME_NODES: usize = 48;
const MAX_TAME_DEGREE: usize = 6;

/// An AIR in the making.
struct Speaker<'a> {
    bytes: Bytes<'a>,
    reading: Reading,
    air: AirBuilder,
    /// Nodes with their degrees.
    nodes: Vec<(NodeId, usize)>,
    foreign: Vec<NodeId>,
    parts: Vec<(Part, usize)>,
    num_public: usize,
    num_made: usize,
}

/// Reads bytes.
pub fn speak(data: &[u8], reading: Reading) -> Spoken {
    let mut bytes = Bytes(data);
    let tame = reading == Reading::Tame;
    let l_skip = if tame { bytes.below(6) } else { bytes.hostile() };
    let height = match bytes.byte() {
        exponent if tame => 1 << (exponent % 7),
        exponent @ 0..=127 => 1 << (exponent % 34),
        _ => bytes.hostile(),
    };
    let choice = bytes.byte();
    let width = |bytes: &mut Bytes<'_>| if tame { bytes.below(6) } else { bytes.hostile() };
    let preprocessed = (bytes.below(3) == 0).then(|| width(&mut bytes));
    let main: Vec<usize> = (0..bytes.below(4)).map(|_| width(&mut bytes)).collect();
    let num_public = if tame { bytes.below(3) } else { bytes.hostile() };
    let stated_degree = if tame { bytes.below(8) } else { bytes.hostile() };

    let mut air = AirBuilder::new("spoken");
    let mut parts: Vec<_> = preprocessed.map(|width| (air.preprocessed_part(width), width)).into_iter().collect();
    parts.extend(main.iter().map(|&width| (air.main_part(width), width)));
    air.public_values(num_public);
    air.constraint_degree(stated_degree);
    let mut other = AirBuilder::new("another");
    let foreign = vec![other.is_first_row(), other.constant(F::ZERO), other.column(Part::Main(0), 70_000)];

    let mut speaker = Speaker { bytes, reading, air, nodes: vec![], foreign, parts, num_public, num_made: 0 };
    let first = speaker.air.is_first_row();
    speaker.nodes.push((first, 1));
    while !speaker.bytes.0.is_empty() && speaker.has_room() {
        speaker.word();
    }
    let air = speaker.air.build();
    Spoken { air, l_skip, height, preprocessed, main, num_public, choice }
}

impl Speaker<'_> {
    fn has_room(&self) -> bool {
        self.num_made < if self.reading == Reading::Tame { MAX_TAME_NODES } else { MAX_WILD_NODES }
    }

    /// How often a thing is done: up to 2^13 times if the reading is wild.
    fn times(&mut self) -> usize {
        match self.reading {
            Reading::Tame => 1 + self.bytes.below(4),
            Reading::Wild => 1 << self.bytes.below(14),
        }
    }

    /// A node that is there, or one of another builder: young ones for small bytes.
    fn pick(&mut self) -> (NodeId, usize) {
        let back = usize::from(self.bytes.byte());
        if self.reading == Reading::Wild && back >= 253 {
            return (self.foreign[back - 253], 0);
        }
        self.nodes[self.nodes.len() - 1 - back % self.nodes.len()]
    }

    /// Some column, of some part, as it is or on the next row.
    fn column(&mut self, offset: usize) -> Option<(NodeId, usize)> {
        let (part, index, next) = if self.reading == Reading::Tame {
            let there: Vec<_> = self.parts.iter().filter(|(_, width)| *width > 0).copied().collect();
            let &(part, width) = there.get(self.bytes.below(there.len().max(1)))?;
            (part, self.bytes.below(width).wrapping_add(offset) % width, self.bytes.byte() & 1 == 1)
        } else {
            let part = match self.bytes.byte() {
                255 => Part::Main(self.bytes.hostile()),
                254 => Part::Preprocessed,
                byte if self.parts.is_empty() => Part::Main(byte.into()),
                byte => self.parts[usize::from(byte) % self.parts.len()].0,
            };
            (part, self.bytes.hostile().saturating_add(offset), self.bytes.byte() & 1 == 1)
        };
        Some((if next { self.air.next(part, index) } else { self.air.column(part, index) }, 1))
    }

    fn add(&mut self, (a, deg_a): (NodeId, usize), (b, deg_b): (NodeId, usize)) -> (NodeId, usize) {
        self.num_made += 1;
        (self.air.add(a, b), deg_a.max(deg_b))
    }

    /// A product; of tame ones too large a sum.
    fn mul(&mut self, a: (NodeId, usize), b: (NodeId, usize)) -> (NodeId, usize) {
        let degree = a.1.saturating_add(b.1);
        if self.reading == Reading::Tame && degree > MAX_TAME_DEGREE {
            return self.add(a, b);
        }
        self.num_made += 1;
        (self.air.mul(a.0, b.0), degree)
    }

    /// One word of the bytes' language.
    fn word(&mut self) {
        let node = match self.bytes.below(22) {
            0 | 1 => self.column(0),
            2 if self.num_public > 0 || self.reading == Reading::Wild => {
                let index = if self.reading == Reading::Tame { self.bytes.below(self.num_public) } else { self.bytes.hostile() };
                Some((self.air.public_value(index), 0))
            }
            3 => {
                let value = [F::ZERO, F::ONE, F::NEG_ONE, F::TWO][self.bytes.below(4)];
                Some((self.air.constant(value), 0))
            }
            4 => {
                let value = F::from_u32(self.bytes.word() % P);
                Some((self.air.constant(value), 0))
            }
            5 => Some((self.air.is_first_row(), 1)),
            6 => Some((self.air.is_last_row(), 1)),
            7 => Some((self.air.is_transition(), 1)),
            8 | 9 => {
                let (a, b) = (self.pick(), self.pick());
                Some(self.add(a, b))
            }
            10 => {
                let ((a, deg_a), (b, deg_b)) = (self.pick(), self.pick());
                self.num_made += 1;
                Some((self.air.sub(a, b), deg_a.max(deg_b)))
            }
            11 => {
                let (a, degree) = self.pick();
                self.num_made += 1;
                Some((self.air.neg(a), degree))
            }
            12 | 13 => {
                let (a, b) = (self.pick(), self.pick());
                Some(self.mul(a, b))
            }
            // A subexpression that doubles, by sums or by products.
            14 => {
                let (mut node, by_products) = (self.pick(), self.bytes.byte() & 1 == 1);
                for _ in 0..self.times() {
                    node = if by_products { self.mul(node, node) } else { self.add(node, node) };
                }
                Some(node)
            }
            // A chain of sums, of differences, or of sums and products in turn.
            15 => {
                let (mut node, step, kind) = (self.pick(), self.pick(), self.bytes.below(3));
                for i in 0..self.times() {
                    node = match (kind, i % 2) {
                        (0, _) | (1, 0) => self.add(node, step),
                        (1, _) => self.mul(node, (step.0, step.1)),
                        _ => {
                            self.num_made += 1;
                            (self.air.sub(step.0, node.0), node.1.max(step.1))
                        }
                    };
                    self.nodes.push(node); // each of them can be picked
                }
                None
            }
            // A wide sum of neighbouring columns, or of products of them.
            16 => {
                let (by_products, times) = (self.bytes.byte() & 1 == 1, self.times());
                let (Some(mut sum), rest) = (self.column(0), self.bytes.0) else { return };
                for i in 0..times {
                    self.bytes.0 = rest;
                    let Some(column) = self.column(i) else { return };
                    let term = if by_products { self.mul(column, sum) } else { column };
                    sum = self.add(sum, term);
                }
                Some(sum)
            }
            17 | 18 => {
                let message: Vec<NodeId> = (0..self.bytes.below(5)).map(|_| self.pick().0).collect();
                let count = self.pick().0;
                self.air.interaction(self.bytes.word() as u16, message, count);
                None
            }
            // The same node many times in a message.
            19 => {
                let (message, count) = (vec![self.pick().0; self.times()], self.pick().0);
                self.air.interaction(u16::MAX, message, count);
                None
            }
            // All young nodes in messages of their own: programs that share nearly all.
            20 => {
                let last = self.nodes.len().saturating_sub(self.times());
                let factor = self.pick();
                for at in last..self.nodes.len() {
                    let field = self.mul(self.nodes[at], factor);
                    self.air.interaction(3, [field.0], factor.0);
                }
                None
            }
            _ => None,
        };
        self.nodes.extend(node);
    }
}

/// Any bytes as an AIR give a plan or a typed error that names the AIR, the same each time, and a plan's figures are within their bounds.
pub fn plan(data: &[u8]) {
    let spoken = speak(data, Reading::Wild);
    let again = speak(data, Reading::Wild);
    let (air, other_air) = match (spoken.air, again.air) {
        (Ok(air), Ok(other)) => (air, other),
        (Err(one), Err(other)) => return assert_same_error(&one, &other),
        (one, other) => panic!("{one:?} and {other:?} of the same bytes"),
    };
    for strategy in STRATEGIES {
        let plan = Round0Plan::new(air.clone(), spoken.l_skip, strategy);
        let other = Round0Plan::new(other_air.clone(), again.l_skip, strategy);
        match (plan, other) {
            (Ok(plan), Ok(other)) => {
                check_plan(&plan, spoken.height);
                assert_eq!(plan.to_string(), other.to_string());
                let sources = |plan: &Round0Plan| plan.shader_sources(FieldForm::U64, 1);
                assert!(sources(&plan) == sources(&other), "another text for the same AIR");
            }
            (Err(one), Err(other)) => assert_same_error(&one, &other),
            (one, other) => panic!("{:?} and {:?} of the same bytes", one.err(), other.err()),
        }
    }
}

fn assert_same_error(one: &Error, other: &Error) {
    assert_eq!(one.to_string(), other.to_string());
    assert!(one.to_string().contains("spoken"), "{one} names the AIR");
    let typed = matches!(
        one,
        Error::Index { .. } | Error::Node { .. } | Error::Degree { .. } | Error::SkipDomain { .. } | Error::DeviceLimit { .. }
    );
    assert!(typed, "{one:?}");
}

fn check_plan(plan: &Round0Plan, height: usize) {
    let air = plan.air();
    assert!(plan.l_skip() <= MAX_L_SKIP);
    assert!(plan.num_cosets() <= air.constraint_degree());
    assert_eq!(plan.num_coeffs(), if air.interactions().is_empty() { 0 } else { air.constraint_degree() << plan.l_skip() });
    assert!(plan.num_columns_used() <= air.nodes().len());
    let sound = height.is_power_of_two() && height <= 1 << 31;
    for rates in [Rates::H200, Rates { read: 0.0, products: f64::NAN, ..Rates::LAVAPIPE_2_CORES }] {
        match plan.estimate(height, &rates) {
            Ok(estimate) => assert!(sound && estimate.device >= rates.call && estimate.stock >= rates.stock_call),
            Err(error) => assert!(!sound && matches!(error, Error::Height { got, .. } if got == height), "{error}"),
        }
    }
    assert_eq!(plan.scratch_bytes(height).is_ok(), sound);
}

/// Bytes of a generated kernel's text beside its frame: 40 columns of five lines, 128 nodes, as many roots in two parts.
const MAX_GENERATED_BYTES: usize = 64 << 10;
/// Different generated kernels of an AIR.
const MAX_KERNELS: usize = 64;

/// Every kernel that is generated for an AIR of any bytes is valid WGSL, and no longer than its bound.
pub fn wgsl(data: &[u8]) {
    let spoken = speak(data, Reading::Wild);
    let Ok(air) = spoken.air else { return };
    let Ok(plan) = Round0Plan::new(air, spoken.l_skip % (MAX_L_SKIP + 1), Strategy::Split) else { return };
    let form = FieldForm::ALL[usize::from(spoken.choice & 1)];
    let slots = [1, 2, 4, 8][usize::from(spoken.choice >> 1) % 4];
    check_sources(&plan, form, slots, 2);
}

/// Validates up to so many different kernels of a plan; their number.
pub fn check_sources(plan: &Round0Plan, form: FieldForm, slots: u32, most: usize) -> usize {
    let variant = Variant { kernel: &kernels::COSET_PASS, form, slots };
    let mut sources = plan.shader_sources(form, slots);
    sources.sort_unstable();
    sources.dedup();
    assert!(sources.len() <= MAX_KERNELS, "{} kernels", sources.len());
    let frame = variant.source().len();
    for (i, source) in sources.iter().enumerate() {
        assert!(source.len() <= frame + MAX_GENERATED_BYTES, "{} bytes", source.len() - frame);
        if i < most {
            translate::validate("generated", source, form, &translate::parse("generated", source));
        }
    }
    sources.len()
}

/// A small AIR of any bytes, on random traces: the device's polynomials are the reference's in one field form and schedule, with every
/// strategy and wgpu's checks on.
pub fn device(data: &[u8]) {
    static GPUS: [LazyLock<Gpu>; 2] = [LazyLock::new(|| checked(FieldForm::U64)), LazyLock::new(|| checked(FieldForm::U32))];
    let spoken = speak(data, Reading::Tame);
    let choice = spoken.choice;
    let case = spoken.case();
    let gpu = &GPUS[usize::from(choice & 1)];
    let schedule = if choice & 6 == 6 { Schedule::PerCoset } else { Schedule::Batched };
    let expected = case.reference();
    for strategy in STRATEGIES {
        let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), strategy);
        let output = uploaded.evaluate(&Round0::with_schedule(gpu, schedule));
        assert_same(&output.polys[0], &expected, &format!("{strategy:?}, {schedule:?}, {:?}", case.layout));
    }
}

fn checked(form: FieldForm) -> Gpu {
    let options = GpuOptions { field_form: Some(form), shader_checks: true, known_answers: false, ..GpuOptions::default() };
    Gpu::new(options).unwrap_or_else(|error| panic!("{error}"))
}

impl Spoken {
    /// A tame AIR with random inputs.
    fn case(self) -> Case {
        let air = self.air.expect("a tame AIR is not refused");
        let seed = u64::from(self.choice) * 1_000 + air.nodes().len() as u64;
        let mut case = Case::random(air, self.l_skip, self.height, (self.preprocessed, &self.main), self.num_public, &mut rng(seed));
        if self.preprocessed.iter().chain(&self.main).all(|&width| width == 0) {
            case.height = 1; // without columns there is one row
            case.xi.clear();
        }
        case.layout = if self.choice & 8 == 8 { Layout::RowMajor } else { Layout::ColMajor };
        if self.choice & 48 == 48 {
            case.main.iter_mut().for_each(|(cells, _)| cells.fill(F::NEG_ONE));
        }
        // The rare challenges: 0, and 1.
        let mut rng = rng(seed + 1);
        let num = case.xi.len();
        if self.choice & 192 == 192 && num > 0 {
            case.xi = random_ef(&mut rng, num);
            case.xi[0] = [logup_wgpu::EF::ZERO, logup_wgpu::EF::ONE][usize::from(self.choice & 1)];
        }
        case
    }
}
