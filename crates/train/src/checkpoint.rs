//! Checkpoints: serialize a [`Trainer`] to a safetensors file and resume it.
//!
//! A file holds six lists, each complete and in the layout's order, and a note of the caller's (for example how far the run
//! is). A trainer that was read back continues to the same result.

use super::optimizer::State;
use super::parameters::{Layout, Parameters};
use super::trainer::{Settings, Trainer, diverged};
use mobilenet::{Architecture, Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

const ENTRY: &str = "mobilenet_training";
const NAMES: [&str; 6] = ["trained", "moving", "average_trained", "average_moving", "square", "velocity"];

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    architecture: Architecture,
    settings: Settings,
    steps: u64,
    note: String,
}

/// The file that holds `trainer` and `note`.
pub fn write(trainer: &Trainer, note: &str) -> Result<Vec<u8>> {
    let Trainer { parameters, average, state, .. } = trainer;
    let lists = [
        &parameters.trained,
        &parameters.moving,
        &average.trained,
        &average.moving,
        &state.square,
        &state.velocity,
    ];
    // Weights that ran away are no state to go on from.
    if lists.iter().flat_map(|list| list.iter()).any(|value| !value.is_finite()) {
        return Err(diverged("a weight", trainer.steps));
    }
    let header = Header {
        version: 1,
        architecture: trainer.layout.architecture.clone(),
        settings: trainer.settings,
        steps: trainer.steps,
        note: note.into(),
    };
    let refuse =
        |error: &dyn std::fmt::Display| Error::training(format!("the checkpoint cannot be written: {error}"));
    let header = serde_json::to_string(&header).map_err(|error| refuse(&error))?;
    let bytes = lists.map(|list| list.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let mut views = Vec::new();
    for ((name, list), bytes) in NAMES.into_iter().zip(lists).zip(&bytes) {
        let view = TensorView::new(Dtype::F32, vec![list.len()], bytes).map_err(|error| refuse(&error))?;
        views.push((name, view));
    }
    let metadata = [(ENTRY.to_string(), header)].into_iter().collect();
    safetensors::serialize(views, Some(metadata)).map_err(|error| refuse(&error))
}

/// The trainer that `bytes` hold, and the caller's note. Its architecture must be `expected`, whatever the resolution;
/// the trainer takes the expected resolution and `settings`.
pub fn read(bytes: &[u8], expected: &Architecture, settings: Settings) -> Result<(Trainer, String)> {
    let refuse = |problem: String| Error::format("checkpoint", problem);
    let broken = |error: &dyn std::fmt::Display| {
        refuse(format!("{error}; the file is no checkpoint of `mobilenet train`, or it is cut off"))
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(&error))?;
    let header = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
    let header = header.ok_or_else(|| broken(&format!("it has no entry `{ENTRY}`")))?;
    let header: Header = serde_json::from_str(header).map_err(|error| broken(&error))?;
    if let Some(difference) = difference(&header.architecture, expected) {
        return Err(refuse(format!(
            "it belongs to another network: {difference}; give the options of its run, or start a new one elsewhere"
        )));
    }
    let layout = Layout::new(expected)?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| broken(&error))?;
    let (trained, moving) = (layout.trained_len(), layout.moving_len());
    let mut lists = Vec::new();
    for (name, length) in NAMES.into_iter().zip([trained, moving, trained, moving, trained, trained]) {
        let view = file.tensor(name).map_err(|error| broken(&error))?;
        if view.dtype() != Dtype::F32 || view.data().len() != length * 4 {
            return Err(broken(&format!("`{name}` is not {length} floats")));
        }
        let words = view.data().as_chunks::<4>().0;
        let list: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        if let Some(index) = list.iter().position(|value| !value.is_finite()) {
            return Err(Error::not_finite(name, index, list[index]));
        }
        lists.push(list);
    }
    let mut next = lists.into_iter();
    let mut take = || next.next().unwrap_or_default();
    let parameters = Parameters { trained: take(), moving: take() };
    let average = Parameters { trained: take(), moving: take() };
    let state = State { square: take(), velocity: take() };
    let mut trainer = Trainer::from_parameters(layout, settings, parameters)?;
    (trainer.average, trainer.state, trainer.steps) = (average, state, header.steps);
    Ok((trainer, header.note))
}

/// What tells two networks apart, the resolution aside.
fn difference(found: &Architecture, expected: &Architecture) -> Option<String> {
    let same = Architecture { resolution: expected.resolution, ..found.clone() };
    if same == *expected {
        return None;
    }
    let fields = [
        ("alpha", found.alpha.to_string(), expected.alpha.to_string()),
        ("classes", found.classes.to_string(), expected.classes.to_string()),
        ("convolution", format!("{:?}", found.convolution), format!("{:?}", expected.convolution)),
        ("shallow", found.shallow.to_string(), expected.shallow.to_string()),
        ("labels", found.labels.join(", "), expected.labels.join(", ")),
    ];
    let differs = fields.into_iter().find(|(_, found, expected)| found != expected);
    Some(match differs {
        Some(("labels", ..)) => "its classes have other names".into(),
        Some((name, found, expected)) => {
            format!("its {name} is {}, and {} was asked for", found.to_lowercase(), expected.to_lowercase())
        }
        None => "it differs in padding, activation, batch norm or normalization".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trainer() -> Trainer {
        let architecture = Architecture { alpha: 0.1, resolution: 32, classes: 3, ..Architecture::default() };
        let mut trainer = Trainer::new(&architecture, Settings::default()).unwrap();
        (trainer.steps, trainer.state.velocity[5], trainer.average.moving[2]) = (7, 0.25, 1.5);
        trainer
    }

    #[test]
    fn what_is_put_away_comes_back() {
        let trainer = trainer();
        let bytes = write(&trainer, "epoch 3").unwrap();
        let larger = Architecture { resolution: 64, ..trainer.layout.architecture.clone() };
        let (again, note) = read(&bytes, &larger, trainer.settings).unwrap();
        assert_eq!((again.parameters, again.average), (trainer.parameters, trainer.average));
        assert_eq!((again.state, again.steps, note.as_str()), (trainer.state, 7, "epoch 3"));
        assert_eq!(again.layout.architecture.resolution, 64);
    }

    #[test]
    fn another_network_or_a_broken_file_is_refused_with_a_sentence() {
        let trainer = trainer();
        let (bytes, settings) = (write(&trainer, "").unwrap(), trainer.settings);
        let plain = trainer.layout.architecture.clone();
        let sentence = |bytes: &[u8], architecture: Architecture| {
            read(bytes, &architecture, settings).unwrap_err().to_string()
        };
        let wider = sentence(&bytes, Architecture { alpha: 0.25, ..plain.clone() });
        assert!(wider.contains("its alpha is 0.1, and 0.25 was asked for"), "{wider}");
        let labels = ["a", "b", "c"].map(String::from).to_vec();
        assert!(sentence(&bytes, Architecture { labels, ..plain.clone() }).contains("other names"));
        for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(sentence(&bytes[..length], plain.clone()).contains("cut off"), "{length}");
        }
        let mut poisoned = bytes.clone();
        let last = poisoned.len() - 4;
        poisoned[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(sentence(&poisoned, plain).contains("is NaN"));
        let mut runaway = trainer.clone();
        runaway.state.square[3] = f32::INFINITY;
        assert!(write(&runaway, "").unwrap_err().to_string().contains("a weight is not finite at step 7"));
    }
}
