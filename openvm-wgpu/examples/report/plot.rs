//! Records and their plots: AIRs as dots, growth as lines; a proof's are in `proof_plot`.

use std::path::Path;

use plotters::prelude::*;
use serde_json::Value;

use crate::proof_plot;

type Drawn = Result<(), Box<dyn std::error::Error>>;

const OURS: RGBColor = RGBColor(0x1b, 0x7f, 0x5c);
const CUDA: RGBColor = RGBColor(0x4c, 0x72, 0xb0);
const STOCK: RGBColor = RGBColor(0xc4, 0x4e, 0x52);
const FLOOR: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// Writes `DATE-KIND-ADAPTER.json` and the same name with `.svg`.
pub fn write(report: &Value, dir: &Path, kind: &str) {
    std::fs::create_dir_all(dir).expect("the directory can be made");
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let adapter: String = text("adapter").split(" (").next().unwrap_or_default().to_lowercase().replace(' ', "-");
    let name = format!("{}-{kind}-{adapter}", text("date"));
    let json = serde_json::to_string_pretty(report).expect("JSON can be written");
    std::fs::write(dir.join(format!("{name}.json")), json + "\n").expect("the record can be written");
    draw_beside(report, &dir.join(format!("{name}.json")));
}

/// Draws a record's plot.
pub fn draw_again(record: &Path) {
    let text = std::fs::read_to_string(record).expect("the record can be read");
    draw_beside(&serde_json::from_str(&text).expect("a record is JSON"), record);
}

fn draw_beside(record: &Value, path: &Path) {
    let svg = path.with_extension("svg");
    let result = if record["result"].is_object() { &record["result"] } else { record };
    let drawn = if record["growth"].is_array() {
        draw_growth(record, &svg)
    } else if proof_plot::is_proof(result) {
        proof_plot::draw(result, &svg)
    } else {
        draw_airs(record, &svg)
    };
    drawn.expect("the plot can be drawn");
    eprintln!("wrote {}", svg.display());
}

/// The adapter without its driver.
fn adapter(record: &Value) -> &str {
    record["adapter"].as_str().unwrap_or_default().split(" (").next().unwrap_or_default()
}

/// An AIR's nanoseconds for each used cell in one series, where it has one.
type Nanoseconds = fn(&Value) -> Option<f64>;

/// For each AIR a row, the fastest of ours at the top: ours, the stock prover and, where there is one, the CUDA record. The floor is a line.
fn draw_airs(record: &Value, path: &Path) -> Drawn {
    let mut airs: Vec<&Value> = record["airs"].as_array().into_iter().flatten().collect();
    airs.sort_by(|a, b| b["ns_per_cell"].as_f64().unwrap_or(0.0).total_cmp(&a["ns_per_cell"].as_f64().unwrap_or(0.0)));
    let series: [(&str, RGBColor, Nanoseconds); 3] = [
        ("this crate, GPU time", OURS, |air| air["ns_per_cell"].as_f64()),
        ("native CUDA (record)", CUDA, |air| Some(air["speedup_cuda"].as_f64()? * air["ns_per_cell"].as_f64()?)),
        ("stock prover (CPU), scaled", STOCK, |air| {
            Some(air["stock_cpu_ms"].as_f64()? / air["gpu_ms"].as_f64()? * air["ns_per_cell"].as_f64()?)
        }),
    ];
    let floor = 4.0 / record["read_gb_s"].as_f64().unwrap_or(1.0);
    let values = || airs.iter().flat_map(|air| series.iter().filter_map(|(_, _, of)| of(air)));
    let low = values().fold(floor, f64::min) / 2.0;
    let high = values().fold(0.0, f64::max) * 2.0;
    let rows = airs.iter().filter_map(|air| air["log_height"].as_u64()).max().unwrap_or(0);

    let root = SVGBackend::new(path, (1100, 60 + 24 * airs.len() as u32 + 90)).into_drawing_area();
    root.fill(&WHITE)?;
    let names: Vec<&str> = airs.iter().map(|air| super::measure::short_name(air)).collect();
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("LogUp round 0 at 2^{rows} rows (KeccakfPerm 2^{}), {}", rows - 2, adapter(record)), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(45)
        .y_label_area_size(290)
        .build_cartesian_2d((low..high).log_scale(), -0.5..airs.len() as f64 - 0.5)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_desc("nanoseconds for each used cell")
        .x_label_formatter(&|x| if *x >= 1.0 { format!("{x:.0}") } else { format!("{x}") })
        .draw()?;
    for (at, name) in names.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(low, at as f64));
        root.draw(&Text::new((*name).to_owned(), (x - 280, y - 6), ("sans-serif", 13)))?;
        let guide = [(low, at as f64), (high, at as f64)];
        chart.draw_series(std::iter::once(PathElement::new(guide, BLACK.mix(0.06))))?;
    }
    let line = [(floor, -0.5), (floor, airs.len() as f64 - 0.5)];
    chart
        .draw_series(std::iter::once(PathElement::new(line, FLOOR.stroke_width(2))))?
        .label("floor: a kernel that only reads")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], FLOOR.stroke_width(2)));
    for (name, color, of) in series {
        let mut dots = airs.iter().enumerate().filter_map(|(at, air)| Some((of(air)?, at as f64))).peekable();
        if dots.peek().is_some() {
            chart
                .draw_series(dots.map(|at| Circle::new(at, 4, color.filled())))?
                .label(name)
                .legend(move |(x, y)| Circle::new((x + 7, y), 4, color.filled()));
        }
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::MiddleMiddle).background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}

