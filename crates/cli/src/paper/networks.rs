//! The networks that Tables 8 and 9 compare with MobileNet, layer by layer, to count their multiply-adds and parameters.
//!
//! Sources: AlexNet (Krizhevsky et al. 2012, two groups),
//! VGG 16 (Simonyan and Zisserman 2014, configuration D), GoogLeNet (Szegedy et al. 2014, Table 1, without the side
//! heads), SqueezeNet 1.0 (Iandola et al. 2016, Table 1).

/// One step of a network. Maps are square; biases are counted as parameters, not as Mult-Adds.
enum Step {
    /// Convolution with a square window, ReLU behind it.
    Conv { kernel: u64, channels: u64, stride: u64, padding: u64, groups: u64 },
    /// Max pooling. `ceil` rounds the size up, as Caffe does.
    Pool { kernel: u64, stride: u64, padding: u64, ceil: bool },
    /// Mean over the whole map.
    GlobalPool,
    /// Fully connected over everything that is left.
    Dense { outputs: u64 },
    /// Branches over the same map whose channels are put side by side.
    Split(Vec<Vec<Step>>),
}
use Step::{Conv, Dense, GlobalPool, Pool, Split};

/// A feature map inside of a network, and the cost of the layers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    size: u64,
    channels: u64,
    count: Count,
}

/// Cost of a network for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Multiply-adds.
    pub mult_adds: u64,
    /// Weights and biases.
    pub parameters: u64,
}

/// A network of Table 8 or 9 with the paper's figures.
pub struct OtherNetwork {
    /// Its name in the paper.
    pub name: &'static str,
    /// ImageNet top-1 in percent.
    pub paper_top1: f64,
    /// Million multiply-adds.
    pub paper_mult_adds: f64,
    /// Million parameters.
    pub paper_parameters: f64,
    /// Counted from the layers.
    pub count: Count,
}

/// The networks of Tables 8 and 9 that are not MobileNets, in the paper's order.
pub fn networks() -> Vec<OtherNetwork> {
    let network = |name, top1, mult_adds, parameters, input, steps: Vec<Step>| OtherNetwork {
        name,
        paper_top1: top1,
        paper_mult_adds: mult_adds,
        paper_parameters: parameters,
        count: count(input, &steps),
    };
    vec![
        network("GoogLeNet", 69.8, 1550.0, 6.8, 224, googlenet()),
        network("VGG 16", 71.5, 15300.0, 138.0, 224, vgg16()),
        network("SqueezeNet", 57.5, 1700.0, 1.25, 224, squeezenet()),
        network("AlexNet", 57.2, 720.0, 60.0, 227, alexnet()),
    ]
}

fn count(input: u64, steps: &[Step]) -> Count {
    flow(Flow { size: input, channels: 3, count: Count::default() }, steps).count
}

fn flow(start: Flow, steps: &[Step]) -> Flow {
    steps.iter().fold(start, |map, step| match step {
        &Conv { kernel, channels, stride, padding, groups } => {
            let size = (map.size + 2 * padding - kernel) / stride + 1;
            let weights = kernel * kernel * map.channels / groups * channels;
            map.after(size, channels, weights * size * size, weights + channels)
        }
        &Pool { kernel, stride, padding, ceil } => {
            let span = map.size + 2 * padding - kernel;
            let size = if ceil { span.div_ceil(stride) } else { span / stride } + 1;
            map.after(size, map.channels, 0, 0)
        }
        GlobalPool => map.after(1, map.channels, 0, 0),
        &Dense { outputs } => {
            let weights = map.size * map.size * map.channels * outputs;
            map.after(1, outputs, weights, weights + outputs)
        }
        Split(branches) => {
            let empty = Flow { channels: 0, ..map };
            branches.iter().fold(empty, |sum, branch| {
                let end = flow(Flow { count: Count::default(), ..map }, branch);
                sum.after(end.size, sum.channels + end.channels, end.count.mult_adds, end.count.parameters)
            })
        }
    })
}

impl Flow {
    fn after(self, size: u64, channels: u64, mult_adds: u64, parameters: u64) -> Self {
        let count = Count {
            mult_adds: self.count.mult_adds + mult_adds,
            parameters: self.count.parameters + parameters,
        };
        Flow { size, channels, count }
    }
}

/// A convolution that keeps the size.
fn same(kernel: u64, channels: u64) -> Step {
    Conv { kernel, channels, stride: 1, padding: kernel / 2, groups: 1 }
}

