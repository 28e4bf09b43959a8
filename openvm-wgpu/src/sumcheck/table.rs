//! Several rounds of a sumcheck out of one table: sums over the cube with the next variables at 0, 1 and infinity (the leading coefficient) each.

use std::iter::Sum;

use logup_wgpu::EF;
use p3_field::PrimeCharacteristicRing;

use super::array::elements;
use crate::kernels::{TABLE_LEN, TABLE_VARIABLES};

/// Bytes of a table among results.
pub(crate) const TABLE_BYTES: u64 = 16 * TABLE_LEN as u64;

/// Sums of products over the cube, with some variables at 0, 1 and infinity, the next one fastest.
#[derive(Clone, Debug)]
pub(crate) struct Table(Vec<EF>);

impl Table {
    /// Out of results; nothing if a word is no element.
    pub fn of_words(words: &[u32]) -> Option<Self> {
        elements(&words[..TABLE_BYTES as usize / 4]).map(Self)
    }

    /// The sum of two.
    fn plus(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(entry, other)| *entry += other);
        self
    }

    /// The next round's polynomial at 1 and 2.
    pub fn round(&self) -> [EF; 2] {
        // Of the variables behind it, the sum over 0 and 1.
        let in_cube = |mut i: usize| {
            while i > 0 {
                if i % 3 == 2 {
                    return false;
                }
                i /= 3;
            }
            true
        };
        let sums = self.0.chunks_exact(3).enumerate().filter(|(i, _)| in_cube(*i)).fold([EF::ZERO; 3], |mut sums, (_, entries)| {
            sums.iter_mut().zip(entries).for_each(|(sum, &entry)| *sum += entry);
            sums
        });
        [sums[1], at(sums, EF::TWO)]
    }

    /// The next round's values at 0 and 1 and its leading coefficient, with `eq` at these challenges over the variables behind it. Variables behind those are not
    /// there.
    pub fn round_weighted(&self, xi: &[EF]) -> [EF; 3] {
        let mut entries = self.0.clone();
        while entries.len() > 3 {
            let third = entries.len() / 3;
            // The last variable's; one that is not there is 0.
            let xi = xi.get(third.ilog(3) as usize - 1).copied().unwrap_or(EF::ZERO);
            entries = (0..third).map(|i| entries[i] + xi * (entries[third + i] - entries[i])).collect();
        }
        [entries[0], entries[1], entries[2]]
    }

    /// Adds what is the same at all points of the cube over the first variables, so many of them, where the others are 0.
    pub fn add_in_cube(&mut self, num_variables: usize, value: EF) {
        for (i, entry) in self.0.iter_mut().enumerate() {
            let digit = |variable: usize| i / 3usize.pow(variable as u32) % 3;
            let in_cube = (0..TABLE_VARIABLES).all(|variable| digit(variable) < 1 + usize::from(variable < num_variables));
            *entry += if in_cube { value } else { EF::ZERO };
        }
    }

    /// Binds the next variable.
    pub fn bind(&mut self, challenge: EF) {
        self.0 = self.0.chunks_exact(3).map(|entries| at([entries[0], entries[1], entries[2]], challenge)).collect();
    }
}

/// Tables of parts of the cube add up to the whole's.
impl Sum for Table {
    fn sum<I: Iterator<Item = Self>>(tables: I) -> Self {
        tables.reduce(Self::plus).unwrap_or_else(|| Self(vec![EF::ZERO; TABLE_LEN]))
    }
}

/// A quadratic polynomial by its values at 0 and 1 and its leading coefficient.
fn at([at_zero, at_one, lead]: [EF; 3], x: EF) -> EF {
    at_zero + x * (at_one - at_zero - lead + x * lead)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of a table are those of the products themselves.
    #[test]
    fn tables_give_the_rounds() {
        let mut state = EF::TWO;
        let mut next = || {
            state = state.square() + EF::from_u32(7);
            state
        };
        let [mut a, mut b]: [Vec<EF>; 2] = std::array::from_fn(|_| (0..16).map(|_| next()).collect());
        // Bits of an entry's index in base 3, from the lowest: where each variable is.
        let value = |values: &[EF], mut key: usize| {
            let mut values = values.to_vec();
            while values.len() > 1 {
                let at_key = |pair: &[EF]| [pair[0], pair[1], pair[1] - pair[0]][key % 3];
                values = values.chunks_exact(2).map(at_key).collect();
                key /= 3;
            }
            values[0]
        };
        let mut table = Table((0..TABLE_LEN).map(|key| value(&a, key) * value(&b, key)).collect());
        for _ in 0..TABLE_VARIABLES {
            let round = [EF::ONE, EF::TWO].map(|x| {
                let of = |pair: &[EF]| pair[0] + x * (pair[1] - pair[0]);
                a.chunks_exact(2).zip(b.chunks_exact(2)).map(|(a, b)| of(a) * of(b)).sum::<EF>()
            });
            assert_eq!(table.round(), round);
            let r = next();
            table.bind(r);
            [&mut a, &mut b].into_iter().for_each(|of| *of = of.chunks_exact(2).map(|pair| pair[0] + r * (pair[1] - pair[0])).collect());
        }
    }
}
