//! A Keras model's configuration: JSON that names every layer with its settings, in order.
//!
//! Goes in: the JSON. Comes out: [`Config`], the role of each layer that has weights and what the settings say of
//! padding, activation, epsilon, size and normalization. The first layer that no MobileNet v1 has is refused.

use crate::ModelOptions;
use mobilenet::architecture::{BLOCKS, Normalization, SHALLOW_REMOVES};
use mobilenet::{Error, Result};
use mobilenet_kernels::shape::{Activation, Padding};
use serde_json::Value;

/// One layer with weights and the part it plays.
#[derive(Clone, Debug)]
pub struct LayerRole {
    /// Its name in the file.
    pub name: String,
    /// Its class as Keras 3 counts them: `conv2d`, `batch_normalization`, …
    pub class: String,
    /// The name that a MobileNet's layer has in Keras: `conv_dw_3`, `conv_dw_3_bn`.
    pub canonical: String,
    /// Its variables in Keras' order.
    pub parts: Vec<&'static str>,
}

/// What a configuration says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Layers with weights, in order.
    pub roles: Vec<LayerRole>,
    /// The properties that it tells.
    pub options: ModelOptions,
    /// Zeros at the bottom and right alone: the same as SAME on even maps only.
    padded_after: bool,
}

/// The layers of a MobileNet v1 as `keras.applications` has them, for a file without configuration.
pub fn usual_roles() -> Vec<LayerRole> {
    let mut roles = Vec::new();
    let mut push = |canonical: String, class: &str, parts: &[&'static str]| {
        let role = LayerRole {
            name: canonical.clone(),
            class: class.into(),
            canonical: canonical.clone(),
            parts: parts.to_vec(),
        };
        roles.push(role);
    };
    let norm = ["gamma", "beta", "moving_mean", "moving_variance"];
    push("conv1".into(), "conv2d", &["kernel"]);
    push("conv1_bn".into(), "batch_normalization", &norm);
    for number in 1..=BLOCKS.len() {
        push(format!("conv_dw_{number}"), "depthwise_conv2d", &["depthwise_kernel"]);
        push(format!("conv_dw_{number}_bn"), "batch_normalization", &norm);
        push(format!("conv_pw_{number}"), "conv2d", &["kernel"]);
        push(format!("conv_pw_{number}_bn"), "batch_normalization", &norm);
    }
    push("conv_preds".into(), "conv2d", &["kernel", "bias"]);
    roles
}

/// What has been seen so far on the way through the layers.
#[derive(Default)]
struct Walk {
    roles: Vec<LayerRole>,
    options: ModelOptions,
    padded_after: bool,
    /// Padding of a ZeroPadding2D that waits for its convolution: before and after.
    zeros: Option<(u64, u64)>,
    /// Strides of the 3×3 convolutions, the stem's first.
    strides: Vec<u64>,
    /// Pointwise convolutions so far.
    pointwise: usize,
    /// The canonical name of the last convolution, for its batch norm.
    last: String,
    pooled: bool,
}

impl Config {
    /// Reads the JSON.
    ///
    /// # Errors
    /// [`Error::not_mobilenet`] with the first layer that differs; [`Error::format`] where it is no configuration.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let refuse = |problem: String| Error::format("Keras configuration", problem);
        let model: Value = serde_json::from_slice(json).map_err(|error| refuse(error.to_string()))?;
        let mut walk = Walk::default();
        walk.model(&model, 0)?;
        walk.finish()
    }

    /// Refuses a size at which the file's explicit zeros are not the padding that the network would run with.
    pub fn check_against(&self, caller: &ModelOptions) -> Result<()> {
        let resolution = caller.resolution.or(self.options.resolution).unwrap_or(224);
        if self.padded_after && !resolution.is_multiple_of(32) {
            return Err(Error::not_mobilenet(format!(
                "it pads zeros below and to the right only, which at {resolution} pixels is neither SAME nor \
                 symmetric; choose a multiple of 32"
            )));
        }
        Ok(())
    }
}

impl Walk {
    /// All layers of a model, models inside it included.
    fn model(&mut self, model: &Value, depth: usize) -> Result<()> {
        // Functional: {config: {layers}}; Sequential of old: {config: [layers]}.
        let layers = model["config"]["layers"].as_array().or_else(|| model["config"].as_array());
        let layers = layers.filter(|_| depth < 4).ok_or_else(|| {
            Error::format("Keras configuration", "it has no list of layers, so it is no model")
        })?;
        for layer in layers {
            let class = layer["class_name"].as_str().unwrap_or_default();
            if matches!(class, "Functional" | "Model" | "Sequential") {
                self.model(layer, depth + 1)?;
            } else {
                self.layer(class, &layer["config"])?;
            }
        }
        Ok(())
    }

