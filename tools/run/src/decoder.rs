//! The kernel's log: `defmt` frames from COM2, turned into text with the kernel's ELF.

use crate::likeness::Likeness;
use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Frame, StreamDecoder, Table};
use std::path::Path;
use std::time::Duration;

/// Longest frame that is waited for, in bytes; far more than a kernel can send at once.
const FRAME_MAX: usize = 1 << 20;

/// One line of the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The kernel's time stamp, where it has one.
    pub time: Option<String>,
    /// `info`, `warn` and so on; `None` for a line without a level.
    pub level: Option<&'static str>,
    /// What the kernel says.
    pub text: String,
}

impl Line {
    /// The time stamp as a span of time.
    pub fn since_boot(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.time.as_deref()?.parse().ok()?).ok()
    }

    /// The line as a log shows it.
    ///
    /// An ordinary line is its bare text, because scripts look for these lines; warnings and errors say that they are.
    /// With `times`, each line begins with its time and level instead.
    pub fn show(&self, times: bool) -> String {
        let level = self.level.unwrap_or("");
        match (times, level) {
            (true, _) => format!("{:>12} {level:<5} {}", self.time.as_deref().unwrap_or(""), self.text),
            (false, "warn") => format!("warning: {}", self.text),
            (false, "error") => format!("error: {}", self.text),
            (false, _) => self.text.clone(),
        }
    }
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A line of the kernel's log.
    Line(Line),
    /// Text of processes, where that travels in the log.
    Text(Vec<u8>),
}

/// What a kernel's ELF says about its log.
pub struct Decoder {
    /// `None` where the ELF has no `defmt` data at all.
    table: Option<Table>,
}

impl Decoder {
    /// Reads the `defmt` data of the ELF file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is no ELF, or has `defmt` data of a version that this tool does not know.
    pub fn from_elf(path: &Path) -> Result<Decoder> {
        let elf = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table = Table::parse(&elf).with_context(|| format!("the log's format in {}", path.display()))?;
        Ok(Decoder { table })
    }

    /// What the lines of this kernel's log look like.
    pub fn likeness(&self) -> Likeness {
        self.table.as_ref().map_or_else(Likeness::default, |table| Likeness::of_symbols(table.raw_symbols()))
    }

    /// A stream of frames, at its beginning.
    pub fn stream(&self) -> Stream<'_> {
        let table = self.table.as_ref();
        Stream { table, frames: table.map(Table::new_stream_decoder), undecoded: 0, malformed: 0 }
    }
}

/// A stream of frames, fed piece by piece.
pub struct Stream<'t> {
    table: Option<&'t Table>,
    frames: Option<Box<dyn StreamDecoder + Send + Sync + 't>>,
    /// Bytes since the last whole frame.
    undecoded: usize,
    malformed: usize,
}

impl Stream<'_> {
    /// Takes the next bytes of the stream and returns what they complete: lines, and text of processes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Decoded> {
        let mut lines = Vec::new();
        let Some(frames) = &mut self.frames else {
            self.undecoded += bytes.len();
            return lines;
        };
        if self.undecoded + bytes.len() > FRAME_MAX
            && let Some(table) = self.table
        {
            // No frame is so long; the decoder would keep all of it for ever.
            let text = format!("run: {} bytes on COM2 without the end of a frame", self.undecoded);
            lines.push(Decoded::Line(Line { time: None, level: Some("error"), text }));
            *frames = table.new_stream_decoder();
            self.undecoded = 0;
        }
        frames.received(bytes);
        // A zero ends a frame; what comes after the last one waits for more.
        match bytes.iter().rposition(|&byte| byte == 0) {
            Some(zero) => self.undecoded = bytes.len() - zero - 1,
            None => self.undecoded += bytes.len(),
        }
        loop {
            match frames.decode() {
                Ok(frame) => lines.push(match text_of_processes(&frame) {
                    Some(text) => Decoded::Text(text),
                    None => Decoded::Line(Line {
                        time: frame.display_timestamp().map(|time| time.to_string()),
                        level: frame.level().map(|level| level.as_str()),
                        text: frame.display_message().to_string(),
                    }),
                }),
                Err(DecodeError::UnexpectedEof) => return lines,
                Err(DecodeError::Malformed) => {
                    self.malformed += 1;
                    let text = format!("run: frame {} on COM2 that this ELF does not explain", self.malformed);
                    lines.push(Decoded::Line(Line { time: None, level: Some("error"), text }));
                }
            }
        }
    }

    /// What is left over at the stream's end, as a line; `None` where every byte was decoded.
    pub fn finish(self) -> Option<Line> {
        let why = match self.frames {
            Some(_) => "after the last whole frame",
            None => "and no defmt data in the ELF to decode them with",
        };
        let text = format!("run: {} bytes on COM2 {why}", self.undecoded);
        (self.undecoded > 0).then_some(Line { time: None, level: Some("error"), text })
    }
}

/// What a frame that carries text of processes begins with; `log::text` of the board writes it.
const TEXT: &str = "process text ";

/// The text in a frame that carries text of processes: bytes, each of which is shown as two digits.
fn text_of_processes(frame: &Frame<'_>) -> Option<Vec<u8>> {
    if frame.level().is_some() {
        return None;
    }
    let shown = frame.display_message().to_string();
    let digits = shown.strip_prefix(TEXT)?.strip_prefix('[')?.strip_suffix(']')?;
    digits.split(", ").map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}
