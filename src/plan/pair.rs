//! What a call sums up for one AIR: pairs of polynomials, each pair from the same column sums, by the same programs and reduction.

use std::ops::Range;

use crate::air::Air;

/// Two polynomials `sum_x eq(x) v(Z, x)` that are computed together; each gives every node a weight of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    /// LogUp's numerator and denominator.
    Logup,
    /// The sums of the constraints of one degree, and of those of another: `sum_i lambda^i c_i` over either.
    ///
    /// A constraint vanishes on `D` at every `x`, so their sum is `(Z^N - 1) q(Z)`. Constraints of degree `d` have a `q` of degree below
    /// `(d - 1) N`, which `d - 1` cosets other than `D` determine, however high other constraints' degrees are. Those of degree 1 are
    /// zero: of degree below `N`, with `N` zeros.
    Constraints { degrees: [Option<usize>; 2] },
}

impl Pair {
    /// The pairs of an AIR.
    pub fn all(air: &Air) -> Vec<Self> {
        let mut degrees: Vec<usize> = air.constraints.iter().map(|&node| air.degree(node)).filter(|&degree| degree > 1).collect();
        degrees.sort_unstable();
        degrees.dedup();
        let logup = (!air.interactions.is_empty()).then_some(Self::Logup);
        let constraints = degrees.chunks(2).map(|two| Self::Constraints { degrees: [two.first().copied(), two.get(1).copied()] });
        logup.into_iter().chain(constraints).collect()
    }

    /// Which nodes have weight from the start, in the first and in the second polynomial.
    pub fn named(self, air: &Air) -> Vec<[bool; 2]> {
        let mut named = vec![[false; 2]; air.nodes.len()];
        match self {
            Self::Logup => {
                for interaction in &air.interactions {
                    named[interaction.count.index()][0] = true;
                    interaction.message.iter().for_each(|field| named[field.index()][1] = true);
                }
            }
            Self::Constraints { degrees } => {
                for &constraint in &air.constraints {
                    let degree = Some(air.degree(constraint));
                    let named = &mut named[constraint.index()];
                    *named = [named[0] | (degrees[0] == degree), named[1] | (degrees[1] == degree)];
                }
            }
        }
        named
    }

    /// The cosets `g^c D` that determine each polynomial, where its non-affine part has this degree. With `sums`, those that determine it
    /// on any trace, and not only on one whose constraints hold.
    pub fn cosets(self, non_affine_degree: usize, sums: bool) -> [Range<usize>; 2] {
        match self {
            Self::Logup => [0..non_affine_degree, 0..non_affine_degree],
            Self::Constraints { degrees } => degrees.map(|degree| degree.map_or(0..0, |degree| usize::from(!sums)..degree)),
        }
    }
}
