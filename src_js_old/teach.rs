//! Teaching: a page shows examples of its own things, and a new last layer learns them on what the others see.
//!
//! Goes in: labels and frames. Comes out: answers with those labels, and the whole network as a native file. The
//! examples' embeddings are kept, not their pictures. `train` lets go of the page between passes.

use super::MobileNet;
use super::engine::Engine;
use super::options::{self, TRAIN};
use super::value::{Fields, Outcome, count, describe, given, named, refuse, set};
use crate::error::Decimal;
use crate::formats::safetensors::{Storage, write};
use crate::infer::quantise::quantise_classifier;
use crate::kernels::f32::softmax;
use crate::model::{Architecture, Kernel, LayerWeights};
use crate::train::head::{Course, Head, HeadSettings};
use crate::train::random::Random;
use js_sys::{Array, Object, Promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/js/browser.js")]
extern "C" {
    #[wasm_bindgen(js_name = runCourse)]
    fn run_course(course: Lesson, options: &JsValue) -> Promise;
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

    /// What its logit of `class` takes of each feature.
    pub fn classifier(&self, class: usize) -> Option<Vec<f32>> {
        let Taught { head, architecture, .. } = self.taught.as_ref()?;
        Some(head.kernel.get(class..)?.iter().step_by(architecture.classes).copied().collect())
    }

    /// Answers to a frame by its embedding, where something was taught.
    pub fn answer(&mut self, embedding: &[f32]) {
        if let Some(taught) = &mut self.taught {
            softmax::forward(&taught.head.logits(embedding), &mut taught.probabilities);
        }
    }
}

/// What is learnt, and the examples kept back.
struct Plan {
    labels: Vec<String>,
    examples: usize,
    test: (Vec<f32>, Vec<usize>),
    epochs: usize,
}

impl Plan {
    /// The plan, and the course over the examples that are to be learnt.
    fn new(engine: &Engine, fields: &Fields) -> Outcome<(Self, Course)> {
        let usual = HeadSettings::default();
        let mut numbers = [0.0; 5];
        fields.numbers("validationSplit epochs batchSize learningRate seed", &mut numbers);
        let [split, epochs, batch, rate, seed] = numbers;
        let split = given(split).unwrap_or(0.15);
        if !(0.0..1.0).contains(&split) {
            return refuse(format!("train: validationSplit must be 0 to below 1, not {}", Decimal(split)));
        }
        let settings = HeadSettings {
            epochs: count(epochs).unwrap_or(usual.epochs),
            batch: count(batch).unwrap_or(usual.batch),
            rate: given(rate).map_or(usual.rate, |rate| rate as f32),
            seed: count(seed).unwrap_or(0) as u64,
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
            let mut examples: Vec<usize> = (0..embeddings.len() / features).collect();
            Random::new(&[settings.seed, class as u64]).shuffle(&mut examples);
            let back = ((examples.len() as f64 * split) as usize).min(examples.len() - 1);
            for (index, example) in examples.into_iter().enumerate() {
                let (list, classes) = if index < back { &mut test } else { &mut learn };
                list.extend_from_slice(&embeddings[example * features..][..features]);
                classes.push(class);
            }
        }
        let labels: Vec<String> = shown.iter().map(|(label, _)| label.clone()).collect();
        let examples = learn.1.len() + test.1.len();
        let course = Course::new(learn.0, features, learn.1, labels.len(), settings)?;
        Ok((Self { labels, examples, test, epochs: settings.epochs }, course))
    }
}

/// A head on its way through the passes; `browser.js` calls it pass by pass, so that the page can breathe between them.
#[wasm_bindgen(skip_typescript)]
pub struct Lesson {
    net: MobileNet,
    plan: Plan,
    course: Course,
}

#[wasm_bindgen]
impl Lesson {
    /// How many passes there are to be.
    #[wasm_bindgen(getter, skip_typescript)]
    pub fn epochs(&self) -> usize {
        self.plan.epochs
    }

    /// One pass over the examples.
    #[wasm_bindgen(skip_typescript)]
    pub fn pass(&mut self) -> Outcome<()> {
        Ok(self.course.pass()?)
    }

    /// Loss and accuracy of the last pass, and of the examples kept back, if any were.
    #[wasm_bindgen(skip_typescript)]
    pub fn logs(&self) -> Object {
        self.measure(&self.course.head())
    }

    fn measure(&self, head: &Head) -> Object {
        let mut logs = vec![head.loss, head.accuracy];
        let (embeddings, classes) = &self.plan.test;
        if !classes.is_empty() {
            let (loss, accuracy) = head.test(embeddings, classes);
            logs.extend([loss, accuracy]);
        }
        named("loss accuracy validationLoss validationAccuracy", &logs)
    }

    /// Gives the network what was learnt. Comes out: what a `TrainingReport` has, but for its time.
    #[wasm_bindgen(skip_typescript)]
    pub fn finish(&mut self) -> Outcome<Object> {
        let head = self.course.finish();
        let report = self.measure(&head);
        let Plan { labels, epochs, examples, .. } = &self.plan;
        set(&report, "epochs", *epochs as u32);
        set(&report, "examples", *examples as u32);
        set(&report, "labels", labels.iter().map(JsValue::from).collect::<Array>());
        let mut engine = self.net.engine()?;
        let architecture = Architecture {
            classes: labels.len(),
            labels: labels.clone(),
            background: false,
            ..engine.network.architecture().clone()
        };
        let probabilities = vec![0.0; architecture.classes];
        engine.lessons.taught = Some(Taught { head, architecture, probabilities });
        Ok(report)
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
        let label = checked("addExample", label)?;
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
        let label = checked("removeExamples", label)?;
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
    #[wasm_bindgen(unchecked_return_type = "Promise<TrainingReport>")]
    pub fn train(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "TrainOptions")] options: &JsValue,
    ) -> Promise {
        self.lesson(options).unwrap_or_else(|refusal| Promise::reject(&refusal))
    }

    fn lesson(&self, options: &JsValue) -> Outcome<Promise> {
        let fields = Fields::read("train", options, TRAIN)?;
        let (plan, course) = Plan::new(&*self.read()?, &fields)?;
        let net = MobileNet { engine: self.engine.clone() };
        Ok(run_course(Lesson { net, plan, course }, fields.object()))
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
            // The new layer's answers are in nobody's steps.
            if let Some(step) = weights.steps.last_mut() {
                *step = 0.0;
            }
            weights.architecture = architecture.clone();
        }
        Ok(write(&weights, Storage::F32)?)
    }
}

/// A label: text that is not empty.
fn checked(method: &str, label: &JsValue) -> Outcome<String> {
    match label.as_string().filter(|label| !label.bytes().all(|byte| byte.is_ascii_whitespace())) {
        Some(label) => Ok(label),
        None => {
            refuse(format!("{method}: the label must be a text that is not empty, not {}", describe(label)))
        }
    }
}
