//! The trace commitment on the device beside the stock CPU device's: the same root, layers of the tree, codeword and stacked matrix.

#[path = "../../../tests/support/mod.rs"]
mod support;

mod grinding;
mod layouts;
mod metal;
mod portable;
mod shaders;
