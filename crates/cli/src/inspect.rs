//! `mobilenet inspect FILE`: prints a network's layers, their cost and the ranges of their values.

use crate::console::outln;
use crate::model::{self, ModelArgs};
use crate::words::word;
use anyhow::Result;
use mobilenet::cost::{self, LayerCost};
use mobilenet::{Kernel, LayerKind, LayerWeights, Precision};
use mobilenet_formats::LoadedModel;
use mobilenet_kernels::shape::FeatureMap;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Network to inspect, in any format.
    input: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Prints the architecture, its layers and its totals.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = model::read(&arguments.input, &arguments.model)?;
    let bytes = std::fs::metadata(&arguments.input)?.len();
    let rows = rows(&model);
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&json(&model, bytes, &rows))?);
    } else {
        outln!("{}: {bytes} bytes", arguments.input.display());
        model::print(&model);
        table(&model, &rows);
    }
    Ok(())
}

/// A layer with its weights, which the pool does not have.
struct Row<'a> {
    cost: LayerCost,
    weights: Option<&'a LayerWeights>,
}

fn rows(model: &LoadedModel) -> Vec<Row<'_>> {
    let mut weights = model.weights.layers.iter();
    let costs = cost::of_layers(&model.weights.architecture).into_iter();
    costs
        .map(|cost| Row {
            weights: if cost.layer.kind == LayerKind::Pool { None } else { weights.next() },
            cost,
        })
        .collect()
}

impl Row<'_> {
    fn precision(&self) -> Option<Precision> {
        Some(match self.weights?.kernel {
            Kernel::F32(_) | Kernel::Rows { .. } => Precision::F32,
            Kernel::Int8 { .. } => Precision::Int8,
        })
    }

    /// Bytes of kernel, scales and biases in the file's precision.
    fn bytes(&self) -> u64 {
        match self.precision() {
            Some(Precision::Int8) => self.cost.bytes_int8,
            _ => self.cost.cost.bytes_f32(),
        }
    }

    fn range(&self) -> Option<f32> {
        self.weights.and_then(|weights| weights.range)
    }

    /// Smallest and largest value of the kernel.
    fn extremes(&self) -> Option<(f32, f32)> {
        let kernel = self.weights?.kernel.to_f32();
        Some(
            kernel.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value))),
        )
    }
}

fn table(model: &LoadedModel, rows: &[Row]) {
    outln!(
        "\n{:<12} {:<10} {:>12} {:>12} {:>12} {:>10} {:>10} {:<4} {:>17} {:>8}",
        "layer",
        "kind",
        "input",
        "output",
        "Mult-Adds",
        "parameters",
        "bytes",
        "in",
        "weights",
        "range"
    );
    let map = |map: FeatureMap| format!("{}x{}x{}", map.height, map.width, map.channels);
    for row in rows {
        let LayerCost { layer, cost, .. } = &row.cost;
        let weights = row.extremes().map(|(low, high)| format!("{low:.3} to {high:.3}"));
        outln!(
            "{:<12} {:<10} {:>12} {:>12} {:>12} {:>10} {:>10} {:<4} {:>17} {:>8}",
            layer.name,
            layer.kind.name(),
            map(layer.shape.input),
            map(layer.shape.output),
            cost.mult_adds,
            cost.parameters,
            row.bytes(),
            row.precision().map(|precision| word(&precision)).unwrap_or_default(),
            weights.unwrap_or_default(),
            row.range().map(|range| format!("{range:.4}")).unwrap_or_default(),
        );
    }
    let total = cost::of(&model.weights.architecture);
    let bytes: u64 = rows.iter().map(Row::bytes).sum();
    outln!("{:<49} {:>12} {:>10} {bytes:>10}", "total", total.mult_adds, total.parameters);
}

fn json(model: &LoadedModel, bytes: u64, rows: &[Row]) -> Value {
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
            "precision": row.precision(),
            "weights": row.extremes(),
            "range": row.range(),
        })
    };
    json!({
        "format": model.format.name(),
        "bytes": bytes,
        "architecture": model.weights.architecture,
        "properties": model.properties,
        "provenance": model.weights.provenance,
        "layers": rows.iter().map(layer).collect::<Vec<_>>(),
        "total": cost::of(&model.weights.architecture),
    })
}
