//! An AIR as wide as its reader wants: traces of many windows.

use logup_wgpu::{AirBuilder, Layout, NodeId};

use super::{Case, rng};

/// `width` columns, every third one rotated, all in one message; and the product of two neighbours if asked for. `l_skip` is 2.
pub fn wide_case(width: usize, height: usize, layout: Layout, product: bool) -> Case {
    let mut air = AirBuilder::new(format!("{width} x {height} {layout:?}"));
    let main = air.main_part(width);
    let mut fields: Vec<NodeId> = (0..width).map(|i| if i % 3 == 1 { air.next(main, i) } else { air.column(main, i) }).collect();
    if product {
        fields.push(air.mul(fields[width / 2], fields[width / 2 + 1]));
    }
    air.interaction(0, fields.iter().copied(), fields[0]);
    let case = Case::random(air.build().unwrap(), 2, height, (None, &[width]), 0, &mut rng(width as u64));
    Case { layout, ..case }
}
