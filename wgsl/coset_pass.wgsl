// For one coset g^c D: partial[chunk][p | q][z] = sum_{x in chunk} eq[x] * sum_{root r} weight_{p|q}[r] * value_r(g^c omega^z, x)
//
// This is the frame around a program that plan/codegen.rs writes for each AIR:
//     fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted
// `plus` and `minus` are the first entries of their tables. The program takes each of its leaves to the coset once; the rest of it is straight-line
// code that keeps temporaries in registers.
//
// A thread owns two points of the coset, z and z + h with h = 2^l_skip / 2, as the components of a vec2. With the sums and differences of a
// leaf's values T[z'] and T[z' + h] on D, its values there are
//     sum_{z' < h} plus[z - z'] (T[z'] + T[z' + h])  +-  sum_{z' < h} minus[z - z'] (T[z'] - T[z' + h]),
//     plus[j] = (L[j] + L[j + h]) / 2,   minus[j] = (L[j] - L[j + h]) / 2,
// which takes half of the products that L itself would need. A skip domain of one point has h = 1 and no second point.
//
// A leaf is a cell, which every thread of the same x reads where it is, or an affine form of cells, whose values on D the workgroup makes once
// and stages in workgroup memory, or the cell of a column that the constraints say is 0 or 1. Of such columns the workgroup makes a word of bits
// for each x, and a value off D is a sum of entries of a table, one for each byte. A cell that is neither 0 nor 1 counts as 1.
//
// Grid, bindings: see shared/coset.wgsl. weights: EF in the order in which the program adds them; where roots have one weight between them, four
// coefficients in place of an EF. A side that no root reaches is neither added up nor stored. lagrange: L [2^l_skip], plus [2 h], minus [2 h], and of
// programs with bits, at a multiple of four words, a row [h][2] for each of the 256 bytes: the sums of L[j - i] over the byte's bits i, at j and at
// j + h. columns: at vec4 index columns_base / 4, for each leaf either a cell or a bit,
// (flat word index of row 0, words per row, 1 for the next row, 0), or a form, (vec4 index of its terms, constant, 0, groups of four terms);
// a term is a cell with its coefficient in place of the 0.
// Workgroup memory: 10,240 bytes (staged, lanes). Barriers: in stage_bits, stage and sum_lanes, reached by every thread.
//#import shared/coset

const WORKGROUP_SIZE: u32 = 128u;
const STAGED_FORMS: u32 = 8u; // at a time
const STAGED_BITS: u32 = 32u;
const QUADS: u32 = WORKGROUP_SIZE / 4u;
// Half of the skip domain, L_SKIP as the program says, and its points that a workgroup takes at a time.
const HALF: u32 = max(1u, (1u << L_SKIP) >> 1u);
const BLOCK: u32 = min(HALF, WORKGROUP_SIZE);
// log2 of the vec4 of a row of the bytes' table.
const LOG_ROW: u32 = max(2u, L_SKIP) - 2u;
// The x of a workgroup's step.
const X_LANES: u32 = WORKGROUP_SIZE / BLOCK;

// Whether there are 2^l_skip >= 16 rows at each x, of traces that are column-major with each column at a multiple of four words; of a trace with
// one or two rows, the column is repeated up to four words.
override VEC4_LOADS: bool = false;

// Of forms [form][sum | difference][thread / 4], signed words of four threads each; on D itself the values at z and at z + h. Of bits
// [leaf][x lane], see stage_bits.
var<workgroup> staged: array<vec4<u32>, 2u * STAGED_FORMS * QUADS>;

// A thread's place: the first x of the workgroup's step, the thread's x, its points z and z + h, the thread's index and that of the first with
// the same x.
struct Point2 {
    step_x: u32,
    x: u32,
    z: u32,
    thread: u32,
    first: u32,
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= arrayLength(&tiles) {
        return;
    }
    let tile = tiles[index];
    let job = jobs[tile.job];
    let begin = first_x(job, tile);
    let end = begin + (1u << job.log_chunk);
    let eq_at = eq_origin(job, begin);
    let first = thread & ~(BLOCK - 1u);
    let z = tile.z_block * BLOCK + thread - first;
    var at = Point2(0u, 0u, z, thread, first);

