//! The kernel's log: `defmt` frames from COM2, turned into text with the kernel's ELF.
//!
//! The texts are in the ELF alone, and with those of another kernel a frame may well decode to something that was never
//! said. So the first frame says the kernel's build id, and a log of another build is refused.
//!
//! A kernel whose manifest says so writes lines of text, which need no decoding. Their log begins with the build id too.

use crate::kernel::Kernel;
use crate::likeness::Likeness;
use crate::lines::{self, Line, Shared};
use crate::pieces::Pieces;
use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Frame, StreamDecoder, Table};
use slopos_abi::LOG_BEGINNING;
use std::path::{Path, PathBuf};

/// Longest frame that is waited for, in bytes; far more than a kernel can send at once.
const FRAME_MAX: usize = 1 << 20;

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
    /// The file, for who is told of it.
    path: PathBuf,
    /// `None` where the ELF has no `defmt` data at all.
    table: Option<Table>,
    /// In hexadecimal digits; `None` where the ELF has none.
    build_id: Option<String>,
    /// Its log is lines of text.
    is_text: bool,
}

impl Decoder {
    /// Reads the `defmt` data and the build id of the ELF file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is no ELF, or has `defmt` data of a version that this tool does not know.
    pub fn from_elf(path: &Path) -> Result<Decoder> {
        let elf =
            std::fs::read(path).with_context(|| format!("cannot read {}; ./just build makes it", path.display()))?;
        let kernel = Kernel::parse(&elf).with_context(|| format!("{} is no kernel", path.display()))?;
        let table = Table::parse(&elf).with_context(|| format!("the log's format in {}", path.display()))?;
        Ok(Decoder { path: path.to_owned(), table, build_id: kernel.build_id, is_text: kernel.log_is_text })
    }

    /// What the lines of this kernel's log look like.
    pub fn likeness(&self) -> Likeness {
        self.table.as_ref().map_or_else(Likeness::default, |table| Likeness::of_symbols(table.raw_symbols()))
    }

    /// Whether the ELF has the texts of a log, where that needs them.
    pub fn has_texts(&self) -> bool {
        self.table.is_some() || self.is_text
    }

    /// What takes a port apart that the console has too.
    pub fn shared(&self) -> Shared {
        if self.is_text { Shared::Lines(lines::Marked::default()) } else { Shared::Pieces(Pieces::default()) }
    }

    /// The stream of a board that boots this very kernel, from its beginning.
    pub fn stream(&self) -> Stream<'_> {
        self.stream_of(Beginning::Known)
    }

    /// The stream of a log that was saved. A `partial` one lacks its beginning, and is taken to be this kernel's.
    pub fn saved(&self, partial: bool) -> Stream<'_> {
        self.stream_of(if partial { Beginning::Missing } else { Beginning::Expected })
    }

    fn stream_of(&self, beginning: Beginning) -> Stream<'_> {
        let frames = self.table.as_ref().map(Table::new_stream_decoder);
        Stream {
            decoder: self,
            frames,
            beginning,
            begun: false,
            rest: Vec::new(),
            received: false,
            skips: false,
            undecoded: 0,
            malformed: 0,
            refusal: None,
        }
    }

    /// Why a log that this frame begins is not this kernel's; `None` where it is.
    fn disagreement(&self, beginning: &[u8]) -> Option<String> {
        let id = String::from_utf8_lossy(&beginning[LOG_BEGINNING.len()..]);
        let own = self.build_id.as_deref();
        (own != Some(&id)).then(|| {
            let (path, own) = (self.path.display(), own.unwrap_or("without an id"));
            format!("the log is of build {id}, and {path} is build {own}: the texts of a log are in the kernel that wrote it")
        })
    }
}

/// What is known of a stream's first frame, which says the kernel's build id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// The kernel is known, whether it says its build or not; another one is refused.
    Known,
    /// It has to be there.
    Expected,
    /// The stream begins somewhere within a log.
    Missing,
}

/// A stream of frames, fed piece by piece.
pub struct Stream<'t> {
    decoder: &'t Decoder,
    frames: Option<Box<dyn StreamDecoder + Send + Sync + 't>>,
    beginning: Beginning,
    /// The first frame has come.
    begun: bool,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
    /// There was a byte.
    received: bool,
    /// What comes is not looked at until a frame ends: it is too long, or its beginning is missing.
    skips: bool,
    /// Bytes of frames that the ELF has no data for.
    undecoded: usize,
    malformed: usize,
    refusal: Option<String>,
}

