//! The record and the plot that `--out` writes.

use std::path::Path;

use plotters::prelude::*;
use serde_json::Value;

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

fn draw_beside(report: &Value, record: &Path) {
    let path = record.with_extension("svg");
    let drawn = if report["growth"].is_array() { draw_growth(report, &path) } else { draw(report, &path) };
    drawn.expect("the plot can be drawn");
    eprintln!("wrote {}", path.display());
}

/// An AIR's time per cell in one series, where it has one.
type Nanoseconds<'a> = Box<dyn Fn(&Value) -> Option<f64> + 'a>;

/// For each AIR: ours, the floor at plain-read speed, the stock prover, and the CUDA record where there is one. Nanoseconds per cell, log.
fn draw(report: &Value, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let airs = report["airs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let root = SVGBackend::new(path, (1300, 640)).into_drawing_area();
    root.fill(&WHITE)?;
    let read = report["read_gb_s"].as_f64().unwrap_or(1.0);
    let series: [(&str, RGBColor, Nanoseconds<'_>); 4] = [
        ("ours", RGBColor(0x1b, 0x7f, 0x5c), Box::new(|air| air["ns_per_cell"].as_f64())),
        ("floor (plain read)", RGBColor(0xb0, 0xb0, 0xb0), Box::new(move |_| Some(4.0 / read))),
        (
            "native CUDA (record)",
            RGBColor(0x4c, 0x72, 0xb0),
            Box::new(|air| Some(air["speedup_cuda"].as_f64()? * air["ns_per_cell"].as_f64()?)),
        ),
        (
            "stock prover (CPU)",
            RGBColor(0xc4, 0x4e, 0x52),
            Box::new(|air| Some(air["stock_cpu_ms"].as_f64()? / air["gpu_ms"].as_f64()? * air["ns_per_cell"].as_f64()?)),
        ),
    ];
    let values = || airs.iter().flat_map(|air| series.iter().filter_map(move |(_, _, of)| of(air)));
    let low = values().fold(f64::INFINITY, f64::min) / 2.0;
    let high = values().fold(0.0, f64::max) * 40.0; // room for the legend
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("LogUp round 0, {}", report["adapter"].as_str().unwrap_or_default()), ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(150)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..airs.len() as f64, (low..high).log_scale())?;
    chart.configure_mesh().disable_x_mesh().disable_x_axis().y_desc("ns per used cell").draw()?;
    for (i, (name, color, of)) in series.iter().enumerate() {
        let color = *color;
        let bars = airs.iter().enumerate().filter_map(|(at, air)| {
            let left = at as f64 + 0.08 + 0.21 * i as f64;
            Some(Rectangle::new([(left, low), (left + 0.2, of(air)?)], color.filled()))
        });
        chart.draw_series(bars)?.label(*name).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    let style = TextStyle::from(("sans-serif", 12).into_font().transform(FontTransform::Rotate90));
    for (at, air) in airs.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(at as f64 + 0.35, low));
        let name: String = super::measure::short_name(air).chars().take(24).collect();
        root.draw(&Text::new(name, (x, y + 8), style.clone()))?;
    }
    root.present()?;
    Ok(())
}

/// Wall ms against rows, both log: each AIR's own, solid, and the stock prover's, dashed.
fn draw_growth(report: &Value, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let airs = report["growth"].as_array().map(Vec::as_slice).unwrap_or_default();
    let root = SVGBackend::new(path, (1000, 640)).into_drawing_area();
    root.fill(&WHITE)?;
    let series = |air: &Value, key: &str| -> Vec<(f64, f64)> {
        let points = air["points"].as_array().into_iter().flatten();
        points.filter_map(|point| Some((f64::from(1u32 << point["log_height"].as_u64()?), point[key].as_f64()?))).collect()
    };
    let all = || airs.iter().flat_map(|air| ["wall_ms", "stock_cpu_ms"].into_iter().flat_map(move |key| series(air, key)));
    let most = |of: fn((f64, f64)) -> f64| all().map(of).fold(0.0, f64::max);
    let least = all().map(|(_, y)| y).fold(f64::INFINITY, f64::min);
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("LogUp round 0, {}", report["adapter"].as_str().unwrap_or_default()), ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(50)
        .y_label_area_size(80)
        .build_cartesian_2d((16.0..most(|(x, _)| x)).log_scale(), (least / 2.0..most(|(_, y)| y) * 2.0).log_scale())?;
    chart.configure_mesh().x_desc("rows").y_desc("wall ms: ours solid, stock prover (CPU) dashed").draw()?;
    for (i, air) in airs.iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let label = format!("{}, {} columns", super::measure::short_name(air), air["used_columns"]);
        chart
            .draw_series(LineSeries::new(series(air, "wall_ms"), color.stroke_width(2)).point_size(3))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(DashedLineSeries::new(series(air, "stock_cpu_ms"), 5, 5, color.stroke_width(1)))?;
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