    // D itself has no tables.
    var plus: Octet;
    var minus: Octet;
    if job.identity == 0u {
        plus = plus_octet(job, z, 0u);
        minus = minus_octet(job, z, 0u);
    }
    var sum: Weighted;
    // Every thread stages in every step. Those past the chunk's end read some row of the trace, and count for nothing.
    let num_steps = max(1u, (1u << job.log_chunk) / X_LANES);
    for (var step = 0u; step < num_steps; step++) {
        at.step_x = begin + step * X_LANES;
        at.x = at.step_x + thread / BLOCK;
        let weighted = program(job, at, plus, minus);
        let e = select(EXT_ZERO, eq[eq_at + min(at.x, end - 1u)], at.x < end);
        if HAS_P {
            sum.p0 = ext_add(sum.p0, ext_mul(weighted.p0, e));
            sum.p1 = ext_add(sum.p1, ext_mul(weighted.p1, e));
        }
        if HAS_Q {
            sum.q0 = ext_add(sum.q0, ext_mul(weighted.q0, e));
            sum.q1 = ext_add(sum.q1, ext_mul(weighted.q1, e));
        }
    }
    let second = L_SKIP > 0u;
    if HAS_P {
        store_partials(job, tile, thread, BLOCK, z, 0u, sum.p0);
        if second {
            store_partials(job, tile, thread, BLOCK, z + HALF, 0u, sum.p1);
        }
    }
    if HAS_Q {
        store_partials(job, tile, thread, BLOCK, z, 1u, sum.q0);
        if second {
            store_partials(job, tile, thread, BLOCK, z + HALF, 1u, sum.q1);
        }
    }
}

// sum_r weight_{p|q}[r] * value_r at the points z (0) and z + h (1).
struct Weighted {
    p0: vec4<u32>,
    p1: vec4<u32>,
    q0: vec4<u32>,
    q1: vec4<u32>,
}

fn f_mul2(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(f_mul(a.x, b.x), f_mul(a.y, b.y));
}

fn value2(job: CosetJob, i: u32) -> vec2<u32> {
    return vec2<u32>(value(job, i));
}

fn is_first2(job: CosetJob, at: Point2) -> vec2<u32> {
    return vec2<u32>(is_first(job, Point(at.x, at.z)), is_first(job, Point(at.x, at.z + HALF)));
}

fn is_last2(job: CosetJob, at: Point2) -> vec2<u32> {
    return vec2<u32>(is_last(job, Point(at.x, at.z)), is_last(job, Point(at.x, at.z + HALF)));
}

fn is_transition2(job: CosetJob, at: Point2) -> vec2<u32> {
    return f_sub2(vec2<u32>(ONE), is_last2(job, at));
}

fn weight(job: CosetJob, i: u32) -> vec4<u32> {
    return ext_word(job.weights_base + 4u * i);
}

// A leaf, see the head of this file.
fn descriptor(job: CosetJob, leaf: u32) -> vec4<u32> {
    return words[(job.columns_base >> 2u) + leaf];
}

fn cell(job: CosetJob, column: vec4<u32>, row: u32) -> u32 {
    if VEC4_LOADS {
        return trace_word(column.x + (row & job.row_mask));
    }
    return trace_word(column.x + (row & job.row_mask) * column.y);
}

// A column's cells on D at the thread's two points.
fn cell2(job: CosetJob, column: vec4<u32>, at: Point2, next: u32) -> vec2<u32> {
    let first = (at.x << L_SKIP) + at.z + next;
    return vec2<u32>(cell(job, column, first), cell(job, column, first + HALF));
}

fn cells4(job: CosetJob, column: vec4<u32>, row: u32) -> vec4<u32> {
    return vec4<u32>(cell(job, column, row), cell(job, column, row + 1u), cell(job, column, row + 2u), cell(job, column, row + 3u));
}

// Rows row .. row + 3 of a column; row is a multiple of four where VEC4_LOADS holds.
fn rows4(job: CosetJob, column: vec4<u32>, row: u32) -> vec4<u32> {
    if VEC4_LOADS {
        return trace_vec4(column.x + (row & job.row_mask));
    }
    return cells4(job, column, row);
}

