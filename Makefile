# make demo, make test: all that a fresh machine with Rust needs. The rest is for work on the crate.
.PHONY: demo test check check-macos check-portable check-fuzz check-miri check-features check-package check-minimal check-newest bench setup

# Mesa asks for it; a service account has none.
export XDG_RUNTIME_DIR ?= /tmp

# Tests run at full speed but keep both crates' own assertions and overflow checks.
CHECKED := --config 'profile.release.package.logup-wgpu.debug-assertions=true' \
           --config 'profile.release.package.logup-wgpu.overflow-checks=true' \
           --config 'profile.release.package.openvm-wgpu.debug-assertions=true' \
           --config 'profile.release.package.openvm-wgpu.overflow-checks=true'

setup:
	@scripts/setup

# 1,024 real Keccak-f permutations in three ways, beside the stock prover.
demo: setup
	cargo run --locked --release --example keccakf

test:
	@scripts/setup tests
	cargo test --locked --release --workspace --all-features $(CHECKED)

check: setup
	cargo fmt --all --check
	cargo clippy --locked --release --workspace --all-targets --all-features -- -D warnings
	cargo clippy --locked --release --workspace -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --no-deps --all-features

# Type-checks everything for aarch64-apple-darwin; on Linux nothing is run.
check-macos:
	scripts/check-macos

# Runs the kernels without 64-bit integers in Dawn, a second implementation of WebGPU. Installs it, and node where there is none.
check-portable: setup
	scripts/check-portable $(CHECKED)

# Compiles the fuzz targets, which are a package of their own; docs/safety.md says how to run them.
check-fuzz:
	cargo check --locked --manifest-path fuzz/Cargo.toml

# The parts with unsafe code, and what they are used by, under Miri. Needs a nightly toolchain with miri and rust-src.
check-miri:
	cargo +nightly miri test --locked --lib -- field:: air:: reference:: gpu::profile gpu::trace kernel:: limits:: matrix:: plan:: --skip kernels_are_bounded --skip one_kernel_too_many

# Each feature alone, and none. Needs cargo-hack.
check-features:
	cargo hack check --workspace --each-feature --no-dev-deps

# What would be published builds from the package alone.
check-package:
	cargo package --locked --workspace --allow-dirty

# Builds with the lowest dependencies that Cargo.toml allows, and with the newest. Cargo.lock is put back, whatever happens. The first needs a
# nightly toolchain.
KEEP_LOCK = set -e; kept=$$(mktemp); cp Cargo.lock $$kept; trap 'mv $$kept Cargo.lock' EXIT

check-minimal:
	$(KEEP_LOCK); cargo +nightly update -Z direct-minimal-versions; cargo +nightly check --workspace --all-features

check-newest:
	$(KEEP_LOCK); cargo update; cargo check --workspace --all-features --all-targets

bench: setup
	cargo bench --locked --workspace --all-features --bench round0 --bench vm
