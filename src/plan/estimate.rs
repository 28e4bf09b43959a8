//! What a call costs, estimated before it is made: where the device starts to win over the CPU prover.

use std::{ops::Range, time::Duration};

use super::{PlannedPair, PlannedProgram, Round0Plan};
#[cfg(doc)]
use crate::error::Error;
use crate::{error::Result, kernels::Op, matrix::check_height};

/// What looking up the bits of a column takes, in products. Guess.
const BIT_PRODUCTS: u64 = 3;

/// How fast a device and a host are, for [`Round0Plan::estimate`]. The constants were fitted to the project's own records; for another
/// device start from the nearest and put in `Gpu::plain_read_rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Wall time of a call with nothing to compute: recording, submission, wait, readback.
    pub call: Duration,
    /// Bytes of trace read per second.
    pub read: f64,
    /// 32 by 32 bit products of a program per second, with the reductions, loads and addresses that come with them.
    pub products: f64,
    /// Wall time that the stock CPU prover takes for any trace.
    pub stock_call: Duration,
    /// Cells that the stock CPU prover takes to a coset per second, with its expressions there.
    pub stock_cells: f64,
}

impl Rates {
    /// One H200 through Vulkan, beside 16 CPU cores. 2026-11-22.
    pub const H200: Self =
        Self { call: Duration::from_micros(150), read: 2.4e12, products: 3e12, stock_call: Duration::from_micros(200), stock_cells: 80e6 };
    /// lavapipe (Mesa 22.3) on 2 CPU cores. 2026-11-22.
    pub const LAVAPIPE_2_CORES: Self =
        Self { call: Duration::from_micros(350), read: 2.5e9, products: 1.3e9, stock_call: Duration::from_micros(200), stock_cells: 27e6 };
}

/// An estimate for one AIR alone in a call, its trace resident on the device. How far measured times lie from it is in
/// `docs/performance.md`: a factor of two where there are rows to compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Bytes of the used columns.
    pub read_bytes: u64,
    /// 32 by 32 bit products of the non-affine part; `u64::MAX` also stands for more.
    pub products: u64,
    /// Wall time of the call.
    pub device: Duration,
    /// Wall time of the stock CPU prover for the same polynomials.
    pub stock: Duration,
}

impl Estimate {
    /// Whether the device is the faster.
    pub fn device_wins(&self) -> bool {
        self.device < self.stock
    }
}

impl Round0Plan {
    /// What a call costs for a trace of `height` rows, on the device and by the stock CPU prover.
    ///
    /// ```text
    /// device = call + read_bytes / read + products / rate
    /// stock = stock_call + height * width * constraint_degree / stock_cells
    /// ```
    /// ```
    /// # use logup_wgpu::{AirBuilder, Rates, Round0Plan, Strategy};
    /// # let mut air = AirBuilder::new("ten columns");
    /// # let main = air.main_part(10);
    /// # let cells: Vec<_> = (0..10).map(|i| air.column(main, i)).collect();
    /// # air.interaction(0, cells.iter().copied(), cells[0]);
    /// # let plan = Round0Plan::new(air.build()?, 4, Strategy::Split)?;
    /// let estimate = plan.estimate(1 << 20, &Rates::H200)?;
    /// assert_eq!(estimate.read_bytes, 40 << 20);
    /// assert!(estimate.device_wins());
    /// # Ok::<(), logup_wgpu::Error>(())
    /// ```
    ///
    /// A rate of zero, or one that is no number, makes what it is the rate of take for ever: [`Duration::MAX`].
    ///
    /// # Errors
    /// [`Error::Height`] if `height` is no power of two up to `2^31`.
    pub fn estimate(&self, height: usize, rates: &Rates) -> Result<Estimate> {
        check_height(self.air.name(), height)?;
        let rows = height.max(1 << self.l_skip) as u64;
        let read_bytes = if self.pairs.is_empty() { 0 } else { (4 * self.num_columns_used() as u64).saturating_mul(height as u64) };
        let of_pair = |pair: &PlannedPair| {
            let of_program = |planned: &PlannedProgram| planned.products_of_all(self.l_skip, pair.program_cosets(planned, false));
            pair.programs.iter().map(of_program).fold(0, u64::saturating_add)
        };
        let per_row = self.pairs.iter().map(of_pair).fold(0, u64::saturating_add);
        let products = rows.saturating_mul(per_row);
        let width: f64 = self.air.parts().map(|(_, width)| width as f64).sum();
        let stock_cells = height as f64 * width * self.air.constraint_degree as f64;
        let time = |amount: f64, rate: f64| if amount == 0.0 { Duration::ZERO } else { seconds(amount / rate) };
        let device = time(read_bytes as f64, rates.read).saturating_add(time(products as f64, rates.products));
        Ok(Estimate {
            read_bytes,
            products,
            device: rates.call.saturating_add(device),
            stock: rates.stock_call.saturating_add(time(stock_cells, rates.stock_cells)),
        })
    }
}

