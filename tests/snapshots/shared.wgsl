const L_SKIP: u32 = 6u;
const HAS_P: bool = false;
const HAS_Q: bool = true;

fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted {
    let d0 = descriptor(job, 0u);
    let d1 = descriptor(job, 1u);
    let d2 = descriptor(job, 2u);
    let d3 = descriptor(job, 3u);
    let d4 = descriptor(job, 4u);
    let d5 = descriptor(job, 5u);
    var c0 = vec2<u32>(0u);
    var c1 = vec2<u32>(0u);
    var c2 = vec2<u32>(0u);
    var c3 = vec2<u32>(0u);
    var c4 = vec2<u32>(0u);
    var c5 = vec2<u32>(0u);
    if job.identity == 1u {
        c0 = cell2(job, d0, at, 0u);
        c1 = cell2(job, d1, at, 0u);
        c2 = cell2(job, d2, at, 0u);
        c3 = cell2(job, d3, at, 0u);
        c4 = cell2(job, d4, at, 0u);
        c5 = cell2(job, d5, at, 0u);
    } else {
        c0 = column_to_coset(job, plus, minus, d0, at, 0u);
        c1 = column_to_coset(job, plus, minus, d1, at, 0u);
        c2 = column_to_coset(job, plus, minus, d2, at, 0u);
        c3 = column_to_coset(job, plus, minus, d3, at, 0u);
        c4 = column_to_coset(job, plus, minus, d4, at, 0u);
        c5 = column_to_coset(job, plus, minus, d5, at, 0u);
        for (var z = 8u; z < HALF; z += 8u) {
            let plus = plus_octet(job, at.z, z);
            let minus = minus_octet(job, at.z, z);
            c0 = f_add2(c0, column_to_coset(job, plus, minus, d0, at, z));
            c1 = f_add2(c1, column_to_coset(job, plus, minus, d1, at, z));
            c2 = f_add2(c2, column_to_coset(job, plus, minus, d2, at, z));
            c3 = f_add2(c3, column_to_coset(job, plus, minus, d3, at, z));
            c4 = f_add2(c4, column_to_coset(job, plus, minus, d4, at, z));
            c5 = f_add2(c5, column_to_coset(job, plus, minus, d5, at, z));
        }
    }
    var sum: Weighted;
    let v6 = f_mul2(c0, c1);
    let v7 = f_mul2(v6, c1);
    let v8 = f_mul2(v6, c2);
    let v9 = f_mul2(v6, c3);
    let v10 = f_mul2(v6, c4);
    let v11 = f_mul2(v6, c5);
    sum.q0 = ext_add(sum.q0, weigh0(job, 0u, v7, v8, v9, v10));
    sum.q1 = ext_add(sum.q1, weigh1(job, 0u, v7, v8, v9, v10));
    sum.q0 = ext_add(sum.q0, weigh0(job, 4u, v11, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    sum.q1 = ext_add(sum.q1, weigh1(job, 4u, v11, vec2<u32>(0u), vec2<u32>(0u), vec2<u32>(0u)));
    return sum;
}
