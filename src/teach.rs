//! Teaching: a page shows examples of its own classes, and a new last layer is trained on their embeddings.

use crate::engine::{Engine, Slot, ensure_memory, now};
use crate::options::TrainOptions;
use crate::results::{TrainingLogs, TrainingReport};
use js_sys::{Function, Promise};
use mobilenet::quantize::quantize_classifier;
use mobilenet::{Architecture, Kernel, LayerWeights, Precision};
use mobilenet_formats::safetensors::{Storage, write_with};
use mobilenet_js::options::Callback;
use mobilenet_js::{BrowserJson, Error, ErrorCode, MAX_LABEL_BYTES, Result, describe};
use mobilenet_kernels::f32::softmax;
use mobilenet_train::head::{Head, HeadTrainer};
use mobilenet_train::random::Random;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// The examples that were shown, and the classifier that was trained on them.
#[derive(Default)]
pub struct ExampleSet {
    /// Labels in the order they came, each with the embeddings of its examples, one after the other.
    labels: Vec<(String, Vec<f32>)>,
    trained: Option<TrainedHead>,
}

struct TrainedHead {
    head: Head,
    architecture: Architecture,
    probabilities: Vec<f32>,
}

impl ExampleSet {
    /// The network with the trained classes.
    pub fn architecture(&self) -> Option<&Architecture> {
        self.trained.as_ref().map(|trained| &trained.architecture)
    }

    /// The trained classifier's probabilities for the last frame.
    pub fn probabilities(&self) -> Option<&[f32]> {
        self.trained.as_ref().map(|trained| trained.probabilities.as_slice())
    }

    /// The trained classifier's weights for `class`, one per embedding feature.
    pub fn class_weights(&self, class: usize) -> Option<Vec<f32>> {
        let TrainedHead { head, architecture, .. } = self.trained.as_ref()?;
        Some(head.kernel.get(class..)?.iter().step_by(architecture.classes).copied().collect())
    }

    /// Computes the trained classifier's probabilities for an embedding.
    pub fn answer(&mut self, embedding: &[f32]) {
        if let Some(trained) = &mut self.trained {
            softmax::forward(&trained.head.logits(embedding), &mut trained.probabilities);
        }
    }

    /// Adds an example. Returns how many its label has.
    ///
    /// # Errors
    /// If the labels are too long to be saved, or memory is short.
    pub fn add(&mut self, label: String, embedding: &[f32]) -> Result<usize> {
        let known = self.labels.iter().position(|(known, _)| *known == label);
        let index = match known {
            Some(index) => index,
            None => {
                let others: usize = self.labels.iter().map(|(label, _)| label.len() + 1).sum();
                let bytes = others + label.len() + 1;
                if bytes > MAX_LABEL_BYTES {
                    let rule = format!("must have at most {MAX_LABEL_BYTES} bytes with all others");
                    let message = format!("addExample: label: {rule}, got {bytes}; use a shorter one");
                    return Err(Error::new(ErrorCode::InvalidArgument, message));
                }
                self.labels.push((label, Vec::new()));
                self.labels.len() - 1
            }
        };
        let embeddings = &mut self.labels[index].1;
        if embeddings.try_reserve(embedding.len()).is_err() {
            let message = "addExample: no memory is left for another example; train, and remove examples";
            return Err(Error::new(ErrorCode::OutOfMemory, message));
        }
        embeddings.extend_from_slice(embedding);
        Ok(embeddings.len() / embedding.len())
    }

    /// Removes a label with its examples. Returns how many there were.
    pub fn remove(&mut self, label: &str, features: usize) -> usize {
        let index = self.labels.iter().position(|(known, _)| known == label);
        index.map_or(0, |index| self.labels.remove(index).1.len() / features)
    }

    /// Labels, each with the number of its examples.
    pub fn counts(&self, features: usize) -> impl Iterator<Item = (&str, usize)> {
        self.labels.iter().map(move |(label, embeddings)| (label.as_str(), embeddings.len() / features))
    }
}