impl PlannedProgram {
    /// 32 by 32 bit products for each row of a coset: a multiplication node takes two with its reduction, a root four at most for each part that it
    /// reaches, and each part sixteen for `eq`; a column takes half a skip domain, or all of it in the interpreter, on each coset but `D`, and less if
    /// its cells are bits.
    pub(crate) fn products(&self, l_skip: usize, is_identity: bool) -> u64 {
        let program = &self.program;
        let muls = program.instructions.iter().filter(|instruction| instruction[0] == Op::Mul as u32).count() as u64;
        let reached = program.reached.iter().flatten().filter(|&&reached| reached).count() as u64;
        let point = 2 * muls + 4 * reached + 16 * u64::from(self.sides().count());
        let column = if self.generated.is_some() { (1u64 << l_skip).div_ceil(2).max(8) } else { 1 << l_skip };
        let (num_bits, num_leaves) = (program.num_bits() as u64, program.leaves.len() as u64);
        if is_identity { point } else { point + column * (num_leaves - num_bits) + BIT_PRODUCTS * num_bits }
    }

    fn products_of_all(&self, l_skip: usize, cosets: Range<usize>) -> u64 {
        cosets.map(|coset| self.products(l_skip, coset == 0)).fold(0, u64::saturating_add)
    }
}

/// So many seconds, or all the time there is.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{air::AirBuilder, plan::Strategy};

    #[test]
    fn estimates_count_bytes_and_products() {
        let mut air = AirBuilder::new("estimated");
        let main = air.main_part(5);
        let (a, b, c) = (air.column(main, 0), air.column(main, 1), air.column(main, 2));
        let ab = air.mul(a, b);
        air.interaction(0, [ab, c], a);
        let plan = Round0Plan::new(air.build().unwrap(), 4, Strategy::Split).unwrap();
        let rates =
            Rates { call: Duration::from_secs(1), read: 12.0, products: 1e3, stock_call: Duration::from_secs(3), stock_cells: 10.0 };
        let estimate = plan.estimate(32, &rates).unwrap();
        assert_eq!(estimate.read_bytes, 3 * 4 * 32);
        // Two cosets of one multiplication, one root in the denominator and eq; one coset of two columns, eight products each.
        assert_eq!(estimate.products, 32 * (2 * (2 + 4 + 16) + 2 * 8));
        assert_eq!(estimate.device, Duration::from_secs(1) + Duration::from_secs(32) + Duration::from_millis(32 * 60));
        assert_eq!(estimate.stock, Duration::from_secs(3 + 32 * 5 * 2 / 10));
        assert!(estimate.device_wins() == (estimate.device < estimate.stock));
        let empty = Round0Plan::new(AirBuilder::new("empty").build().unwrap(), 4, Strategy::Split).unwrap();
        let nothing = empty.estimate(32, &rates).unwrap();
        assert_eq!((nothing.read_bytes, nothing.products), (0, 0));
        for rate in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE] {
            let rates = Rates { read: rate, stock_cells: rate, ..rates };
            let estimate = plan.estimate(32, &rates).unwrap();
            assert_eq!((estimate.device, estimate.stock), (Duration::MAX, Duration::MAX), "{rate}");
            assert_eq!(empty.estimate(32, &rates).unwrap().device, rates.call, "nothing to read");
        }
    }
}
