// An array of the extension field that a kernel writes: `elements`, [4][job.stride] u32, coefficient by coefficient.

fn element(i: u32) -> vec4<u32> {
    let n = job.stride;
    return vec4<u32>(elements[i], elements[n + i], elements[2u * n + i], elements[3u * n + i]);
}

fn set_element(i: u32, value: vec4<u32>) {
    let n = job.stride;
    elements[i] = value.x;
    elements[n + i] = value.y;
    elements[2u * n + i] = value.z;
    elements[3u * n + i] = value.w;
}
