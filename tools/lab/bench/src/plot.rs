//! The table as a picture: for each measure how much better the board is than the Linux guest, and the bar.

use crate::guest::Guest;
use crate::measure::Bar;
use crate::report::Row;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

/// A row as the picture shows it. 2 is twice as good as the Linux guest's median, whatever is better: more or less.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: &'static str,
    median: f64,
    worst: f64,
    best: f64,
    /// Where a bar is a proportion.
    bar: Option<f64>,
    trusted: bool,
}

impl Column {
    /// `None` where the row has no figures.
    fn of(row: &Row) -> Option<Column> {
        let find = |guest| row.guests.iter().find(|figures| figures.guest == guest).map(|figures| figures.summary);
        let (board, linux) = (find(Guest::Slopos)?, find(Guest::Linux)?);
        let less = row.measure().quantity.less_is_better();
        let better = |value: f64| if less { linux.median / value } else { value / linux.median };
        let (a, b) = (better(board.least), better(board.greatest));
        let bar = match row.measure().bar {
            Bar::AtLeast(times) | Bar::OneIn(times) => Some(times),
            Bar::Absolute(most) => Some(linux.median / most),
        };
        let (median, worst, best) = (better(board.median), a.min(b), a.max(b));
        // A logarithm is taken of them.
        let drawable = [median, worst, best].iter().all(|value| value.is_finite() && *value > 0.0);
        drawable.then_some(Column { name: row.name, median, worst, best, bar, trusted: row.is_published() })
    }
}

/// Writes the picture as SVG. Rows without figures are left out.
///
/// # Errors
/// No row has figures, or the file cannot be written.
pub fn write(rows: &[Row], file: &Path) -> Result<()> {
    let columns: Vec<Column> = rows.iter().filter_map(Column::of).collect();
    let failed = |why: &dyn std::fmt::Display| anyhow!("cannot draw {}: {why}", file.display());
    let extreme = |pick: fn(f64, f64) -> f64| {
        columns.iter().flat_map(|column| [column.worst, column.best, column.bar.unwrap_or(1.0)]).reduce(pick)
    };
    let (Some(least), Some(greatest)) = (extreme(f64::min), extreme(f64::max)) else {
        return Err(failed(&"there are no figures"));
    };
    let width = 120 + 80 * columns.len() as u32;
    let area = SVGBackend::new(file, (width.max(480), 420)).into_drawing_area();
    area.fill(&WHITE).map_err(|why| failed(&why))?;
    let range = (least.min(1.0) / 1.5)..(greatest.max(1.0) * 1.5);
    let base = range.start;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .caption("SlopOS beside Linux without offloads: times as good", ("sans-serif", 16))
        .x_label_area_size(32)
        .y_label_area_size(48)
        .build_cartesian_2d(-0.5..columns.len() as f64 - 0.5, range.log_scale())
        .map_err(|why| failed(&why))?;
    let name = |at: &f64| {
        let whole = (at - at.round()).abs() < 0.01 && *at > -0.1;
        let column = columns.get(at.round() as usize).filter(|_| whole);
        column.map_or(String::new(), |column| column.name.to_owned())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(columns.len() * 2 + 1)
        .x_label_formatter(&name)
        .y_label_formatter(&|value| format!("{value}"))
        .draw()
        .map_err(|why| failed(&why))?;
    for (index, column) in columns.iter().enumerate() {
        let x = index as f64;
        let colour = if column.trusted { RGBColor(49, 104, 163) } else { RGBColor(170, 170, 170) };
        let bar = Rectangle::new([(x - 0.3, base), (x + 0.3, column.median)], colour.filled());
        let spread = PathElement::new(vec![(x, column.worst), (x, column.best)], BLACK.stroke_width(2));
        let label = Text::new(format!("{:.2}", column.median), (x - 0.2, column.best * 1.15), ("sans-serif", 12));
        chart.draw_series([bar]).map_err(|why| failed(&why))?;
        chart.draw_series([spread]).map_err(|why| failed(&why))?;
        chart.draw_series([label]).map_err(|why| failed(&why))?;
        if let Some(bar) = column.bar {
            let line = PathElement::new(vec![(x - 0.42, bar), (x + 0.42, bar)], RED.stroke_width(3));
            chart.draw_series([line]).map_err(|why| failed(&why))?;
        }
    }
    area.present().map_err(|why| failed(&why))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::MEASURES;
    use crate::report::tests::bulk;
    use crate::series::Outcome;

    #[test]
    fn a_column_is_in_proportion_to_linux() {
        let column = Column::of(&bulk(&[300.0, 420.0, 400.0], &[100.0], false)).expect("figures");
        assert_eq!((column.median, column.worst, column.best, column.bar), (4.0, 3.0, 4.2, Some(3.0)));
        assert!(column.trusted && !Column::of(&bulk(&[1.0], &[1.0], true)).expect("figures").trusted);
        assert_eq!(Column::of(&Row::new(&MEASURES[0], Ok(Outcome::Skipped("no".to_owned())))), None);
    }

    #[test]
    fn the_picture_names_what_it_shows() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plot.svg");
        write(&[bulk(&[400.0], &[100.0], false), bulk(&[50.0], &[100.0], false)], &file).expect("drawn");
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(text.starts_with("<svg") && text.contains("user-bulk") && text.contains("4.00"), "{text}");
        assert!(write(&[], &file).is_err());
    }
}