    fn layer(&mut self, class: &str, config: &Value) -> Result<()> {
        let name = config["name"].as_str().unwrap_or("?").to_string();
        let differs = |what: String| Error::not_mobilenet(format!("layer `{name}` ({class}) {what}"));
        match class {
            "InputLayer" => self.input(config).map_err(differs),
            "Rescaling" => self.rescaling(config).map_err(differs),
            "ZeroPadding2D" => self.zeros(config).map_err(differs),
            "Conv2D" | "Convolution2D" | "DepthwiseConv2D" | "Dense" => {
                self.convolution(class, &name, config).map_err(differs)
            }
            "BatchNormalization" => self.norm(&name, config).map_err(differs),
            "ReLU" => {
                let activation = match config["max_value"].as_f64() {
                    Some(6.0) => "relu6",
                    None => "relu",
                    Some(other) => {
                        return Err(differs(format!("stops at {other}, where MobileNet's stop at 6")));
                    }
                };
                if config["negative_slope"].as_f64().unwrap_or(0.0) != 0.0 {
                    return Err(differs("leaks below zero".into()));
                }
                self.activation(activation).map_err(differs)
            }
            "Activation" => self.activation(config["activation"].as_str().unwrap_or("?")).map_err(differs),
            "GlobalAveragePooling2D" | "AveragePooling2D" => {
                self.pooled = true;
                Ok(())
            }
            "Dropout" | "Reshape" | "Flatten" | "Softmax" => Ok(()),
            _ => Err(differs("is no layer of MobileNet v1".into())),
        }
    }

    fn input(&mut self, config: &Value) -> Result<(), String> {
        let shape = if config["batch_shape"].is_array() { "batch_shape" } else { "batch_input_shape" };
        let axis = |index: usize| config[shape][index].as_u64();
        match (axis(1), axis(2), axis(3)) {
            // A model inside a model has an input of its own.
            _ if self.options.resolution.is_some() => Ok(()),
            (height, width, colors) if height != width || colors.is_some_and(|colors| colors != 3) => Err(
                format!("takes {height:?} × {width:?} × {colors:?}; only squares of three colors are read"),
            ),
            (Some(side), ..) => {
                self.options.resolution = Some(side as usize);
                Ok(())
            }
            (None, ..) => Ok(()),
        }
    }

    /// `x · scale + offset` is `(x − mean) / deviation`.
    fn rescaling(&mut self, config: &Value) -> Result<(), String> {
        let (scale, offset) = (config["scale"].as_f64(), config["offset"].as_f64().unwrap_or(0.0));
        let scale = scale.filter(|&scale| scale != 0.0).ok_or("has no scale")?;
        self.options.normalization =
            Some(Normalization::uniform((-offset / scale) as f32, (1.0 / scale) as f32));
        Ok(())
    }

    fn zeros(&mut self, config: &Value) -> Result<(), String> {
        let padding = &config["padding"];
        let pair = |axis: usize| match (padding[axis][0].as_u64(), padding[axis][1].as_u64()) {
            (Some(before), Some(after)) => Some((before, after)),
            _ => padding[axis].as_u64().map(|both| (both, both)),
        };
        let (rows, columns) = (pair(0), pair(1));
        if rows.is_none() || rows != columns {
            return Err(format!("pads rows by {rows:?} and columns by {columns:?}"));
        }
        self.zeros = rows;
        Ok(())
    }

    fn activation(&mut self, named: &str) -> Result<(), String> {
        let activation = match named {
            "linear" => return Ok(()),
            "softmax" if self.pooled => return Ok(()),
            "relu" => Activation::Relu,
            "relu6" => Activation::Relu6,
            other => return Err(format!("is {other}, where a MobileNet has ReLU or ReLU6")),
        };
        match self.options.activation.replace(activation) {
            Some(before) if before != activation => {
                Err(format!("is {activation:?} after {before:?} before it"))
            }
            _ => Ok(()),
        }
    }

    fn norm(&mut self, name: &str, config: &Value) -> Result<(), String> {
        let epsilon = config["epsilon"].as_f64().ok_or("has no epsilon")?;
        if self.options.epsilon.replace(epsilon).is_some_and(|before| before != epsilon) {
            return Err(format!("has epsilon {epsilon}, the ones before it another"));
        }
        let on = |key: &str| config[key].as_bool().unwrap_or(true);
        let mut parts = Vec::new();
        parts.extend(on("scale").then_some("gamma"));
        parts.extend(on("center").then_some("beta"));
        parts.extend(["moving_mean", "moving_variance"]);
        let canonical = format!("{}_bn", self.last);
        self.push(name, "batch_normalization", canonical, parts);
        Ok(())
    }

    fn push(&mut self, name: &str, class: &str, canonical: String, parts: Vec<&'static str>) {
        self.roles.push(LayerRole { name: name.into(), class: class.into(), canonical, parts });
    }

