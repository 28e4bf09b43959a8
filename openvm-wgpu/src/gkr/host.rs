//! A layer's sumcheck on the host: small layers, and the last rounds of others.

use logup_wgpu::EF;
use p3_field::PrimeCharacteristicRing;

use crate::sumcheck::tensor::{eq_pairs, product};

/// `p0, q0, p1, q1` over the points that are left of a cube, and `eq` over all of its variables but the next.
pub(super) struct HostPoints {
    points: Vec<[EF; 4]>,
    eq: Vec<EF>,
}

/// The points of a layer out of its fractions, `2^(num_variables + 1)` of them with the padding behind those that are there.
pub(super) fn points(fractions: &[[EF; 2]], num_variables: usize, pad: EF) -> Vec<[EF; 4]> {
    let at = |i: usize| fractions.get(i).copied().unwrap_or([EF::ZERO, pad]);
    (0..1 << num_variables).map(|y| [at(2 * y), at(2 * y + 1)]).map(|[[p0, q0], [p1, q1]]| [p0, q0, p1, q1]).collect()
}

/// Sums of pairs of fractions: the layer above.
pub(super) fn sums(fractions: &[[EF; 2]]) -> Vec<[EF; 2]> {
    let sum = |pair: &[[EF; 2]]| {
        let [[p0, q0], [p1, q1]] = [pair[0], pair[1]];
        [p0 * q1 + p1 * q0, q0 * q1]
    };
    fractions.chunks_exact(2).map(sum).collect()
}

impl HostPoints {
    /// `xi` for each variable that is left.
    pub fn new(points: Vec<[EF; 4]>, xi: &[EF]) -> Self {
        Self { points, eq: product(&eq_pairs(xi.get(1..).unwrap_or_default()), EF::ONE) }
    }

    /// `t(0)`, `t(1)` and the leading coefficient of `t(X) = sum_y eq(y) (p0 q1 + p1 q0 + lambda q0 q1)(X, y)`.
    pub fn round(&self, lambda: EF) -> [EF; 3] {
        let value = |[p0, q0, p1, q1]: [EF; 4]| (p0 + lambda * q0) * q1 + p1 * q0;
        let mut sums = [EF::ZERO; 3];
        for (pair, &eq) in self.points.chunks_exact(2).zip(&self.eq) {
            let [low, high] = [pair[0], pair[1]];
            let at = [low, high, std::array::from_fn(|i| high[i] - low[i])].map(value);
            sums.iter_mut().zip(at).for_each(|(sum, at)| *sum += eq * at);
        }
        sums
    }

    /// Binds the next variable.
    pub fn bind(&mut self, r: EF) {
        let fold = |pair: &[[EF; 4]]| std::array::from_fn(|i| pair[0][i] + r * (pair[1][i] - pair[0][i]));
        self.points = self.points.chunks_exact(2).map(fold).collect();
        if self.eq.len() > 1 {
            self.eq = self.eq.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect();
        }
    }

    /// What is left when no variable is.
    pub fn claims(&self) -> [EF; 4] {
        self.points[0]
    }
}