/// Reads a label: text that is not empty.
///
/// # Errors
/// If it is none.
pub fn label(method: &str, value: &JsValue) -> Result<String> {
    match value.as_string().filter(|label| !label.bytes().all(|byte| byte.is_ascii_whitespace())) {
        Some(label) => Ok(label),
        None => {
            let message = format!("{method}: label: must be text that is not empty, got {}", describe(value));
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
    }
}

/// Writes the network with what it was taught as a native file.
///
/// # Errors
/// If the network has no layers.
pub fn save(engine: &Engine) -> Result<Vec<u8>> {
    let layers = engine.network().architecture().layers_with_weights();
    let kernels =
        layers.iter().map(|layer| layer.kernel_shape().unwrap_or_default().iter().product::<usize>());
    let bytes = if engine.network().precision() == Precision::Int8 { 1 } else { 4 };
    // A copy of the weights, the tensors in the file's form, and the file.
    ensure_memory("save", kernels.sum::<usize>() * bytes * 3 + (1 << 20))?;
    let mut weights = engine.loaded();
    if let Some(TrainedHead { head, architecture, .. }) = &engine.examples.trained {
        let kernel = Kernel::F32(head.kernel.clone());
        let mut layer = LayerWeights { name: String::new(), kernel, bias: head.bias.clone(), range: None };
        if weights.is_quantized() {
            layer = quantize_classifier(&layer);
        }
        weights.replace_classifier(layer.kernel, layer.bias, architecture.labels.clone())?;
    }
    Ok(write_with::<BrowserJson>(&weights, Storage::F32)?)
}

/// Milliseconds of work after which the page may draw.
const TASK_LIMIT: f64 = 12.0;

/// A training that was begun.
pub struct Training {
    options: TrainOptions,
    trainer: HeadTrainer,
    epochs: usize,
    labels: Vec<String>,
    examples: usize,
    /// Embeddings and classes of the examples kept back.
    validation: (Vec<f32>, Vec<usize>),
}

impl Training {
    /// Takes a copy of the examples.
    ///
    /// # Errors
    /// If an option is out of range or there are too few examples.
    pub fn new(engine: &Engine, options: TrainOptions) -> Result<Self> {
        let split = options.validation_split()?;
        let settings = options.settings();
        let shown = &engine.examples.labels;
        if shown.len() < 2 {
            let message = format!(
                "train: examples: must be of two labels or more, got {}; show some with addExample",
                shown.len()
            );
            return Err(Error::new(ErrorCode::Training, message));
        }
        let features = engine.network().embedding().len();
        let values: usize = shown.iter().map(|(_, embeddings)| embeddings.len()).sum();
        // A copy of the examples that grows, and the layer with its gradients and averages.
        ensure_memory("train", (values * 3 + features * shown.len() * 6) * size_of::<f32>() + (1 << 20))?;
        let (mut training, mut validation) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for (class, (_, embeddings)) in shown.iter().enumerate() {
            let mut examples: Vec<usize> = (0..embeddings.len() / features).collect();
            Random::new(&[settings.seed, class as u64]).shuffle(&mut examples);
            let kept_back = ((examples.len() as f64 * split) as usize).min(examples.len() - 1);
            for (index, example) in examples.into_iter().enumerate() {
                let (list, classes) = if index < kept_back { &mut validation } else { &mut training };
                list.extend_from_slice(&embeddings[example * features..][..features]);
                classes.push(class);
            }
        }
        let labels: Vec<String> = shown.iter().map(|(label, _)| label.clone()).collect();
        let examples = training.1.len() + validation.1.len();
        let trainer = HeadTrainer::new(training.0, features, training.1, labels.len(), settings);
        let trainer = trainer.map_err(|error| Error::from(error).context("train"))?;
        Ok(Self { options, trainer, epochs: settings.epochs, labels, examples, validation })
    }

    /// Runs all epochs and gives the classifier to the network in `slot`, which nothing borrows meanwhile.
    ///
    /// # Errors
    /// If training fails or the network was disposed, with the signal's reason, or with what `onEpoch` throws.
    pub async fn run(mut self, slot: &Slot) -> Result<TrainingReport> {
        let start = now();
        let mut task = start;
        for epoch in 0..self.epochs {
            self.trainer.pass()?;
            if let Some(Callback(on_epoch)) = &self.options.on_epoch {
                let logs = serde_wasm_bindgen::to_value(&self.logs(&self.trainer.head()))?;
                on_epoch.call2(&JsValue::UNDEFINED, &(epoch as u32).into(), &logs)?;
            }
            if now() - task > TASK_LIMIT {
                next_task().await?;
                task = now();
            }
            if let Some(signal) = &self.options.signal {
                signal.check()?;
            }
            slot.check()?;
        }
        self.finish(slot, start)
    }

    fn logs(&self, head: &Head) -> TrainingLogs {
        let (embeddings, classes) = &self.validation;
        let validation = (!classes.is_empty()).then(|| head.test(embeddings, classes));
        TrainingLogs {
            loss: head.loss,
            accuracy: head.accuracy,
            validation_loss: validation.map(|(loss, _)| loss),
            validation_accuracy: validation.map(|(_, accuracy)| accuracy),
        }
    }

    fn finish(self, slot: &Slot, start: f64) -> Result<TrainingReport> {
        let head = self.trainer.finish();
        let TrainingLogs { loss, accuracy, validation_loss, validation_accuracy } = self.logs(&head);
        slot.with(|engine| {
            let architecture = engine.network().architecture();
            let architecture = architecture.with_classes(self.labels.len(), self.labels.clone());
            let probabilities = vec![0.0; architecture.classes];
            engine.examples.trained = Some(TrainedHead { head, architecture, probabilities });
            Ok(())
        })?;
        Ok(TrainingReport {
            loss,
            accuracy,
            validation_loss,
            validation_accuracy,
            epochs: self.epochs as u32,
            examples: self.examples as u32,
            labels: self.labels,
            milliseconds: now() - start,
        })
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: f64) -> JsValue;
}

/// Goes on in a later task, so that the page can draw and take input.
async fn next_task() -> Result<()> {
    let later = Promise::new(&mut |resolve, _| drop(set_timeout(&resolve, 0.0)));
    JsFuture::from(later).await?;
    Ok(())
}
