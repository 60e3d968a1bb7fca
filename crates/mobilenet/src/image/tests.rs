//! The resizer against a slow one in `f64` that knows nothing of passes, tables or cuts.

use super::window::Placement;
use super::*;
use crate::Input;
use crate::architecture::{ChannelOrder, Normalization};
#[cfg(target_arch = "wasm32")]
use crate::browser_test as test;

const ROTATIONS: [Rotation; 4] = [Rotation::None, Rotation::Quarter, Rotation::Half, Rotation::ThreeQuarters];
const FITS: [Fit; 3] = [Fit::Cover, Fit::Contain, Fit::Stretch];

/// A picture of which every byte differs from its neighbours, the same for the same seed.
fn picture(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    (0..width * height * 4).map(|_| next()).collect()
}

/// Red of the reference at every pixel of the square, `None` on the bars: for each result the two-dimensional
/// triangle around its centre, over every pixel that the window touches.
fn reference(frame: &Frame, options: &ImageOptions, side: usize) -> Vec<Option<[f64; 3]>> {
    let (width, height) = (frame.width() as f64, frame.height() as f64);
    let region = options.region.unwrap_or(Region { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 });
    let (mut left, mut top) = (region.left * width, region.top * height);
    let (mut w, mut h) = ((region.right - region.left) * width, (region.bottom - region.top) * height);
    if options.fit == Fit::Cover {
        let square = w.min(h);
        left += (w - square) / 2.0;
        top += (h - square) / 2.0;
        (w, h) = (square, square);
    }
    let sideways = options.rotation.is_sideways();
    let (turned_w, turned_h) = if sideways { (h, w) } else { (w, h) };
    let (columns, rows) = if options.fit == Fit::Contain {
        let scale = side as f64 / w.max(h);
        ((turned_w * scale).round().max(1.0), (turned_h * scale).round().max(1.0))
    } else {
        (side as f64, side as f64)
    };
    let bar_x = ((side as f64 - columns) / 2.0).floor();
    let bar_y = ((side as f64 - rows) / 2.0).floor();
    let mut result = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let (x, y) = (x as f64 - bar_x, y as f64 - bar_y);
            if x < 0.0 || y < 0.0 || x >= columns || y >= rows {
                result.push(None);
                continue;
            }
            let mut u = (x + 0.5) / columns; // 0..1 in the turned window
            let v = (y + 0.5) / rows;
            if options.mirror {
                u = 1.0 - u;
            }
            let (u, v) = match options.rotation {
                Rotation::None => (u, v),
                Rotation::Quarter => (v, 1.0 - u),
                Rotation::Half => (1.0 - u, 1.0 - v),
                Rotation::ThreeQuarters => (1.0 - v, u),
            };
            let (across, down) = if sideways { (rows, columns) } else { (columns, rows) };
            let horizontal = weights(left + u * w, w / across, left, w, frame.width());
            let vertical = weights(top + v * h, h / down, top, h, frame.height());
            let mut sum = [0.0; 3];
            for &(py, wy) in &vertical {
                for &(px, wx) in &horizontal {
                    for (color, sum) in sum.iter_mut().enumerate() {
                        *sum += wx * wy * f64::from(frame.data()[(py * frame.width() + px) * 4 + color]);
                    }
                }
            }
            result.push(Some(sum));
        }
    }
    result
}

/// Pixels and their shares for one result centred at `centre`, of those that `start .. start + length` touches.
fn weights(centre: f64, scale: f64, start: f64, length: f64, size: usize) -> Vec<(usize, f64)> {
    let support = scale.max(1.0);
    let touches = |&pixel: &usize| {
        let (low, high) = (pixel as f64, pixel as f64 + 1.0);
        high > start + 1e-6 && low < start + length - 1e-6
    };
    let touched: Vec<usize> = (0..size).filter(touches).collect();
    let triangle = |pixel: usize| (1.0 - (pixel as f64 + 0.5 - centre).abs() / support).max(0.0);
    let sum: f64 = touched.iter().map(|&pixel| triangle(pixel)).sum();
    touched.iter().map(|&pixel| (pixel, triangle(pixel) / sum)).collect()
}

fn resize_bytes(frame: &Frame, options: &ImageOptions, side: usize) -> Vec<u8> {
    let mut bytes = vec![0; side * side * 3];
    let normalization = Normalization::default();
    Resizer::new().resize(frame, options, side, &normalization, Input::U8(&mut bytes)).unwrap();
    bytes
}

