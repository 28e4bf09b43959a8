//! A proof as stacked bars, one for each engine.

#[path = "native_cuda.rs"]
mod native_cuda;

use std::path::Path;

use plotters::{coord::Shift, prelude::*};
use serde_json::Value;

/// A stage's name, and its time in an engine's times. Stages follow each other and do not overlap.
type Stage = (&'static str, fn(&Value) -> f64);

const STAGES: [Stage; 13] = [
    ("traces to the device", |engine| ms(engine, "transport_ms")),
    ("rs_code_matrix", |engine| ms(engine, "rs_code_matrix_ms")),
    ("merkle_tree", |engine| ms(engine, "merkle_tree_ms")),
    ("rest of the commitment", |engine| rest(engine, "commit_ms", &["rs_code_matrix_ms", "merkle_tree_ms"])),
    ("GKR and its input layer", |engine| ms(engine, "gkr_ms") + (ms(engine, "gkr_input_ms") - early_proof_of_work(engine)).max(0.0)),
    ("round 0", |engine| ms(engine, "round0_ms")),
    ("folding and later rounds", |engine| ms(engine, "fold_ms") + ms(engine, "mle_rounds_ms")),
    ("column openings", |engine| ms(engine, "column_openings_ms")),
    ("stacked reduction", |engine| ms(engine, "stacked_reduction_ms")),
    ("WHIR", |engine| rest(engine, "whir_ms", &["openings_proof_of_work_ms"])),
    // All of them, in records that do not tell them apart.
    ("rest of the openings", |engine| match ms(engine, "whir_ms") {
        0.0 => rest(engine, "openings_ms", &["openings_proof_of_work_ms"]),
        _ => rest(engine, "openings_ms", &["stacked_reduction_ms", "whir_ms"]),
    }),
    ("proof of work", |engine| ms(engine, "proof_of_work_ms")),
    ("the rest", |engine| {
        rest(
            engine,
            "prove_ms",
            &[
                "transport_ms",
                "commit_ms",
                "gkr_input_ms",
                "gkr_ms",
                "round0_ms",
                "fold_ms",
                "mle_rounds_ms",
                "column_openings_ms",
                "openings_ms",
            ],
        )
    }),
];

/// Whether a record is one of a proof by both engines.
pub fn is_proof(record: &Value) -> bool {
    record["stock"]["prove_ms"].is_number()
}

/// One proof by both engines and, where they are known, ours on a GPU at its full clock and native CUDA's: a bar each, stage on stage. Below, those that are
/// short beside the stock engine's, on a scale of their own.
pub fn draw(record: &Value, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut bars = vec![("stock CPU engine".to_owned(), record["stock"].clone()), ("this engine".to_owned(), record["wgpu"].clone())];
    let warm = &record["wgpu"]["stages_warm"];
    let cuda = native_cuda::times(record).filter(|_| warm.is_object());
    if warm.is_object() {
        bars.push(("this, full clock".to_owned(), warm.clone()));
    }
    bars.extend(cuda.map(|(card, times)| (format!("native CUDA, {card}"), times)));
    let has_more = bars.len() > 2;
    let root = SVGBackend::new(path, (1000, if has_more { 640 } else { 330 })).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(if has_more { 360 } else { 330 });
    panel(&upper, &caption(record), &bars, true)?;
    if has_more {
        panel(&lower, "The same without the stock engine", &bars[1..], false)?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    bars: &[(String, Value)],
    has_legend: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let longest = bars.iter().map(|(_, engine)| ms(engine, "prove_ms")).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(150)
        .build_cartesian_2d(0.0..longest * if has_legend { 1.4 } else { 1.02 }, -(bars.len() as f64) + 1.4..1.6)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).x_desc("milliseconds").x_label_formatter(&|x| format!("{x:.0}")).draw()?;
    let mut starts = vec![0.0; bars.len()];
    // A stage that a proof does not have, or an older record does not tell apart, is not in the legend.
    let seen = |of: fn(&Value) -> f64| bars.iter().any(|(_, engine)| of(engine) > 5e-4 * longest);
    for (i, (name, of)) in STAGES.into_iter().enumerate().filter(|(_, (_, of))| seen(*of)) {
        let color = Palette99::pick(i).to_rgba();
        let pieces = bars.iter().zip(&mut starts).enumerate().map(|(row, ((_, engine), start))| {
            let (left, bottom) = (*start, 0.65 - row as f64);
            *start += of(engine);
            Rectangle::new([(left, bottom), (*start, bottom + 0.7)], color.filled())
        });
        let pieces: Vec<_> = pieces.collect();
        chart.draw_series(pieces)?.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
    }
    for (row, (name, engine)) in bars.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(0.0, 1.0 - row as f64));
        let time = ms(engine, "prove_ms");
        let time = if time < 1e3 { format!("{time:.0} ms") } else { format!("{:.1} s", time / 1e3) };
        // Places are those of the whole drawing.
        let (left, top) = (x - area.get_pixel_range().0.start, y - area.get_pixel_range().1.start);
        area.draw(&Text::new(name.clone(), (left - 145, top - 6), ("sans-serif", 14)))?;
        area.draw(&Text::new(time, (left - 145, top + 10), ("sans-serif", 13)))?;
    }
    if has_legend {
        let labels = &mut chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
    }
    Ok(())
}

fn caption(record: &Value) -> String {
    // A run of the VM has many AIRs, and its record counts them.
    let of = if record["airs"].is_number() { "a keccak VM run" } else { "p3's Keccak-f AIR" };
    let adapter = record["adapter"].as_str().unwrap_or_default().split(" (").next().unwrap_or_default();
    format!("One proof of {of} ({} permutations), {adapter}", record["permutations"])
}

fn ms(engine: &Value, key: &str) -> f64 {
    engine[key].as_f64().unwrap_or(0.0)
}

/// What is left of a time without its parts.
fn rest(engine: &Value, whole: &str, parts: &[&str]) -> f64 {
    (ms(engine, whole) - parts.iter().map(|key| ms(engine, key)).sum::<f64>()).max(0.0)
}

/// LogUp's proof of work, which comes before its challenges: the stopwatch has it in the GKR's input.
fn early_proof_of_work(engine: &Value) -> f64 {
    rest(engine, "proof_of_work_ms", &["openings_proof_of_work_ms"])
}