impl Stream<'_> {
    /// Takes the next bytes of the stream and returns what they complete: lines, and text of processes; nothing after a
    /// [refusal](Stream::refusal).
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Decoded> {
        let mut lines = Vec::new();
        self.received |= !bytes.is_empty();
        // What comes after the last frame waits for more.
        let mut bytes = bytes;
        while !bytes.is_empty() {
            // The first frame may be of another kernel, and end as that one's frames do.
            let any = !self.begun && may_begin(if self.rest.is_empty() { bytes } else { &self.rest });
            let is_end =
                |byte| byte == if self.decoder.is_text { b'\n' } else { 0 } || any && matches!(byte, 0 | b'\n');
            let end = bytes.iter().position(|&byte| is_end(byte)).map_or(bytes.len(), |at| at + 1);
            let (piece, rest) = bytes.split_at(end);
            bytes = rest;
            let ends = is_end(piece[end - 1]);
            if self.refusal.is_some() {
                break;
            }
            if self.skips {
                self.skips = !ends;
                continue;
            }
            if self.rest.len() + piece.len() > FRAME_MAX {
                // No frame is so long.
                let text = format!("run: {} bytes on COM2 without the end of a frame", self.rest.len());
                lines.push(Decoded::Line(said(text)));
                self.malformed += 1;
                self.rest = Vec::new();
                self.skips = !ends;
                continue;
            }
            self.rest.extend_from_slice(piece);
            if self.beginning == Beginning::Expected && !may_begin(&self.rest) {
                self.refusal = Some(format!(
                    "it is no log of this system, or its beginning is missing: the first frame of a log is \
                     \"{LOG_BEGINNING}ID\"; --partial decodes what is left of one, in the belief that {} wrote it",
                    self.decoder.path.display()
                ));
            } else if ends {
                self.begun = true;
                let frame = std::mem::take(&mut self.rest);
                self.frame(&frame, &mut lines);
            }
        }
        lines
    }

    /// Takes a whole frame, with what ends it.
    fn frame(&mut self, frame: &[u8], lines: &mut Vec<Decoded>) {
        let before = std::mem::replace(&mut self.beginning, Beginning::Known);
        if frame.starts_with(LOG_BEGINNING.as_bytes()) {
            let id = frame.len() - frame.iter().rev().take_while(|byte| matches!(byte, 0 | b'\r' | b'\n')).count();
            self.refusal = self.decoder.disagreement(&frame[..id]);
            return;
        }
        if self.decoder.is_text {
            if before != Beginning::Missing {
                self.line(frame, lines);
            }
            return;
        }
        let Some(frames) = &mut self.frames else {
            self.undecoded += frame.len();
            return;
        };
        if before == Beginning::Missing {
            // Most likely the second part of a frame, which could be decoded as another.
            return;
        }
        frames.received(frame);
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
                Err(DecodeError::UnexpectedEof) => return,
                Err(DecodeError::Malformed) => {
                    self.malformed += 1;
                    let text = format!("run: frame {} on COM2 that this ELF does not explain", self.malformed);
                    lines.push(Decoded::Line(said(text)));
                }
            }
        }
    }

    /// Takes a whole line.
    fn line(&mut self, line: &[u8], lines: &mut Vec<Decoded>) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        let line = lines::line(text).unwrap_or_else(|| {
            self.malformed += 1;
            said(format!("run: a line of the log that is none: {text}"))
        });
        lines.push(Decoded::Line(line));
    }

    /// Whether nothing has come.
    pub fn is_empty(&self) -> bool {
        !self.received
    }

    /// Why no more of the stream is decoded, where that is so.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Frames, so far, that were none of this kernel's.
    pub fn malformed(&self) -> usize {
        self.malformed
    }

    /// What is left over at the stream's end, as a line; `None` where every byte was decoded.
    pub fn finish(self) -> Option<Line> {
        let (count, why) = match self.frames {
            Some(_) => (self.rest.len(), "after the last whole frame"),
            None => (self.undecoded + self.rest.len(), "and no defmt data in the ELF to decode them with"),
        };
        (count > 0).then(|| said(format!("run: {count} bytes on COM2 {why}")))
    }
}

/// Whether a log may begin with these bytes.
fn may_begin(bytes: &[u8]) -> bool {
    bytes.starts_with(LOG_BEGINNING.as_bytes()) || LOG_BEGINNING.as_bytes().starts_with(bytes)
}

/// A line of this tool's own.
pub(crate) fn said(text: String) -> Line {
    Line { time: None, level: Some("error"), text }
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
