//! Readers and writers of model files: names, axes, round trips, and the sentences for what is wrong.

mod common;

use common::{shared, small, small_architecture};
use mobilenet::formats::safetensors::{Storage, write};
use mobilenet::formats::{self, Format, Options, Origin, Source};
use mobilenet::model::Kernel;
use mobilenet::model::architecture::Rounding;
use mobilenet::shape::Padding;

#[test]
fn the_native_file_gives_back_every_bit() {
    let weights = small(1);
    let bytes = write(&weights, Storage::F32).unwrap();
    assert_eq!(Format::detect(&bytes).unwrap(), Format::Safetensors);
    assert_eq!(formats::read(&bytes, &Options::default()).unwrap(), weights);
    assert_eq!(bytes, write(&weights, Storage::F32).unwrap(), "the same network, the same bytes");
}

#[test]
fn float16_is_within_its_rounding_and_stable() {
    let weights = small(2);
    let bytes = write(&weights, Storage::F16).unwrap();
    let back = formats::read(&bytes, &Options::default()).unwrap();
    for (layer, rounded) in weights.layers.iter().zip(&back.layers) {
        assert_eq!(layer.bias, rounded.bias, "{}", layer.name);
        for (exact, rounded) in layer.kernel.to_f32().iter().zip(rounded.kernel.to_f32().iter()) {
            // Half a unit in the last of 11 bits, or half the smallest subnormal.
            assert!(
                (exact - rounded).abs() <= (exact.abs() / 2048.0).max(3.0e-8),
                "{exact} became {rounded}"
            );
        }
    }
    assert_eq!(bytes, write(&back, Storage::F16).unwrap());
}

#[test]
fn int8_kernels_ranges_and_provenance_survive() {
    let mut weights = small(3);
    for (index, layer) in weights.layers.iter_mut().enumerate() {
        let values = (0..layer.kernel.len()).map(|at| ((at * 31 + index) % 255) as i16 - 127);
        let scales = (0..layer.bias.len()).map(|at| 0.001 + at as f32 * 1e-4).collect();
        layer.kernel = Kernel::Int8 { values: values.map(|value| value as i8).collect(), scales };
        layer.range = Some(6.0 - index as f32 * 0.1);
    }
    weights.provenance.description = "a test".into();
    weights.provenance.licence = "none".into();
    let bytes = write(&weights, Storage::F32).unwrap();
    assert_eq!(formats::read(&bytes, &Options::default()).unwrap(), weights);
}

#[test]
fn timm_is_read_by_names_and_shapes() {
    let Some(bytes) = shared("weights/timm/mobilenetv1_100.safetensors") else { return };
    let options = Options { padding: Some(Padding::Same), ..Options::default() };
    let reading = formats::read_source(&Source::alone(&bytes), &options).unwrap();
    let architecture = &reading.weights.architecture;
    assert_eq!((architecture.alpha, architecture.rounding), (1.0, Rounding::Truncate));
    assert_eq!((architecture.classes, architecture.background, architecture.epsilon), (1000, false, 1e-5));
    let origin = |name| reading.properties.iter().find(|property| property.name == name).unwrap().origin;
    assert_eq!((origin("padding"), origin("epsilon")), (Origin::Caller, Origin::Habit));
    let native = write(&reading.weights, Storage::F32).unwrap();
    assert_eq!(formats::read(&native, &Options::default()).unwrap(), reading.weights);
}

/// Every Keras file: alpha, resolution, and what the configuration (or a habit) says.
#[test]
fn keras_files_are_read_in_every_layout() {
    let files = [
        ("keras/mobilenet_1_0_224_tf.h5", Format::KerasH5, 1.0, 224, Origin::Habit),
        ("keras/mobilenet_2_5_224_tf_rebuilt_weights.h5", Format::KerasH5, 0.25, 224, Origin::Habit),
        ("keras/mbnet128_0.25.h5", Format::KerasH5, 0.25, 128, Origin::File),
        ("keras/mobilenet_v1_0.25_224.h5", Format::KerasH5, 0.25, 224, Origin::File),
        ("keras/mobilenet_v1_0.25_224.keras", Format::KerasZip, 0.25, 224, Origin::File),
    ];
    for (file, format, alpha, resolution, origin) in files {
        let Some(bytes) = shared(&format!("weights/{file}")) else { return };
        let reading = formats::read_source(&Source::alone(&bytes), &Options::default())
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let architecture = &reading.weights.architecture;
        assert_eq!(reading.format, format, "{file}");
        assert_eq!((architecture.alpha, architecture.resolution), (alpha, resolution), "{file}");
        assert_eq!((architecture.padding, architecture.epsilon), (Padding::Same, 1e-3), "{file}");
        for property in ["padding", "activation", "epsilon", "resolution"] {
            let found = reading.properties.iter().find(|found| found.name == property).unwrap();
            assert_eq!(found.origin, origin, "{file}: {property}");
        }
    }
}

#[test]
fn the_small_architecture_is_small() {
    assert!(small_architecture().features() == 16);
}
