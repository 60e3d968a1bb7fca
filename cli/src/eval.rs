//! `mobilenet eval --weights F --images X`: one line with the share of pictures named rightly.

use crate::network::{self, Known};
use crate::pictures;
use anyhow::Context;
use mobilenet::image::{Frame, Options, Resizer, Target};
use mobilenet::infer::{Input, Network, Precision, Selection};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The network, in any format.
    #[arg(long)]
    weights: PathBuf,
    /// A folder with classes.json (file name to class), or with one folder a class (number or label).
    #[arg(long)]
    images: PathBuf,
    #[command(flatten)]
    known: Known,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let weights = network::read(&arguments.weights, &arguments.known)?.weights;
    let architecture = weights.architecture.clone();
    let pictures = pictures::labelled(&arguments.images, &architecture)?;
    let mut network = Network::new(&weights, Precision::F32)?;
    let mut resizer = Resizer::new();
    let selection = Selection::top(architecture.classes.min(5));
    let (mut first, mut five) = (0usize, 0usize);
    for (path, class) in &pictures {
        let picture = image::open(path).with_context(|| path.display().to_string())?.into_rgba8();
        let frame = Frame::new(&picture, picture.width() as usize, picture.height() as usize)?;
        let (side, normalisation) = (architecture.resolution, &architecture.normalisation);
        let target = match network.input() {
            Input::F32(values) => Target::F32(values),
            Input::U8(values) => Target::U8(values),
        };
        resizer.resize(&frame, &Options::default(), side, normalisation, target)?;
        let named = selection.pick(network.run())?;
        first += usize::from(named[0].index == *class);
        five += usize::from(named.iter().any(|named| named.index == *class));
    }
    let share = |count: usize| count as f64 / pictures.len() as f64;
    println!("top-1 {:.3} top-5 {:.3} n {}", share(first), share(five), pictures.len());
    Ok(())
}
