const L_SKIP: u32 = 4u;
const HAS_P: bool = false;
const HAS_Q: bool = false;

fn program(job: CosetJob, at: Point, plus: Octet, minus: Octet) -> Weighted {
    var sum: Weighted;
    return sum;
}
