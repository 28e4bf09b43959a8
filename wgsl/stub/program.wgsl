const L_SKIP: u32 = 4u;
const HAS_P: bool = false;
const HAS_Q: bool = false;

fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted {
    let d0 = descriptor(job, 0u);
    var c0 = vec2<u32>(0u);
    var c1 = vec2<u32>(0u);
    var c2 = vec2<u32>(0u);
    var c3 = vec2<u32>(0u);
    if job.identity == 1u {
        c0 = cell2(job, d0, at, 0u);
    } else {
        c0 = column_to_coset(job, plus, minus, d0, at, 0u);
    }
    stage_bits(job, at, 1u, 1u, 0u, false);
    stage_bits(job, at, 2u, 1u, 1u, true);
    if job.identity == 1u {
        c1 = bit_on_domain(at, 0u);
        c2 = bit_on_domain(at, 1u);
    } else {
        c1 = bit_to_coset(job, at, 0u);
        c2 = bit_to_coset(job, at, 1u);
    }
    for (var block = 0u; block < HALF; block += BLOCK) {
        stage(job, at, block, 3u, 1u);
        if job.identity == 1u {
            if block == (at.z & ~(BLOCK - 1u)) {
                c3 = form_on_domain(at, 0u);
            }
        } else {
            c3 = form_to_coset(plus, minus, at, 0u, 0u);
        }
    }
    var sum: Weighted;
    return sum;
}
