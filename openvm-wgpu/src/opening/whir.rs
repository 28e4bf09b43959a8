//! WHIR: from the openings of stacked columns at one point to a polynomial of few coefficients.
//!
//! The columns, batched by powers of `mu`, are one polynomial by its coefficients `c`; the weight is kept by its moments `M[t] = sum of w(x) over all x whose
//! bits include t's`, which begin as `eq(u, .)`. Then the sumcheck's rounds are `s(1) = sum (c0 + c1) M1`, `s(2) = sum (c0 + 2 c1)(3 M1 - M0)`, what is folded
//! stays of this form, and the claim of an opening at `z` adds `gamma z^t` to the moments. (`openvm-stark-backend` 2.0.1, `prover::whir`, keeps values of both.)

use std::sync::Arc;

use logup_wgpu::{
    EF, Error, F, Result, Subject,
    compute::{Binding, Buffer, EXT_WORDS},
};
use openvm_stark_backend::{FiatShamirTranscript, SystemParams, WhirConfig, proof::WhirProof, prover::error::WhirProverError};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};

use super::{
    Failure, Opening,
    queries::{Answered, Answers, Opened},
};
use crate::{
    Digest, SC,
    commit::{Code, Columns, Committer, DIGEST_BYTES, LAYERS, Stack, Tree, roots},
    kernels::{BATCH_COLUMNS, BatchJob, MOMENTS, MomentsJob, TABLE_VARIABLES},
    recorder::{Names, Recorder, Results, numbered},
    sumcheck::{
        array::{self, ExtArray, base_elements, elements, words},
        inner_product::{Form, InnerProduct},
        session::Session,
        table::{TABLE_BYTES, Table},
        tensor::Tensor,
    },
};

const BATCHED: Names = numbered!("batched columns");

/// Bytes of the device's memory that it takes beside the commitments.
pub(super) fn bytes(params: &SystemParams) -> u64 {
    let len = 1usize << params.log_stacked_height();
    // Batched columns, coefficients and moments, what these are folded to and its codeword.
    3 * array::bytes(len) + 2 * array::bytes(len >> 1) + (array::bytes(len) << params.log_blowup) / 2
}

/// Columns of one height, committed to.
struct Encoded {
    codeword: Codeword,
    tree: Tree,
    layers: Arc<Buffer>,
}

enum Codeword {
    Here(Columns),
    /// Given up: of these traces.
    Of(Stack),
}

impl Encoded {
    fn opened(&self) -> Opened<'_> {
        let codeword = match &self.codeword {
            Codeword::Here(codeword) => Some(codeword),
            Codeword::Of(_) => None,
        };
        Opened { codeword, tree: self.tree, layers: &self.layers }
    }
}

