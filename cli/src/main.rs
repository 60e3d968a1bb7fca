//! `mobilenet`: the native program.
fn main() {}
