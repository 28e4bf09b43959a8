//! The trace commitment on the device beside the stock CPU device's: the same root, layers of the tree, codeword and stacked matrix.

#[path = "../../../tests/support/mod.rs"]
mod support;

mod grinding;
mod layouts;
mod metal;
mod portable;
mod shaders;

/// log2 of the skip domain, of the stacked height and of a query's rows; width and log2 of the height of each trace.
type Shape = (usize, usize, usize, &'static [(usize, usize)]);
