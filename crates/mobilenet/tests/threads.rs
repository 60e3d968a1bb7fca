//! However many threads share a network's rows out, the answers are the same to the bit. Of the feature `threads`:
//! `cargo test --features threads --test threads`.

#![cfg(all(feature = "threads", not(target_arch = "wasm32")))]

use mobilenet::architecture::Convolution;
use mobilenet::quantize::for_precision;
use mobilenet::{Architecture, Weights};
use mobilenet::{Input, Network, Precision};
use mobilenet_kernels::shape::Padding;

/// All that a run gives, thrice in a row, by a pool of `threads`.
fn answers(weights: &Weights, precision: Precision, threads: usize) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut network = Network::new(&for_precision(weights, precision).unwrap(), precision).unwrap();
        match network.input() {
            Input::F32(input) => mobilenet_testing::networks::fill(input, 7, 1.0),
            Input::U8(input) => {
                let mut values = vec![0.0; input.len()];
                mobilenet_testing::networks::fill(&mut values, 7, 127.0);
                input.iter_mut().zip(values).for_each(|(byte, value)| *byte = (value + 128.0) as u8);
            }
        }
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(network.run().to_vec());
            answers.extend([network.logits().to_vec(), network.embedding().to_vec()]);
            answers.push(network.features().1.to_vec());
        }
        network.run_observed(&mut |_, _, values| answers.push(values().into_owned()));
        answers
    })
}

#[test]
fn answers_do_not_depend_on_the_number_of_threads() {
    let small = Architecture { alpha: 0.25, resolution: 64, classes: 10, ..Architecture::default() };
    let odd = Architecture { alpha: 0.3, resolution: 97, padding: Padding::Symmetric, ..small.clone() };
    let standard = Architecture { convolution: Convolution::Standard, resolution: 32, ..small.clone() };
    for (architecture, precisions) in [
        (small, &[Precision::F32, Precision::Int8][..]),
        (odd, &[Precision::F32, Precision::Int8]),
        (standard, &[Precision::F32]),
    ] {
        let weights = mobilenet_testing::networks::random(&architecture, 3);
        for &precision in precisions {
            let alone = answers(&weights, precision, 1);
            assert!(alone[0].iter().any(|&probability| probability != alone[0][0]), "the test tells nothing");
            for threads in [2, 3, 4, 7] {
                assert!(answers(&weights, precision, threads) == alone, "{threads} threads, {precision:?}");
            }
        }
    }
}
