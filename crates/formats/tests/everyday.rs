//! Members of the kinds of networks that people have, in every format that can say them: heads, what stands in front,
//! paddings at any size, nesting, prefixes, small widths.

#![cfg(not(target_arch = "wasm32"))] // the writers are native

use mobilenet::architecture::{ChannelOrder, HeadActivation, HeadLayer, Normalization, Output};
use mobilenet::width::Rounding;
use mobilenet::{Architecture, Error, Input, Kernel, Network, Precision, Weights};
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_formats::{LoadedModel, ModelOptions, ModelSource, Origin, read_source};
use mobilenet_kernels::shape::Padding;
use mobilenet_testing::foreign::{Border, Files, Kind, Plan, every, keras, plan};
use mobilenet_testing::{random, small, small_architecture};

fn read_with((bytes, files): &Files, options: &ModelOptions) -> Result<LoadedModel, Error> {
    let beside: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    read_source(&ModelSource { bytes, companions: &beside }, options)
}

fn read(files: &Files) -> Result<LoadedModel, Error> {
    read_with(files, &ModelOptions::default())
}

/// Every format, Keras' files too.
fn formats(plan: &Plan) -> Vec<(&'static str, Files)> {
    let mut files = every(plan);
    files.push(("keras h5", (keras::h5(plan, true), Vec::new())));
    files.push(("keras zip", (keras::zip(plan), Vec::new())));
    files
}

/// Answers of a network to a picture of noise.
fn answer(weights: &Weights, precision: Precision) -> Vec<f32> {
    let mut network = Network::new(weights, precision).unwrap();
    let mut random = mobilenet_testing::Random(7);
    match network.input() {
        Input::F32(input) => input.iter_mut().for_each(|value| *value = random.signed()),
        Input::U8(input) => input.iter_mut().for_each(|value| *value = (random.bits() & 255) as u8),
    }
    network.run().to_vec()
}

fn with_head(head: Vec<HeadLayer>, output: Output) -> Architecture {
    Architecture { head, output, ..small_architecture() }
}

fn dense(units: usize, activation: HeadActivation) -> HeadLayer {
    HeadLayer { units, elementwise: false, activation }
}

#[test]
fn heads_come_back_with_every_activation() {
    use HeadActivation as A;
    let all = [
        (A::Linear, ""),
        (A::Relu, ""),
        (A::Relu6, ""),
        (A::Tanh, ""),
        (A::Sigmoid, ""),
        (A::Softmax, ""),
        (A::Swish, ""),
        (A::LeakyRelu(0.25), ""),
        (A::Elu(1.0), ""),
        (A::Selu, "tflite"),
        (A::Softplus, "tflite"),
        (A::Gelu, "tfjs graph"),
        (A::HardSwish, "tfjs graph"),
    ];
    let (mut agreeing, mut seed) = (0, 20);
    for (activation, not_in) in all {
        for output in [Output::Softmax, Output::Sigmoid] {
            seed += 1;
            let head = vec![dense(12, activation), dense(9, A::Relu)];
            let weights = random(with_head(head, output), seed);
            for (format, files) in
                formats(&plan(&weights, Border::Same, None)).iter().filter(|(f, _)| *f != not_in)
            {
                let what = format!("{format}, {activation:?}, {output:?}");
                let found = read(files).unwrap_or_else(|error| panic!("{what}: {error}")).weights;
                assert_eq!(found.architecture.head, weights.architecture.head, "{what}");
                assert_eq!(found.architecture.output, output, "{what}");
                assert_eq!(found.layers, weights.layers, "{what}");
                let native = write(&found, Storage::F32).unwrap();
                assert_eq!(read(&(native, Vec::new())).unwrap().weights, found, "{what}");
                agreeing += 1;
            }
            let quantized = mobilenet::quantize::quantize(&weights).unwrap();
            assert!(quantized.is_quantized());
            let native = write(&quantized, Storage::F32).unwrap();
            assert_eq!(read(&(native, Vec::new())).unwrap().weights, quantized);
            assert_eq!(answer(&quantized, Precision::Int8).len(), 5);
        }
    }
    eprintln!("{agreeing} files with heads agree");
}

