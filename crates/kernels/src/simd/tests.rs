//! Every operation against its definition, on the implementation of this build.

use super::*;
#[cfg(target_arch = "wasm32")]
use crate::browser_test as test;

fn floats(values: [f32; 4]) -> F32x4 {
    F32x4::load(&values)
}

fn shorts(values: [i16; 8]) -> I16x8 {
    I16x8::load(&values)
}

#[test]
fn floats_add_up() {
    let (a, b) = (floats([1.0, -2.0, 3.5, 0.25]), floats([4.0, 0.5, -1.0, 8.0]));
    assert_eq!(a.add(b).to_array(), [5.0, -1.5, 2.5, 8.25]);
    assert_eq!(a.sub(b).to_array(), [-3.0, -2.5, 4.5, -7.75]);
    assert_eq!(a.mul(b).to_array(), [4.0, -1.0, -3.5, 2.0]);
    assert_eq!(a.div(b).to_array(), [0.25, -4.0, -3.5, 0.03125]);
    assert_eq!(a.mul_add(b, F32x4::splat(1.0)).to_array(), [5.0, 0.0, -2.5, 3.0]);
    assert_eq!(a.min(b).to_array(), [1.0, -2.0, -1.0, 0.25]);
    assert_eq!(a.max(b).to_array(), [4.0, 0.5, 3.5, 8.0]);
    assert_eq!(F32x4::splat(9.0).sqrt().to_array(), [3.0; 4]);
    assert_eq!(a.sum(), (1.0 - 2.0) + (3.5 + 0.25));
    let mut buf = [9.0; 6];
    a.store(&mut buf[1..]);
    assert_eq!(buf, [9.0, 1.0, -2.0, 3.5, 0.25, 9.0]);
}

#[test]
fn mul_add_rounds_once_exactly_where_fused_says_so() {
    let third = 1.0_f32 / 3.0;
    let once = third.mul_add(third, -third * third);
    assert_ne!(once, 0.0);
    let got = F32x4::splat(third).mul_add(F32x4::splat(third), F32x4::splat(-third * third));
    assert_eq!(got.to_array(), [if FUSED { once } else { 0.0 }; 4]);
}

#[test]
fn clamping_ignores_nan() {
    let nan = F32x4::splat(f32::NAN);
    assert_eq!(F32x4::splat(0.0).max(nan).to_array(), [0.0; 4]);
    assert_eq!(F32x4::splat(6.0).min(nan).to_array(), [6.0; 4]);
}

#[test]
fn transposing_turns_rows_into_columns() {
    let rows = [0.0, 4.0, 8.0, 12.0].map(|first| floats([first, first + 1.0, first + 2.0, first + 3.0]));
    let columns = transpose(rows).map(F32x4::to_array);
    let wanted = [0.0, 1.0, 2.0, 3.0].map(|first| [first, first + 4.0, first + 8.0, first + 12.0]);
    assert_eq!(columns, wanted);
}

#[test]
fn rounding_takes_halves_to_even() {
    let cases =
        [[0.5, 1.5, 2.5, -0.5], [-1.5, 0.499_999_97, 254.5, 255.5], [0.0, -0.0, 4_000_000.5, -4_000_000.5]];
    for case in cases {
        let wanted = case.map(|value: f32| value.round_ties_even() as i32);
        assert_eq!(floats(case).round_to_i32().to_array(), wanted, "{case:?}");
    }
}

