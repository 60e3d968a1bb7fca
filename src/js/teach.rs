//! Teaching: a page shows examples of its own things, and a new last layer learns them on what the others see.
//!
//! Goes in: labels and frames. Comes out: answers with those labels, and the whole network as a native file. The
//! examples' embeddings are kept, not their pictures. `train` lets go of the page between passes.

use super::MobileNet;
use super::engine::{Engine, now};
use super::options::{self, TRAIN};
use super::value::{Fields, Outcome, check_abort, describe, refuse, set};
use crate::formats::safetensors::{Storage, write};
use crate::infer::quantise::quantise_classifier;
use crate::kernels::f32::softmax;
use crate::model::{Architecture, Kernel, LayerWeights};
use crate::train::head::{Course, Head, HeadSettings};
use crate::train::random::Random;
use js_sys::{Array, Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Milliseconds after which `train` lets the page draw.
const BREATH: f64 = 12.0;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(call: &Function);
}

/// What was shown, and what came of it.
#[derive(Default)]
pub struct Lessons {
    /// Labels in the order they came, each with the embeddings of its examples, one after the other.
    shown: Vec<(String, Vec<f32>)>,
    taught: Option<Taught>,
}

struct Taught {
    head: Head,
    architecture: Architecture,
    probabilities: Vec<f32>,
}

impl Lessons {
    /// The taught network, if one was.
    pub fn architecture(&self) -> Option<&Architecture> {
        self.taught.as_ref().map(|taught| &taught.architecture)
    }

    /// Its answer to the last frame.
    pub fn probabilities(&self) -> Option<&[f32]> {
        self.taught.as_ref().map(|taught| taught.probabilities.as_slice())
    }

    /// Answers to a frame by its embedding, where something was taught.
    pub fn answer(&mut self, embedding: &[f32]) {
        if let Some(taught) = &mut self.taught {
            softmax::forward(&taught.head.logits(embedding), &mut taught.probabilities);
        }
    }
}

/// Examples to learn and examples kept back, and how to learn them.
struct Plan {
    labels: Vec<String>,
    features: usize,
    learn: (Vec<f32>, Vec<usize>),
    test: (Vec<f32>, Vec<usize>),
    settings: HeadSettings,
}

impl Plan {
    fn new(engine: &Engine, fields: &Fields) -> Outcome<Self> {
        let usual = HeadSettings::default();
        let split = fields.number("validationSplit")?.unwrap_or(0.15);
        if !(0.0..1.0).contains(&split) {
            return refuse(format!("train: validationSplit must be 0 to below 1, not {split}"));
        }
        let settings = HeadSettings {
            epochs: fields.count("epochs")?.unwrap_or(usual.epochs),
            batch: fields.count("batchSize")?.unwrap_or(usual.batch),
            rate: fields.number("learningRate")?.map_or(usual.rate, |rate| rate as f32),
            seed: fields.count("seed")?.unwrap_or(0) as u64,
            ..usual
        };
        let shown = &engine.lessons.shown;
        if shown.len() < 2 {
            return refuse(format!(
                "train: examples of two labels are needed, and there are {}; show some with addExample",
                shown.len()
            ));
        }
        let features = engine.network.embedding().len();
        let (mut learn, mut test) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for (class, (_, embeddings)) in shown.iter().enumerate() {
            let mut examples: Vec<&[f32]> = embeddings.chunks_exact(features).collect();
            Random::new(&[settings.seed, class as u64]).shuffle(&mut examples);
            let back = ((examples.len() as f64 * split) as usize).min(examples.len() - 1);
            for (index, example) in examples.into_iter().enumerate() {
                let (list, classes) = if index < back { &mut test } else { &mut learn };
                list.extend_from_slice(example);
                classes.push(class);
            }
        }
        Ok(Self {
            labels: shown.iter().map(|(label, _)| label.clone()).collect(),
            features,
            learn,
            test,
            settings,
        })
    }

    /// Loss and accuracy as JavaScript sees them.
    fn logs(&self, head: &Head) -> Object {
        let object = Object::new();
        set(&object, "loss", head.loss);
        set(&object, "accuracy", head.accuracy);
        let (embeddings, classes) = &self.test;
        if !classes.is_empty() {
            let (loss, accuracy) = head.test(embeddings, classes);
            set(&object, "validationLoss", loss);
            set(&object, "validationAccuracy", accuracy);
        }
        object
    }
}