fn alexnet() -> Vec<Step> {
    let pool = || Pool { kernel: 3, stride: 2, padding: 0, ceil: false };
    vec![
        Conv { kernel: 11, channels: 96, stride: 4, padding: 0, groups: 1 },
        pool(),
        Conv { kernel: 5, channels: 256, stride: 1, padding: 2, groups: 2 },
        pool(),
        same(3, 384),
        Conv { kernel: 3, channels: 384, stride: 1, padding: 1, groups: 2 },
        Conv { kernel: 3, channels: 256, stride: 1, padding: 1, groups: 2 },
        pool(),
        Dense { outputs: 4096 },
        Dense { outputs: 4096 },
        Dense { outputs: 1000 },
    ]
}

fn vgg16() -> Vec<Step> {
    let mut steps = Vec::new();
    for (convolutions, channels) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)] {
        steps.extend((0..convolutions).map(|_| same(3, channels)));
        steps.push(Pool { kernel: 2, stride: 2, padding: 0, ceil: false });
    }
    steps.extend([Dense { outputs: 4096 }, Dense { outputs: 4096 }, Dense { outputs: 1000 }]);
    steps
}

/// 1×1; 1×1 then 3×3; 1×1 then 5×5; pool then 1×1.
fn inception(one: u64, three: (u64, u64), five: (u64, u64), pooled: u64) -> Step {
    let pool = Pool { kernel: 3, stride: 1, padding: 1, ceil: false };
    Split(vec![
        vec![same(1, one)],
        vec![same(1, three.0), same(3, three.1)],
        vec![same(1, five.0), same(5, five.1)],
        vec![pool, same(1, pooled)],
    ])
}

fn googlenet() -> Vec<Step> {
    let pool = || Pool { kernel: 3, stride: 2, padding: 0, ceil: true };
    vec![
        Conv { kernel: 7, channels: 64, stride: 2, padding: 3, groups: 1 },
        pool(),
        same(1, 64),
        same(3, 192),
        pool(),
        inception(64, (96, 128), (16, 32), 32),
        inception(128, (128, 192), (32, 96), 64),
        pool(),
        inception(192, (96, 208), (16, 48), 64),
        inception(160, (112, 224), (24, 64), 64),
        inception(128, (128, 256), (24, 64), 64),
        inception(112, (144, 288), (32, 64), 64),
        inception(256, (160, 320), (32, 128), 128),
        pool(),
        inception(256, (160, 320), (32, 128), 128),
        inception(384, (192, 384), (48, 128), 128),
        GlobalPool,
        Dense { outputs: 1000 },
    ]
}

/// Squeeze to few channels by 1×1, then expand by 1×1 and 3×3 side by side.
fn fire(squeeze: u64, expand: u64) -> [Step; 2] {
    [same(1, squeeze), Split(vec![vec![same(1, expand)], vec![same(3, expand)]])]
}

fn squeezenet() -> Vec<Step> {
    let pool = || Pool { kernel: 3, stride: 2, padding: 0, ceil: true };
    let mut steps = vec![Conv { kernel: 7, channels: 96, stride: 2, padding: 2, groups: 1 }, pool()];
    steps.extend([fire(16, 64), fire(16, 64), fire(32, 128)].into_iter().flatten());
    steps.push(pool());
    steps.extend([fire(32, 128), fire(48, 192), fire(48, 192), fire(64, 256)].into_iter().flatten());
    steps.push(pool());
    steps.extend(fire(64, 256));
    steps.extend([same(1, 1000), GlobalPool]);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Totals that are published for these very layers: AlexNet with two groups has 60,965,224 parameters
    /// (Caffe's reference model), VGG 16 has 138,357,544, SqueezeNet 1.0 has 1,248,424.
    #[test]
    fn published_parameter_counts_come_out_of_the_layers() {
        let parameters = |name: &str| {
            networks()
                .into_iter()
                .find(|network| network.name == name)
                .map(|network| network.count.parameters)
        };
        assert_eq!(parameters("AlexNet"), Some(60_965_224));
        assert_eq!(parameters("VGG 16"), Some(138_357_544));
        assert_eq!(parameters("SqueezeNet"), Some(1_248_424));
        assert_eq!(parameters("GoogLeNet"), Some(6_998_552));
    }

    #[test]
    fn mult_adds_are_what_the_paper_rounds() {
        let near = |name: &str, share: f64| {
            let networks = networks();
            let network = networks.iter().find(|network| network.name == name).unwrap();
            let ratio = network.count.mult_adds as f64 / 1e6 / network.paper_mult_adds;
            assert!((ratio - 1.0).abs() < share, "{name}: {ratio}");
        };
        near("AlexNet", 0.01);
        near("VGG 16", 0.02);
        near("GoogLeNet", 0.03);
    }
}
