//! The throughput of every kernel in multiply-adds per second, and of a loop of independent multiply-adds in registers.
//!
//! `cargo bench -p mobilenet-kernels` measures natively, with `--target wasm32-unknown-unknown` in a browser; the
//! README has the flags.
//!
//! The layers are those of a 224×224 network of width 1.0 (table 1 of arXiv 1704.04861). Every result is compared with
//! the naive kernels before it is timed.

#[cfg(target_arch = "wasm32")]
mod browser;
mod layers;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod peak;

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    native::main();
}
