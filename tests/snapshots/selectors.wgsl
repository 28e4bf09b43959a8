const L_SKIP: u32 = 2u;
const HAS_P: bool = true;
const HAS_Q: bool = true;

fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted {
    let d0 = descriptor(job, 0u);
    var c0 = vec2<u32>(0u);
    if job.identity == 1u {
        c0 = cell2(job, d0, at, 0u);
    } else {
        c0 = column_to_coset(job, plus, minus, d0, at, 0u);
    }
    var sum: Weighted;
    let v1 = f_mul2(c0, value2(job, 0u));
    let v2 = is_first2(job, at);
    let v3 = f_mul2(v1, v2);
    let v4 = is_last2(job, at);
    let v5 = f_mul2(v1, v4);
    let v6 = is_transition2(job, at);
    let v7 = f_mul2(v1, v6);
    let v8 = f_add2(v1, value2(job, 1u));
    let v9 = f_mul2(v8, v8);
    sum.p0 = ext_add(sum.p0, weigh0(job, 0u, v9, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    sum.p1 = ext_add(sum.p1, weigh1(job, 0u, v9, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    sum.q0 = ext_add(sum.q0, weigh0(job, 4u, v3, v5, v7, vec2<u32>(0u)));
    sum.q1 = ext_add(sum.q1, weigh1(job, 4u, v3, v5, v7, vec2<u32>(0u)));
    return sum;
}
