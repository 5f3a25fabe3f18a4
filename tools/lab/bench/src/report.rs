//! The table, for people and for machines.

use crate::figures::Figures;
use crate::guest::Guest;
use crate::measure::Measure;
use crate::series::Outcome;
use serde::Serialize;
use slopos_lab::report::Table;

/// On what and with what it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// QEMU's version.
    pub qemu: String,
    /// The Linux guest's kernel and busybox.
    pub linux: String,
    /// The host's processor, and how many of it.
    pub processor: String,
    /// The server, and how it avoids congestion where a measure does not say.
    pub server: String,
    /// Whether figures of disturbed runs are shown. Such a report is for development only.
    pub disturbed_too: bool,
}

/// How a measure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The bar is reached.
    Reached,
    /// It is not.
    Missed,
    /// Other work disturbed a run. Where there are figures all the same, they are not to be believed.
    Disturbed,
    /// It cannot be measured here.
    Skipped,
    /// A guest failed.
    Failed,
}

impl Verdict {
    fn title(self) -> &'static str {
        match self {
            Verdict::Reached => "reached",
            Verdict::Missed => "**missed**",
            Verdict::Disturbed => "**disturbed**",
            Verdict::Skipped => "skipped",
            Verdict::Failed => "**failed**",
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The measure's name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The figures' unit.
    pub unit: &'static str,
    /// The figures; none where the verdict says why.
    pub guests: Vec<Figures>,
    /// The board's median in proportion to the Linux guest's.
    pub ratio: Option<f64>,
    /// The bar.
    pub bar: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Why there are no figures, or why they are not to be believed.
    pub reason: Option<String>,
    #[serde(skip)]
    measure: Measure,
}

impl Row {
    /// The row of a measure.
    pub fn new(measure: &Measure, outcome: anyhow::Result<Outcome>) -> Row {
        let (guests, verdict, reason) = match outcome {
            Ok(Outcome::Measured(figures)) => (figures, None, None),
            Ok(Outcome::Disturbed(why)) => (Vec::new(), Some(Verdict::Disturbed), Some(why)),
            Ok(Outcome::Skipped(why)) => (Vec::new(), Some(Verdict::Skipped), Some(why)),
            Err(why) => (Vec::new(), Some(Verdict::Failed), Some(format!("{why:#}"))),
        };
        let median = |guest| guests.iter().find(|figures| figures.guest == guest).map(|figures| figures.summary.median);
        let (board, linux) = (median(Guest::Slopos), median(Guest::Linux));
        let ratio = board.zip(linux).filter(|(_, linux)| *linux > 0.0).map(|(board, linux)| board / linux);
        let disturbed = guests.iter().flat_map(|figures| &figures.samples).filter(|sample| sample.disturbed).count();
        let verdict = verdict.unwrap_or(match board.zip(ratio) {
            _ if disturbed > 0 => Verdict::Disturbed,
            Some((board, ratio)) if measure.bar.reached(board, ratio) => Verdict::Reached,
            _ => Verdict::Missed,
        });
        let reason = reason.or_else(|| (disturbed > 0).then(|| format!("runs that were disturbed: {disturbed}")));
        let Measure { name, about, quantity, bar, .. } = *measure;
        Row {
            name,
            about,
            unit: quantity.unit(),
            guests,
            ratio,
            bar: bar.to_string(),
            verdict,
            reason,
            measure: *measure,
        }
    }

    /// Whether the figures may be published.
    pub fn is_published(&self) -> bool {
        matches!(self.verdict, Verdict::Reached | Verdict::Missed)
    }

    /// What the row's measure was.
    pub fn measure(&self) -> &Measure {
        &self.measure
    }

    /// A guest's median with its spread.
    fn cell(&self, guest: Guest) -> String {
        let Some(figures) = self.guests.iter().find(|figures| figures.guest == guest) else { return "-".to_owned() };
        let show = |value| self.measure.quantity.show(value);
        match figures.samples.len() {
            1 => show(figures.summary.median),
            _ => figures.summary.show(show),
        }
    }
}

/// The table in Markdown, and a sentence for each row without figures.
pub fn table(rows: &[Row], offloads: bool) -> String {
    let guests = [Guest::Slopos, Guest::Linux, Guest::LinuxOffloads];
    let guests = if offloads { &guests[..] } else { &guests[..2] };
    let mut table = Table::new(&["measure", "unit"], [""; 0]);
    let titles = guests.iter().map(|guest| guest.title());
    titles.chain(["SlopOS / Linux", "bar", "verdict"]).for_each(|title| table.column(title, false));
    for row in rows {
        let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.*}", if ratio < 0.2 { 3 } else { 2 }));
        let begin = [row.name.to_owned(), row.unit.to_owned()];
        let end = [ratio, row.bar.clone(), row.verdict.title().to_owned()];
        table.row(begin.into_iter().chain(guests.iter().map(|guest| row.cell(*guest))).chain(end));
    }
    let reason = |row: &Row| {
        let reason = row.reason.as_ref()?;
        Some(format!("\n{}: {}: {reason}\n", row.name, row.verdict.title().replace('*', "")))
    };
    format!("{table:#}{}", rows.iter().filter_map(reason).collect::<String>())
}