// Stages the bits of leaves first .. first + count, the next row's cells or this one's, from `slot` on: for each leaf and x where the rows of its bytes
// are in the table, in vec4.
fn stage_bits(job: CosetJob, at: Point2, first: u32, count: u32, slot: u32, next: bool) {
    workgroupBarrier(); // what was staged before has been read
    for (var task = at.thread; task < count * X_LANES; task += WORKGROUP_SIZE) {
        let column = descriptor(job, first + task / X_LANES);
        let row = (at.step_x + (task & (X_LANES - 1u))) << L_SKIP;
        var word = 0u;
        for (var z = 0u; z < (1u << L_SKIP); z += 4u) {
            var cells: vec4<u32>;
            if next {
                cells = cells4(job, column, row + z + 1u);
            } else {
                cells = rows4(job, column, row + z);
            }
            let four = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), cells != vec4<u32>(0u));
            word |= (four.x | four.y | four.z | four.w) << z;
        }
        staged[slot * X_LANES + task] = vec4<u32>(
            (word & 255u) << LOG_ROW,
            ((word >> 8u) & 255u) << LOG_ROW,
            ((word >> 16u) & 255u) << LOG_ROW,
            (word >> 24u) << LOG_ROW,
        );
    }
    workgroupBarrier();
}

fn staged_bits(at: Point2, slot: u32) -> vec4<u32> {
    return staged[slot * X_LANES + at.thread / BLOCK];
}

// A boolean column's values on D at the thread's points, from its staged bits.
fn bit_on_domain(at: Point2, slot: u32) -> vec2<u32> {
    let rows = staged_bits(at, slot);
    let low = at.z;
    let high = at.z + HALF;
    let low_byte = rows[low >> 3u] >> LOG_ROW;
    let high_byte = rows[high >> 3u] >> LOG_ROW;
    return vec2<u32>(ONE * ((low_byte >> (low & 7u)) & 1u), ONE * ((high_byte >> (high & 7u)) & 1u));
}

// And on the coset.
fn bit_to_coset(job: CosetJob, at: Point2, slot: u32) -> vec2<u32> {
    let rows = staged_bits(at, slot);
    let sum = f_add2(byte_entry(job, rows.x, at.z), byte_entry(job, rows.y, at.z - 8u));
    if L_SKIP == 4u {
        return sum;
    }
    return f_add2(sum, f_add2(byte_entry(job, rows.z, at.z - 16u), byte_entry(job, rows.w, at.z - 24u)));
}

// The table's entries of a row at z and z + h modulo 2^l_skip, which are next to each other.
fn byte_entry(job: CosetJob, row: u32, z: u32) -> vec2<u32> {
    let pair = z & (HALF - 1u);
    let two_pairs = words[((job.lagrange_base + (3u << L_SKIP)) >> 2u) + row + (pair >> 1u)];
    let is_second = (pair & 1u) != 0u;
    let low = select(two_pairs.x, two_pairs.z, is_second);
    let high = select(two_pairs.y, two_pairs.w, is_second);
    let is_swapped = (z & HALF) != 0u;
    return vec2<u32>(select(low, high, is_swapped), select(high, low, is_swapped));
}

// A form's values on D at four rows; neighbours where VEC4_LOADS holds.
fn form4(job: CosetJob, form: vec4<u32>, rows: vec4<u32>) -> vec4<u32> {
    var sum = vec4<u32>(form.y);
    for (var i = form.x; i < form.x + 4u * form.w; i += 4u) {
        let a = words[i];
        let b = words[i + 1u];
        let c = words[i + 2u];
        let d = words[i + 3u];
        let coefficients = vec4<u32>(a.w, b.w, c.w, d.w);
        let at_a = cells_at(job, a, rows);
        let at_b = cells_at(job, b, rows);
        let at_c = cells_at(job, c, rows);
        let at_d = cells_at(job, d, rows);
        sum = vec4<u32>(
            f_add(sum.x, f_dot4(coefficients, vec4<u32>(at_a.x, at_b.x, at_c.x, at_d.x))),
            f_add(sum.y, f_dot4(coefficients, vec4<u32>(at_a.y, at_b.y, at_c.y, at_d.y))),
            f_add(sum.z, f_dot4(coefficients, vec4<u32>(at_a.z, at_b.z, at_c.z, at_d.z))),
            f_add(sum.w, f_dot4(coefficients, vec4<u32>(at_a.w, at_b.w, at_c.w, at_d.w))),
        );
    }
    return sum;
}

