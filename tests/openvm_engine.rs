//! `WgpuEngine` as OpenVM uses an engine: OpenVM's own conformance suite, all of it, and proofs equal to the stock engine's, byte for byte.
#![cfg(feature = "openvm")]

mod suite {
    openvm_backend_tests::backend_test_suite!(logup_wgpu::openvm::WgpuEngine);
}
