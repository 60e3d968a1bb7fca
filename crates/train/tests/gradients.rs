//! The first steps of training against TensorFlow's: every gradient of the first step, weights and moving averages
//! after it, and the losses as far as they can be held. Needs `../shared/training`; without it, it is skipped.
//!
//! The reference holds ten losses, and this run follows the first two within 1e-3 (from a start whose units fall on the
//! same sides of ReLU6's bounds): the third is 2.513 where TensorFlow has 2.474. That is the run's nature, not the
//! kernels': the same ten steps in doubles, by naive loops, give 2.582 there, and doubles that start one part in ten
//! million away 2.531 (batch norm over as few as 32 values, eight pictures, a loss that has not settled). Starts that
//! differ by a float's last bit end half a unit apart and more, and TensorFlow's losses lie among theirs. TensorFlow 2.21
//! does not repeat them on another machine (three with two threads, with one only the first), and in doubles its third
//! is 2.582 as well. So the later steps are held against doubles, gradient by gradient.

#![cfg(not(target_arch = "wasm32"))] // reads files

mod exact;

use exact::Exact;
use mobilenet::Architecture;
use mobilenet_train::parameters::Slot;
use mobilenet_train::random::Random;
use mobilenet_train::{Layout, Optimizer, Parameters, Replica, Settings, Trainer};
use safetensors::SafeTensors;

struct Reference(Vec<u8>);

impl Reference {
    fn open() -> Option<Self> {
        let shared = std::env::var("MOBILENET_SHARED").unwrap_or_else(|_| "../shared".into());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(shared)
            .join("training/reference.safetensors");
        match std::fs::read(&path) {
            Ok(bytes) => Some(Self(bytes)),
            Err(_) => {
                eprintln!("skipped: {} is not there", path.display());
                None
            }
        }
    }