    fn convolution(&mut self, class: &str, name: &str, config: &Value) -> Result<(), String> {
        let depthwise = class == "DepthwiseConv2D";
        let window = if class == "Dense" { 1 } else { config["kernel_size"][0].as_u64().unwrap_or(0) };
        for (key, expected) in [("depth_multiplier", 1), ("groups", 1)] {
            if let Some(found) = config[key].as_u64().filter(|&found| found != expected) {
                return Err(format!("has {key} {found}, and MobileNet v1 has {expected}"));
            }
        }
        if config["dilation_rate"][0].as_u64().unwrap_or(1) != 1 {
            return Err("is dilated".into());
        }
        if config["data_format"].as_str().is_some_and(|format| format != "channels_last") {
            return Err("stores channels first, which Keras' own MobileNet does not".into());
        }
        let canonical = self.place(depthwise, window)?;
        if window == 3 {
            self.padding(config)?;
        }
        let kernel = if depthwise { "depthwise_kernel" } else { "kernel" };
        let mut parts = vec![kernel];
        parts.extend(config["use_bias"].as_bool().unwrap_or(true).then_some("bias"));
        let class = match class {
            "Dense" => "dense",
            "DepthwiseConv2D" => "depthwise_conv2d",
            _ => "conv2d",
        };
        self.last = canonical.clone();
        self.push(name, class, canonical, parts);
        self.activation(config["activation"].as_str().unwrap_or("linear"))
    }

    /// The role of the next convolution, by what came before.
    fn place(&mut self, depthwise: bool, window: u64) -> Result<String, String> {
        let threes = self.strides.len();
        // After the stem a depthwise and a pointwise convolution take turns.
        let turn = threes == self.pointwise + 1;
        match (depthwise, window) {
            (false, 3) if threes == 0 => Ok("conv1".into()),
            (true, 3) if threes > 0 && turn && !self.pooled => Ok(format!("conv_dw_{threes}")),
            (false, 1) if self.pooled || (turn && threes > 8) => Ok("conv_preds".into()),
            (false, 1) if threes > 1 && !turn => {
                self.pointwise += 1;
                Ok(format!("conv_pw_{}", self.pointwise))
            }
            _ => Err(format!("with a window of {window} stands where MobileNet v1 has another layer")),
        }
    }

    /// Stride and padding of a 3×3 convolution.
    fn padding(&mut self, config: &Value) -> Result<(), String> {
        let stride = config["strides"][0].as_u64().unwrap_or(1);
        self.strides.push(stride);
        let said = match (config["padding"].as_str(), self.zeros.take()) {
            (Some("same"), None) => (stride == 2).then_some(Padding::Same),
            (Some("valid"), Some((1, 1))) => (stride == 2).then_some(Padding::Symmetric),
            (Some("valid"), Some((0, 1))) if stride == 2 => {
                self.padded_after = true;
                Some(Padding::Same)
            }
            (padding, zeros) => return Err(format!("has padding {padding:?} after zeros {zeros:?}")),
        };
        match (said, self.options.padding) {
            (Some(said), Some(before)) if said != before => {
                Err(format!("has {said:?} padding, the ones before it {before:?}"))
            }
            (Some(said), _) => {
                self.options.padding = Some(said);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Compares the strides with the table and numbers the blocks of a shallow network as the full one does.
    fn finish(mut self) -> Result<Config> {
        let (stem, blocks) =
            self.strides.split_first().map_or((0, &[][..]), |(stem, blocks)| (*stem, blocks));
        let full: Vec<u64> = BLOCKS.iter().map(|&(stride, _)| stride as u64).collect();
        let kept = |number: &usize| !SHALLOW_REMOVES.contains(number);
        let shallow: Vec<u64> = (0..BLOCKS.len()).filter(kept).map(|number| full[number]).collect();
        if stem != 2 || (blocks != full && blocks != shallow) {
            let found = &self.strides;
            let problem =
                format!("its 3×3 convolutions have strides {found:?}, and MobileNet v1's are 2 and {full:?}");
            return Err(Error::not_mobilenet(problem));
        }
        if blocks == shallow {
            for role in &mut self.roles {
                for number in (SHALLOW_REMOVES.start + 1..=BLOCKS.len() - SHALLOW_REMOVES.len()).rev() {
                    for kind in ["conv_dw_", "conv_pw_"] {
                        let (short, long) =
                            (format!("{kind}{number}"), format!("{kind}{}", number + SHALLOW_REMOVES.len()));
                        if role.canonical == short || role.canonical == format!("{short}_bn") {
                            role.canonical = role.canonical.replace(&short, &long);
                        }
                    }
                }
            }
        }
        Ok(Config { roles: self.roles, options: self.options, padded_after: self.padded_after })
    }
}
