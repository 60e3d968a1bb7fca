//! Every reader on bytes that are flipped, cut and spliced: a network or a sentence, and never more memory than four times
//! the input and 64 MB.

#![cfg(not(target_arch = "wasm32"))] // the writers are native

use mobilenet_formats::{ModelOptions, ModelSource, read_source};
use mobilenet_testing::Random;
use mobilenet_testing::foreign::Files;
use mobilenet_testing::limit::{Measuring, within};

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// Flips bits, cuts the end off, overwrites a stretch with another one, takes one out or puts zeros, ones or a large
/// number somewhere.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        // Half of the damage goes where structure is argmax.
        let end = if random.below(2) == 0 { bytes.len() } else { bytes.len().min(4096) };
        let at = random.below(end);
        let rest = bytes.len() - at;
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let from = random.below(bytes.len());
                let length = random.below(64).min(bytes.len() - from.max(at));
                bytes.copy_within(from..from + length, at);
            }
            2 => drop(bytes.drain(at..at + random.below(64).min(rest))),
            3 => {
                let value = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
                bytes[at..at + (1 << random.below(4)).min(rest)].fill(value);
            }
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
}

/// Reads, and compares what it took with what it may.
fn read(name: &str, (bytes, beside): &Files) -> Result<mobilenet::Weights, mobilenet::Error> {
    let beside: Vec<(&str, &[u8])> = beside.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let input = bytes.len() + beside.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let source = ModelSource { bytes, companions: &beside };
    within(name, input, || read_source(&source, &ModelOptions::default()).map(|reading| reading.weights))
}

// One test in this file: another one running beside it would be measured too.
#[test]
fn damaged_bytes_give_a_network_or_a_sentence_within_bounds() {
    let mut random = Random(4);
    let (mut networks, mut sentences) = (0, 0);
    for (name, (bytes, beside)) in mobilenet_testing::foreign::files() {
        let intact = (bytes, beside);
        read(name, &intact).unwrap_or_else(|error| panic!("{name}, intact: {error}"));
        for _ in 0..400 {
            let (mut bytes, mut beside) = intact.clone();
            if random.below(4) == 0
                && let Some((_, part)) = beside.first_mut()
            {
                damage(part, &mut random);
            } else {
                damage(&mut bytes, &mut random);
            }
            match read(name, &(bytes, beside)) {
                Ok(weights) => {
                    let finite = |layer: &mobilenet::LayerWeights| {
                        layer.bias.iter().chain(layer.kernel.to_f32().iter()).all(|value| value.is_finite())
                    };
                    assert!(weights.layers.iter().all(finite), "{name}: a weight is not finite");
                    networks += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty(), "{name}");
                    sentences += 1;
                }
            }
        }
    }
    // Damage to the weights gives other weights, damage to the structure a sentence; both were met.
    assert!(networks > 500 && sentences > 500, "{networks} networks, {sentences} sentences");
}
