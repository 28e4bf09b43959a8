// Fractions p / q of a layer of GKR's tree as a kernel reads them: `nodes`, [p | q][4][job.stride] u32, coefficient by coefficient, from node job.first on.
// A point is two neighbours, the children of a node of the layer above. Nodes behind the first job.len are padding, 0 / constants[0], and stored nowhere.
//#import shared/ext4

struct Pair {
    p0: vec4<u32>,
    q0: vec4<u32>,
    p1: vec4<u32>,
    q1: vec4<u32>,
}

fn pair_at(y: u32) -> Pair {
    var pair = Pair(EXT_ZERO, constants[0], EXT_ZERO, constants[0]);
    if 2u * y < job.len {
        let n = job.stride / 2u;
        let at = job.first / 2u + y;
        let x = nodes[at];
        let z = nodes[n + at];
        let u = nodes[2u * n + at];
        let v = nodes[3u * n + at];
        let s = nodes[4u * n + at];
        let t = nodes[5u * n + at];
        let r = nodes[6u * n + at];
        let w = nodes[7u * n + at];
        pair.p0 = vec4<u32>(x.x, z.x, u.x, v.x);
        pair.q0 = vec4<u32>(s.x, t.x, r.x, w.x);
        if 2u * y + 1u < job.len {
            pair.p1 = vec4<u32>(x.y, z.y, u.y, v.y);
            pair.q1 = vec4<u32>(s.y, t.y, r.y, w.y);
        }
    }
    return pair;
}
