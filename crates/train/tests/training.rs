//! A small network learns generated pictures from nothing, in seconds, natively and in a browser (`wasm-pack test`); two
//! workers repeat themselves exactly.

use mobilenet::Architecture;
use mobilenet::architecture::Convolution;
use mobilenet_train::random::Random;
use mobilenet_train::{Optimizer, Replica, Settings, Trainer};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::{wasm_bindgen_test as test, wasm_bindgen_test_configure};

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test_configure!(run_in_browser);

const SIDE: usize = 32;
const CLASSES: usize = 4;

/// A noisy picture of stripes: the class is their direction.
fn picture(seed: u64) -> (Vec<f32>, usize) {
    let mut random = Random::new(&[seed, 11]);
    let class = random.below(CLASSES);
    let (phase, across) = (random.range(0.0, 6.3), random.range(0.6, 0.9));
    let (dx, dy) = [(1.0, 0.0), (0.0, 1.0), (0.7, 0.7), (0.7, -0.7)][class];
    let mut values = Vec::with_capacity(SIDE * SIDE * 3);
    for pixel in 0..SIDE * SIDE {
        let (x, y) = ((pixel % SIDE) as f32, (pixel / SIDE) as f32);
        let wave = (across * (x * dx + y * dy) + phase).sin();
        values.extend((0..3).map(|_| 0.7 * wave + 0.3 * random.normal()));
    }
    (values, class)
}

fn batch(first: u64, count: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut images, mut targets) = (Vec::new(), vec![0.0; count * CLASSES]);
    for index in 0..count {
        let (values, class) = picture(first + index as u64);
        images.extend(values);
        targets[index * CLASSES + class] = 1.0;
    }
    (images, targets)
}

fn architecture() -> Architecture {
    Architecture { alpha: 0.25, resolution: SIDE, classes: CLASSES, ..Architecture::default() }
}

fn settings() -> Settings {
    Settings {
        optimizer: Optimizer::RmsProp { decay: 0.9, momentum: 0.9, epsilon: 1.0 },
        moving_decay: 0.9,
        average_decay: 0.9,
        ..Settings::default()
    }
}

fn step(trainer: &mut Trainer, replicas: &mut [Replica], number: u64, rate: f64) -> f64 {
    let mut shares = Vec::new();
    for (worker, replica) in replicas.iter_mut().enumerate() {
        let count = replica.capacity();
        let first = (number * 64) + (worker * count) as u64;
        let (images, targets) = batch(first, count);
        let outcome = replica.learn(&trainer.parameters.trained, &images, &targets, None).unwrap();
        shares.push((&*replica, outcome));
    }
    let total = trainer.apply(&shares, rate).unwrap();
    total.loss / total.count as f64
}

#[test]
fn a_small_network_learns_generated_pictures() {
    let mut trainer = Trainer::new(&architecture(), settings()).unwrap();
    let mut replicas = vec![Replica::new(&trainer.layout, 32).unwrap()];
    let steps = 100;
    for number in 0..steps {
        let rate = 0.04 * (1.0 - number as f64 / steps as f64);
        let loss = step(&mut trainer, &mut replicas, number, rate);
        if number % 10 == 0 {
            println!("step {number}: loss {loss:.4}");
        }
    }
    let mut right = 0;
    for first in 0..8 {
        let (images, targets) = batch(1_000_000 + first * 32, 32);
        let logits = replicas[0].infer(trainer.best(), &images).unwrap();
        let pairs = logits.chunks_exact(CLASSES).zip(targets.chunks_exact(CLASSES));
        let argmax = mobilenet_train::replica::argmax;
        right += pairs.filter(|(logits, target)| argmax(logits) == argmax(target)).count();
    }
    println!("{right} of 256 unseen pictures are right");
    assert!(right > 243, "{right} of 256");
    let weights = trainer.weights().unwrap();
    assert_eq!(weights.layers.len(), 28);
}

#[test]
fn the_papers_other_networks_learn_too() {
    for (convolution, shallow) in [(Convolution::Standard, false), (Convolution::Separable, true)] {
        let architecture = Architecture { convolution, shallow, ..architecture() };
        let mut trainer = Trainer::new(&architecture, settings()).unwrap();
        let mut replicas = vec![Replica::new(&trainer.layout, 16).unwrap()];
        let losses: Vec<f64> =
            (0..25).map(|number| step(&mut trainer, &mut replicas, number, 0.02)).collect();
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (early, late) = (mean(&losses[..5]), mean(&losses[20..]));
        println!("{convolution:?}, shallow {shallow}: loss {early:.3} to {late:.3}");
        assert!(late < 0.8 * early, "{convolution:?}, shallow {shallow}: {losses:?}");
    }
}

#[test]
fn two_workers_repeat_themselves_exactly() {
    let run = || {
        let mut trainer = Trainer::new(&architecture(), settings()).unwrap();
        let replica = |_| Replica::new(&trainer.layout, 8).unwrap();
        let mut replicas: Vec<Replica> = (0..2).map(replica).collect();
        let losses: Vec<f64> = (0..3).map(|number| step(&mut trainer, &mut replicas, number, 0.02)).collect();
        (losses, trainer.parameters)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_loss_that_is_not_finite_moves_nothing() {
    let mut trainer = Trainer::new(&architecture(), settings()).unwrap();
    let mut replica = Replica::new(&trainer.layout, 2).unwrap();
    let (mut images, targets) = batch(0, 2);
    images[5] = f32::NAN;
    let before = trainer.parameters.clone();
    let outcome = replica.learn(&trainer.parameters.trained, &images, &targets, None).unwrap();
    let sentence = trainer.apply(&[(&replica, outcome)], 0.01).unwrap_err().to_string();
    assert!(sentence.contains("not finite at step 1"), "{sentence}");
    assert_eq!(before, trainer.parameters);
}
