//! The texts of a kernel's log, as the build has put them together (tools/texts) and the board reads them.
//!
//! All numbers are little-endian. The table begins with the number of indices and the place of the time stamp's text, two
//! bytes each; for each index two bytes follow, the place of its text in the table, or 0 where it has none. A text
//! begins with its [`Class`]. That of an enum has the number of its variants next, in two bytes, and then a program
//! for each; any other has one program. A program is its length in two bytes and then its pieces:
//!
//! | first byte | what follows |
//! |---|---|
//! | less than 0x40 | literal text, one byte more than this says |
//! | a [`Kind`] | for an array its length in two bytes |
//! | a [`Kind`] + 0x80 | for an array its length in two bytes; a [`Hint`] in two bytes |

/// Most bytes of one piece of literal text.
pub const LITERAL_MAX: usize = 0x40;
/// Added to a kind that a hint follows.
const HINTED: u8 = 0x80;

/// Gives an enum of bytes the way back from the byte.
macro_rules! bytes {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $byte:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($(#[$of])* $variant = $byte,)+ }

        impl $name {
            /// The one that a byte stands for.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some($name::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

bytes! {
    /// What a text is for.
    Class {
        /// A line of the level trace.
        Trace = 0,
        /// A line of the level debug.
        Debug = 1,
        /// A line of the level info.
        Info = 2,
        /// A line of the level warn.
        Warn = 3,
        /// A line of the level error.
        Error = 4,
        /// A line without a level.
        Line = 5,
        /// How a value is shown.
        Value = 6,
        /// How a value of an enum is shown, a program for each variant.
        Enum = 7,
    }
}

impl Class {
    /// The level's name, as logs show it; nothing for a line without.
    pub const fn level(self) -> &'static str {
        match self {
            Class::Trace => "trace",
            Class::Debug => "debug",
            Class::Info => "info",
            Class::Warn => "warn",
            Class::Error => "error",
            Class::Line | Class::Value | Class::Enum => "",
        }
    }
}

bytes! {
    /// What a value is, and how its bytes look in a frame.
    Kind {
        /// An unsigned number of one byte.
        U8 = 0x40,
        /// Of two.
        U16 = 0x41,
        /// Of four; `usize` is one too.
        U32 = 0x42,
        /// Of eight.
        U64 = 0x43,
        /// A signed number of one byte.
        I8 = 0x44,
        /// Of two.
        I16 = 0x45,
        /// Of four; `isize` is one too.
        I32 = 0x46,
        /// Of eight.
        I64 = 0x47,
        /// A byte, 0 or 1.
        Bool = 0x48,
        /// Four bytes.
        Char = 0x49,
        /// A length in four bytes, and text.
        Text = 0x4a,
        /// Text until a byte 0xff.
        Shown = 0x4b,
        /// A length in four bytes, and bytes.
        Bytes = 0x4c,
        /// As many bytes as the program says.
        ByteArray = 0x4d,
        /// The index of a text of its own, and the values in that.
        Value = 0x4e,
        /// A length in four bytes, the index of one text, and for each element the values in that.
        Slice = 0x4f,
        /// The same without the length, which the program says.
        Array = 0x50,
        /// Indices, each with the values in its text, until an index 0.
        Sequence = 0x51,
    }
}

bytes! {
    /// How a value is shown.
    Style {
        /// A number in decimal digits, filled up with zeros.
        Decimal = 0,
        /// In hexadecimal ones.
        Hexadecimal = 1,
        /// In hexadecimal ones, with capital letters.
        Capitals = 2,
        /// In octal ones.
        Octal = 3,
        /// In binary ones.
        Binary = 4,
        /// As a programmer would write it.
        Debug = 5,
        /// A number of microseconds as seconds.
        Micros = 6,
        /// A number of milliseconds as seconds.
        Millis = 7,
        /// Bytes as characters.
        Characters = 8,
    }
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The form.
    pub style: Style,
    /// With the prefix of its base.
    pub alternate: bool,
    /// Least number of characters, the prefix included.
    pub width: u8,
}

impl Hint {
    const ALTERNATE: u8 = 0x80;

    /// The bytes in a program.
    pub const fn to_bytes(self) -> [u8; 2] {
        [self.style as u8 | if self.alternate { Hint::ALTERNATE } else { 0 }, self.width]
    }

    fn from_bytes([style, width]: [u8; 2]) -> Option<Hint> {
        let alternate = style & Hint::ALTERNATE != 0;
        Some(Hint { style: Style::from_byte(style & !Hint::ALTERNATE)?, alternate, width })
    }
}

/// A piece of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text as it is; whether it is UTF-8 is not known.
    Literal(&'t [u8]),
    /// A value; `length` is that of an array.
    Parameter { kind: Kind, length: u16, hint: Option<Hint> },
}

/// A program, read from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Program<'t>(&'t [u8]);

impl<'t> Program<'t> {
    /// The next piece; `None` at the end, an error where the bytes are none.
    pub fn next(&mut self) -> Option<Result<Piece<'t>, ()>> {
        if self.0.is_empty() { None } else { Some(self.piece().ok_or(())) }
    }

    fn piece(&mut self) -> Option<Piece<'t>> {
        let first = take::<1>(&mut self.0)?[0];
        if usize::from(first) < LITERAL_MAX {
            let (text, rest) = self.0.split_at_checked(usize::from(first) + 1)?;
            self.0 = rest;
            return Some(Piece::Literal(text));
        }
        let kind = Kind::from_byte(first & !HINTED)?;
        let length = match kind {
            Kind::ByteArray | Kind::Array => u16::from_le_bytes(take(&mut self.0)?),
            _ => 0,
        };
        let hint = if first & HINTED == 0 { None } else { Some(Hint::from_bytes(take(&mut self.0)?)?) };
        Some(Piece::Parameter { kind, length, hint })
    }
}

/// What is found at an index.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t> {
    pub class: Class,
    /// How many programs there are.
    variants: u16,
    programs: &'t [u8],
}