#[wasm_bindgen]
impl MobileNet {
    /// Takes note of what the frame shows under a label. Gives how many examples the label has now.
    #[wasm_bindgen(js_name = addExample)]
    pub fn add_example(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] label: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Outcome<usize> {
        let mut engine = self.engine()?;
        let label = named("addExample", label)?;
        let seen = options::frame("addExample", options)?;
        engine.look(frame, &seen)?;
        let Engine { network, lessons, .. } = &mut *engine;
        let embedding = network.embedding();
        if !lessons.shown.iter().any(|(known, _)| *known == label) {
            lessons.shown.push((label.clone(), Vec::new()));
        }
        let mut shown = lessons.shown.iter_mut();
        let Some((_, embeddings)) = shown.find(|(known, _)| *known == label) else { return Ok(0) };
        embeddings.extend_from_slice(embedding);
        Ok(embeddings.len() / embedding.len())
    }

    /// Forgets the examples of a label. Gives how many there were; what was learnt stays until the next `train`.
    #[wasm_bindgen(js_name = removeExamples)]
    pub fn remove_examples(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] label: &JsValue,
    ) -> Outcome<usize> {
        let mut engine = self.engine()?;
        let label = named("removeExamples", label)?;
        let features = engine.network.embedding().len();
        let shown = &mut engine.lessons.shown;
        let Some(place) = shown.iter().position(|(known, _)| *known == label) else { return Ok(0) };
        Ok(shown.remove(place).1.len() / features)
    }

    /// How many examples each label has.
    #[wasm_bindgen(getter, unchecked_return_type = "Record<string, number>")]
    pub fn examples(&self) -> Outcome<Object> {
        let engine = self.read()?;
        let (counts, features) = (Object::new(), engine.network.embedding().len());
        for (label, embeddings) in &engine.lessons.shown {
            set(&counts, label, (embeddings.len() / features) as u32);
        }
        Ok(counts)
    }

    /// Learns the examples: from then on `classify` answers with their labels.
    ///
    /// The promise is refused where there are too few, or with the signal's reason; the answers are then as before.
    #[wasm_bindgen(unchecked_return_type = "TrainingReport")]
    pub async fn train(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "TrainOptions")] options: JsValue,
    ) -> Outcome<Object> {
        let began = now();
        let fields = Fields::new("train", &options, &[TRAIN])?;
        let (signal, told) = (fields.signal()?, fields.function("onEpoch")?);
        let plan = Plan::new(&*self.read()?, &fields)?;
        let (embeddings, classes) = plan.learn.clone();
        let mut course = Course::new(embeddings, plan.features, classes, plan.labels.len(), plan.settings)?;
        let mut rested = now();
        for epoch in 0..plan.settings.epochs {
            course.pass()?;
            if let Some(told) = &told {
                told.call2(&JsValue::NULL, &(epoch as u32).into(), &plan.logs(&course.head()))?;
            }
            if now() - rested > BREATH {
                JsFuture::from(Promise::new(&mut |resolve, _| set_timeout(&resolve))).await?;
                rested = now();
            }
            check_abort(signal.as_ref())?;
        }
        let head = course.finish();
        let report = plan.logs(&head);
        set(&report, "epochs", plan.settings.epochs as u32);
        set(&report, "examples", (plan.learn.1.len() + plan.test.1.len()) as u32);
        set(&report, "labels", plan.labels.iter().map(JsValue::from).collect::<Array>());
        let mut engine = self.engine()?;
        let architecture = Architecture {
            classes: plan.labels.len(),
            labels: plan.labels,
            background: false,
            ..engine.network.architecture().clone()
        };
        engine.classifier = Kernel::F32(head.kernel.clone());
        let probabilities = vec![0.0; architecture.classes];
        engine.lessons.taught = Some(Taught { head, architecture, probabilities });
        set(&report, "milliseconds", now() - began);
        Ok(report)
    }

    /// The network as the bytes of a native model file, with what it was taught.
    pub fn save(&self) -> Outcome<Vec<u8>> {
        let engine = self.read()?;
        let mut weights = engine.loaded();
        if let Some(Taught { head, architecture, .. }) = &engine.lessons.taught {
            let Some(last) = weights.layers.pop() else {
                return refuse("save: the network has no layers".into());
            };
            let kernel = Kernel::F32(head.kernel.clone());
            let layer = LayerWeights { name: last.name, kernel, bias: head.bias.clone(), range: None };
            let layer = if weights.is_int8() { quantise_classifier(&layer) } else { layer };
            weights.layers.push(layer);
            weights.architecture = architecture.clone();
        }
        Ok(write(&weights, Storage::F32)?)
    }
}

/// A label: text that is not empty.
fn named(method: &str, label: &JsValue) -> Outcome<String> {
    match label.as_string().filter(|label| !label.trim().is_empty()) {
        Some(label) => Ok(label),
        None => {
            refuse(format!("{method}: the label must be a text that is not empty, not {}", describe(label)))
        }
    }
}
