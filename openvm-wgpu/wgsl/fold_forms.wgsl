// Affine expressions of folded cells, as further columns:
//     folded[to_j + x] = constant_j + sum_k coefficient_k folded[from_k + x]        in EF, x < num_x of form j
//
// Grid: threads take (j, x) in turn.
// | binding | shape and element                                                                                     |
// | job     | FoldFormsJob                                                                                          |
// | forms   | [num_forms] (first thread, first element, first term, end of its terms; constant: EF), by first thread |
// | terms   | [..] (first element of a column, coefficient), two to an element                                      |
// | folded  | [..] EF                                                                                               |
// Workgroup memory: none. Barriers: none. No thread reads what another writes.
//#import shared/entries
//#import shared/ext4
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FoldFormsJob {
    num: u32,
    num_forms: u32,
}

@group(0) @binding(0) var<uniform> job: FoldFormsJob;
@group(0) @binding(1) var<storage, read> forms: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> terms: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> folded: array<vec4<u32>>;

fn entry_start(i: u32) -> u32 {
    return forms[2u * i].x;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if i >= job.num {
        return;
    }
    let own = entry_of(0u, job.num_forms, i);
    let form = forms[2u * own];
    let x = i - form.x;
    var sum = forms[2u * own + 1u];
    for (var k = form.z; k < form.w; k++) {
        let term = terms[k];
        sum = ext_add(sum, ext_scale(folded[term.x + x], term.y));
    }
    folded[form.y + x] = sum;
}
