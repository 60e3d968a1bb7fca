//! `mobilenet`: the native program. One file a command; the only place of the project with disk and image decoding.

mod convert;
mod disk;
mod download;
mod eval;
mod inspect;
mod network;
mod paper;
mod pictures;
mod quantize;
mod runner;
mod train;

use clap::{Parser, Subcommand};

/// Convert, evaluate and train MobileNet v1 networks.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Turn a network of any format into the native model file.
    Convert(convert::Arguments),
    /// Fetch a published network by its name and convert it.
    Download(download::Arguments),
    /// Count how often a network names labelled pictures rightly.
    Eval(eval::Arguments),
    /// Show what a network is: its layers, their cost, their ranges.
    Inspect(inspect::Arguments),
    /// Turn a float network into an int8 one with ranges measured on pictures.
    Quantize(quantize::Arguments),
    /// Train a network on labelled pictures.
    Train(Box<train::Arguments>),
    /// Train the networks of the paper's tables small and write a report, its own figures beside them.
    Paper(Box<paper::Arguments>),
}

fn main() -> anyhow::Result<()> {
    let command = Arguments::parse().command;
    if matches!(command, Command::Eval(_) | Command::Inspect(_)) {
        // What only prints ends quietly where nobody reads on: `mobilenet inspect FILE | head`.
        sigpipe::reset();
    }
    match command {
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Download(arguments) => download::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Quantize(arguments) => quantize::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Paper(arguments) => paper::run(&arguments),
    }
}
