//! `mobilenet inspect FILE`: what a network is, layer by layer, what it costs and what it holds.

use crate::network::{self, Known};
use anyhow::Result;
use mobilenet::cost::{self, LayerCost};
use mobilenet::{Kernel, LayerKind, LayerWeights};
use mobilenet_formats::LoadedModel;
use mobilenet_kernels::shape::FeatureMap;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network, in any format.
    input: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    known: Known,
}

/// Prints the architecture, its layers and its totals.
pub fn run(arguments: &Arguments) -> Result<()> {
    let reading = network::read(&arguments.input, &arguments.known)?;
    let bytes = std::fs::metadata(&arguments.input)?.len();
    let rows = rows(&reading);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json(&reading, bytes, &rows))?);
    } else {
        println!("{}: {bytes} bytes", arguments.input.display());
        network::print(&reading);
        table(&reading, &rows);
    }
    Ok(())
}

/// A layer, and what the file holds of it; the pool holds nothing.
struct Row<'a> {
    cost: LayerCost,
    given: Option<&'a LayerWeights>,
}

fn rows(reading: &LoadedModel) -> Vec<Row<'_>> {
    let mut given = reading.weights.layers.iter();
    let costs = cost::of_layers(&reading.weights.architecture).into_iter();
    costs
        .map(|cost| Row { given: if cost.layer.kind == LayerKind::Pool { None } else { given.next() }, cost })
        .collect()
}

impl Row<'_> {
    fn precision(&self) -> &'static str {
        match self.given.map(|given| &given.kernel) {
            Some(Kernel::F32(_) | Kernel::Rows { .. }) => "f32",
            Some(Kernel::Int8 { .. }) => "int8",
            None => "",
        }
    }

    /// Bytes of kernel, scales and biases in the numbers that the file has.
    fn bytes(&self) -> u64 {
        match self.precision() {
            "int8" => self.cost.bytes_int8,
            _ => self.cost.cost.bytes_f32(),
        }
    }

    fn range(&self) -> Option<f32> {
        self.given.and_then(|given| given.range)
    }

    /// Smallest and largest weight.
    fn weights(&self) -> Option<(f32, f32)> {
        let kernel = self.given?.kernel.to_f32();
        Some(
            kernel.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value))),
        )
    }
}

fn table(reading: &LoadedModel, rows: &[Row]) {
    println!(
        "\n{:<12} {:<10} {:>12} {:>12} {:>12} {:>10} {:>10} {:<4} {:>17} {:>8}",
        "layer", "kind", "input", "output", "Mult-Adds", "parameters", "bytes", "in", "weights", "range"
    );
    let map = |map: FeatureMap| format!("{}x{}x{}", map.height, map.width, map.channels);
    for row in rows {
        let LayerCost { layer, cost, .. } = &row.cost;
        let weights = row.weights().map(|(low, high)| format!("{low:.3} to {high:.3}"));
        println!(
            "{:<12} {:<10} {:>12} {:>12} {:>12} {:>10} {:>10} {:<4} {:>17} {:>8}",
            layer.name,
            format!("{:?}", layer.kind).to_lowercase(),
            map(layer.shape.input),
            map(layer.shape.output),
            cost.mult_adds,
            cost.parameters,
            row.bytes(),
            row.precision(),
            weights.unwrap_or_default(),
            row.range().map(|range| format!("{range:.4}")).unwrap_or_default(),
        );
    }
    let total = cost::of(&reading.weights.architecture);
    let bytes: u64 = rows.iter().map(Row::bytes).sum();
    println!("{:<49} {:>12} {:>10} {bytes:>10}", "total", total.mult_adds, total.parameters);
}

fn json(reading: &LoadedModel, bytes: u64, rows: &[Row]) -> Value {
    let map = |map: FeatureMap| json!([map.height, map.width, map.channels]);
    let layer = |row: &Row| {
        let LayerCost { layer, cost, .. } = &row.cost;
        json!({
            "name": layer.name,
            "kind": layer.kind,
            "input": map(layer.shape.input),
            "output": map(layer.shape.output),
            "cost": cost,
            "bytes": row.bytes(),
            "precision": Some(row.precision()).filter(|name| !name.is_empty()),
            "weights": row.weights(),
            "range": row.range(),
        })
    };
    json!({
        "format": reading.format.name(),
        "bytes": bytes,
        "architecture": reading.weights.architecture,
        "properties": reading.properties,
        "provenance": reading.weights.provenance,
        "layers": rows.iter().map(layer).collect::<Vec<_>>(),
        "total": cost::of(&reading.weights.architecture),
    })
}
