//! This crate's table of kernels against naga: see `support::kernel_table`.

use logup_wgpu::introspect::kernels;

use crate::support::{kernel_table::KernelTable, root};

fn table() -> KernelTable {
    KernelTable { all: kernels::ALL, layouts: kernels::LAYOUTS, constants: kernels::CONSTANTS, folder: root().join("wgsl") }
}

#[test]
fn every_variant_is_valid() {
    table().every_variant_is_valid();
}

#[test]
fn structs_are_laid_out_as_rust_writes_them() {
    table().structs_are_laid_out_as_rust_writes_them();
}

#[test]
fn constants_are_those_of_rust() {
    table().constants_are_those_of_rust();
}

#[test]
fn kernels_are_what_the_table_says() {
    table().kernels_are_what_the_table_says();
}

#[test]
fn every_variant_becomes_msl() {
    table().every_variant_becomes_msl();
}

#[test]
fn kernels_are_files_and_files_are_kernels() {
    table().kernels_are_files_and_files_are_kernels();
}