/// The proof that the openings' stacked columns, with weights `mu^j` in a row, have the values that were claimed at `u`.
///
/// # Errors
/// [`Error::Unsupported`] for more rounds than the polynomial has variables; the stock error for no round at all; what the device, or its limits, say.
pub(super) fn prove<TS: FiatShamirTranscript<SC>>(
    session: &mut Session<'_>,
    transcript: &mut TS,
    committer: &Committer,
    params: &SystemParams,
    openings: Vec<Opening>,
    u: &[EF],
) -> std::result::Result<WhirProof<SC>, Failure> {
    let (compute, whir, k) = (session.compute, &params.whir, params.whir.k);
    let num_rounds = whir.num_whir_rounds();
    let mut m = u.len();
    if num_rounds == 0 {
        return Err(Failure::Stock(WhirProverError::FinalPolyNone.into()));
    }
    if k == 0 || k * num_rounds > m {
        let what = format!("{num_rounds} rounds of WHIR with {k} variables each, of {m}");
        return Err(Error::Unsupported { subject: Subject::Call, what }.into());
    }
    let mut log_code = m + params.log_blowup;

    let mu_pow_witness = transcript.grind(whir.mu_pow_bits);
    let mu: EF = transcript.sample_ext();
    let (mut product, mut table) = begin(session, &openings, params.l_skip, mu, u)?;

    let mut proof = WhirProof::<SC> {
        mu_pow_witness,
        whir_sumcheck_polys: vec![],
        codeword_commits: vec![],
        ood_values: vec![],
        folding_pow_witnesses: vec![],
        query_phase_pow_witnesses: vec![],
        initial_round_opened_rows: vec![],
        initial_round_merkle_proofs: vec![],
        codeword_opened_values: vec![],
        codeword_merkle_proofs: vec![],
        final_poly: vec![],
    };
    let mut openings = Some(openings);
    // The code that the next queries are to.
    let mut current: Vec<Encoded> = vec![];
    for (round, of_round) in whir.rounds.iter().enumerate() {
        let is_last = round + 1 == num_rounds;
        let challenges;
        (product, challenges) = sumcheck(session, transcript, whir, product, table, &mut proof)?;
        m -= k;

        // What is folded, and its code unless it is sent whole.
        let mut next = None;
        let mut z_0 = EF::ZERO;
        if is_last {
            let mut recorder = session.recorder(0);
            product = product.record_fold(compute, &mut recorder, &challenges)?;
            let copied = product.a.record_copy(&mut recorder, &mut Results::default())?;
            proof.final_poly = session.run(recorder, vec![], |words| copied.elements(words))?;
            proof.final_poly.iter().for_each(|&coefficient| transcript.observe_ext(coefficient));
        } else {
            let encoded;
            let root;
            (product, encoded, root) = fold_and_commit(session, &product, &challenges, log_code - 1, k)?;
            transcript.observe_commit(root);
            proof.codeword_commits.push(root);
            z_0 = transcript.sample_ext();
            let mut recorder = session.recorder(16);
            Tensor::powers(z_0, m, EF::ONE).record_inner_product(&mut recorder, product.a.one()?, 0)?;
            let value = session.run(recorder, vec![], |words| Some(elements(&words[..EXT_WORDS])?[0]))?;
            transcript.observe_ext(value);
            proof.ood_values.push(value);
            next = Some(encoded);
        }

        proof.query_phase_pow_witnesses.push(transcript.grind(whir.query_phase_pow_bits));
        let log_queries = log_code - k;
        let queries: Vec<u32> = (0..of_round.num_queries).map(|_| transcript.sample_bits(log_queries) as u32).collect();
        let gamma: EF = transcript.sample_ext();

        if let Some(openings) = openings.take() {
            current = first_codes(session, committer, params, openings)?;
        }
        let mut results = Results::default();
        let table_byte = if is_last { 0 } else { results.take(TABLE_BYTES) };
        let answers: Vec<Answers> = current.iter().map(|encoded| encoded.opened().answers(queries.len(), &mut results)).collect();
        let mut recorder = session.recorder(results.bytes());
        if !is_last {
            record_claims(&mut recorder, &product.b, z_0, gamma, &queries, log_queries)?;
            product.record_table(&mut recorder, table_byte)?;
        }
        let mut trace_buffers = vec![];
        for (encoded, answers) in current.iter().zip(&answers) {
            encoded.opened().record(compute, &mut recorder, &mut trace_buffers, &queries, answers)?;
        }
        let (next_table, answered) = session.run(recorder, trace_buffers, |words| {
            let answered = answers.iter().map(|answers| answers.read(words)).collect::<Option<Vec<Answered>>>()?;
            let next_table = if is_last { None } else { Some(Table::of_words(&words[table_byte as usize / 4..])?) };
            Some((next_table, answered))
        })?;
        for ((mut rows, paths), encoded) in answered.into_iter().zip(&current) {
            if let Codeword::Of(stack) = &encoded.codeword {
                let waits;
                (rows, waits) = committer.rows_again(params, stack, &queries)?;
                session.add_waits(waits);
            }
            if round == 0 {
                proof.initial_round_opened_rows.push(rows);
                proof.initial_round_merkle_proofs.push(paths);
            } else {
                let value = |row: &Vec<F>| EF::from_basis_coefficients_slice(row).expect("a column for each coefficient");
                proof.codeword_opened_values.push(rows.iter().map(|rows| rows.iter().map(value).collect()).collect());
                proof.codeword_merkle_proofs.push(paths);
            }
        }
        current = next.into_iter().collect();
        log_code -= 1;
        match next_table {
            Some(next_table) => table = next_table,
            None => break,
        }
    }
    Ok(proof)
}

