//! Multiply-adds, parameters and bytes of every layer, from the shapes alone (section 3 of the paper).
//!
//! With `K` the window's side, `M` channels in, `N` channels out and `F × F` pixels out, a standard convolution costs
//! `K·K·M·N·F·F` multiply-adds, a depthwise one `K·K·M·F·F`, a pointwise one `M·N·F·F`.

use super::architecture::{Architecture, Layer, LayerKind};
use serde::Serialize;

/// What one layer, or a whole network, costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Multiplications with their additions, as the paper counts them: convolutions and the classifier, nothing for
    /// batch norm, activations and the pool.
    pub mult_adds: u64,
    /// Parameters as Keras' `count_params` has them: kernels, biases, and batch norm's four values a channel.
    pub parameters: u64,
    /// Of these the ones that training changes: all but batch norm's moving averages.
    pub trainable: u64,
    /// With batch norm folded away: kernels and one bias a channel. What a network that runs holds.
    pub folded: u64,
    /// Values that come out.
    pub activations: u64,
}

impl Cost {
    /// Bytes of the folded parameters in float32.
    pub const fn bytes_f32(&self) -> u64 {
        4 * self.folded
    }
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            mult_adds: self.mult_adds + other.mult_adds,
            parameters: self.parameters + other.parameters,
            trainable: self.trainable + other.trainable,
            folded: self.folded + other.folded,
            activations: self.activations + other.activations,
        }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), |sum, cost| sum + cost)
    }
}

/// A layer and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// The layer.
    pub layer: Layer,
    /// Its cost.
    pub cost: Cost,
    /// Bytes of its kernel and biases in int8: a byte a weight, a scale and a bias of four bytes a channel.
    pub bytes_int8: u64,
}

/// What one layer costs.
pub fn of_layer(layer: &Layer) -> Cost {
    let output = layer.shape.output;
    let kernel = layer.kernel_shape().map_or(0, |shape| shape.iter().map(|&axis| axis as u64).product());
    let channels = if kernel == 0 { 0 } else { output.channels as u64 };
    // Keras gives no bias to a convolution that batch norm follows; gamma and beta are trained, the averages not.
    let (trained, kept) = if layer.has_batch_norm() { (2 * channels, 2 * channels) } else { (channels, 0) };
    Cost {
        // Every weight is used once for every pixel of the output.
        mult_adds: kernel * output.pixels() as u64,
        parameters: kernel + trained + kept,
        trainable: kernel + trained,
        folded: kernel + channels,
        activations: output.len() as u64,
    }
}

/// Every layer with its cost, in the order the data flows.
pub fn of_layers(architecture: &Architecture) -> Vec<LayerCost> {
    let with_cost = |layer: Layer| {
        let cost = of_layer(&layer);
        let channels = if layer.kind == LayerKind::Pool { 0 } else { layer.shape.output.channels as u64 };
        // A head is computed in floats.
        let float = layer.is_head() && !architecture.head.is_empty();
        let bytes_int8 = if float { cost.bytes_f32() } else { cost.folded + 7 * channels };
        LayerCost { layer, cost, bytes_int8 }
    };
    architecture.layers().into_iter().map(with_cost).collect()
}

/// What the whole network costs.
///
/// ```
/// use mobilenet::{Architecture, cost};
///
/// let cost = cost::of(&Architecture::default());
/// assert_eq!(cost.mult_adds, 568_740_352);
/// assert_eq!(cost.parameters, 4_253_864);
/// ```
pub fn of(architecture: &Architecture) -> Cost {
    architecture.layers().iter().map(of_layer).sum()
}