#[test]
fn integers_add_up() {
    let (a, b) = (I32x4::load(&[1, -2, i32::MAX, 70_000]), I32x4::load(&[5, 7, 1, -70_000]));
    assert_eq!(a.add(b).to_array(), [6, 5, i32::MIN, 0]);
    assert_eq!(a.sub(b).to_array(), [-4, -9, i32::MAX - 1, 140_000]);
    assert_eq!(a.mul(b).to_array(), [5, -14, i32::MAX, 70_000_i32.wrapping_mul(-70_000)]);
    assert_eq!(a.min(b).to_array(), [1, -2, 1, -70_000]);
    assert_eq!(a.max(b).to_array(), [5, 7, i32::MAX, 70_000]);
    assert_eq!(a.to_f32().to_array(), [1.0, -2.0, i32::MAX as f32, 70_000.0]);
    let powers = I32x4::load(&[0, 1, -126, 127]).power_of_two().to_array();
    assert_eq!(powers, [1.0, 2.0, f32::MIN_POSITIVE, 2.0_f32.powi(127)]);
    assert!(a.narrow(b) == shorts([1, -2, i16::MAX, i16::MAX, 5, 7, 1, i16::MIN]));
}

#[test]
fn shorts_multiply_and_widen() {
    let a = shorts([1, -2, 300, -300, i16::MIN, i16::MAX, 7, -8]);
    let b = shorts([2, 2, 300, 300, -1, i16::MAX, -7, 100]);
    let wide = [2, -4, 90_000, -90_000, 32_768, 32_767 * 32_767, -49, -800];
    assert_eq!(a.mul_low(b).to_array(), wide[..4]);
    assert_eq!(a.mul_high(b).to_array(), wide[4..]);
    assert!(a.mul(b) == shorts(wide.map(|value: i32| value as i16)));
    assert_eq!(a.widen_low().to_array(), [1, -2, 300, -300]);
    assert_eq!(a.widen_high().to_array(), [-32_768, 32_767, 7, -8]);
    let dot = I32x4::splat(10).dot_i16(a, b).to_array();
    assert_eq!(dot, [8, 10, 10 + 32_768 + 32_767 * 32_767, 10 - 849]);
    assert!(a.interleave_low(b) == shorts([1, 2, -2, 2, 300, 300, -300, 300]));
    assert!(a.interleave_high(b) == shorts([i16::MIN, -1, i16::MAX, i16::MAX, 7, -7, -8, 100]));
    assert!(a.add(b) == shorts([3, 0, 600, 0, i16::MAX, -2, 0, 92]));
    assert!(a.sub(b) == shorts([-1, -4, 0, -600, i16::MIN + 1, 0, 14, -108]));
    assert!(a.min(b) == shorts([1, -2, 300, -300, i16::MIN, i16::MAX, -7, -8]));
    assert!(a.max(b) == shorts([2, 2, 300, 300, -1, i16::MAX, 7, 100]));
    assert!(I16x8::splat_pair([-3, 4]) == shorts([-3, 4, -3, 4, -3, 4, -3, 4]));
    let mut buf = [0; 8];
    I16x8::splat(-5).store(&mut buf);
    assert_eq!(buf, [-5; 8]);
}

#[test]
fn bytes_widen_and_narrow() {
    let bytes: [u8; 16] = [0, 1, 127, 128, 254, 255, 7, 9, 10, 11, 200, 201, 202, 3, 4, 5];
    let vector = U8x16::load(&bytes);
    assert!(vector.widen_low() == shorts([0, 1, 127, 128, 254, 255, 7, 9]));
    assert!(vector.widen_high() == shorts([10, 11, 200, 201, 202, 3, 4, 5]));
    assert!(I16x8::load_u8(&bytes) == vector.widen_low());
    let signed = bytes.map(|byte| byte as i8);
    assert!(I16x8::load_i8(&signed) == shorts([0, 1, 127, -128, -2, -1, 7, 9]));
    let narrow = shorts([-1, 0, 5, 255, 256, 1000, i16::MIN, i16::MAX]).narrow_u8(I16x8::splat(77));
    let mut buf = [1; 16];
    narrow.store(&mut buf);
    assert_eq!(buf, [0, 0, 5, 255, 255, 255, 0, 255, 77, 77, 77, 77, 77, 77, 77, 77]);
    let mut buf = [1; 10];
    narrow.store_low(&mut buf[1..]);
    assert_eq!(buf, [1, 0, 0, 5, 255, 255, 255, 0, 255, 1]);
    let mut buf = [1; 6];
    narrow.store_four(&mut buf[1..]);
    assert_eq!(buf, [1, 0, 0, 5, 255, 1]);
    assert!(
        vector.min(U8x16::splat(127)).max(U8x16::splat(5)).widen_low()
            == shorts([5, 5, 127, 127, 127, 127, 7, 9])
    );
}

