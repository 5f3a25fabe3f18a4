//! The curves as a picture: both figures in proportion to the first point's, and the band that they have to stay in.

use super::TOLERANCE;
use super::report::{Measured, Row};
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::fmt::Display;
use std::path::Path;

const RATE: RGBColor = RGBColor(49, 104, 163);
const INSTRUCTIONS: RGBColor = RGBColor(190, 110, 20);
const BAND: RGBColor = RGBColor(225, 235, 225);

/// Writes the picture as SVG, one chart for each curve.
///
/// # Errors
/// There is no curve, or the file cannot be written.
pub fn write(curves: &[Measured], file: &Path) -> Result<()> {
    let failed = |why: &dyn Display| anyhow!("cannot draw {}: {why}", file.display());
    if curves.iter().all(|curve| curve.rows.is_empty()) {
        return Err(failed(&"there are no figures"));
    }
    let area = SVGBackend::new(file, (460 * curves.len() as u32, 380)).into_drawing_area();
    area.fill(&WHITE).map_err(|why| failed(&why))?;
    for (curve, area) in curves.iter().zip(area.split_evenly((1, curves.len()))) {
        chart(curve, &area).map_err(|why| failed(&why))?;
    }
    area.present().map_err(|why| failed(&why))
}

fn chart(curve: &Measured, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<()> {
    let failed = |why: &dyn Display| anyhow!("{}: {why}", curve.name);
    let ratios = || curve.rows.iter().flat_map(|row| [row.rate_ratio, row.instructions_ratio]);
    let range =
        ratios().fold(1.0 - 2.0 * TOLERANCE, f64::min) - 0.05..ratios().fold(1.0 + 2.0 * TOLERANCE, f64::max) + 0.05;
    let last = curve.rows.len().saturating_sub(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(format!("The same bytes over more {}", curve.name), ("sans-serif", 16))
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(-0.3..last + 0.3, range)
        .map_err(|why| failed(&why))?;
    let name = |at: &f64| {
        let whole = (at - at.round()).abs() < 0.01 && *at > -0.1;
        let row = curve.rows.get(at.round() as usize).filter(|_| whole);
        row.map_or(String::new(), |row| format!("{} in {}", row.sockets, row.processes))
    };
    let band = Rectangle::new([(-0.3, 1.0 - TOLERANCE), (last + 0.3, 1.0 + TOLERANCE)], BAND.filled());
    chart.draw_series([band]).map_err(|why| failed(&why))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(curve.rows.len() * 5 + 1)
        .x_label_formatter(&name)
        .x_desc("sockets in processes")
        .y_desc("in proportion to the first")
        .draw()
        .map_err(|why| failed(&why))?;
    let points = |ratio: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        curve.rows.iter().enumerate().map(|(index, row)| (index as f64, ratio(row))).collect()
    };
    let rates = points(|row| row.rate_ratio);
    let instructions = points(|row| row.instructions_ratio);
    for (title, colour, points) in [("MB/s", RATE, rates), ("instructions per KiB", INSTRUCTIONS, instructions)] {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .map_err(|why| failed(&why))?
            .label(title)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        let marks = points.into_iter().map(|point| Circle::new(point, 4, colour.filled()));
        chart.draw_series(marks).map_err(|why| failed(&why))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()
        .map_err(|why| failed(&why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::report::tests::measured;

    #[test]
    fn the_picture_has_both_figures_of_every_point() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plot.svg");
        let (curve, _) = measured();
        write(&[curve.clone(), curve], &file).expect("drawn");
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(text.starts_with("<svg") && text.contains("instructions per KiB") && text.contains("MB/s"));
        for label in ["1 in 1", "8 in 1", "32 in 2", "128 in 5", "512 in 18"] {
            assert_eq!(text.matches(&format!("\n{label}\n")).count(), 2, "{label}\n{text}");
        }
        assert_eq!(text.matches("<circle").count(), 2 * (2 * 5), "{text}");
        assert!(write(&[], &file).is_err());
    }
}