    fn get(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap_or_else(|_| panic!("{name} is missing"));
        let word = |bytes: &[u8]| bytes.try_into().unwrap();
        let words = tensor.data().chunks_exact(4);
        match tensor.dtype() {
            safetensors::Dtype::F32 => words.map(|bytes| f32::from_le_bytes(word(bytes))).collect(),
            safetensors::Dtype::I32 => words.map(|bytes| i32::from_le_bytes(word(bytes)) as f32).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Reads all tensors of a layout under `prefix`.
    fn parameters(&self, layout: &Layout, prefix: &str) -> Parameters {
        let read = |slots: &[Slot]| {
            slots.iter().flat_map(|slot| self.get(&format!("{prefix}/{}", slot.name))).collect()
        };
        Parameters { trained: read(&layout.trained), moving: read(&layout.moving) }
    }
}

/// ‖a − b‖ / ‖b‖
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let square = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
    };
    let difference = square(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
    difference / square(&mut theirs.iter().copied()).max(1e-12)
}

/// Every gradient of the first step within 1e-4 of TensorFlow's, which is a run in floats itself: in the last map a
/// unit lies 5e-6 beyond a bound of ReLU6 in doubles and on the other side of it in TensorFlow, which moves most
/// gradients by 3e-3, and four more lie as close. So their sides are the dice's; the run is tried from weights moved
/// by a float's last bit at most until all fall as TensorFlow's did, and from there everything has to agree: the
/// gradients, weights and moving averages after the step, and the loss of the next.
#[test]
fn the_first_step_is_tensorflows() {
    let Some(reference) = Reference::open() else { return };
    let (layout, initial, images, labels) = start(&reference);
    let (targets, losses) = (one_hot(&labels), reference.get("losses"));
    let mut replica = Replica::new(&layout, 8).unwrap();
    let gradients = list(&reference, "gradient", &layout.trained);
    let mut try_from = |attempt: u64| {
        let weights = a_bit_apart(&initial.trained, attempt);
        let outcome = replica.learn(&weights, &images, &targets, None).unwrap();
        let worst = worst(&layout.trained, replica.gradient(), &gradients);
        assert!(worst.0 < 2e-2, "start {attempt} is off by {worst:?}");
        (worst, weights, outcome)
    };
    let attempts = (0..64).map(&mut try_from);
    let (error, weights, outcome) = attempts.min_by(|a, b| a.0.0.total_cmp(&b.0.0)).unwrap();
    println!("the worst gradient of the best start: {error:?}");
    assert!(error.0 < 1e-4, "the worst gradient of the best start is off by {error:?}");
    assert!((outcome.loss / 8.0 - f64::from(losses[0])).abs() < 1e-5);

    let parameters = Parameters { trained: weights.clone(), ..initial };
    let mut trainer = Trainer::from_parameters(layout.clone(), settings(), parameters).unwrap();
    let outcome = replica.learn(&weights, &images, &targets, None).unwrap();
    trainer.apply(&[(&replica, outcome)], 0.01).unwrap();
    for (slots, ours, prefix) in [
        (&layout.trained, &trainer.parameters.trained, "weights_after_step_1"),
        (&layout.moving, &trainer.parameters.moving, "moving_after_step_1"),
    ] {
        let error = worst(slots, ours, &list(&reference, prefix, slots));
        println!("{prefix}: {error:?}");
        assert!(error.0 < 1e-4, "{prefix} is off by {error:?}");
    }
    let next = replica.learn(&trainer.parameters.trained, &images, &targets, None).unwrap().loss / 8.0;
    assert!((next - f64::from(losses[1])).abs() < 1e-3, "the second loss is {next}, not {}", losses[1]);
}

/// Ten steps from the reference's start, and from 32 that differ from it by a float's last bit: TensorFlow's loss lies
/// among theirs at every step, where a rate of 0.02 or an epsilon of 0.01 would leave it outside. They lie half a unit
/// apart at the tenth step, and nobody can agree more closely than a float's last bit.
#[test]
fn tensorflows_losses_lie_among_those_of_starts_a_bit_apart() {
    let Some(reference) = Reference::open() else { return };
    let (layout, initial, images, labels) = start(&reference);
    let (targets, expected) = (one_hot(&labels), reference.get("losses"));
    let mut replica = Replica::new(&layout, 8).unwrap();
    let mut run = |trained: Vec<f32>| {
        let parameters = Parameters { trained, ..initial.clone() };
        let mut trainer = Trainer::from_parameters(layout.clone(), settings(), parameters).unwrap();
        let step = |_| {
            let outcome = replica.learn(&trainer.parameters.trained, &images, &targets, None).unwrap();
            let loss = outcome.loss / 8.0;
            trainer.apply(&[(&replica, outcome)], 0.01).unwrap();
            loss
        };
        (0..10).map(step).collect::<Vec<f64>>()
    };
    let losses = run(initial.trained.clone());
    println!("losses {losses:.4?}, TensorFlow's {expected:.4?}");
    assert!(losses.iter().zip(&expected).take(2).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-2));
    let learnt = losses[0] - losses[9];
    assert!(learnt > 0.3, "ten steps must learn something, but took {learnt} off the loss");
    let runs: Vec<Vec<f64>> = (0..32).map(|attempt| run(a_bit_apart(&initial.trained, attempt))).collect();
    for (step, expected) in expected.iter().map(|loss| f64::from(*loss)).enumerate() {
        let ours = || runs.iter().map(|losses| losses[step]);
        let (least, greatest) = (ours().fold(f64::MAX, f64::min), ours().fold(f64::MIN, f64::max));
        println!("step {step}: {least:.4} to {greatest:.4}, TensorFlow's {expected:.4}");
        let rounding = 1e-5; // at the first step no start has moved yet
        assert!(
            (least - rounding..=greatest + rounding).contains(&expected),
            "step {step}: TensorFlow's loss is {expected}, ours lie from {least} to {greatest}"
        );
    }
}

/// Weights moved by a float's last bit at most.
fn a_bit_apart(weights: &[f32], attempt: u64) -> Vec<f32> {
    let mut random = Random::new(&[attempt]);
    weights.iter().map(|weight| weight * (1.0 + f32::EPSILON * random.range(-1.0, 1.0))).collect()
}

/// The reference's optimizer.
fn settings() -> Settings {
    Settings {
        optimizer: Optimizer::RmsProp { decay: 0.9, momentum: 0.9, epsilon: 1.0 },
        weight_decay: 0.0,
        moving_decay: 0.99,
        average_decay: 0.0,
        dropout: 0.0,
        seed: 0,
    }
}

/// The reference's tensors of a list, each by itself.
fn list(reference: &Reference, prefix: &str, slots: &[Slot]) -> Vec<Vec<f32>> {
    slots.iter().map(|slot| reference.get(&format!("{prefix}/{}", slot.name))).collect()
}

