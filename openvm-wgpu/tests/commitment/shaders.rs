//! This crate's table of kernels against naga: see `support::kernel_table`.

use openvm_wgpu::kernels;

use crate::{
    kernel_table_tests,
    support::{kernel_table::KernelTable, root},
};

kernel_table_tests!(KernelTable {
    all: kernels::ALL,
    layouts: kernels::LAYOUTS,
    constants: kernels::CONSTANTS,
    folder: root().join("openvm-wgpu/wgsl"),
});