// A term's cells; by one load where it is not the next row's.
fn cells_at(job: CosetJob, term: vec4<u32>, rows: vec4<u32>) -> vec4<u32> {
    if VEC4_LOADS && term.z == 0u {
        return trace_vec4(term.x + (rows.x & job.row_mask));
    }
    return vec4<u32>(
        cell(job, term, rows.x + term.z),
        cell(job, term, rows.y + term.z),
        cell(job, term, rows.z + term.z),
        cell(job, term, rows.w + term.z),
    );
}

// The row of a thread's lower point of a block of D.
fn block_row(at: Point2, block: u32, thread: u32) -> u32 {
    return ((at.step_x + thread / BLOCK) << L_SKIP) + block + (thread & (BLOCK - 1u));
}

// Stages forms first .. first + count on a block of D, `block` its first point: a thread makes the values of four threads at a time.
fn stage(job: CosetJob, at: Point2, block: u32, first: u32, count: u32) {
    workgroupBarrier(); // what was staged before has been read
    for (var task = at.thread; task < count * QUADS; task += WORKGROUP_SIZE) {
        let slot = task / QUADS;
        let quad = task & (QUADS - 1u);
        let thread = 4u * quad;
        let rows = vec4<u32>(
            block_row(at, block, thread),
            block_row(at, block, thread + 1u),
            block_row(at, block, thread + 2u),
            block_row(at, block, thread + 3u),
        );
        let form = descriptor(job, first + slot);
        let low = form4(job, form, rows);
        let high = form4(job, form, rows + vec4<u32>(HALF));
        let on_domain = job.identity == 1u;
        staged[2u * slot * QUADS + quad] = select(signed_sum(low, high), low, on_domain);
        staged[(2u * slot + 1u) * QUADS + quad] = select(signed_diff(low, high), high, on_domain);
    }
    workgroupBarrier();
}

// What is staged for four neighbouring threads; past the last thread, where the tables are zero, for the first ones.
fn staged4(half: u32, thread: u32) -> vec4<u32> {
    let base = half * QUADS;
    if BLOCK >= 4u {
        return staged[base + ((thread >> 2u) & (QUADS - 1u))];
    }
    let a = thread & (WORKGROUP_SIZE - 1u);
    let b = (thread + 1u) & (WORKGROUP_SIZE - 1u);
    let c = (thread + 2u) & (WORKGROUP_SIZE - 1u);
    let d = (thread + 3u) & (WORKGROUP_SIZE - 1u);
    return vec4<u32>(
        staged[base + (a >> 2u)][a & 3u],
        staged[base + (b >> 2u)][b & 3u],
        staged[base + (c >> 2u)][c & 3u],
        staged[base + (d >> 2u)][d & 3u],
    );
}