/// Wall ms against rows: what was measured as solid points, ours on a line; estimates are hollow and dotted, scaled stock times crosses.
fn draw_growth(record: &Value, path: &Path) -> Drawn {
    let airs = record["growth"].as_array().map(Vec::as_slice).unwrap_or_default();
    let series = |air: &Value, key: &str, of: &dyn Fn(&Value) -> bool| -> Vec<(f64, f64)> {
        let points = air["points"].as_array().into_iter().flatten().filter(|point| of(point));
        points.filter_map(|point| Some((point["log_height"].as_f64()?, point[key].as_f64()?))).collect()
    };
    let (any, measured, scaled) =
        (|_: &Value| true, |point: &Value| point["stock_measured"] == true, |point: &Value| point["stock_measured"] != true);
    let all = || airs.iter().flat_map(|air| ["wall_ms", "stock_cpu_ms"].into_iter().flat_map(move |key| series(air, key, &any)));
    let (mut right, mut low, mut high) = (5.0f64, f64::INFINITY, 0.0f64);
    all().for_each(|(x, y)| (right, low, high) = (right.max(x), low.min(y), high.max(y)));

    let root = SVGBackend::new(path, (1050, 680)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("LogUp round 0 by rows, {}", adapter(record)), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(50)
        .y_label_area_size(80)
        .build_cartesian_2d(4.0..right, (low / 2.0..high * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(right as usize - 3)
        .x_label_formatter(&|x| format!("2^{x:.0}"))
        .x_desc("rows")
        .y_desc("wall ms. This crate: circles, estimates hollow. Stock prover (CPU): triangles, scaled from fewer rows crosses")
        .draw()?;
    for (i, air) in airs.iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let label = format!("{}, {} columns", super::measure::short_name(air), air["used_columns"]);
        chart
            .draw_series(LineSeries::new(series(air, "wall_ms", &any), color.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(series(air, "wall_ms", &any).into_iter().map(|at| Circle::new(at, 3, color.filled())))?;
        chart.draw_series(DashedLineSeries::new(series(air, "estimate_wall_ms", &any), 2, 6, color.stroke_width(1)))?;
        chart.draw_series(series(air, "estimate_wall_ms", &any).into_iter().map(|at| Circle::new(at, 3, color.stroke_width(1))))?;
        chart.draw_series(series(air, "stock_cpu_ms", &measured).into_iter().map(|at| TriangleMarker::new(at, 4, color.filled())))?;
        chart.draw_series(series(air, "stock_cpu_ms", &scaled).into_iter().map(|at| Cross::new(at, 3, color.stroke_width(1))))?;
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}
