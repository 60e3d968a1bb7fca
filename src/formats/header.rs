//! What the native file says of its network, as JSON and back.
//!
//! Goes in: a [`Value`], or a [`Header`]. Comes out: the other, every field checked by name and type; absent ones have
//! their defaults, unknown ones are refused in an architecture, where they would change the answers. Next: `safetensors`.

use super::json::Value;
use crate::error::Listed;
use crate::model::architecture::{ChannelOrder, Convolution, Normalisation};
use crate::model::weights::Provenance;
use crate::model::width::Rounding;
use crate::shape::{Activation, Padding};
use crate::{Architecture, Error, Result};

/// What the native file says of its tensors.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Version of the code that wrote it.
    pub version: u32,
    /// The network, its labels included.
    pub architecture: Architecture,
    /// Largest activation of a layer, by its name, where somebody calibrated.
    pub ranges: Vec<(String, f32)>,
    /// Real value of a step of every layer's output, where another program keeps them in bytes; see
    /// [`Weights::steps`](crate::Weights::steps).
    pub steps: Vec<f32>,
    /// Where the network comes from.
    pub provenance: Provenance,
}

/// The words that a field may be, and what they stand for.
type Words<T, const N: usize> = ([&'static str; N], [T; N]);

const ROUNDINGS: Words<Rounding, 2> =
    (["truncate", "multiple_of8"], [Rounding::Truncate, Rounding::MultipleOf8]);
const PADDINGS: Words<Padding, 2> = (["same", "symmetric"], [Padding::Same, Padding::Symmetric]);
const ACTIVATIONS: Words<Activation, 3> =
    (["relu6", "relu", "none"], [Activation::Relu6, Activation::Relu, Activation::None]);
const CONVOLUTIONS: Words<Convolution, 2> =
    (["separable", "standard"], [Convolution::Separable, Convolution::Standard]);
const ORDERS: Words<ChannelOrder, 2> = (["rgb", "bgr"], [ChannelOrder::Rgb, ChannelOrder::Bgr]);

/// An object whose fields are asked for one by one.
struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    /// Passes a field through `read`, where there is one; `wanted` is what it must be.
    fn set<T>(
        &self,
        key: &str,
        wanted: &str,
        room: &mut T,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<()> {
        match self.0.get(key) {
            None => Ok(()),
            Some(value) => match read(value) {
                Some(read) => {
                    *room = read;
                    Ok(())
                }
                None => Err(Error::argument(format!("`{key}` must be {wanted}"))),
            },
        }
    }

    fn number(&self, key: &str, room: &mut f64) -> Result<()> {
        self.set(key, "a number", room, Value::number)
    }

    fn count(&self, key: &str, room: &mut usize) -> Result<()> {
        self.set(key, "a whole number", room, Value::count)
    }

    fn truth(&self, key: &str, room: &mut bool) -> Result<()> {
        self.set(key, "true or false", room, |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
    }

    fn text(&self, key: &str, room: &mut String) -> Result<()> {
        self.set(key, "a text", room, |value| value.text().map(String::from))
    }

    fn three(&self, key: &str, room: &mut [f32; 3]) -> Result<()> {
        self.set(key, "three numbers", room, |value| match value.list()? {
            [a, b, c] => Some([a.number()? as f32, b.number()? as f32, c.number()? as f32]),
            _ => None,
        })
    }

    fn word<T: Copy, const N: usize>(
        &self,
        key: &str,
        (words, meanings): &Words<T, N>,
        room: &mut T,
    ) -> Result<()> {
        if let Some(index) = self.index(key, words)? {
            *room = meanings[index];
        }
        Ok(())
    }

    /// Which of the words a field is, where there is one.
    fn index(&self, key: &str, words: &[&str]) -> Result<Option<usize>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match words.iter().position(|word| Some(*word) == value.text()) {
            None => Err(Error::argument(format!("`{key}` must be {}", Listed(words, " or ")))),
            found => Ok(found),
        }
    }
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// Which field is wrong, and what it must be.
    pub fn read(value: &Value) -> Result<Self> {
        // One thing to let go of where something is refused.
        let mut header = Self::default();
        header.fill(value)?;
        Ok(header)
    }

    fn fill(&mut self, value: &Value) -> Result<()> {
        let fields = Fields(value);
        let mut version = 0;
        fields.count("version", &mut version)?;
        let Some(described) = value.get("architecture").filter(|_| version > 0) else {
            return Err(Error::argument("there is no `version` or no `architecture`"));
        };
        self.version = u32::try_from(version).unwrap_or(u32::MAX);
        fields.set("ranges", "numbers by layer", &mut self.ranges, |value| {
            let mut ranges = Vec::new();
            for (name, range) in value.object()? {
                ranges.push((name.clone(), range.number()? as f32));
            }
            Some(ranges)
        })?;
        fields.set("steps", "a list of numbers", &mut self.steps, |value| {
            let mut steps = Vec::new();
            for step in value.list()? {
                steps.push(step.number()? as f32);
            }
            Some(steps)
        })?;
        if let Some(value) = value.get("provenance") {
            let fields = Fields(value);
            fields.text("description", &mut self.provenance.description)?;
            fields.text("licence", &mut self.provenance.licence)?;
        }
        architecture(described, &mut self.architecture)
    }

    /// The header as JSON.
    pub fn describe(&self) -> Value {
        let mut architecture = describe(&self.architecture);
        let labels = self.architecture.labels.iter().cloned().map(Value::Text).collect();
        architecture.push(("labels".into(), Value::List(labels)));
        let mut fields = vec![
            ("version".into(), Value::Number(f64::from(self.version))),
            ("architecture".into(), Value::Object(architecture)),
        ];
        if !self.ranges.is_empty() {
            let range = |(name, range): &(String, f32)| (name.clone(), Value::short(*range));
            fields.push(("ranges".into(), Value::Object(self.ranges.iter().map(range).collect())));
        }
        if !self.steps.is_empty() {
            let steps = self.steps.iter().copied().map(Value::short).collect();
            fields.push(("steps".into(), Value::List(steps)));
        }
        let Provenance { description, licence } = &self.provenance;
        let text = |key: &str, text: &str| (key.into(), Value::Text(text.into()));
        let provenance = vec![text("description", description), text("licence", licence)];
        fields.push(("provenance".into(), Value::Object(provenance)));
        Value::Object(fields)
    }
}

fn architecture(value: &Value, read: &mut Architecture) -> Result<()> {
    let known = describe(read);
    let fields = value.object().ok_or_else(|| Error::argument("`architecture` must be an object"))?;
    let strange = |name: &String| name != "labels" && !known.iter().any(|(known, _)| known == name);
    if let Some((name, _)) = fields.iter().find(|(name, _)| strange(name)) {
        return Err(Error::argument(format!(
            "`architecture` has an unknown field `{name}`; this program may be too old for it"
        )));
    }
    let fields = Fields(value);
    fields.number("alpha", &mut read.alpha)?;
    fields.word("rounding", &ROUNDINGS, &mut read.rounding)?;
    fields.count("resolution", &mut read.resolution)?;
    fields.count("classes", &mut read.classes)?;
    fields.truth("background", &mut read.background)?;
    fields.word("padding", &PADDINGS, &mut read.padding)?;
    fields.word("activation", &ACTIVATIONS, &mut read.activation)?;
    fields.number("epsilon", &mut read.epsilon)?;
    fields.word("convolution", &CONVOLUTIONS, &mut read.convolution)?;
    fields.truth("shallow", &mut read.shallow)?;
    fields.set("labels", "a list of texts", &mut read.labels, |value| {
        let mut labels = Vec::new();
        for label in value.list()? {
            labels.push(label.text()?.into());
        }
        Some(labels)
    })?;
    if let Some(value) = value.get("normalisation") {
        let fields = Fields(value);
        fields.three("mean", &mut read.normalisation.mean)?;
        fields.three("deviation", &mut read.normalisation.deviation)?;
        fields.word("order", &ORDERS, &mut read.normalisation.order)?;
    }
    Ok(())
}

/// An architecture as the fields of an object, without its labels.
pub fn describe(architecture: &Architecture) -> Vec<(String, Value)> {
    fn word<T: PartialEq, const N: usize>((words, meanings): &Words<T, N>, meaning: T) -> Value {
        let found = meanings.iter().position(|other| *other == meaning);
        Value::Text(found.map_or("", |index| words[index]).into())
    }
    let three = |values: [f32; 3]| Value::List(values.into_iter().map(Value::short).collect());
    let Normalisation { mean, deviation, order } = architecture.normalisation;
    let normalisation =
        [("mean", three(mean)), ("deviation", three(deviation)), ("order", word(&ORDERS, order))];
    let owned = |(key, value): (&str, Value)| (key.to_owned(), value);
    [
        ("alpha", Value::Number(architecture.alpha)),
        ("rounding", word(&ROUNDINGS, architecture.rounding)),
        ("resolution", Value::Number(architecture.resolution as f64)),
        ("classes", Value::Number(architecture.classes as f64)),
        ("background", Value::Bool(architecture.background)),
        ("padding", word(&PADDINGS, architecture.padding)),
        ("activation", word(&ACTIVATIONS, architecture.activation)),
        ("epsilon", Value::Number(architecture.epsilon)),
        ("normalisation", Value::Object(normalisation.into_iter().map(owned).collect())),
        ("convolution", word(&CONVOLUTIONS, architecture.convolution)),
        ("shallow", Value::Bool(architecture.shallow)),
    ]
    .into_iter()
    .map(owned)
    .collect()
}