// Entries z - z' of a table, for z' = first .. first + 7: those that belong to D's lower half, zero beyond.
struct Octet {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn table_entry(table: u32, z: u32, z_prime: u32) -> u32 {
    return select(0u, word(table + ((z - z_prime) & (2u * HALF - 1u))), z_prime < HALF);
}

fn plus_octet(job: CosetJob, z: u32, first: u32) -> Octet {
    return octet(job.lagrange_base + (1u << L_SKIP), z, first);
}

fn minus_octet(job: CosetJob, z: u32, first: u32) -> Octet {
    return octet(job.lagrange_base + (1u << L_SKIP) + 2u * HALF, z, first);
}

fn octet(table: u32, z: u32, first: u32) -> Octet {
    return Octet(
        centred(vec4<u32>(
            table_entry(table, z, first),
            table_entry(table, z, first + 1u),
            table_entry(table, z, first + 2u),
            table_entry(table, z, first + 3u),
        )),
        centred(vec4<u32>(
            table_entry(table, z, first + 4u),
            table_entry(table, z, first + 5u),
            table_entry(table, z, first + 6u),
            table_entry(table, z, first + 7u),
        )),
    );
}

// What eight points of D's lower half, and those h above, add to a leaf's values at the thread's points.
fn to_coset(plus: Octet, minus: Octet, sum0: vec4<u32>, sum1: vec4<u32>, diff0: vec4<u32>, diff1: vec4<u32>) -> vec2<u32> {
    let even = f_dot8(plus.low, plus.high, sum0, sum1);
    let odd = f_dot8(minus.low, minus.high, diff0, diff1);
    return vec2<u32>(f_add(even, odd), f_sub(even, odd));
}

fn cells_to_coset(
    plus: Octet, minus: Octet, lower0: vec4<u32>, lower1: vec4<u32>, upper0: vec4<u32>, upper1: vec4<u32>,
) -> vec2<u32> {
    return to_coset(
        plus,
        minus,
        signed_sum(lower0, upper0),
        signed_sum(lower1, upper1),
        signed_diff(lower0, upper0),
        signed_diff(lower1, upper1),
    );
}

// The same of a column, from point z of D on; `next` columns start anywhere.
fn column_to_coset(job: CosetJob, plus: Octet, minus: Octet, column: vec4<u32>, at: Point2, z: u32) -> vec2<u32> {
    let lower = (at.x << L_SKIP) + z;
    let upper = lower + HALF;
    return cells_to_coset(
        plus,
        minus,
        rows4(job, column, lower),
        rows4(job, column, lower + 4u),
        rows4(job, column, upper),
        rows4(job, column, upper + 4u),
    );
}

fn next_to_coset(job: CosetJob, plus: Octet, minus: Octet, column: vec4<u32>, at: Point2, z: u32) -> vec2<u32> {
    let lower = (at.x << L_SKIP) + z + 1u;
    let upper = lower + HALF;
    return cells_to_coset(
        plus,
        minus,
        cells4(job, column, lower),
        cells4(job, column, lower + 4u),
        cells4(job, column, upper),
        cells4(job, column, upper + 4u),
    );
}

// A staged form's values on D at the thread's points, which are in the staged block.
fn form_on_domain(at: Point2, slot: u32) -> vec2<u32> {
    let i = 2u * slot * QUADS + (at.thread >> 2u);
    return vec2<u32>(staged[i][at.thread & 3u], staged[i + QUADS][at.thread & 3u]);
}

// The same of a staged form, from point z of the staged block on.
fn form_to_coset(plus: Octet, minus: Octet, at: Point2, slot: u32, z: u32) -> vec2<u32> {
    let thread = at.first + z;
    let sums = 2u * slot;
    let diffs = sums + 1u;
    return to_coset(plus, minus, staged4(sums, thread), staged4(sums, thread + 4u), staged4(diffs, thread), staged4(diffs, thread + 4u));
}

// Four roots' values times the coefficients that stand in place of a weight.
fn dot4(job: CosetJob, i: u32, a: vec2<u32>, b: vec2<u32>, c: vec2<u32>, d: vec2<u32>) -> vec2<u32> {
    let coefficients = weight(job, i);
    return vec2<u32>(f_dot4(coefficients, vec4<u32>(a.x, b.x, c.x, d.x)), f_dot4(coefficients, vec4<u32>(a.y, b.y, c.y, d.y)));
}

// (sum of four roots' values at z, at z + h) times their weights.
fn weigh0(job: CosetJob, i: u32, a: vec2<u32>, b: vec2<u32>, c: vec2<u32>, d: vec2<u32>) -> vec4<u32> {
    return ext_dot4(weight(job, i), weight(job, i + 1u), weight(job, i + 2u), weight(job, i + 3u), vec4<u32>(a.x, b.x, c.x, d.x));
}

fn weigh1(job: CosetJob, i: u32, a: vec2<u32>, b: vec2<u32>, c: vec2<u32>, d: vec2<u32>) -> vec4<u32> {
    return ext_dot4(weight(job, i), weight(job, i + 1u), weight(job, i + 2u), weight(job, i + 3u), vec4<u32>(a.y, b.y, c.y, d.y));
}
