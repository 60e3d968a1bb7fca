//! `mobilenet`: the command-line program. One module per command; the only crate with file access and image decoding.
//!
//! `model`, `images` and `files` read and write, `runner` runs networks on images, `console` prints, `words` takes the
//! values of options from the library's enums.

mod console;
mod convert;
mod download;
mod eval;
mod files;
mod images;
mod inspect;
mod model;
mod paper;
mod quantize;
mod runner;
mod train;
mod words;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Convert, evaluate and train MobileNet v1 networks.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Convert a network of any format to the native model file.
    Convert(convert::Arguments),
    /// Download a published network by name and convert it.
    Download(download::Arguments),
    /// Measure a network's accuracy on labeled images.
    Eval(eval::Arguments),
    /// Print a network's layers, their cost and their ranges.
    Inspect(inspect::Arguments),
    /// Quantize a float network to int8, with ranges measured on images.
    Quantize(quantize::Arguments),
    /// Train a network on labeled images.
    Train(Box<train::Arguments>),
    /// Train the networks of the paper's tables at a small scale and write a report beside the paper's own figures.
    Paper(Box<paper::Arguments>),
}

impl Command {
    /// Whether the command writes nothing but its standard output.
    fn only_prints(&self) -> bool {
        match self {
            Command::Eval(_) | Command::Inspect(_) => true,
            Command::Download(arguments) => arguments.only_lists(),
            Command::Paper(arguments) => arguments.only_counts(),
            Command::Convert(_) | Command::Quantize(_) | Command::Train(_) => false,
        }
    }
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    if command.only_prints() {
        // As in `mobilenet inspect FILE | head`: ends quietly with its reader.
        sigpipe::reset();
    }
    console::finish(match command {
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Download(arguments) => download::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Quantize(arguments) => quantize::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Paper(arguments) => paper::run(&arguments),
    })
}
