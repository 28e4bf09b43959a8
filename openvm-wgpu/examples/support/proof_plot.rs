//! A proof as stacked bars, one for each engine.

use std::path::Path;

use plotters::prelude::*;
use serde_json::Value;

/// A stage's name, and its time in an engine's times. Stages follow each other and do not overlap.
type Stage = (&'static str, fn(&Value) -> f64);

const STAGES: [Stage; 12] = [
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
            &["commit_ms", "gkr_input_ms", "gkr_ms", "round0_ms", "fold_ms", "mle_rounds_ms", "column_openings_ms", "openings_ms"],
        )
    }),
];

/// Whether a record is one of a proof by both engines.
pub fn is_proof(record: &Value) -> bool {
    record["stock"]["prove_ms"].is_number()
}

/// One proof by both engines: a bar each, stage on stage.
pub fn draw(record: &Value, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let engines = [("stock CPU engine", &record["stock"]), ("this engine", &record["wgpu"])];
    let longest = engines.iter().map(|(_, engine)| ms(engine, "prove_ms")).fold(0.0, f64::max);
    let root = SVGBackend::new(path, (1000, 330)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption(record), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(150)
        .build_cartesian_2d(0.0..longest * 1.4, -0.6..1.6)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).x_desc("milliseconds").x_label_formatter(&|x| format!("{x:.0}")).draw()?;
    let mut starts = [0.0; 2];
    // A stage that a proof does not have, or an older record does not tell apart, is not in the legend.
    let seen = |of: fn(&Value) -> f64| engines.iter().any(|(_, engine)| of(engine) > 5e-4 * longest);
    for (i, (name, of)) in STAGES.into_iter().enumerate().filter(|(_, (_, of))| seen(*of)) {
        let color = Palette99::pick(i).to_rgba();
        let bars = engines.iter().zip(&mut starts).enumerate().map(|(row, ((_, engine), start))| {
            let (left, bottom) = (*start, 0.65 - row as f64);
            *start += of(engine);
            Rectangle::new([(left, bottom), (*start, bottom + 0.7)], color.filled())
        });
        let bars: Vec<_> = bars.collect();
        chart.draw_series(bars)?.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
    }
    for (row, (name, engine)) in engines.into_iter().enumerate() {
        let (x, y) = chart.backend_coord(&(0.0, 1.0 - row as f64));
        root.draw(&Text::new(name.to_owned(), (x - 145, y - 6), ("sans-serif", 14)))?;
        root.draw(&Text::new(format!("{:.1} s", ms(engine, "prove_ms") / 1e3), (x - 145, y + 10), ("sans-serif", 13)))?;
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
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
