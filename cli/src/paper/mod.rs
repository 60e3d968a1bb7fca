//! `mobilenet paper`: what the paper's tables say, counted by this project's own code.

mod networks;

use anyhow::Result;
use mobilenet::Architecture;
use mobilenet::model::cost;

/// Arguments of `paper`: none yet, the costs need no training.
#[derive(clap::Args)]
pub struct Arguments {}

/// Prints Tables 8 and 9 as Markdown: counted beside printed.
pub fn run(_: &Arguments) -> Result<()> {
    println!(
        "| network | top-1 in the paper | Mult-Adds, counted | in the paper | parameters, counted | in the paper |"
    );
    println!("|---|---|---|---|---|---|");
    let row = |name: &str, mult_adds: u64, parameters: u64, paper: (f64, f64, f64)| {
        let millions = |value: u64| value as f64 / 1e6;
        let (counted, held) = (millions(mult_adds), millions(parameters));
        println!("| {name} | {} % | {counted:.0} M | {} M | {held:.2} M | {} M |", paper.0, paper.1, paper.2);
    };
    for (name, alpha, resolution, paper) in [
        ("1.0 MobileNet-224", 1.0, 224, (70.6, 569.0, 4.2)),
        ("0.50 MobileNet-160", 0.5, 160, (60.2, 76.0, 1.32)),
    ] {
        let total = cost::of(&Architecture { alpha, resolution, ..Architecture::default() });
        row(name, total.mult_adds, total.parameters, paper);
    }
    for network in networks::networks() {
        let paper = (network.paper_top1, network.paper_mult_adds, network.paper_parameters);
        row(network.name, network.count.mult_adds, network.count.parameters, paper);
    }
    println!(
        "\nThe paper's 1700 M for SqueezeNet is twice what its layers hold: it seems to count additions apart."
    );
    Ok(())
}
