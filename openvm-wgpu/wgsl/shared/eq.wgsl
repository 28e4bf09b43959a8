// eq over cubes: `eq`, [4][job.eq_stride] u32, coefficient by coefficient, for 2^n points from element 2^n on.

fn eq_at(i: u32) -> vec4<u32> {
    return vec4<u32>(eq[i], eq[job.eq_stride + i], eq[2u * job.eq_stride + i], eq[3u * job.eq_stride + i]);
}