/// The share of one kind of layer in the whole network's Mult-Adds and weights, as Table 2 has them: kernels alone,
/// without biases and batch norm.
pub fn share_of(architecture: &Architecture, kind: LayerKind) -> (f64, f64) {
    let layers = architecture.layers();
    let count = |layer: &Layer| {
        let weights = layer.kernel_shape().map_or(0, |shape| shape.iter().map(|&axis| axis as u64).product());
        (of_layer(layer).mult_adds, weights)
    };
    let sum = |wanted: &dyn Fn(&Layer) -> bool| {
        let counted = layers.iter().filter(|layer| wanted(layer)).map(count);
        counted.fold((0, 0u64), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let (part, whole) = (sum(&|layer| layer.kind == kind), sum(&|_| true));
    (part.0 as f64 / whole.0 as f64, part.1 as f64 / whole.1 as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Convolution;
    use mobilenet_kernels::shape::{ConvShape, FeatureMap, Padding};

    /// `value` in millions, written with the paper's number of decimals.
    fn millions(value: u64, decimals: usize) -> String {
        format!("{:.decimals$}", value as f64 / 1e6)
    }

    fn network(alpha: f64, resolution: usize) -> Architecture {
        Architecture { alpha, resolution, ..Architecture::default() }
    }

    #[test]
    fn the_exact_totals_of_one_point_oh_224() {
        let architecture = Architecture::default();
        let cost = of(&architecture);
        assert_eq!(cost.mult_adds, 568_740_352);
        assert_eq!(cost.parameters, 4_253_864);
        assert_eq!(cost.trainable, 4_231_976);
        assert_eq!(cost.folded, 4_221_032);
        assert_eq!(cost.bytes_f32(), 16_884_128);
        let layers = of_layers(&architecture);
        let classifier = layers.last().unwrap();
        assert_eq!(cost.mult_adds - classifier.cost.mult_adds, 567_716_352);
        assert_eq!(layers.iter().map(|layer| layer.cost).sum::<Cost>(), cost);
        // A byte a weight, 8 for each of the 11,944 channels' scale and bias.
        let bytes: u64 = layers.iter().map(|layer| layer.bytes_int8).sum();
        let channels: u64 = cost.folded - 4_209_088;
        assert_eq!((channels, bytes), (11_944, 4_209_088 + 8 * 11_944));
    }

    #[test]
    fn table_1_layer_by_layer() {
        // Each line of Table 1, K·K·M·N·F·F written out from the paper's own columns.
        let dw = |channels: u64, side: u64| 9 * channels * side * side;
        let pw = |inputs: u64, outputs: u64, side: u64| inputs * outputs * side * side;
        let mut expected = vec![9 * 3 * 32 * 112 * 112];
        for (inputs, outputs, side) in [
            (32, 64, 112),
            (64, 128, 56),
            (128, 128, 56),
            (128, 256, 28),
            (256, 256, 28),
            (256, 512, 14),
            (512, 512, 14),
            (512, 512, 14),
            (512, 512, 14),
            (512, 512, 14),
            (512, 512, 14),
            (512, 1024, 7),
            (1024, 1024, 7),
        ] {
            expected.extend([dw(inputs, side), pw(inputs, outputs, side)]);
        }
        expected.extend([0, 1024 * 1000]);
        let found: Vec<u64> =
            of_layers(&Architecture::default()).iter().map(|layer| layer.cost.mult_adds).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn table_2_share_per_layer_type() {
        let share = |kind| {
            let (mult_adds, parameters) = share_of(&Architecture::default(), kind);
            (format!("{:.2}", 100.0 * mult_adds), format!("{:.2}", 100.0 * parameters))
        };
        let pair = |mult_adds: &str, parameters: &str| (mult_adds.to_string(), parameters.to_string());
        assert_eq!(share(LayerKind::Pointwise), pair("94.86", "74.59"));
        assert_eq!(share(LayerKind::Depthwise), pair("3.06", "1.06"));
        // The paper prints 1.19 for the stem's Mult-Adds: digits swapped, for its column adds up to 99.29. Table 1
        // makes it 10,838,016 of 568,740,352.
        assert_eq!(share(LayerKind::Stem), pair("1.91", "0.02"));
        assert_eq!(share(LayerKind::Classifier), pair("0.18", "24.33"));
    }

    /// Mult-Adds and weights of a 3×3 layer over `side × side × channels` with as many kernels.
    fn table_3(kinds: &[LayerKind], side: usize, channels: usize) -> (u64, u64) {
        let input = FeatureMap::new(side, side, channels);
        let cost = |&kind: &LayerKind| {
            let shape = match kind {
                LayerKind::Pointwise => ConvShape::pointwise(input, channels),
                _ => ConvShape::window(input, channels, 1, Padding::Same),
            };
            let layer = Layer { name: "layer".into(), kind, shape, activation: Default::default() };
            let cost = of_layer(&layer);
            (cost.mult_adds, cost.folded - channels as u64)
        };
        kinds.iter().map(cost).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    #[test]
    fn table_3_one_layer_four_ways() {
        let separable = [LayerKind::Depthwise, LayerKind::Pointwise];
        let written = |(mult_adds, weights), decimals| (millions(mult_adds, decimals), millions(weights, 2));
        let pair = |mult_adds: &str, weights: &str| (mult_adds.to_string(), weights.to_string());
        assert_eq!(written(table_3(&[LayerKind::Standard], 14, 512), 0), pair("462", "2.36"));
        assert_eq!(written(table_3(&separable, 14, 512), 1), pair("52.3", "0.27"));
        assert_eq!(written(table_3(&separable, 14, 384), 1), pair("29.6", "0.15"));
        assert_eq!(written(table_3(&separable, 10, 384), 1), pair("15.1", "0.15"));
    }

    #[test]
    fn tables_4_to_9_the_mobilenet_rows() {
        let standard = Architecture { convolution: Convolution::Standard, ..Architecture::default() };
        let shallow = Architecture { shallow: true, ..Architecture::default() };
        // Our exact count, then what the table prints in millions. The paper rounds some figures and cuts others
        // (290.68 is its 290, 76.52 its 76, 1.326 its 1.32), and its 4866 leaves the classifier out.
        type Row = (&'static str, Architecture, (u64, u64), (f64, f64));
        let rows: [Row; 10] = [
            ("T4 Conv MobileNet", standard, (4_867_293_184, 29_288_104), (4866.0, 29.3)),
            ("T4-T8 1.0 MobileNet-224", network(1.0, 224), (568_740_352, 4_221_032), (569.0, 4.2)),
            ("T5-T6 0.75 MobileNet-224", network(0.75, 224), (325_400_448, 2_577_352), (325.0, 2.6)),
            ("T5 Shallow MobileNet", shallow, (307_323_392, 2_882_152), (307.0, 2.9)),
            ("T6 0.5 MobileNet-224", network(0.5, 224), (149_497_088, 1_326_120), (149.0, 1.3)),
            ("T6 0.25 MobileNet-224", network(0.25, 224), (41_030_272, 467_336), (41.0, 0.5)),
            ("T7 1.0 MobileNet-192", network(1.0, 192), (418_121_728, 4_221_032), (418.0, 4.2)),
            ("T7 1.0 MobileNet-160", network(1.0, 160), (290_675_200, 4_221_032), (290.0, 4.2)),
            ("T7 1.0 MobileNet-128", network(1.0, 128), (186_400_768, 4_221_032), (186.0, 4.2)),
            ("T9 0.50 MobileNet-160", network(0.5, 160), (76_524_800, 1_326_120), (76.0, 1.32)),
        ];
        let prints = |exact: u64, unit: f64, printed: f64| {
            let exact = exact as f64 / unit;
            let printed = (printed * 1e6 / unit).round();
            exact.round() == printed || exact.floor() == printed
        };
        for (row, architecture, exact, (mult_adds, parameters)) in rows {
            let cost = of(&architecture);
            assert_eq!((cost.mult_adds, cost.folded), exact, "{row}");
            let counted =
                if row == "T4 Conv MobileNet" { cost.mult_adds - 1_024_000 } else { cost.mult_adds };
            assert!(prints(counted, 1e6, mult_adds), "{row}: {counted} Mult-Adds");
            let unit = if parameters == 1.32 { 1e4 } else { 1e5 };
            assert!(prints(cost.folded, unit, parameters), "{row}: {} parameters", cost.folded);
        }
    }

    #[test]
    fn the_saving_of_a_separable_layer_is_one_over_n_plus_one_ninth() {
        let full = table_3(&[LayerKind::Standard], 14, 512).0 as f64;
        let split = table_3(&[LayerKind::Depthwise, LayerKind::Pointwise], 14, 512).0 as f64;
        assert!((split / full - (1.0 / 512.0 + 1.0 / 9.0)).abs() < 1e-12);
    }
}