/// The rounds before a fold by `k` variables, from their first table: the arrays with all but the last challenges bound, and those.
fn sumcheck<TS: FiatShamirTranscript<SC>>(
    session: &mut Session<'_>,
    transcript: &mut TS,
    whir: &WhirConfig,
    mut product: InnerProduct,
    mut table: Table,
    proof: &mut WhirProof<SC>,
) -> Result<(InnerProduct, Vec<EF>)> {
    let mut left = whir.k;
    loop {
        let mut challenges = vec![];
        for _ in 0..left.min(TABLE_VARIABLES) {
            let evals = table.round();
            evals.iter().for_each(|&eval| transcript.observe_ext(eval));
            proof.whir_sumcheck_polys.push(evals);
            proof.folding_pow_witnesses.push(transcript.grind(whir.folding_pow_bits));
            let alpha: EF = transcript.sample_ext();
            table.bind(alpha);
            challenges.push(alpha);
        }
        left -= challenges.len();
        if left == 0 {
            return Ok((product, challenges));
        }
        let mut recorder = session.recorder(TABLE_BYTES);
        product = product.record_fold(session.compute, &mut recorder, &challenges)?;
        product.record_table(&mut recorder, 0)?;
        table = session.run(recorder, vec![], Table::of_words)?;
    }
}

/// Coefficients of the batched columns, moments `eq(u, .)`, and the first table.
fn begin(session: &mut Session<'_>, openings: &[Opening], l_skip: usize, mu: EF, u: &[EF]) -> Result<(InnerProduct, Table)> {
    let (compute, limits) = (session.compute, session.compute.gpu.limits());
    let len = 1usize << u.len();
    let batched = ExtArray::new(compute, &BATCHED, len)?.clear_end(compute)?;
    let product = InnerProduct::new(compute, Form::Coefficients, len)?;
    let mut recorder = session.recorder(TABLE_BYTES);
    let mut trace_buffers = vec![];
    let mut powers = mu.powers();
    let mut is_first = true;
    for opening in openings {
        let columns = &opening.stack.columns;
        let first_buffer = trace_buffers.len();
        trace_buffers.extend(columns.buffers());
        for bound in columns.bound(&limits, 1)? {
            let num_columns = bound.columns.len();
            let mut weights: Vec<EF> = powers.by_ref().take(num_columns).collect();
            weights.resize(num_columns.next_multiple_of(4), EF::ZERO);
            let tables = [recorder.table(&bound.table()), recorder.table(&words(weights))];
            for chunk in &batched.chunks {
                let (begin, num_rows) = (chunk.elements.start as u32, chunk.elements.len() as u32);
                let stride = chunk.stride() as u32;
                let job = BatchJob { begin, num_rows, stride, num_columns: num_columns as u32, is_first: u32::from(is_first) };
                let bindings = [vec![recorder.job(&job)], tables.to_vec(), vec![chunk.bind(&mut recorder)]].concat();
                let workgroups = num_rows.div_ceil(BATCH_COLUMNS.workgroup_size);
                let products = 12 * u64::from(num_rows) * num_columns as u64;
                recorder.dispatch(&BATCH_COLUMNS, bindings, bound.windows_from(first_buffer), workgroups.into(), products)?;
            }
            is_first = false;
        }
    }
    let values = batched.columns();
    let code = Code { log_message: values.log_rows, log_blowup: 0, l_skip: l_skip as u32 };
    code.record_coefficients(&mut recorder, &limits, &values, &product.a.columns())?;
    Tensor::eq(u).record(&mut recorder, &product.b)?;
    product.record_table(&mut recorder, 0)?;
    let table = session.run(recorder, trace_buffers, Table::of_words)?;
    Ok((product, table))
}