/// The head of the float network, by the definition.
#[test]
fn a_head_computes_what_it_says_and_its_gradient() {
    let head = vec![dense(12, HeadActivation::Tanh), dense(9, HeadActivation::Swish)];
    let weights = random(with_head(head, Output::Sigmoid), 3);
    let mut network = Network::new(&weights, Precision::F32).unwrap();
    if let Input::F32(input) = network.input() {
        mobilenet_testing::networks::fill(input, 5, 1.0);
    }
    let probabilities = network.run().to_vec();
    let layers = &weights.layers[weights.layers.len() - 3..];
    let logits = |embedding: &[f32]| {
        let mut values: Vec<f64> = embedding.iter().map(|value| f64::from(*value)).collect();
        for (index, layer) in layers.iter().enumerate() {
            let kernel = layer.kernel.to_f32();
            let outputs = layer.bias.len();
            values = (0..outputs)
                .map(|output| {
                    let terms = values.iter().enumerate();
                    let sum = terms.map(|(input, value)| value * f64::from(kernel[input * outputs + output]));
                    let sum = sum.sum::<f64>() + f64::from(layer.bias[output]);
                    match index {
                        0 => sum.tanh(),
                        1 => sum / (1.0 + (-sum).exp()),
                        _ => sum,
                    }
                })
                .collect();
        }
        values
    };
    let embedding = network.embedding().to_vec();
    let wanted = logits(&embedding);
    for ((probability, logit), wanted) in probabilities.iter().zip(network.logits()).zip(&wanted) {
        assert!((f64::from(*logit) - wanted).abs() < 1e-5, "{logit}, not {wanted}");
        assert!((f64::from(*probability) - 1.0 / (1.0 + (-wanted).exp())).abs() < 1e-5);
    }
    for class in 0..5 {
        let gradient = network.classifier(class).unwrap();
        assert_eq!(gradient.len(), embedding.len());
        for (index, got) in gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut embedding = embedding.clone();
                embedding[index] += by;
                logits(&embedding)[class]
            };
            let wanted = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((f64::from(*got) - wanted).abs() < 1e-2 * wanted.abs().max(0.1), "{got}, not {wanted}");
        }
    }
    // Observed, the head's steps are shown, and the answer is the same.
    let mut names = Vec::new();
    let observed = network.run_observed(&mut |layer, map, values| {
        assert_eq!(values().len(), map.len(), "{}", layer.name);
        names.push(layer.name.clone());
    });
    assert_eq!(observed, probabilities);
    assert_eq!(names[27..], ["global_pool", "head_1", "head_2", "conv_preds"]);
    assert_eq!(network.features().1.len(), 16);
}

/// Batch norm and scales on the features, behind a matrix and behind an activation are folded where they can be.
#[test]
fn norms_in_a_head_are_folded_or_kept() {
    let weights = random(with_head(vec![dense(12, HeadActivation::Relu)], Output::Softmax), 4);
    for (name, scale) in [("flatten", 16), ("head_1_relu", 12), ("conv_preds", 12), ("predictions", 5)] {
        let mut changed = plan(&weights, Border::Same, None);
        changed.insert(name, "scaled", Kind::Affine(0.5, 0.25));
        let mut other = weights.clone();
        let fold_before = |layer: &mut mobilenet::LayerWeights| {
            let outputs = layer.bias.len();
            let kernel = layer.kernel.to_f32().into_owned();
            for (row, _) in kernel.chunks(outputs).zip(0..scale) {
                layer.bias.iter_mut().zip(row).for_each(|(bias, weight)| *bias += 0.25 * weight);
            }
            layer.kernel = Kernel::F32(kernel.iter().map(|weight| 0.5 * weight).collect());
        };
        let fold_behind = |layer: &mut mobilenet::LayerWeights| {
            layer.bias.iter_mut().for_each(|bias| *bias = *bias * 0.5 + 0.25);
            layer.kernel = Kernel::F32(layer.kernel.to_f32().iter().map(|weight| 0.5 * weight).collect());
        };
        let last = other.layers.len() - 1;
        match name {
            "flatten" => fold_before(&mut other.layers[last - 1]),
            "head_1_relu" => fold_behind(&mut other.layers[last - 1]),
            "conv_preds" => fold_before(&mut other.layers[last]),
            _ => fold_behind(&mut other.layers[last]),
        }
        let wanted = answer(&other, Precision::F32);
        for (format, files) in formats(&changed) {
            let found = read(&files).unwrap_or_else(|error| panic!("{format}, {name}: {error}")).weights;
            assert_eq!(found.architecture.head.len(), 1, "{format}, {name}");
            for (got, wanted) in answer(&found, Precision::F32).iter().zip(&wanted) {
                assert!((got - wanted).abs() < 1e-5, "{format}, {name}: {got}, not {wanted}");
            }
        }
    }
    // Between two functions a norm is a step of its own.
    let mut changed = plan(&weights, Border::Same, None);
    changed.insert("conv_preds", "bent", Kind::Activation(HeadActivation::Tanh));
    changed.insert("bent", "scaled", Kind::Affine(0.5, 0.25));
    for (format, files) in formats(&changed) {
        let found = read(&files).unwrap_or_else(|error| panic!("{format}: {error}")).weights;
        let norm = HeadLayer { units: 12, elementwise: true, activation: HeadActivation::Tanh };
        assert_eq!(found.architecture.head, [dense(12, HeadActivation::Relu), norm], "{format}");
        let native = write(&found, Storage::F16).unwrap();
        assert_eq!(read(&(native, Vec::new())).unwrap().weights.architecture, found.architecture, "{format}");
    }
}