impl<'t> Text<'t> {
    fn read(mut bytes: &'t [u8]) -> Option<Text<'t>> {
        let class = Class::from_byte(take::<1>(&mut bytes)?[0])?;
        let variants = if class == Class::Enum { u16::from_le_bytes(take(&mut bytes)?) } else { 1 };
        Some(Text { class, variants, programs: bytes })
    }

    /// The program of a variant; 0 is that of a text which has no others.
    pub fn program(&self, variant: u16) -> Option<Program<'t>> {
        if variant >= self.variants {
            return None;
        }
        let mut bytes = self.programs;
        for _ in 0..variant {
            let length = u16::from_le_bytes(take(&mut bytes)?);
            bytes = bytes.get(usize::from(length)..)?;
        }
        let length = u16::from_le_bytes(take(&mut bytes)?);
        bytes.get(..usize::from(length)).map(Program)
    }

    /// Whether a variant's number takes one byte in a frame, and not two.
    pub fn is_short(&self) -> bool {
        self.variants <= 256
    }
}

/// The table of all texts. Of one that is damaged, each text that makes no sense counts as none.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'t>(&'t [u8]);

impl<'t> Texts<'t> {
    /// The table in these bytes, which may be more than it has.
    pub const fn new(bytes: &'t [u8]) -> Self {
        Texts(bytes)
    }

    fn number(&self, place: usize) -> Option<u16> {
        let bytes = self.0.get(place..place.checked_add(2)?)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    }

    fn text(&self, place: u16) -> Option<Text<'t>> {
        if place == 0 { None } else { Text::read(self.0.get(usize::from(place)..)?) }
    }

    /// The text of an index.
    pub(crate) fn get(&self, index: u16) -> Option<Text<'t>> {
        if index >= self.number(0)? {
            return None;
        }
        self.text(self.number(4 + 2 * usize::from(index))?)
    }

    /// The time stamp's text.
    pub(crate) fn time(&self) -> Option<Text<'t>> {
        self.text(self.number(2)?)
    }
}

/// Takes `N` bytes from the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