/// All of it as JSON.
///
/// # Errors
/// A figure is not a number, which no measure gives.
pub fn json(setting: &Setting, rows: &[Row]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        setting: &'a Setting,
        measures: &'a [Row],
    }
    slopos_lab::report::json(&Report { setting, measures: rows })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::figures::Sample;
    use crate::measure::MEASURES;
    use slopos_lab::report::Summary;

    fn figures(guest: Guest, values: &[f64], disturbed: bool) -> Figures {
        let sample = |&value: &f64| Sample {
            value,
            guest_seconds: 1.0,
            host_seconds: 1.0,
            other_load: 0.01,
            frames_not_taken: 0,
            disturbed,
        };
        let samples = values.iter().map(sample).collect();
        Figures { guest, summary: Summary::of(values).expect("values"), samples }
    }

    /// A row of `user-bulk`.
    pub fn bulk(board: &[f64], linux: &[f64], disturbed: bool) -> Row {
        let measure = MEASURES.iter().find(|measure| measure.name == "user-bulk").expect("a measure");
        let figures = vec![figures(Guest::Slopos, board, disturbed), figures(Guest::Linux, linux, false)];
        Row::new(measure, Ok(Outcome::Measured(figures)))
    }

    #[test]
    fn a_row_has_medians_their_spread_the_ratio_and_the_verdict() {
        let rows = [bulk(&[390.0, 420.0, 400.0], &[100.0, 120.0, 110.0], false), bulk(&[200.0], &[100.0], false)];
        let text = table(&rows, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let expected = ["", "user-bulk", "MB/s", "400 (390..420)", "110 (100..120)", "3.64", ">= 3.00", "reached", ""];
        assert_eq!(cells(lines[2]), expected);
        let expected = ["", "user-bulk", "MB/s", "200", "100", "2.00", ">= 3.00", "**missed**", ""];
        assert_eq!(cells(lines[3]), expected);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "columns are in line\n{text}");
        assert!(rows.iter().all(Row::is_published));
    }

    #[test]
    fn what_is_disturbed_is_not_published() {
        let row = Row::new(&MEASURES[0], Ok(Outcome::Disturbed("other work took 80 % of a core".to_owned())));
        let text = table(std::slice::from_ref(&row), true);
        assert!(!row.is_published() && row.ratio.is_none());
        assert!(text.contains("**disturbed**") && text.contains("boot: disturbed: other work took 80 %"), "{text}");
        // Not even where the figures are shown.
        let row = bulk(&[400.0], &[100.0], true);
        assert!(!row.is_published() && row.ratio == Some(4.0));
        assert!(table(&[row], false).contains("user-bulk: disturbed: runs that were disturbed: 1"));
    }

    #[test]
    fn skipped_and_failed_rows_say_why() {
        let skipped = Row::new(&MEASURES[9], Ok(Outcome::Skipped("no bbr".to_owned())));
        let failed = Row::new(&MEASURES[1], Err(anyhow::anyhow!("it burns")));
        let text = table(&[skipped, failed], false);
        assert!(text.contains("loss-bbr: skipped: no bbr") && text.contains("user-bulk: failed: it burns"), "{text}");
    }

    #[test]
    fn json_has_every_run() {
        let setting = Setting {
            qemu: "7.2".to_owned(),
            linux: "6.1".to_owned(),
            processor: "2 x P".to_owned(),
            server: "nginx".to_owned(),
            disturbed_too: false,
        };
        let text = json(&setting, &[bulk(&[390.0, 420.0], &[100.0, 110.0], false)]).expect("JSON");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let row = &value["measures"][0];
        assert_eq!(row["guests"][0]["samples"][1]["value"], 420.0);
        assert_eq!((&row["guests"][1]["guest"], &row["guests"][1]["median"]), (&"linux".into(), &105.0.into()));
        assert_eq!((&row["verdict"], &value["setting"]["qemu"]), (&"reached".into(), &"7.2".into()));
    }
}