#[test]
fn one_logit_is_a_sigmoid_of_two_classes() {
    let one = Architecture { classes: 1, labels: Vec::new(), ..small_architecture() };
    let weights = random(one, 5);
    let mut plan = plan(&weights, Border::Keras, None).dense();
    let mut logits = plan.clone();
    logits.steps.pop();
    let softmax = plan.clone();
    plan.steps.last_mut().unwrap().kind = Kind::Sigmoid;
    let mut alone = Network::new(&weights, Precision::F32).unwrap();
    if let Input::F32(input) = alone.input() {
        let mut random = mobilenet_testing::Random(7);
        input.iter_mut().for_each(|value| *value = random.signed());
    }
    alone.run();
    let wanted = 1.0 / (1.0 + (-alone.logits()[0]).exp());
    for (format, files) in formats(&plan).iter().chain(&formats(&logits)) {
        let labels = Some(vec!["no".to_owned(), "yes".to_owned()]);
        let options = ModelOptions { labels, ..ModelOptions::default() };
        let found = read_with(files, &options).unwrap_or_else(|error| panic!("{format}: {error}")).weights;
        assert_eq!((found.architecture.classes, found.architecture.output), (2, Output::Sigmoid), "{format}");
        assert_eq!(found.architecture.labels, ["no", "yes"]);
        let got = answer(&found, Precision::F32);
        assert!(
            (got[0] - (1.0 - wanted)).abs() < 1e-6 && (got[1] - wanted).abs() < 1e-6,
            "{format}: {got:?}"
        );
    }
    for (format, files) in formats(&softmax) {
        let refused = read(&files).unwrap_err().to_string();
        assert!(refused.contains("softmax over one class"), "{format}: {refused}");
    }
}

