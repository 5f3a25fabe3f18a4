//! One line of the log, from the index and the values that `defmt` writes to the text that a person reads.
//!
//! The text is that of `defmt-decoder`, and the form that of `run --times`: time, level, message. Control characters are
//! escaped, so a line stays one. What the texts or the values do not explain ends the line with [`UNKNOWN`].

use super::texts::{Class, Hint, Kind, Piece, Program, Style, Text, Texts, take};
use core::fmt::{self, Write};
use heapless::{String, Vec};

/// Most bytes of a line's index and values.
pub const VALUES_MAX: usize = 1024;
/// What stands for anything that is not known.
pub const UNKNOWN: &str = "?";
/// Deepest nesting of values.
const DEPTH_MAX: u8 = 10;
/// Most pieces of programs that one line takes. A slice of nothing may be as long as it likes.
const PIECES_MAX: u16 = 4096;
/// Room for a time stamp.
const TIME_MAX: usize = 40;

/// The index and the values of one line, as they come. All bytes zero is none.
#[derive(Default)]
pub struct Values {
    bytes: Vec<u8, VALUES_MAX>,
}

impl Values {
    /// None.
    pub const fn new() -> Self {
        Values { bytes: Vec::new() }
    }

    /// Begins another line.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes the next bytes; those of a line that are too many are left out.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.capacity() - self.bytes.len();
        // What fits is taken.
        let _ = self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Writes the line, without its end.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, texts: Texts<'_>, out: &mut dyn Write) -> fmt::Result {
        let mut values = self.bytes.as_slice();
        let text = take(&mut values).and_then(|index| texts.get(u16::from_le_bytes(index)));
        let Some(text) = text.filter(|text| !matches!(text.class, Class::Value | Class::Enum)) else {
            return out.write_str(UNKNOWN);
        };
        let mut reader = Reader { texts, values, pieces: PIECES_MAX };
        let mut time = String::<TIME_MAX>::new();
        // A time that has no room is none.
        let shown = texts.time().map_or(Ok(()), |stamp| reader.show(stamp, &mut Clean(&mut time)));
        let mut fault = shown.err().map(|_| Fault::Unknown);
        write!(out, "{time:>12} {:<5} ", text.class.level())?;
        if fault.is_none() {
            fault = reader.show(text, &mut Clean(out)).err();
        }
        match fault {
            None => Ok(()),
            Some(Fault::Unknown) => out.write_str(UNKNOWN),
            Some(Fault::Output) => Err(fmt::Error),
        }
    }
}

/// Why a line ends early.
#[derive(Clone, Copy)]
enum Fault {
    /// Neither texts nor values explain what comes next.
    Unknown,
    /// The output takes no more.
    Output,
}

impl From<fmt::Error> for Fault {
    fn from(_: fmt::Error) -> Self {
        Fault::Output
    }
}

/// Escapes control characters.
struct Clean<'w>(&'w mut dyn Write);

impl Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, control)) = rest.char_indices().find(|(_, character)| character.is_control()) {
            self.0.write_str(rest.get(..at).unwrap_or_default())?;
            write!(self.0, "{}", control.escape_default())?;
            rest = rest.get(at + control.len_utf8()..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Reads values as texts say.
struct Reader<'t, 'v> {
    texts: Texts<'t>,
    values: &'v [u8],
    /// Pieces that may still come.
    pieces: u16,
}

impl<'t> Reader<'t, '_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        take(&mut self.values).ok_or(Fault::Unknown)
    }

    /// The next bytes, as many as the number before them says.
    fn counted(&mut self) -> Result<&[u8], Fault> {
        let count = u32::from_le_bytes(self.take()?);
        self.bytes(count as usize)
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8], Fault> {
        let (bytes, rest) = self.values.split_at_checked(count).ok_or(Fault::Unknown)?;
        self.values = rest;
        Ok(bytes)
    }

