//! Weights that are finite and absurd are refused when they are packed, by the layer's name.

use mobilenet::error::Kind;
use mobilenet::{Classifier, Kernel, Precision};

#[test]
fn absurd_weights_are_refused_by_the_layer() {
    for precision in [Precision::F32, Precision::Int8] {
        let good = mobilenet_testing::small(1);
        assert!(Classifier::new(&good, precision).is_ok());
        let last = good.layers.len() - 1;
        let mut absurd = good.clone();
        // Features are 6, and their sums overflow.
        absurd.layers[last - 1].bias.fill(6.0);
        absurd.layers[last].kernel =
            Kernel::F32(absurd.layers[last].kernel.to_f32().iter().map(|_| 3e38).collect());
        let error = Classifier::new(&absurd, precision).err().expect("it must be refused");
        assert_eq!(error.kind(), Kind::NotFinite, "{error}");
        let rule = "`: its output must be finite numbers";
        assert!(error.to_string().starts_with("layer `") && error.to_string().contains(rule), "{error}");
        let error = Classifier::from_weights_mut(&mut absurd, precision).err().expect("it must be refused");
        assert_eq!(error.kind(), Kind::NotFinite, "{error}");
    }
}
