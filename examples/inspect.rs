//! What an AIR becomes: its plan, and each kernel that is generated for it as WGSL and as the MSL that wgpu's Metal backend would compile.
//!
//! ```text
//! cargo run --release --example inspect [-- --keccakf] [--l-skip N] [--windows N] [--portable] [--msl]
//! ```
//! Without `--keccakf` it is a small AIR of two lookups. No device is needed. `--portable` shows the form without 64-bit integers.

#[path = "../tests/support/args.rs"]
mod args;
#[path = "../tests/stock/mod.rs"]
mod stock;
#[path = "../tests/support/mod.rs"]
mod support;

use logup_wgpu::{
    Air, AirBuilder, FieldForm, Result, Round0Plan, Strategy,
    compute::Variant,
    introspect::kernels::{ALL, COSET_PASS},
};
use support::translate::{MslOptions, to_msl};

fn main() -> Result<()> {
    let mut args = args::Args::new("inspect [--keccakf] [--l-skip N] [--windows N] [--portable] [--msl]");
    let (keccakf, portable, msl) = (args.flag("--keccakf"), args.flag("--portable"), args.flag("--msl"));
    let l_skip = args.option("--l-skip", |n: &usize| *n <= logup_wgpu::MAX_L_SKIP).unwrap_or(4);
    let slots = args.option("--windows", |n: &u32| COSET_PASS.windows.contains(n) && *n > 0).unwrap_or(1);
    args.end();

    let air = if keccakf { stock::keccakf::air().air() } else { lookups()? };
    let plan = Round0Plan::new(air, l_skip, Strategy::Split)?;
    println!("{plan}\n");
    println!("kernels: {}\n", ALL.iter().map(|kernel| kernel.name).collect::<Vec<_>>().join(", "));
    let form = if portable { FieldForm::U32 } else { FieldForm::U64 };
    let sources = plan.shader_sources(form, slots);
    if sources.is_empty() {
        println!("Everything in this AIR's interactions is affine: no kernel is generated for it.");
    }
    for source in sources {
        let variant = Variant { kernel: &COSET_PASS, form, slots };
        if msl {
            let options = MslOptions { lang_version: (2, 4), checked: true };
            println!("{}", to_msl(variant, &source, &variant.constants(29, &[]), options).text);
        } else {
            println!("{source}");
        }
    }
    Ok(())
}

/// `(value)` on bus 1, `is_real` times; `(value, is_real * flag)` on bus 2, always.
fn lookups() -> Result<Air> {
    let mut air = AirBuilder::new("lookups");
    let main = air.main_part(3);
    let [value, is_real, flag] = [0, 1, 2].map(|i| air.column(main, i));
    let one = air.constant(logup_wgpu::F::new(1));
    let product = air.mul(is_real, flag);
    air.interaction(1, [value], is_real);
    air.interaction(2, [value, product], one);
    air.build()
}
