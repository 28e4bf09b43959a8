const L_SKIP: u32 = 4u;
const HAS_P: bool = true;
const HAS_Q: bool = true;

fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted {
    let d0 = descriptor(job, 0u);
    let d1 = descriptor(job, 1u);
    var c0 = vec2<u32>(0u);
    var c1 = vec2<u32>(0u);
    if job.identity == 1u {
        c0 = cell2(job, d0, at, 1u);
        c1 = cell2(job, d1, at, 0u);
    } else {
        c0 = next_to_coset(job, plus, minus, d0, at, 0u);
        c1 = column_to_coset(job, plus, minus, d1, at, 0u);
    }
    var sum: Weighted;
    let v2 = f_mul2(c0, c1);
    sum.p0 = ext_add(sum.p0, weigh0(job, 0u, v2, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    sum.p1 = ext_add(sum.p1, weigh1(job, 0u, v2, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    sum.q0 = ext_add(sum.q0, weigh0(job, 4u, v2, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    sum.q1 = ext_add(sum.q1, weigh1(job, 4u, v2, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    return sum;
}
