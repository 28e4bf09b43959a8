// Poseidon2 over BabyBear, width 16 (eprint 2023/323): an external matrix, 4 external rounds, 13 internal rounds, 4 external rounds; x^7 as the S-box.
// A kernel that imports this declares the constants, in Montgomery form:
//     var<uniform> poseidon2: array<vec4<u32>, POSEIDON2_CONSTANTS>;
// [4 initial rounds][4], [4 terminal rounds][4], [4] the diagonal of the internal matrix less 1, [13 internal rounds] in the first component.
// Another permutation is another file with this interface: State, RATE, permute; Digest, digest_of, compress.
//#import shared/field4

const RATE: u32 = 8u;
const HALF_EXTERNAL: u32 = 4u;
const INTERNAL: u32 = 13u;
const TERMINAL_AT: u32 = 16u;
const DIAGONAL_AT: u32 = 32u;
const INTERNAL_AT: u32 = 36u;
const POSEIDON2_CONSTANTS: u32 = 49u;

// Elements 0..3, 4..7, 8..11, 12..15, each in [0, P). The first RATE are the rate.
struct State {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

const ZERO_STATE: State = State(vec4<u32>(), vec4<u32>(), vec4<u32>(), vec4<u32>());

// x^7.
fn s_box(x: u32) -> u32 {
    let x2 = f_mul(x, x);
    return f_mul(f_mul(x2, x), f_mul(x2, x2));
}

fn s_box4(x: vec4<u32>) -> vec4<u32> {
    let x2 = f_mul4(x, x);
    return f_mul4(f_mul4(x2, x), f_mul4(x2, x2));
}

// The circulant matrix of (2, 3, 1, 1).
fn matrix4(x: vec4<u32>) -> vec4<u32> {
    let t01 = f_add(x.x, x.y);
    let t23 = f_add(x.z, x.w);
    let all = f_add(t01, t23);
    let with_y = f_add(all, x.y);
    let with_w = f_add(all, x.w);
    return vec4<u32>(f_add(with_y, t01), f_add(with_y, f_add(x.z, x.z)), f_add(with_w, t23), f_add(with_w, f_add(x.x, x.x)));
}

// matrix4 for each four elements, plus the sum of all four.
fn external_matrix(s: State) -> State {
    let a = matrix4(s.a);
    let b = matrix4(s.b);
    let c = matrix4(s.c);
    let d = matrix4(s.d);
    let sums = f_add4(f_add4(a, b), f_add4(c, d));
    return State(f_add4(a, sums), f_add4(b, sums), f_add4(c, sums), f_add4(d, sums));
}

fn external_rounds(state: State, first: u32) -> State {
    var s = state;
    for (var i = 0u; i < HALF_EXTERNAL; i++) {
        let at = first + 4u * i;
        s.a = s_box4(f_add4(s.a, poseidon2[at]));
        s.b = s_box4(f_add4(s.b, poseidon2[at + 1u]));
        s.c = s_box4(f_add4(s.c, poseidon2[at + 2u]));
        s.d = s_box4(f_add4(s.d, poseidon2[at + 3u]));
        s = external_matrix(s);
    }
    return s;
}

fn permute(state: State) -> State {
    var s = external_rounds(external_matrix(state), 0u);
    for (var i = 0u; i < INTERNAL; i++) {
        s.a.x = s_box(f_add(s.a.x, poseidon2[INTERNAL_AT + i].x));
        let by_four = f_add4(f_add4(s.a, s.b), f_add4(s.c, s.d));
        let sum = vec4<u32>(f_add(f_add(by_four.x, by_four.y), f_add(by_four.z, by_four.w)));
        s.a = f_add4(f_mul4(s.a, poseidon2[DIAGONAL_AT]), sum);
        s.b = f_add4(f_mul4(s.b, poseidon2[DIAGONAL_AT + 1u]), sum);
        s.c = f_add4(f_mul4(s.c, poseidon2[DIAGONAL_AT + 2u]), sum);
        s.d = f_add4(f_mul4(s.d, poseidon2[DIAGONAL_AT + 3u]), sum);
    }
    return external_rounds(s, TERMINAL_AT);
}

// A digest: the first RATE elements of a state.
struct Digest {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn digest_of(s: State) -> Digest {
    return Digest(s.a, s.b);
}

// The parent of two nodes of a tree.
fn compress(left: Digest, right: Digest) -> Digest {
    return digest_of(permute(State(left.low, left.high, right.low, right.high)));
}
