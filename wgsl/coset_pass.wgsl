// For one coset g^c D: partial[chunk][p | q][z] = sum_{x in chunk} eq[x] * sum_{root r} weight_{p|q}[r] * value_r(g^c omega^z, x)
//
// This is the frame around a program that plan/codegen.rs writes for each AIR:
//     fn program(job: CosetJob, at: Point, plus: Octet, minus: Octet) -> Weighted
// `plus` and `minus` are the first entries of their tables. The program is straight-line code: it takes each column to the coset once and keeps
// temporaries in registers.
//
// A thread owns two points of the coset, z and z + h with h = 2^l_skip / 2, as the components of a vec2. With the sums and differences of a
// column's cells z' and z' + h, the column's values there are
//     sum_{z' < h} plus[z - z'] (T[z'] + T[z' + h])  +-  sum_{z' < h} minus[z - z'] (T[z'] - T[z' + h]),
//     plus[j] = (L[j] + L[j + h]) / 2,   minus[j] = (L[j] - L[j + h]) / 2,
// which takes half of the products that L itself would need. A skip domain of one point has h = 1 and no second point.
//
// Grid, bindings: see shared/coset.wgsl. weights: EF in the order in which the program adds them. A side that no root reaches is neither
// added up nor stored. lagrange: L [2^l_skip], plus [2 h], minus [2 h].
// Workgroup memory: 2,048 bytes (lanes). Barriers: in sum_lanes, reached by every thread.
//#import shared/coset

const WORKGROUP_SIZE: u32 = 128u;
// Half of the skip domain, L_SKIP as the program says.
const HALF: u32 = max(1u, (1u << L_SKIP) >> 1u);

// Whether each trace is column-major, starts at a multiple of four words, and has 2^l_skip >= 16 rows at each x.
override VEC4_LOADS: bool = false;

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
    let num_z = min(HALF, WORKGROUP_SIZE);
    let z = tile.z_block * WORKGROUP_SIZE + (thread & (num_z - 1u));
    let begin = first_x(job, tile);
    let end = begin + (1u << job.log_chunk);
    let eq_at = eq_origin(job, begin);

    // D itself has no tables.
    var plus: Octet;
    var minus: Octet;
    if job.identity == 0u {
        plus = plus_octet(job, z, 0u);
        minus = minus_octet(job, z, 0u);
    }
    var at = Point(0u, z);
    var sum: Weighted;
    for (var x = begin + thread / num_z; x < end; x += WORKGROUP_SIZE / num_z) {
        at.x = x;
        let weighted = program(job, at, plus, minus);
        let e = eq[eq_at + x];
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
        store_partials(job, tile, thread, num_z, z, 0u, sum.p0);
        if second {
            store_partials(job, tile, thread, num_z, z + HALF, 0u, sum.p1);
        }
    }
    if HAS_Q {
        store_partials(job, tile, thread, num_z, z, 1u, sum.q0);
        if second {
            store_partials(job, tile, thread, num_z, z + HALF, 1u, sum.q1);
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

fn is_first2(job: CosetJob, at: Point) -> vec2<u32> {
    return vec2<u32>(is_first(job, at), is_first(job, Point(at.x, at.z + HALF)));
}

fn is_last2(job: CosetJob, at: Point) -> vec2<u32> {
    return vec2<u32>(is_last(job, at), is_last(job, Point(at.x, at.z + HALF)));
}

fn is_transition2(job: CosetJob, at: Point) -> vec2<u32> {
    return f_sub2(vec2<u32>(ONE), is_last2(job, at));
}

fn weight(job: CosetJob, i: u32) -> vec4<u32> {
    return ext_word(job.weights_base + 4u * i);
}

// The row of D's point z at the thread's x.
fn row(at: Point, z: u32) -> u32 {
    return (at.x << L_SKIP) + z;
}

// A column of the program: flat word index of row 0, words per row.
fn descriptor(job: CosetJob, column: u32) -> vec2<u32> {
    let at = job.columns_base + 3u * column;
    if VEC4_LOADS {
        return vec2<u32>(word(at), 1u);
    }
    return vec2<u32>(word(at), word(at + 1u));
}

fn cell(job: CosetJob, column: vec2<u32>, row: u32) -> u32 {
    return trace_word(column.x + (row & job.row_mask) * column.y);
}

// A column's cells on D at the thread's two points.
fn cell2(job: CosetJob, column: vec2<u32>, at: Point, next: u32) -> vec2<u32> {
    let first = row(at, at.z + next);
    return vec2<u32>(cell(job, column, first), cell(job, column, first + HALF));
}

fn cells4(job: CosetJob, column: vec2<u32>, row: u32) -> vec4<u32> {
    return vec4<u32>(cell(job, column, row), cell(job, column, row + 1u), cell(job, column, row + 2u), cell(job, column, row + 3u));
}

// Rows row .. row + 3 of a column; row is a multiple of four where VEC4_LOADS holds.
fn rows4(job: CosetJob, column: vec2<u32>, row: u32) -> vec4<u32> {
    if VEC4_LOADS {
        return trace_vec4(column.x + row);
    }
    return cells4(job, column, row);
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

// What eight cells of D's lower half, and those h above, add to a column's values at the thread's points.
fn to_coset(plus: Octet, minus: Octet, lower0: vec4<u32>, lower1: vec4<u32>, upper0: vec4<u32>, upper1: vec4<u32>) -> vec2<u32> {
    let even = f_dot8(plus.low, plus.high, signed_sum(lower0, upper0), signed_sum(lower1, upper1));
    let odd = f_dot8(minus.low, minus.high, signed_diff(lower0, upper0), signed_diff(lower1, upper1));
    return vec2<u32>(f_add(even, odd), f_sub(even, odd));
}

// The same of a column, from `row` on; `next` columns start anywhere.
fn column_to_coset(job: CosetJob, plus: Octet, minus: Octet, column: vec2<u32>, row: u32) -> vec2<u32> {
    let upper = row + HALF;
    return to_coset(plus, minus, rows4(job, column, row), rows4(job, column, row + 4u), rows4(job, column, upper), rows4(job, column, upper + 4u));
}

fn next_to_coset(job: CosetJob, plus: Octet, minus: Octet, column: vec2<u32>, row: u32) -> vec2<u32> {
    let lower = row + 1u;
    let upper = lower + HALF;
    return to_coset(
        plus,
        minus,
        cells4(job, column, lower),
        cells4(job, column, lower + 4u),
        cells4(job, column, upper),
        cells4(job, column, upper + 4u),
    );
}

// (sum of four roots' values at z, at z + h) times their weights.
fn weigh0(job: CosetJob, i: u32, a: vec2<u32>, b: vec2<u32>, c: vec2<u32>, d: vec2<u32>) -> vec4<u32> {
    return ext_dot4(weight(job, i), weight(job, i + 1u), weight(job, i + 2u), weight(job, i + 3u), vec4<u32>(a.x, b.x, c.x, d.x));
}

fn weigh1(job: CosetJob, i: u32, a: vec2<u32>, b: vec2<u32>, c: vec2<u32>, d: vec2<u32>) -> vec4<u32> {
    return ext_dot4(weight(job, i), weight(job, i + 1u), weight(job, i + 2u), weight(job, i + 3u), vec4<u32>(a.y, b.y, c.y, d.y));
}