/// A chain of factors and summands, in any order, is one normalization.
#[test]
fn what_stands_in_front_is_composed() {
    let weights = small(6);
    let third = 1.0 / 255.0;
    for (chain, mean, deviation) in [
        (vec![(third, 0.0)], 0.0, 255.0),
        (vec![(third, 0.0), (2.0, -1.0)], 127.5, 127.5),
        (vec![(1.0 / 127.5, -1.0)], 127.5, 127.5),
        (vec![(1.0, -127.5)], 127.5, 1.0),
        (vec![(1.0, -127.5), (1.0 / 127.5, 0.0)], 127.5, 127.5),
        (vec![(third, 0.0), (1.0, -0.5), (2.0, 0.0)], 127.5, 127.5),
        // Colors from 0 to 1.
        (vec![(2.0, -1.0)], 127.5, 127.5),
        (vec![(1.0, -0.5)], 127.5, 255.0),
    ] {
        let mut plan = plan(&weights, Border::Same, None);
        for (index, (scale, shift)) in chain.iter().enumerate() {
            plan.insert("conv1", &format!("front_{index}"), Kind::Affine(*scale, *shift));
            plan.insert("conv1", &format!("nothing_{index}"), Kind::Nothing);
        }
        for (format, files) in formats(&plan) {
            let found = read(&files).unwrap_or_else(|error| panic!("{format}, {chain:?}: {error}"));
            let Normalization { mean: means, deviation: deviations, order } =
                found.weights.architecture.normalization;
            let near =
                |values: [f32; 3], wanted: f32| values.iter().all(|value| (value - wanted).abs() < 1e-3);
            assert!(near(means, mean), "{format}, {chain:?}: {means:?}");
            assert!(near(deviations, deviation), "{format}, {chain:?}: {deviations:?}");
            assert_eq!(order, ChannelOrder::Rgb);
            assert_eq!(found.weights.architecture.assumed, Vec::<String>::new(), "{format}, {chain:?}");
            assert_eq!(found.weights.layers, weights.layers, "{format}");
            // The caller knows better.
            let mine = Normalization::uniform(10.0, 20.0);
            let options = ModelOptions { normalization: Some(mine), ..ModelOptions::default() };
            assert_eq!(read_with(&files, &options).unwrap().weights.architecture.normalization, mine);
        }
    }
}

#[test]
fn a_scale_that_a_file_cannot_tell_is_a_guess_and_said() {
    let mut weights = small(8);
    let origin = |loaded: &LoadedModel| {
        loaded.properties.iter().find(|property| property.name == "normalization").unwrap().origin
    };
    for divided in [false, true] {
        if divided {
            // As a converter folds `Rescaling(1/255)` into the stem.
            let kernel = weights.layers[0].kernel.to_f32().iter().map(|weight| weight / 255.0).collect();
            weights.layers[0].kernel = Kernel::F32(kernel);
        }
        let wanted = if divided { Normalization::uniform(0.0, 1.0) } else { Normalization::default() };
        let mut plain = plan(&weights, Border::Same, None);
        plain.insert("conv1", "times_one", Kind::Affine(1.0, 0.0));
        for (format, files) in formats(&plain) {
            let loaded = read(&files).unwrap();
            let architecture = &loaded.weights.architecture;
            assert_eq!(architecture.normalization, wanted, "{format}");
            assert_eq!(
                (architecture.assumed.as_slice(), origin(&loaded)),
                (&["normalization".to_owned()][..], Origin::Default)
            );
            // The native file says so, too, until somebody knows.
            let native = (write(&loaded.weights, Storage::F32).unwrap(), Vec::new());
            let again = read(&native).unwrap();
            assert_eq!((&again.weights, origin(&again)), (&loaded.weights, Origin::Default), "{format}");
            let options = ModelOptions { normalization: Some(wanted), ..ModelOptions::default() };
            for files in [&files, &native] {
                let known = read_with(files, &options).unwrap();
                assert!(known.weights.architecture.assumed.is_empty(), "{format}");
                assert_eq!(origin(&known), Origin::Caller);
            }
        }
    }
}

/// Each convolution runs the padding of its graph, at every size.
#[test]
fn paddings_are_read_at_every_size() {
    for resolution in [32, 33, 47, 50, 75, 100] {
        for (border, padding) in [
            (Border::Same, Padding::Same),
            (Border::Keras, Padding::Keras),
            (Border::Symmetric, Padding::Symmetric),
        ] {
            let architecture = Architecture { resolution, padding, ..small_architecture() };
            let weights = random(architecture, 9);
            let written = plan(&weights, border, None);
            for (format, files) in formats(&written) {
                let found = read(&files)
                    .unwrap_or_else(|error| panic!("{format}, {border:?}, {resolution}: {error}"));
                let found = found.weights;
                let layers = found.architecture.layers();
                assert_eq!(layers, weights.architecture.layers(), "{format}, {border:?} at {resolution}");
                assert_eq!(answer(&found, Precision::F32), answer(&weights, Precision::F32), "{format}");
            }
        }
    }
    // A mixture that no rule gives is kept as it is, at its own size alone.
    let weights = random(Architecture { resolution: 50, ..small_architecture() }, 10);
    let mut mixed = plan(&weights, Border::Same, None);
    let at = mixed.at("conv_dw_2");
    let Kind::Conv { same, .. } = &mut mixed.steps[at].kind else { panic!() };
    *same = false;
    mixed.insert("conv_dw_2", "zeros", Kind::Pad([0, 0, 0, 0]));
    for (format, files) in formats(&mixed) {
        let found = read(&files).unwrap_or_else(|error| panic!("{format}: {error}")).weights;
        assert_eq!(found.architecture.pads, [0, 0, 0, 0, 1], "{format}");
        let native = (write(&found, Storage::F32).unwrap(), Vec::new());
        assert_eq!(read(&native).unwrap().weights, found, "{format}");
        let options = ModelOptions { resolution: Some(64), ..ModelOptions::default() };
        for files in [&files, &native] {
            let refused = read_with(files, &options).unwrap_err().to_string();
            assert!(refused.contains("only its own resolution, 50"), "{format}: {refused}");
        }
    }
}