/// The distance of the tensor that is farthest from the reference's, and its name.
fn worst<'a>(slots: &'a [Slot], ours: &[f32], theirs: &[Vec<f32>]) -> (f64, &'a str) {
    let errors = slots.iter().zip(theirs);
    let errors =
        errors.map(|(slot, theirs)| (distance(&ours[slot.range.clone()], theirs), slot.name.as_str()));
    errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a network has tensors")
}

/// The run's data: layout, starting parameters, pictures and labels.
fn start(reference: &Reference) -> (Layout, Parameters, Vec<f32>, Vec<usize>) {
    let architecture = Architecture { alpha: 0.25, resolution: 64, classes: 10, ..Architecture::default() };
    let layout = Layout::new(&architecture).unwrap();
    let initial = reference.parameters(&layout, "initial");
    let labels = reference.get("labels").iter().map(|label| *label as usize).collect();
    (layout, initial, reference.get("images"), labels)
}

/// Labels of ten classes as targets.
fn one_hot(labels: &[usize]) -> Vec<f32> {
    let mut targets = vec![0.0; labels.len() * 10];
    labels.iter().enumerate().for_each(|(picture, label)| targets[picture * 10 + label] = 1.0);
    targets
}

/// Ten steps in doubles, at each of which the kernels' gradient is held against that in doubles. Where an activation lies
/// so close to a bound of ReLU6 that floats and doubles disagree about its side, a unit's gradient comes or goes, some
/// thousandths of the norm; that happens at every other choice of weights here, so a step is tried at a few that
/// differ by a thousandth, and has to agree to the last bits at one.
#[test]
fn every_step_has_the_gradient_of_a_run_in_doubles() {
    let Some(reference) = Reference::open() else { return };
    let (layout, initial, images, labels) = start(&reference);
    let targets = one_hot(&labels);
    let mut exact = Exact::new(&layout, &initial.trained);
    let mut replica = Replica::new(&layout, 8).unwrap();
    for step in 0..10 {
        let compare = |attempt: u64| {
            let mut random = Random::new(&[step, attempt]);
            let mut near = exact.clone();
            for weight in &mut near.weights {
                let moved = *weight * (1.0 + 1e-3 * f64::from(random.range(-1.0, 1.0)));
                *weight = f64::from(moved as f32); // both start from the same floats
            }
            let weights: Vec<f32> = near.weights.iter().map(|weight| *weight as f32).collect();
            let (loss, gradient) = near.learn(&images, &labels);
            let ours = replica.learn(&weights, &images, &targets, None).unwrap().loss / 8.0;
            assert!((ours - loss).abs() < 1e-4, "step {step}: {ours} against {loss}");
            let gradient: Vec<f32> = gradient.iter().map(|value| *value as f32).collect();
            distance(replica.gradient(), &gradient)
        };
        let errors: Vec<f64> = (0..8).map(compare).collect();
        println!("step {step}: distances {errors:.6?}");
        assert!(errors.iter().any(|error| *error < 2e-5), "step {step}: {errors:?}");
        assert!(errors.iter().all(|error| *error < 5e-2), "step {step}: {errors:?}");
        let (_, gradient) = exact.learn(&images, &labels);
        exact.step(&gradient, 0.01);
    }
}

/// Why the reference's losses are held for two steps and not for ten: in doubles, without any rounding to speak of,
/// starting weights that differ by one part in ten million (the last bit of a float) end up elsewhere.
#[test]
fn ten_losses_are_beyond_what_floats_can_repeat() {
    let Some(reference) = Reference::open() else { return };
    let (layout, initial, images, labels) = start(&reference);
    let losses = |difference: f64| {
        let mut exact = Exact::new(&layout, &initial.trained);
        let mut random = Random::new(&[5]);
        exact.weights.iter_mut().for_each(|w| *w *= 1.0 + difference * f64::from(random.range(-1.0, 1.0)));
        let step = |_| {
            let (loss, gradient) = exact.learn(&images, &labels);
            exact.step(&gradient, 0.01);
            loss
        };
        (0..4).map(step).collect::<Vec<f64>>()
    };
    let (plain, moved) = (losses(0.0), losses(1e-7));
    println!(
        "in doubles {plain:.4?}, one part in ten million away {moved:.4?}, TensorFlow {:.4?}",
        &reference.get("losses")[..4]
    );
    assert!((plain[1] - moved[1]).abs() < 1e-3);
    assert!((plain[2] - moved[2]).abs() > 1e-2 && (plain[3] - moved[3]).abs() > 1e-1);
}