/// Codewords and trees of the commitments.
fn first_codes(session: &mut Session<'_>, committer: &Committer, params: &SystemParams, openings: Vec<Opening>) -> Result<Vec<Encoded>> {
    let tree = Tree::new((params.log_stacked_height() + params.log_blowup) as u32, params.k_whir() as u32)?;
    let encoded = openings.into_iter().map(|opening| {
        let (encoded, again) = committer.encoded(params, &opening.root, &opening.stack)?;
        session.codes_again += usize::from(again || encoded.codeword.is_none());
        let codeword = encoded.codeword.map_or_else(|| Codeword::Of(opening.stack), Codeword::Here);
        Ok(Encoded { codeword, tree, layers: encoded.layers })
    });
    encoded.collect()
}

/// The arrays at these challenges, the code of what the first is, and the root of its tree.
fn fold_and_commit(
    session: &mut Session<'_>,
    product: &InnerProduct,
    challenges: &[EF],
    log_code: usize,
    k: usize,
) -> Result<(InnerProduct, Encoded, Digest)> {
    let (compute, limits) = (session.compute, session.compute.gpu.limits());
    let mut recorder = session.recorder(DIGEST_BYTES);
    let folded = product.record_fold(compute, &mut recorder, challenges)?;
    folded.a.one()?;
    let messages = folded.a.columns();
    let code = Code { log_message: messages.log_rows, log_blowup: log_code as u32 - messages.log_rows, l_skip: 0 };
    let tree = Tree::new(log_code as u32, k as u32)?;
    let codeword = Columns::new(&compute.gpu, &compute.pool, "folded codeword", EXT_WORDS, log_code as u32)?;
    let layers = compute.pool.take("layers", tree.bytes())?;
    code.record(&mut recorder, &limits, &messages, &codeword)?;
    tree.record(&mut recorder, &limits, &codeword, &layers)?;
    recorder.copy(Binding { resource: LAYERS, bytes: 0..tree.bytes() }, tree.root_word(), 0, (DIGEST_BYTES / 4) as u32)?;
    let root = session.run(recorder, codeword.buffers(), |words| base_elements(&words[..DIGEST_BYTES as usize / 4])?.try_into().ok())?;
    Ok((folded, Encoded { codeword: Codeword::Here(codeword), tree, layers }, root))
}

/// Adds the claims of a round to the moments: `gamma z_0^t`, and `gamma^(i + 2) z_i^t` for the point `z_i` of query `i`.
fn record_claims(recorder: &mut Recorder, moments: &ExtArray, z_0: EF, gamma: EF, queries: &[u32], log_order: usize) -> Result<()> {
    let chunk = moments.one()?;
    let out_of_domain = Tensor::powers(z_0, moments.len.ilog2() as usize, gamma);
    let num_queries = queries.len().next_multiple_of(4);
    let mut gammas: Vec<EF> = gamma.powers().skip(2).take(queries.len()).collect();
    gammas.resize(num_queries, EF::ZERO);
    let mut indices = queries.to_vec();
    indices.resize(num_queries, 0);
    let job = recorder.job(&MomentsJob {
        len: moments.len as u32,
        stride: chunk.stride() as u32,
        log_low: out_of_domain.log_low(),
        num_queries: num_queries as u32,
        log_order: log_order as u32,
    });
    let bindings = vec![
        job,
        out_of_domain.table(recorder),
        recorder.table(&[words(gammas), indices].concat()),
        recorder.table(&roots(log_order as u32)),
        chunk.bind(recorder),
    ];
    let workgroups = (moments.len as u32).div_ceil(MOMENTS.workgroup_size);
    recorder.dispatch(&MOMENTS, bindings, vec![], workgroups.into(), (moments.len * (15 * num_queries + 180)) as u64)
}
