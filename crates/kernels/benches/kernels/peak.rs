//! Loops of independent multiply-adds in registers: what a kernel over the same vectors can reach.

use mobilenet_kernels::int8::panel::NativeElement;
use mobilenet_kernels::simd::{F32x4, I8x16, I16x8, I32x4};
use std::array::from_fn;
use std::hint::black_box;

/// Steps of a loop.
const STEPS: usize = 10_000;
/// Independent sums, enough to hide a latency of 5 cycles on 2 ports.
const SUMS: usize = 12;
/// Whether int8 kernels multiply bytes in this build, or 16-bit integers.
const BYTES: bool = size_of::<NativeElement>() == 1;

/// Multiply-adds of one call of [`f32`].
pub const MULTIPLY_ADDS_F32: u64 = (STEPS * SUMS * 4) as u64;
/// Multiply-adds of one call of [`int8`].
pub const MULTIPLY_ADDS_INT8: u64 = if BYTES { STEPS * SUMS * 16 } else { STEPS * 8 * 8 } as u64;

/// Multiplies and adds vectors of floats.
pub fn f32() {
    let (factor, addend) = (F32x4::splat(black_box(0.999)), F32x4::splat(black_box(0.001)));
    let mut sums: [F32x4; SUMS] = from_fn(|sum| F32x4::splat(sum as f32));
    for _ in 0..STEPS {
        sums.iter_mut().for_each(|sum| *sum = sum.mul_add(factor, addend));
    }
    black_box(sums.map(F32x4::to_array));
}

/// Multiplies and adds vectors of integers with the dot product that the int8 kernels of this build use.
pub fn int8() {
    if BYTES { bytes() } else { shorts() }
}

fn bytes() {
    let (a, b) = (I8x16::load(&black_box([3; 16])), I8x16::splat_four(&black_box([1, 2, 3, 4])));
    let mut sums: [I32x4; SUMS] = from_fn(|sum| I32x4::splat(sum as i32));
    for _ in 0..STEPS {
        sums.iter_mut().for_each(|sum| *sum = sum.dot_i8_i7(a, b));
    }
    black_box(sums.map(I32x4::to_array));
}

/// Here the product is an instruction of its own, which would be hoisted out of the loop if its operands were constant.
/// So one of the two is loaded, as in the kernels; eight sums are enough, because they are only added to.
fn shorts() {
    let weights = black_box([[3_i16; 8]; 64]);
    let inputs: [I16x8; 4] = from_fn(|input| I16x8::splat_pair(black_box([input as i16, 1])));
    let mut sums: [[I32x4; 2]; 4] = from_fn(|sum| [I32x4::splat(sum as i32); 2]);
    for pair in weights.as_chunks::<2>().0.iter().cycle().take(STEPS) {
        let weights = [I16x8::load(&pair[0]), I16x8::load(&pair[1])];
        for (sums, input) in sums.iter_mut().zip(inputs) {
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = sum.dot_i16(weights, input);
            }
        }
    }
    black_box(sums.map(|sums| sums.map(I32x4::to_array)));
}