    /// The text whose index comes next; 0 has none.
    fn indexed(&mut self) -> Result<Option<Text<'t>>, Fault> {
        match u16::from_le_bytes(self.take()?) {
            0 => Ok(None),
            index => self.texts.get(index).map(Some).ok_or(Fault::Unknown),
        }
    }

    /// The text of a value or of elements, whose index comes next.
    fn value_text(&mut self) -> Result<Text<'t>, Fault> {
        self.indexed()?.filter(|text| matches!(text.class, Class::Value | Class::Enum)).ok_or(Fault::Unknown)
    }

    fn show(&mut self, text: Text<'t>, out: &mut dyn Write) -> Result<(), Fault> {
        self.run(text.program(0).ok_or(Fault::Unknown)?, None, DEPTH_MAX, out)
    }

    /// Shows a value by its text, the number of the variant first where it is an enum's.
    fn value(&mut self, text: Text<'t>, hint: Option<Hint>, depth: u8, out: &mut dyn Write) -> Result<(), Fault> {
        let variant = match (text.class, text.is_short()) {
            (Class::Enum, true) => self.take::<1>()?[0].into(),
            (Class::Enum, false) => u16::from_le_bytes(self.take()?),
            _ => 0,
        };
        self.run(text.program(variant).ok_or(Fault::Unknown)?, hint, depth, out)
    }

    /// Carries a program out. `outer` is the hint of the value that it shows.
    fn run(
        &mut self,
        mut program: Program<'t>,
        outer: Option<Hint>,
        depth: u8,
        out: &mut dyn Write,
    ) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Unknown)?;
        while let Some(piece) = program.next() {
            self.pieces = self.pieces.checked_sub(1).ok_or(Fault::Unknown)?;
            match piece.map_err(|()| Fault::Unknown)? {
                Piece::Literal(text) => out.write_str(str::from_utf8(text).map_err(|_| Fault::Unknown)?)?,
                Piece::Parameter { kind, length, hint } => {
                    self.parameter(kind, length, hint.or(outer), outer, depth, out)?;
                }
            }
        }
        Ok(())
    }

    fn parameter(
        &mut self,
        kind: Kind,
        length: u16,
        hint: Option<Hint>,
        outer: Option<Hint>,
        depth: u8,
        out: &mut dyn Write,
    ) -> Result<(), Fault> {
        // A structure shows its numbers as it is to be shown itself, which its own "as a programmer would" must not hide.
        let of_number = if hint.is_some_and(|hint| hint.style == Style::Debug) { outer } else { hint };
        match kind {
            Kind::U8 => unsigned(self.take::<1>()?[0].into(), of_number, out)?,
            Kind::U16 => unsigned(u16::from_le_bytes(self.take()?).into(), of_number, out)?,
            Kind::U32 => unsigned(u32::from_le_bytes(self.take()?).into(), of_number, out)?,
            Kind::U64 => unsigned(u64::from_le_bytes(self.take()?), of_number, out)?,
            Kind::I8 => signed(i8::from_le_bytes(self.take()?).into(), 1, hint, out)?,
            Kind::I16 => signed(i16::from_le_bytes(self.take()?).into(), 2, hint, out)?,
            Kind::I32 => signed(i32::from_le_bytes(self.take()?).into(), 4, hint, out)?,
            Kind::I64 => signed(i64::from_le_bytes(self.take()?), 8, hint, out)?,
            Kind::Bool => match self.take::<1>()? {
                [0] => out.write_str("false")?,
                [1] => out.write_str("true")?,
                _ => return Err(Fault::Unknown),
            },
            Kind::Char => {
                out.write_char(char::from_u32(u32::from_le_bytes(self.take()?)).ok_or(Fault::Unknown)?)?;
            }
            Kind::Text => text(self.counted()?, hint, out)?,
            Kind::Shown => {
                let end = self.values.iter().position(|&byte| byte == 0xff).ok_or(Fault::Unknown)?;
                text(self.bytes(end)?, hint, out)?;
                self.take::<1>()?;
            }
            Kind::Bytes => bytes(self.counted()?, hint, out)?,
            Kind::ByteArray => bytes(self.bytes(length.into())?, hint, out)?,
            Kind::Value => {
                let text = self.value_text()?;
                self.value(text, hint, depth, out)?;
            }
            Kind::Slice => {
                let length = u32::from_le_bytes(self.take()?);
                self.elements(length, hint, depth, out)?;
            }
            Kind::Array => self.elements(length.into(), hint, depth, out)?,
            Kind::Sequence => {
                while let Some(text) = self.indexed()? {
                    if text.class != Class::Value {
                        return Err(Fault::Unknown);
                    }
                    self.value(text, hint, depth, out)?;
                }
            }
        }
        Ok(())
    }

    fn elements(&mut self, count: u32, hint: Option<Hint>, depth: u8, out: &mut dyn Write) -> Result<(), Fault> {
        let text = self.value_text()?;
        out.write_str("[")?;
        for element in 0..count {
            self.pieces = self.pieces.checked_sub(1).ok_or(Fault::Unknown)?;
            if element > 0 {
                out.write_str(", ")?;
            }
            self.value(text, hint, depth, out)?;
        }
        Ok(out.write_str("]")?)
    }
}

