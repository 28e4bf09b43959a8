// Transforms of 16 elements in a thread's registers: x0, x1, x2, x3 hold elements 0..3, 4..7, 8..11, 12..15.
//#import shared/field4

// Powers of w, a 16th root of unity: p3's two-adic generator of that order.
const W1: u32 = 0x5f06e481u;
const W2: u32 = 0x3d85298fu;
const W3: u32 = 0x45f62656u;
const W4: u32 = 0x1c38d511u;
const W5: u32 = 0x6df1fcdcu;
const W6: u32 = 0x7513f80eu;
const W7: u32 = 0x101fd837u;

struct Points {
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
}

// Four elements times (1, b_1, b_2, b_3).
fn times3(a: vec4<u32>, b1: u32, b2: u32, b3: u32) -> vec4<u32> {
    return vec4<u32>(a.x, f_mul(a.y, b1), f_mul(a.z, b2), f_mul(a.w, b3));
}

// The last two layers for four elements that follow each other: element e of their transform is in place reversed(e).
fn dft4(x: vec4<u32>) -> vec4<u32> {
    let a = f_add(x.x, x.z);
    let b = f_add(x.y, x.w);
    let c = f_sub(x.x, x.z);
    let d = f_mul(f_sub(x.y, x.w), W4);
    return vec4<u32>(f_add(a, b), f_sub(a, b), f_add(c, d), f_sub(c, d));
}

fn pairs(x: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(f_add(x.x, x.y), f_sub(x.x, x.y), f_add(x.z, x.w), f_sub(x.z, x.w));
}

// The transforms of 2^log_radix elements that follow each other, 1 <= log_radix <= 4, by decimation in frequency: element e of each is in place
// reversed(e).
fn dft(points: Points, log_radix: u32) -> Points {
    var x = points;
    if log_radix == 1u {
        return Points(pairs(x.x0), pairs(x.x1), pairs(x.x2), pairs(x.x3));
    }
    if log_radix == 4u {
        let d0 = f_sub4(x.x0, x.x2);
        let d1 = f_sub4(x.x1, x.x3);
        x = Points(
            f_add4(x.x0, x.x2),
            f_add4(x.x1, x.x3),
            times3(d0, W1, W2, W3),
            vec4<u32>(f_mul(d1.x, W4), f_mul(d1.y, W5), f_mul(d1.z, W6), f_mul(d1.w, W7)),
        );
    }
    if log_radix >= 3u {
        x = Points(
            f_add4(x.x0, x.x1),
            times3(f_sub4(x.x0, x.x1), W2, W4, W6),
            f_add4(x.x2, x.x3),
            times3(f_sub4(x.x2, x.x3), W2, W4, W6),
        );
    }
    return Points(dft4(x.x0), dft4(x.x1), dft4(x.x2), dft4(x.x3));
}

// Element e of each transform of 2^log_radix elements times t^e.
fn twiddled(x: Points, log_radix: u32, t: u32) -> Points {
    if log_radix == 1u {
        return Points(
            vec4<u32>(x.x0.x, f_mul(x.x0.y, t), x.x0.z, f_mul(x.x0.w, t)),
            vec4<u32>(x.x1.x, f_mul(x.x1.y, t), x.x1.z, f_mul(x.x1.w, t)),
            vec4<u32>(x.x2.x, f_mul(x.x2.y, t), x.x2.z, f_mul(x.x2.w, t)),
            vec4<u32>(x.x3.x, f_mul(x.x3.y, t), x.x3.z, f_mul(x.x3.w, t)),
        );
    }
    let t2 = f_mul(t, t);
    let t3 = f_mul(t2, t);
    if log_radix == 2u {
        return Points(times3(x.x0, t2, t, t3), times3(x.x1, t2, t, t3), times3(x.x2, t2, t, t3), times3(x.x3, t2, t, t3));
    }
    let t4 = f_mul(t2, t2);
    if log_radix == 3u {
        let t6 = f_mul(t4, t2);
        let odd = vec4<u32>(t, f_mul(t4, t), t3, f_mul(t4, t3));
        return Points(times3(x.x0, t4, t2, t6), f_mul4(x.x1, odd), times3(x.x2, t4, t2, t6), f_mul4(x.x3, odd));
    }
    let t8 = f_mul(t4, t4);
    let fours = vec4<u32>(ONE, t8, t4, f_mul(t8, t4));
    return Points(
        times3(x.x0, fours.y, fours.z, fours.w),
        f_mul4(x.x1, vec4<u32>(t2, f_mul(fours.y, t2), f_mul(fours.z, t2), f_mul(fours.w, t2))),
        f_mul4(x.x2, vec4<u32>(t, f_mul(fours.y, t), f_mul(fours.z, t), f_mul(fours.w, t))),
        f_mul4(x.x3, vec4<u32>(t3, f_mul(fours.y, t3), f_mul(fours.z, t3), f_mul(fours.w, t3))),
    );
}

// Element i times base * step^i.
fn geometric(x: Points, base: u32, step: u32) -> Points {
    let step2 = f_mul(step, step);
    let step4 = f_mul(step2, step2);
    let fours = vec4<u32>(step4, step4, step4, step4);
    let with_step = f_mul(base, step);
    let f0 = vec4<u32>(base, with_step, f_mul(base, step2), f_mul(with_step, step2));
    let f1 = f_mul4(f0, fours);
    let f2 = f_mul4(f1, fours);
    return Points(f_mul4(x.x0, f0), f_mul4(x.x1, f1), f_mul4(x.x2, f2), f_mul4(x.x3, f_mul4(f2, fours)));
}