/// Keras' floor: `int(c · alpha)`, down to one channel.
#[test]
fn small_widths_have_no_floor() {
    for alpha in [0.2, 0.1, 0.05] {
        let architecture = Architecture { alpha, rounding: Rounding::Keras, ..small_architecture() };
        let weights = random(architecture, 11);
        for (format, files) in formats(&plan(&weights, Border::Keras, None)) {
            let found = read(&files).unwrap_or_else(|error| panic!("{format}, {alpha}: {error}")).weights;
            assert_eq!((found.architecture.alpha, found.architecture.rounding), (alpha, Rounding::Keras));
            assert_eq!(found.layers, weights.layers, "{format}");
        }
        let quantized = mobilenet::quantize::quantize(&weights).unwrap();
        let (floats, bytes) = (answer(&weights, Precision::F32), answer(&quantized, Precision::Int8));
        assert!(floats.iter().chain(&bytes).all(|value| value.is_finite()));
    }
}

#[test]
fn prefixes_are_stripped_and_the_only_dense_is_the_classifier() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let weights = small(12);
    let layers = weights.architecture.layers_with_weights();
    let file = |front: &str, classifier: &str| {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (layer, given) in layers.iter().zip(&weights.layers) {
            let shape = layer.kernel_shape().unwrap().to_vec();
            let bytes: Vec<u8> = given.kernel.to_f32().iter().flat_map(|value| value.to_le_bytes()).collect();
            let floats =
                |values: Vec<f32>| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
            if layer.name == "conv_preds" {
                tensors.push((format!("{classifier}/kernel"), shape[2..].to_vec(), bytes));
                tensors.push((
                    format!("{classifier}/bias"),
                    vec![given.bias.len()],
                    floats(given.bias.clone()),
                ));
                continue;
            }
            let channels = given.bias.len();
            tensors.push((format!("{front}{}/kernel", layer.name), shape, bytes));
            let norm = format!("{front}{}_bn", layer.name);
            for (part, values) in [
                ("beta", given.bias.clone()),
                ("moving_mean", vec![0.0; channels]),
                ("moving_variance", vec![0.999; channels]),
            ] {
                tensors.push((format!("{norm}/{part}"), vec![channels], floats(values)));
            }
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        (serialize(views, None).unwrap(), Vec::new())
    };
    let wanted = read(&file("", "conv_preds")).unwrap().weights;
    for front in [
        "module.",
        "_orig_mod.",
        "model.",
        "backbone.",
        "ema.",
        "net.",
        "module.model.",
        "state_dict.module._orig_mod.backbone.",
        "mobilenet_0.25_224/",
        "model/mobilenet_0.25_224/",
    ] {
        for classifier in ["conv_preds", "my_head", "module.fc", "sequential/dense_7"] {
            let found = read(&file(front, classifier))
                .unwrap_or_else(|error| panic!("{front}, {classifier}: {error}"));
            assert_eq!(found.weights.layers, wanted.layers, "{front}, {classifier}");
            // A classifier of another name may end in something else than softmax.
            let said = found.weights.architecture.assumed.contains(&"output".to_owned());
            assert_eq!(said, classifier != "conv_preds", "{front}, {classifier}");
        }
    }
}
