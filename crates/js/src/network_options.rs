//! The options of a network, which the class and the readers of foreign files take.

use crate::options::PerChannel;
use crate::{Error, ErrorCode, Result};
use mobilenet::architecture::{ChannelOrder, Normalization};
use mobilenet::{Architecture, Precision};
use mobilenet_formats::ModelOptions;
use mobilenet_kernels::shape::{Activation, Padding};
use serde::Deserialize;
use tsify::Tsify;

/// What a file may leave open, and how the network is to run.
///
/// `padding`, `activation`, `epsilon` and `normalization` are used only where the file is silent; `precision`,
/// `numThreads`, `labels` and `resolution` are choices and come before the file.
#[derive(Default, Deserialize, Tsify)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkOptions {
    /// Default: `"int8"` for a native file made for it, else `"f32"`, in which a quantized TFLite file keeps its maker's
    /// 8-bit steps. `"int8"` quantizes a float file while it loads; of a quantized TFLite file it keeps seven bits of an
    /// activation, and is faster.
    #[tsify(optional)]
    pub precision: Option<Precision>,
    /// At most so many of the threads that were started.
    #[tsify(optional)]
    pub num_threads: Option<u32>,
    /// Names of the classes in order, where the file has none or other ones.
    #[tsify(optional, type = "readonly string[]")]
    pub labels: Option<Vec<String>>,
    /// How convolutions meet the border.
    #[tsify(optional)]
    pub padding: Option<Padding>,
    /// What follows every convolution.
    #[tsify(optional, type = "Exclude<Activation, \"none\">")]
    pub activation: Option<Activation>,
    /// Batch normalization's epsilon.
    #[tsify(optional)]
    pub epsilon: Option<f64>,
    /// From a byte of color to what the first layer takes: `(byte − mean) / deviation`.
    #[tsify(optional)]
    pub normalization: Option<InputNormalization>,
    /// @deprecated Old name of `normalization`.
    #[tsify(optional)]
    pub normalisation: Option<InputNormalization>,
    /// Side of the square input in pixels, 32 to 4096.
    #[tsify(optional)]
    pub resolution: Option<u32>,
}

/// How a byte of color is normalized; one number stands for all three colors.
#[derive(Deserialize, Tsify)]
pub struct InputNormalization {
    /// Subtracted from each color, 0 to 255.
    #[tsify(type = "number | readonly number[]")]
    mean: PerChannel,
    /// Divides the difference. Not zero.
    #[tsify(type = "number | readonly number[]")]
    deviation: PerChannel,
    /// Order in which the network takes the colors. Default `"rgb"`.
    #[serde(default)]
    order: ChannelOrder,
}

/// Bytes of UTF-8 that the labels of a network may have together, with one more for each, so that they fit into a file's
/// header (4 MiB), where a byte takes up to seven.
pub const MAX_LABEL_BYTES: usize = 1 << 19;

impl NetworkOptions {
    /// The options for a reader of model files.
    ///
    /// # Errors
    /// If one is out of range.
    pub fn model(&self) -> Result<ModelOptions> {
        let refuse = |message: String| Err(Error::new(ErrorCode::InvalidOption, message));
        if self.activation == Some(Activation::None) {
            return refuse("activation: must be \"relu\" or \"relu6\", got \"none\"".into());
        }
        let bytes: usize = self.labels.iter().flatten().map(|label| label.len() + 1).sum();
        if bytes > MAX_LABEL_BYTES {
            return refuse(format!(
                "labels: must have at most {MAX_LABEL_BYTES} bytes together, got {bytes}; give shorter ones"
            ));
        }
        let normalization = self.normalization.as_ref().or(self.normalisation.as_ref()).map(|given| {
            let InputNormalization { mean: PerChannel(mean), deviation: PerChannel(deviation), order } =
                *given;
            Normalization { mean, deviation, order }
        });
        let options = ModelOptions {
            padding: self.padding,
            activation: self.activation,
            epsilon: self.epsilon,
            normalization,
            resolution: self.resolution.map(|side| side as usize),
            labels: self.labels.clone(),
            ..ModelOptions::default()
        };
        // The rules are those of any network; a file has nothing to do with it yet.
        let any = Architecture::default();
        let with_options = Architecture {
            epsilon: options.epsilon.unwrap_or(any.epsilon),
            normalization: options.normalization.unwrap_or(any.normalization),
            resolution: options.resolution.unwrap_or(any.resolution),
            ..any
        };
        match with_options.validate() {
            Ok(()) => Ok(options),
            Err(error) => refuse(error.to_string()),
        }
    }
}