fn unsigned(value: u64, hint: Option<Hint>, out: &mut dyn Write) -> fmt::Result {
    let Some(Hint { style, alternate, width }) = hint else { return write!(out, "{value}") };
    let width = usize::from(width);
    match (style, alternate) {
        (Style::Decimal, _) => write!(out, "{value:0width$}"),
        (Style::Hexadecimal, false) => write!(out, "{value:0width$x}"),
        (Style::Hexadecimal, true) => write!(out, "{value:#0width$x}"),
        (Style::Capitals, false) => write!(out, "{value:0width$X}"),
        (Style::Capitals, true) => write!(out, "{value:#0width$X}"),
        (Style::Octal, false) => write!(out, "{value:0width$o}"),
        (Style::Octal, true) => write!(out, "{value:#0width$o}"),
        (Style::Binary, false) => write!(out, "{value:0width$b}"),
        (Style::Binary, true) => write!(out, "{value:#0width$b}"),
        (Style::Micros, _) => write!(out, "{}.{:06}", value / 1_000_000, value % 1_000_000),
        (Style::Millis, _) => write!(out, "{}.{:03}", value / 1_000, value % 1_000),
        (Style::Debug | Style::Characters, _) => write!(out, "{value}"),
    }
}

/// Shows a number of so many bytes. In hexadecimal digits it is the number that has the same bits.
fn signed(value: i64, bytes: u32, hint: Option<Hint>, out: &mut dyn Write) -> fmt::Result {
    match hint {
        Some(Hint { style: Style::Decimal, width, .. }) => write!(out, "{value:0width$}", width = usize::from(width)),
        Some(Hint { style: Style::Hexadecimal | Style::Capitals, .. }) => {
            unsigned(value as u64 & (u64::MAX >> (64 - 8 * bytes)), hint, out)
        }
        // The decoder shows these with 128 bits, for it forgets how long they were.
        Some(Hint { style: Style::Octal | Style::Binary, .. }) if value < 0 => out.write_str(UNKNOWN),
        Some(Hint { style: Style::Octal | Style::Binary, .. }) => unsigned(value as u64, hint, out),
        _ => write!(out, "{value}"),
    }
}

fn text(bytes: &[u8], hint: Option<Hint>, out: &mut dyn Write) -> Result<(), Fault> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::Unknown)?;
    let debug = hint.is_some_and(|hint| hint.style == Style::Debug);
    if debug {
        write!(out, "{text:?}")?;
    } else {
        out.write_str(text)?;
    }
    Ok(())
}

/// Shows bytes as a list, or as characters.
fn bytes(bytes: &[u8], hint: Option<Hint>, out: &mut dyn Write) -> fmt::Result {
    if hint.is_some_and(|hint| hint.style == Style::Characters) {
        return characters(bytes, out);
    }
    let hint =
        hint.filter(|hint| matches!(hint.style, Style::Hexadecimal | Style::Capitals | Style::Octal | Style::Binary));
    out.write_str("[")?;
    for (at, &byte) in bytes.iter().enumerate() {
        if at > 0 {
            out.write_str(", ")?;
        }
        unsigned(byte.into(), hint, out)?;
    }
    out.write_str("]")
}

/// Shows bytes as the language's byte strings.
fn characters(bytes: &[u8], out: &mut dyn Write) -> fmt::Result {
    out.write_str("b\"")?;
    for &byte in bytes {
        match byte {
            b'\t' => out.write_str("\\t")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'"' | b'\\' => write!(out, "\\{}", char::from(byte))?,
            b' '..=b'~' => out.write_char(byte.into())?,
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    out.write_str("\"")
}
