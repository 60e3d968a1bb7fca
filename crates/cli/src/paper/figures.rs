//! Figures 4 and 5 as SVG: accuracy against Mult-Adds and against parameters, here and in the paper.

use super::claims::Scored;
use super::family::{Printed, SIDES, SMALL, WIDTHS};
use anyhow::anyhow;
use plotters::prelude::*;

/// Cost of a network (millions) and its accuracy (percent).
type Point = (f64, f64);
/// One of both.
type Value = fn(&Point) -> f64;
/// Name and points of one resolution, which a line connects.
type Series = (String, Vec<Point>);

const COLORS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    BLACK,
];

/// Horizontal axis of a figure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Figure 4.
    MultAdds,
    /// Figure 5.
    Parameters,
}

/// Draws a figure: the networks of this run on the left, the paper's on the right. `parameters` is a network's number of
/// parameters.
pub fn draw(axis: Axis, grid: &[Scored], parameters: impl Fn(&Scored) -> u64) -> anyhow::Result<String> {
    let mut sides: Vec<usize> = grid.iter().map(|scored| scored.member.resolution).collect();
    sides.sort_unstable_by(|a, b| b.cmp(a));
    sides.dedup();
    let point = |scored: &Scored| match axis {
        Axis::MultAdds => (scored.mult_adds as f64 / 1e6, scored.top1),
        Axis::Parameters => (parameters(scored) as f64 / 1e6, scored.top1),
    };
    let ours: Vec<Series> = sides
        .iter()
        .map(|&side| {
            let of_side = grid.iter().filter(|scored| scored.member.resolution == side);
            (format!("{side} × {side}"), of_side.map(point).collect())
        })
        .collect();
    let printed = |printed: &Printed| match axis {
        Axis::MultAdds => (printed.mult_adds, printed.top1),
        Axis::Parameters => (printed.parameters, printed.top1),
    };
    let mut paper: Vec<Series> =
        vec![("224 × 224".into(), WIDTHS.iter().map(|(_, row)| printed(row)).collect())];
    for (side, row) in &SIDES[1..] {
        let small = if *side == 160 { vec![printed(&SMALL)] } else { Vec::new() };
        paper.push((format!("{side} × {side}"), [vec![printed(row)], small].concat()));
    }
    let panels = [("trained here", ours), ("printed in the paper, ImageNet", paper)];
    svg(axis, &panels).map_err(|error| anyhow!("figure: cannot be drawn: {error}"))
}

fn svg(axis: Axis, panels: &[(&str, Vec<Series>)]) -> Result<String, Box<dyn std::error::Error>> {
    let label = match axis {
        Axis::MultAdds => "million Mult-Adds",
        Axis::Parameters => "million parameters",
    };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, 400)).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, (title, series)) in root.split_evenly((1, panels.len())).iter().zip(panels) {
            let points = || series.iter().flat_map(|(_, points)| points);
            let least = |value: Value| points().map(value).fold(f64::MAX, f64::min);
            let most = |value: Value| points().map(value).fold(f64::MIN, f64::max);
            if points().next().is_none() {
                continue;
            }
            let (cost, accuracy): (Value, Value) = (|point| point.0, |point| point.1);
            let across = (least(cost) / 1.3..most(cost) * 1.3).log_scale();
            let up = (least(accuracy) - 3.0).max(0.0)..(most(accuracy) + 3.0).min(100.0);
            let mut chart = ChartBuilder::on(area)
                .caption(title, ("sans-serif", 18))
                .margin(10)
                .x_label_area_size(40)
                .y_label_area_size(46)
                .build_cartesian_2d(across, up)?;
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(label).y_desc("top-1 (%)").light_line_style(WHITE);
            mesh.x_label_formatter(&|value| format!("{value}"))
                .y_label_formatter(&|value| format!("{value:.0}"));
            mesh.draw()?;
            for ((name, points), color) in series.iter().zip(COLORS.into_iter().cycle()) {
                chart.draw_series(LineSeries::new(points.iter().copied(), &color))?;
                let dot = move |at| Circle::new(at, 4, color.filled());
                let drawn = chart.draw_series(points.iter().copied().map(dot))?;
                drawn.label(name).legend(move |(x, y)| Circle::new((x + 8, y), 4, color.filled()));
            }
            let mut legend = chart.configure_series_labels();
            legend.position(SeriesLabelPosition::LowerRight).background_style(WHITE).border_style(BLACK);
            legend.draw()?;
        }
        root.present()?;
    }
    Ok(svg)
}