#[test]
fn bytes_load_and_interleave() {
    let read = |vector: I8x16| {
        let mut buf = [99; 16];
        vector.store(&mut buf);
        buf
    };
    let (low, high): ([i8; 16], [i8; 16]) =
        (std::array::from_fn(|i| i as i8), std::array::from_fn(|i| 20 + i as i8));
    let (a, b) = (I8x16::load(&low), I8x16::load(&high));
    assert_eq!(read(I8x16::load_low(&low)), [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        read(I8x16::load_evens_first(&high)),
        [20, 22, 24, 26, 21, 23, 25, 27, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(read(a.interleave_low(b)), [0, 20, 1, 21, 2, 22, 3, 23, 4, 24, 5, 25, 6, 26, 7, 27]);
    assert_eq!(read(a.interleave_pairs_low(b)), [0, 1, 20, 21, 2, 3, 22, 23, 4, 5, 24, 25, 6, 7, 26, 27]);
    assert_eq!(
        read(a.interleave_pairs_high(b)),
        [8, 9, 28, 29, 10, 11, 30, 31, 12, 13, 32, 33, 14, 15, 34, 35]
    );
}

#[test]
fn the_dot_product_of_bytes_is_exact_at_its_limits() {
    let mut weights = [0_i8; 16];
    let mut inputs = [0_u8; 16];
    for round in 0..257_u32 {
        for lane in 0..16 {
            let hash = (round * 16 + lane as u32).wrapping_mul(2_654_435_761) >> 16;
            weights[lane] = if round == 0 { -128 } else { hash as i8 };
            inputs[lane] = if round == 0 { 127 } else { (hash >> 8) as u8 & 127 };
        }
        let four = |lane: usize| -> i32 {
            (4 * lane..4 * lane + 4).map(|byte| i32::from(weights[byte]) * i32::from(inputs[byte])).sum()
        };
        let wanted = [0, 1, 2, 3].map(|lane| four(lane) - 1_000_000);
        let sum = I32x4::splat(-1_000_000).dot_i8_i7(I8x16::load(&weights), U8x16::load(&inputs).as_i7());
        assert_eq!(sum.to_array(), wanted);
    }
    let splat = I8x16::splat_four(&[1, 2, 3, 127, 99]);
    assert!(splat == U8x16::load(&[1, 2, 3, 127, 1, 2, 3, 127, 1, 2, 3, 127, 1, 2, 3, 127]).as_i7());
}

#[test]
fn pairs_of_bytes_do_not_saturate() {
    let weights = [-128, -128, 127, 127, -1, 1, 0, 5, 127, -128, 3, 4, 5, 6, 7, 8];
    let inputs = [127, 127, 127, 127, 0, 127, 127, 1, 127, 127, 1, 1, 2, 2, 3, 3];
    let got = I16x8::pairs_i8_i7(I8x16::load(&weights), U8x16::load(&inputs).as_i7());
    assert!(got == shorts([-32_512, 32_258, 127, 5, -127, 7, 22, 45]));
}

#[test]
fn lanes_split_into_bytes() {
    let lanes = shorts([0x7f80_u16 as i16, -1, 0, 0x0180, -128, 127, 0x0100, i16::MIN]);
    let [low, high] = lanes.bytes();
    assert!(low == shorts([-128, -1, 0, -128, -128, 127, 0, 0]));
    assert!(high == shorts([127, -1, 0, 1, -1, 0, 1, -128]));
    let bytes = [-128, 127, -1, -1, 0, 0, -128, 1, -128, -1, 127, 0, 0, 1, 0, -128];
    assert!(lanes.as_i8() == I8x16::load(&bytes));
    assert!(lanes.and(shorts([0xff; 8])) == shorts([0x80, 0xff, 0, 0x80, 0x80, 127, 0, 0]));
    let low: [u8; 16] = std::array::from_fn(|lane| if lane < 8 { lane as u8 } else { 0 });
    assert!(U8x16::load_low(&[0, 1, 2, 3, 4, 5, 6, 7, 99]) == U8x16::load(&low));
}

#[test]
fn bytes_of_two_rows_interleave() {
    let first: [u8; 16] = std::array::from_fn(|lane| lane as u8);
    let (a, b) = (U8x16::load(&first), U8x16::load(&first.map(|lane| 100 + lane)));
    let mut halves = [[0; 16]; 2];
    a.interleave_low(b).store(&mut halves[0]);
    a.interleave_high(b).store(&mut halves[1]);
    assert_eq!(halves[0], [0, 100, 1, 101, 2, 102, 3, 103, 4, 104, 5, 105, 6, 106, 7, 107]);
    assert_eq!(halves[1], [8, 108, 9, 109, 10, 110, 11, 111, 12, 112, 13, 113, 14, 114, 15, 115]);
}

#[test]
fn fractions_of_two_to_the_fifteenth_round_to_nearest() {
    let a = shorts([100, -100, 32_767, -32_768, 3, -3, 1, 32_767]);
    let b = shorts([16_384, 16_384, 32_767, 32_767, 16_384, 16_384, 16_383, 1]);
    assert!(a.mul_q15(b) == shorts([50, -50, 32_766, -32_767, 2, -1, 0, 1]));
}

#[test]
fn rounding_interleaves_and_narrowing_clamps_to_seven_bits() {
    let even = floats([0.5, 1.5, -0.5, 32_767.0]);
    let odd = floats([-1.0, 126.5, 127.5, -32_768.0]);
    let shorts = Rounding::new().interleave(even, odd);
    assert!(shorts == self::shorts([0, -1, 2, 126, 0, 128, 32_767, -32_768]));
    let mut buf = [9; 17];
    let narrow = shorts.narrow_u7(I16x8::splat(64));
    narrow.store_low(&mut buf);
    narrow.store_high(&mut buf[8..]);
    assert_eq!(buf, [0, 0, 2, 126, 0, 127, 127, 0, 64, 64, 64, 64, 64, 64, 64, 64, 9]);
    assert!(I16x8::splat_two(&[3, -4, 9]) == I16x8::splat_pair([3, -4]));
}

#[test]
fn truncating_goes_towards_zero() {
    let values = floats([0.0, 2.999_999_8, -2.5, 2_000_000_000.0]);
    assert_eq!(values.truncate_to_i32().to_array(), [0, 2, -2, 2_000_000_000]);
}

#[test]
fn columns_visit_rows_in_step() {
    let values: Vec<f32> = (0..14).map(|value| value as f32).collect();
    let mut seen = Vec::new();
    columns::<_, 3>(&values, 4, &[10, 20, 30], |column, other| {
        seen.push(([0, 1, 2].map(|row| column.splat(row).to_array()), *other));
    });
    let wanted = |at: f32| [[at; 4], [4.0 + at; 4], [8.0 + at; 4]];
    assert_eq!(seen, [(wanted(0.0), 10), (wanted(1.0), 20), (wanted(2.0), 30)]);
    columns::<u8, 3>(&[], 0, &[], |_, _| panic!("there is no column"));
}

#[test]
#[cfg(not(target_arch = "wasm32"))]
fn columns_panic_beyond_a_row() {
    for (length, stride, others) in [(11, 4, 4), (12, 3, 4), (12, 5, 1)] {
        let (values, others) = (vec![0.0; length], vec![0; others]);
        let walk =
            || columns::<_, 3>(&values, stride, &others, |column, _| assert_ne!(column.splat(2).sum(), 1.0));
        let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(walk));
        assert!(walked.is_err(), "{length} values, {stride} apart, {} others", others.len());
    }
}
