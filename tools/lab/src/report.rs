//! Tables, figures and files for people and for machines.

use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A table in Markdown. The alternate form (`{:#}`) fills its cells up, so that columns are in line.
#[derive(Clone, Debug)]
pub struct Table {
    /// The titles first.
    rows: Vec<Vec<String>>,
    /// Whether a column holds numbers, which stand at the right.
    numbers: Vec<bool>,
}

impl Table {
    /// A table whose first columns are these texts, followed by these numbers.
    pub fn new<S: Into<String>>(texts: &[&str], numbers: impl IntoIterator<Item = S>) -> Table {
        let mut table = Table { rows: vec![Vec::new()], numbers: Vec::new() };
        texts.iter().for_each(|text| table.column(*text, false));
        numbers.into_iter().for_each(|number| table.column(number, true));
        table
    }

    /// Adds a column of texts, or of numbers.
    pub fn column(&mut self, title: impl Into<String>, numbers: bool) {
        self.rows[0].push(title.into());
        self.numbers.push(numbers);
    }

    /// Adds a row; it has as many cells as there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = formatter.alternate();
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
        let widths: Vec<usize> =
            (0..self.numbers.len()).map(|column| width(column).filter(|_| wide).unwrap_or(0)).collect();
        for (index, row) in self.rows.iter().enumerate() {
            formatter.write_str("|")?;
            for ((cell, &width), &number) in row.iter().zip(&widths).zip(&self.numbers) {
                if number { write!(formatter, " {cell:>width$} |") } else { write!(formatter, " {cell:<width$} |") }?;
            }
            writeln!(formatter)?;
            if index == 0 {
                let gap = if wide { " " } else { "" };
                formatter.write_str("|")?;
                for (&width, &number) in widths.iter().zip(&self.numbers) {
                    let dashes = "-".repeat(width.max(4 - usize::from(!number)) - usize::from(number));
                    write!(formatter, "{gap}{dashes}{}{gap}|", if number { ":" } else { "" })?;
                }
                writeln!(formatter)?;
            }
        }
        Ok(())
    }
}

/// The value of a key among the words `KEY=VALUE` of a line.
pub fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).next()
}

/// A number with commas between thousands; one decimal where it is small.
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let text = format!("{value:.1}");
        return if text == "-0.0" { "0.0".to_owned() } else { text };
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What grew by more than `least`, the most first and no more than `most`: each with what it was, and what it is.
pub fn grown<K: Ord + Clone>(
    before: &BTreeMap<K, f64>,
    now: &BTreeMap<K, f64>,
    least: f64,
    most: usize,
) -> Vec<(K, f64, f64)> {
    let pairs = now.iter().map(|(key, &now)| (key.clone(), before.get(key).copied().unwrap_or(0.0), now));
    let mut grown: Vec<_> = pairs.filter(|(_, before, now)| now - before > least).collect();
    grown.sort_by(|left, right| (right.2 - right.1).total_cmp(&(left.2 - left.1)));
    grown.truncate(most);
    grown
}

/// What several runs come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The value in the middle; between the two in the middle where their number is even.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Summary {
    /// What these values come to; `None` where there are none, or one is not a number.
    pub fn of(values: &[f64]) -> Option<Summary> {
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Summary { median, least, greatest })
    }

    /// The median with the spread behind it.
    pub fn show(&self, value: impl Fn(f64) -> String) -> String {
        format!("{} ({}..{})", value(self.median), value(self.least), value(self.greatest))
    }
}

/// Text of JSON, with a line to each field.
///
/// # Errors
/// A figure is not a number.
pub fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a file.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.01, "0.0"),
            (99.94, "99.9"),
            (100.0, "100"),
            (1234.6, "1,235"),
            (-1_000_000.0, "-1,000,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_table_is_markdown_and_its_columns_are_in_line_where_they_should_be() {
        let mut table = Table::new(&["name"], ["n"]);
        table.row(["a".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.to_string(), "| name | n |\n|---|---:|\n| a | 1,000 |\n");
        assert_eq!(format!("{table:#}"), "| name |     n |\n| ---- | ----: |\n| a    | 1,000 |\n");
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        let of = |values: &[f64]| Summary::of(values).map(|summary| (summary.median, summary.least, summary.greatest));
        assert_eq!(of(&[5.0, 1.0, 100.0]), Some((5.0, 1.0, 100.0)));
        assert_eq!(of(&[4.0, 1.0, 2.0, 100.0]), Some((3.0, 1.0, 100.0)));
        assert_eq!(of(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(of(&[-1.0, -3.0]), Some((-2.0, -3.0, -1.0)));
    }

    #[test]
    fn nothing_comes_to_nothing() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(Summary::of(&[f64::INFINITY]), None);
    }
}