fn resize_floats(
    frame: &Frame,
    options: &ImageOptions,
    side: usize,
    normalization: &Normalization,
) -> Vec<f32> {
    let mut values = vec![f32::NAN; side * side * 3];
    let target = Input::F32(&mut values);
    Resizer::new().resize(frame, options, side, normalization, target).unwrap();
    values
}

#[test]
fn agrees_with_the_slow_reference_over_sizes_rotations_mirrors_fits_and_regions() {
    let sizes = [(1, 1), (2, 1), (1, 7), (3, 5), (17, 16), (33, 20), (64, 48), (97, 31), (31, 97), (200, 3)];
    let regions = [
        None,
        Some(Region { left: 0.0, top: 0.0, right: 0.5, bottom: 1.0 }),
        Some(Region { left: 0.13, top: 0.21, right: 0.92, bottom: 0.77 }),
        Some(Region { left: 0.999, top: 0.0, right: 1.0, bottom: 0.001 }),
        Some(Region { left: 0.1, top: 0.1, right: 0.3, bottom: 0.2 }),
    ];
    let unit = Normalization::uniform(0.0, 1.0);
    for (width, height) in sizes {
        let data = picture(width, height, (width * 100 + height) as u32);
        let frame = Frame::new(&data, width, height).unwrap();
        for (case, region) in regions.into_iter().enumerate() {
            for rotation in ROTATIONS {
                for (mirror, fit) in FITS.into_iter().flat_map(|fit| [(false, fit), (true, fit)]) {
                    let options = ImageOptions { region, rotation, mirror, fit };
                    let side = 8 + (width + case) % 9;
                    let expected = reference(&frame, &options, side);
                    // What rounding the weights of a result's rows to 14 bits can make, and the floats.
                    let window = Window::new(width, height, &options).unwrap();
                    let rows = window.height / Placement::new(&window, side, &options).rows as f64;
                    let tolerance = (2.0 * rows.max(1.0) + 1.0) * 255.0 / 32768.0 + 1e-3;
                    let values = resize_floats(&frame, &options, side, &unit);
                    for (pixel, (expected, found)) in expected.iter().zip(values.chunks(3)).enumerate() {
                        let expected = expected.unwrap_or_default();
                        for (expected, &found) in expected.iter().zip(found) {
                            assert!(
                                (expected - f64::from(found)).abs() < tolerance,
                                "{width}×{height} to {side}, pixel {pixel}, {options:?}: {expected}, not {found}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_frame_of_the_networks_size_goes_through_exactly() {
    for side in [1, 2, 31, 32] {
        let data = picture(side, side, 7);
        let frame = Frame::new(&data, side, side).unwrap();
        let colors: Vec<u8> = data.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
        assert_eq!(resize_bytes(&frame, &ImageOptions::default(), side), colors);
        let normalization = Normalization::default();
        let floats = resize_floats(&frame, &ImageOptions::default(), side, &normalization);
        let exact: Vec<f32> = colors.iter().map(|&byte| (f32::from(byte) - 127.5) / 127.5).collect();
        assert_eq!(floats, exact);
    }
}

#[test]
fn a_frame_that_fits_without_resizing_leaves_its_bars_alone() {
    let unit = Normalization::uniform(0.0, 1.0);
    let options = ImageOptions { fit: Fit::Contain, ..ImageOptions::default() };
    for (width, height) in [(20, 32), (32, 20), (32, 32), (16, 32)] {
        let data = picture(width, height, 11);
        let frame = Frame::new(&data, width, height).unwrap();
        let (left, top) = ((32 - width) / 2, (32 - height) / 2);
        // The mean in bytes, nothing in floats whose mean is 0.
        let expected = |bar: u8| {
            let data = &data;
            let pixel = move |index: usize| {
                let (x, y) = ((index % 32).wrapping_sub(left), (index / 32).wrapping_sub(top));
                let inside = x < width && y < height;
                [0, 1, 2].map(|c| if inside { data[4 * (y * width + x) + c] } else { bar })
            };
            (0..32 * 32).flat_map(pixel)
        };
        assert!(resize_bytes(&frame, &options, 32).into_iter().eq(expected(128)), "{width}×{height}");
        let floats = resize_floats(&frame, &options, 32, &unit);
        assert!(floats.into_iter().eq(expected(0).map(f32::from)), "{width}×{height}");
    }
}

#[test]
fn a_frame_that_fits_may_be_turned_and_mirrored() {
    let unit = Normalization::uniform(0.0, 1.0);
    let sizes = [(20, 32), (32, 20), (32, 32), (32, 1)];
    for (width, height) in sizes {
        let data = picture(width, height, 13);
        let frame = Frame::new(&data, width, height).unwrap();
        for (rotation, mirror) in ROTATIONS.into_iter().flat_map(|turn| [(turn, false), (turn, true)]) {
            let options = ImageOptions { rotation, mirror, fit: Fit::Contain, ..ImageOptions::default() };
            let expected = reference(&frame, &options, 32);
            let floats = resize_floats(&frame, &options, 32, &unit);
            let bytes = resize_bytes(&frame, &options, 32);
            for (index, expected) in expected.into_iter().enumerate() {
                let of = 3 * index..3 * index + 3;
                let close = |(a, b): (&f64, &f32)| (a - f64::from(*b)).abs() < 0.05;
                let found = (&floats[of.clone()], &bytes[of]);
                let wanted = expected.unwrap_or([0.0; 3]);
                assert!(
                    wanted.iter().zip(found.0).all(close),
                    "{width}×{height}, {options:?}, {index}: {found:?}"
                );
                let wanted =
                    expected.map_or([128; 3], |colors| colors.map(|value| (value + 0.5).floor() as u8));
                assert_eq!(found.1, wanted, "{width}×{height}, {options:?}, pixel {index}");
            }
        }
    }
}

#[test]
fn bytes_are_the_floats_rounded() {
    let data = picture(50, 41, 3);
    let frame = Frame::new(&data, 50, 41).unwrap();
    let floats = resize_floats(&frame, &ImageOptions::default(), 24, &Normalization::uniform(0.0, 1.0));
    let rounded: Vec<u8> = floats.iter().map(|value| (value + 0.5).floor() as u8).collect();
    assert_eq!(resize_bytes(&frame, &ImageOptions::default(), 24), rounded);
}

#[test]
fn one_colour_stays_that_colour_at_any_size() {
    for (width, height) in [(1, 1), (4000, 3), (3, 4000), (777, 513)] {
        let data = [10, 200, 255, 0].repeat(width * height);
        let frame = Frame::new(&data, width, height).unwrap();
        for fit in [Fit::Cover, Fit::Stretch] {
            let bytes = resize_bytes(&frame, &ImageOptions { fit, ..ImageOptions::default() }, 32);
            assert!(bytes.chunks(3).all(|pixel| pixel == [10, 200, 255]), "{width}×{height}");
        }
    }
}

#[test]
fn four_quarter_turns_and_two_mirrors_are_none() {
    let side = 16;
    let turn = |data: &[u8], options: ImageOptions| -> Vec<u8> {
        let frame = Frame::new(data, side, side).unwrap();
        let bytes = resize_bytes(&frame, &options, side);
        bytes.chunks(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect()
    };
    let data: Vec<u8> = picture(side, side, 1).chunks(4).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let quarter = ImageOptions { rotation: Rotation::Quarter, ..ImageOptions::default() };
    let half = ImageOptions { rotation: Rotation::Half, ..ImageOptions::default() };
    let mirror = ImageOptions { mirror: true, ..ImageOptions::default() };
    let twice = turn(&turn(&data, quarter), quarter);
    assert_eq!(twice, turn(&data, half));
    assert_eq!(turn(&turn(&twice, quarter), quarter), data);
    assert_eq!(turn(&turn(&data, mirror), mirror), data);
    assert_ne!(turn(&data, mirror), data);
    // Clockwise: what was the upper left corner stands at the upper right.
    assert_eq!(turn(&data, quarter)[(side - 1) * 4..side * 4], data[..4]);
}

#[test]
fn a_cut_gives_the_same_as_the_whole_frame() {
    let (width, height) = (61, 40);
    let data = picture(width, height, 9);
    let frame = Frame::new(&data, width, height).unwrap();
    let region = Some(Region { left: 0.11, top: 0.05, right: 0.83, bottom: 0.99 });
    for fit in FITS {
        let options = ImageOptions { region, rotation: Rotation::Quarter, mirror: true, fit };
        let seen = Window::new(width, height, &options).unwrap().pixels(width, height);
        let rows = data.chunks(width * 4).skip(seen.y).take(seen.height);
        let cut: Vec<u8> = rows.flat_map(|row| row[seen.x * 4..(seen.x + seen.width) * 4].to_vec()).collect();
        let cut = Frame::new(&cut, seen.width, seen.height).unwrap();
        let mut bytes = vec![0; 20 * 20 * 3];
        let normalization = Normalization::default();
        let target = Input::U8(&mut bytes);
        let mut resizer = Resizer::new();
        resizer.resize_cut(&cut, (width, height), &options, 20, &normalization, target).unwrap();
        assert_eq!(bytes, resize_bytes(&frame, &options, 20));
        let wrong = resizer.resize_cut(
            &cut,
            (width, height + 9),
            &options,
            20,
            &normalization,
            Input::U8(&mut bytes),
        );
        assert!(wrong.is_err());
    }
}

#[test]
fn bars_are_zero_once_normalised_and_floats_have_the_networks_order() {
    let data = [255, 128, 0, 255].repeat(8 * 2);
    let frame = Frame::new(&data, 8, 2).unwrap();
    let options = ImageOptions { fit: Fit::Contain, ..ImageOptions::default() };
    let normalization =
        Normalization { mean: [10.0, 20.0, 30.0], deviation: [2.0, 4.0, 5.0], order: ChannelOrder::Bgr };
    let values = resize_floats(&frame, &options, 8, &normalization);
    assert_eq!(values[..3], [0.0; 3]);
    let middle = 4 * 8 * 3;
    assert_eq!(values[middle..middle + 3], [(0.0 - 10.0) / 2.0, (128.0 - 20.0) / 4.0, (255.0 - 30.0) / 5.0]);
    let mut bytes = vec![0; 8 * 8 * 3];
    let mut resizer = Resizer::new();
    resizer.resize(&frame, &options, 8, &normalization, Input::U8(&mut bytes)).unwrap();
    assert_eq!((&bytes[..3], &bytes[middle..middle + 3]), (&[30, 20, 10][..], &[255, 128, 0][..]));
}

#[test]
fn warm_tables_follow_a_change_of_geometry() {
    let mut resizer = Resizer::new();
    for (width, height, side) in [(30, 20, 16), (30, 20, 16), (20, 30, 16), (20, 30, 8), (30, 20, 16)] {
        let data = picture(width, height, 5);
        let frame = Frame::new(&data, width, height).unwrap();
        let mut bytes = vec![0; side * side * 3];
        let target = Input::U8(&mut bytes);
        resizer.resize(&frame, &ImageOptions::default(), side, &Normalization::default(), target).unwrap();
        assert_eq!(bytes, resize_bytes(&frame, &ImageOptions::default(), side));
    }
}

#[test]
fn bad_arguments_are_sentences() {
    let sentence = |error: crate::Error| error.to_string();
    assert!(sentence(Frame::new(&[], 0, 5).unwrap_err()).contains("0×5"));
    assert!(sentence(Frame::new(&[0; 7], 1, 2).unwrap_err()).contains("got 7 bytes for 1×2 pixels"));
    assert!(Frame::new(&[], usize::MAX, usize::MAX).is_err());
    assert!(sentence(Rotation::from_degrees(45.0).unwrap_err()).contains("45"));
    assert!(Rotation::from_degrees(f64::NAN).is_err());
    assert_eq!(Rotation::from_degrees(-90.0).unwrap(), Rotation::ThreeQuarters);
    let region = |left, top, right, bottom| Region { left, top, right, bottom }.validate();
    assert!(region(0.0, 0.0, 1.0, 1.0).is_ok());
    for (left, top, right, bottom) in
        [(0.5, 0.0, 0.5, 1.0), (-0.1, 0.0, 1.0, 1.0), (0.0, 0.0, 1.1, 1.0), (f64::NAN, 0.0, 1.0, 1.0)]
    {
        assert!(sentence(region(left, top, right, bottom).unwrap_err()).contains("region of interest"));
    }
    let data = [0; 4];
    let frame = Frame::new(&data, 1, 1).unwrap();
    let mut short = [0; 5];
    let normalization = Normalization::default();
    let target = Input::U8(&mut short);
    let error =
        Resizer::new().resize(&frame, &ImageOptions::default(), 2, &normalization, target).unwrap_err();
    assert!(sentence(error).contains("5 values, and 2×2 pixels take 12"));
}
