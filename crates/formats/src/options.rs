//! What a file may leave unsaid: padding, activation, epsilon, normalization, resolution, background class, labels.
//!
//! Goes in: three [`ModelOptions`], one of what the file says, one of what the caller says, one of the format's default.
//! Comes out: an [`Architecture`] and a [`Property`] for each, so that `convert` can print which it was.

use mobilenet::Architecture;
use mobilenet::architecture::{ChannelOrder, Normalization};
use mobilenet_kernels::shape::{Activation, Padding};

/// Properties of a network that its tensors do not show, each where it is known.
///
/// As an argument: what the caller knows, used where the file is silent. `resolution` and `labels` are choices
/// rather than facts (the same weights run at any size), and files are wrong about `normalization`, so there the caller
/// comes before the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelOptions {
    /// How convolutions meet the border.
    pub padding: Option<Padding>,
    /// What follows every convolution but the classifier.
    pub activation: Option<Activation>,
    /// Batch norm's epsilon.
    pub epsilon: Option<f64>,
    /// From bytes of color to the stem's input.
    pub normalization: Option<Normalization>,
    /// Side of the square input, in pixels.
    pub resolution: Option<usize>,
    /// Whether class 0 means "none of them".
    pub background: Option<bool>,
    /// Names of the classes in order. 1000 names for 1001 classes gain a "background" in front, and 1001 for 1000
    /// lose their first.
    pub labels: Option<Vec<String>>,
}

/// Who said what a property is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The file itself.
    File,
    /// The caller's [`ModelOptions`].
    Caller,
    /// Neither: the documented default of the format or framework.
    Default,
}

/// One property of a network that was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Property {
    /// `padding`, `activation`, …
    pub name: &'static str,
    /// Its value, as a person writes it.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// Whether anybody reads the notes: programs print them, the class does not.
const NOTED: bool = !cfg!(target_arch = "wasm32");

/// Properties that change answers, so that a guess at one is said aloud.
const MATTERS: [&str; 4] = ["padding", "activation", "epsilon", "normalization"];

/// Which property came from where.
#[derive(Default)]
struct Notes {
    properties: Vec<Property>,
    assumed: Vec<String>,
}

impl Notes {
    /// Generic over `value`, so that its code is left out of builds without notes.
    fn add(&mut self, name: &'static str, value: impl Fn() -> String, origin: Origin) {
        if origin == Origin::Default && MATTERS.contains(&name) {
            self.assumed.push(name.to_owned());
        }
        if NOTED {
            self.properties.push(Property { name, value: value(), origin });
        }
    }
}

/// Decides every property that the tensors do not show and sets it in `architecture`, whose classes, alpha, rounding
/// and blocks are known from the tensors.
pub fn resolve(
    architecture: &mut Architecture,
    file: ModelOptions,
    caller: &ModelOptions,
    default: ModelOptions,
) -> Vec<Property> {
    let classes = architecture.classes;
    let mut notes = Notes::default();
    let (padding, origin) = first(file.padding, caller.padding, default.padding.unwrap_or_default());
    notes.add("padding", || format!("{padding:?}").to_lowercase(), origin);
    let (activation, origin) =
        first(file.activation, caller.activation, default.activation.unwrap_or_default());
    notes.add("activation", || format!("{activation:?}").to_lowercase(), origin);
    let (epsilon, origin) = first(file.epsilon, caller.epsilon, default.epsilon.unwrap_or(1e-3));
    notes.add("epsilon", || format!("{epsilon}"), origin);
    let (normalization, origin) =
        chosen(caller.normalization, file.normalization, default.normalization.unwrap_or_default());
    notes.add("normalization", || describe(&normalization), origin);
    let (resolution, origin) = chosen(caller.resolution, file.resolution, default.resolution.unwrap_or(224));
    notes.add("resolution", || resolution.to_string(), origin);
    let guess = default.background.unwrap_or(classes == 1001);
    let (background, origin) = first(file.background, caller.background, guess);
    notes.add("background", || background.to_string(), origin);
    let (labels, origin) = chosen(caller.labels.clone(), file.labels, Vec::new());
    let labels = fit_labels(labels, classes, background);
    let count = || if labels.is_empty() { "none".into() } else { labels.len().to_string() };
    notes.add("labels", count, origin);
    architecture.padding = padding;
    architecture.activation = activation;
    architecture.epsilon = epsilon;
    architecture.normalization = normalization;
    architecture.resolution = resolution;
    architecture.background = background;
    architecture.labels = labels;
    architecture.assumed = notes.assumed;
    notes.properties
}

/// The file's word, else the caller's, else the default.
fn first<T>(file: Option<T>, caller: Option<T>, default: T) -> (T, Origin) {
    match (file, caller) {
        (Some(value), _) => (value, Origin::File),
        (None, Some(value)) => (value, Origin::Caller),
        (None, None) => (default, Origin::Default),
    }
}

/// The caller's word, else the file's, else the default.
fn chosen<T>(caller: Option<T>, file: Option<T>, default: T) -> (T, Origin) {
    match (caller, file) {
        (Some(value), _) => (value, Origin::Caller),
        (None, Some(value)) => (value, Origin::File),
        (None, None) => (default, Origin::Default),
    }
}

/// Adds or drops the background's name where the count is off by exactly that.
fn fit_labels(mut labels: Vec<String>, classes: usize, background: bool) -> Vec<String> {
    if background && labels.len() + 1 == classes {
        labels.insert(0, "background".into());
    } else if !background && labels.len() == classes + 1 {
        labels.remove(0);
    }
    labels
}

/// `(x − 127.5) / 127.5`, or the three of each where they differ.
fn describe(normalization: &Normalization) -> String {
    let Normalization { mean, deviation, order } = normalization;
    let order = match order {
        ChannelOrder::Rgb => "",
        ChannelOrder::Bgr => ", blue first",
    };
    let one = |values: &[f32; 3]| values.iter().all(|value| *value == values[0]);
    if one(mean) && one(deviation) {
        format!("(x - {}) / {}{order}", mean[0], deviation[0])
    } else {
        format!("(x - {mean:?}) / {deviation:?}{order}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_comes_before_the_caller_and_the_caller_before_the_habit() {
        let file =
            ModelOptions { padding: Some(Padding::Same), resolution: Some(224), ..ModelOptions::default() };
        let caller = ModelOptions {
            padding: Some(Padding::Symmetric),
            epsilon: Some(1e-5),
            resolution: Some(160),
            ..ModelOptions::default()
        };
        let mut architecture = Architecture::default();
        let properties = resolve(&mut architecture, file, &caller, ModelOptions::default());
        let origin = |name| properties.iter().find(|property| property.name == name).unwrap().origin;
        assert_eq!((architecture.padding, origin("padding")), (Padding::Same, Origin::File));
        assert_eq!((architecture.epsilon, origin("epsilon")), (1e-5, Origin::Caller));
        assert_eq!((architecture.resolution, origin("resolution")), (160, Origin::Caller));
        assert_eq!((architecture.activation, origin("activation")), (Activation::Relu6, Origin::Default));
    }

    #[test]
    fn labels_gain_or_lose_the_background() {
        let names = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>();
        assert_eq!(fit_labels(names(1000), 1001, true)[0], "background");
        assert_eq!(fit_labels(names(1001), 1000, false)[0], "1");
        assert_eq!(fit_labels(names(7), 1000, false).len(), 7);
    }
}
