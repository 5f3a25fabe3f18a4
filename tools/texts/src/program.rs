//! One text as a program of the table's: see `slopos_log::lines::Texts`.

use anyhow::{Context, Result, bail};
use defmt_parser::{DisplayHint, Fragment, Parameter, ParserMode, TimePrecision, Type};
use slopos_log::lines::{Hint, Kind, LITERAL_MAX, Style};

/// Marks a kind that a hint follows.
const HINTED: u8 = 0x80;

/// The program of a text.
///
/// # Errors
/// The text is none of `defmt`'s, or has something that a kernel cannot show.
pub fn program(text: &str) -> Result<Vec<u8>> {
    let fragments = defmt_parser::parse(text, ParserMode::Strict).context("it is no text of defmt's")?;
    let mut program = Vec::new();
    let mut next = 0;
    for fragment in fragments {
        match fragment {
            Fragment::Literal(text) => literal(&text, &mut program),
            Fragment::Parameter(parameter) => {
                // Values are shown as they come.
                if parameter.index != next {
                    bail!("it names value {} where value {next} comes", parameter.index);
                }
                next += 1;
                self::parameter(&parameter, &mut program)?;
            }
        }
    }
    Ok(program)
}

/// Adds text, in pieces that are whole characters.
fn literal(mut text: &str, program: &mut Vec<u8>) {
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(LITERAL_MAX));
        program.push((piece.len() - 1) as u8);
        program.extend_from_slice(piece.as_bytes());
        text = rest;
    }
}

fn parameter(Parameter { ty, hint, .. }: &Parameter, program: &mut Vec<u8>) -> Result<()> {
    let (kind, length) = match ty {
        Type::U8 => (Kind::U8, None),
        Type::U16 => (Kind::U16, None),
        Type::U32 | Type::Usize => (Kind::U32, None),
        Type::U64 => (Kind::U64, None),
        Type::I8 => (Kind::I8, None),
        Type::I16 => (Kind::I16, None),
        Type::I32 | Type::Isize => (Kind::I32, None),
        Type::I64 => (Kind::I64, None),
        Type::Bool => (Kind::Bool, None),
        Type::Char => (Kind::Char, None),
        Type::Str => (Kind::Text, None),
        Type::Debug | Type::Display => (Kind::Shown, None),
        Type::U8Slice => (Kind::Bytes, None),
        Type::U8Array(length) => (Kind::ByteArray, Some(*length)),
        Type::Format => (Kind::Value, None),
        Type::FormatSlice => (Kind::Slice, None),
        Type::FormatArray(length) => (Kind::Array, Some(*length)),
        Type::FormatSequence => (Kind::Sequence, None),
        Type::BitField(_) | Type::F32 | Type::F64 | Type::I128 | Type::U128 | Type::IStr => {
            bail!("a kernel cannot show a value of the kind {ty:?}")
        }
    };
    let hint = match hint {
        // Of bytes alone: the decoder hands this form on to what is in a value in a way of its own.
        Some(DisplayHint::Ascii) if matches!(kind, Kind::Bytes | Kind::ByteArray) => {
            Some(Hint { style: Style::Characters, alternate: false, width: 0 })
        }
        other => other.as_ref().map(self::hint).transpose()?,
    };
    program.push(kind as u8 | if hint.is_some() { HINTED } else { 0 });
    if let Some(length) = length {
        let length = u16::try_from(length).with_context(|| format!("an array of {length} is too long"))?;
        program.extend(length.to_le_bytes());
    }
    program.extend(hint.iter().flat_map(|hint| hint.to_bytes()));
    Ok(())
}

fn hint(hint: &DisplayHint) -> Result<Hint> {
    let (style, alternate, width) = match *hint {
        DisplayHint::NoHint { zero_pad } => (Style::Decimal, false, zero_pad),
        DisplayHint::Hexadecimal { alternate, uppercase: false, zero_pad } => (Style::Hexadecimal, alternate, zero_pad),
        DisplayHint::Hexadecimal { alternate, uppercase: true, zero_pad } => (Style::Capitals, alternate, zero_pad),
        DisplayHint::Octal { alternate, zero_pad } => (Style::Octal, alternate, zero_pad),
        DisplayHint::Binary { alternate, zero_pad } => (Style::Binary, alternate, zero_pad),
        DisplayHint::Debug => (Style::Debug, false, 0),
        DisplayHint::Seconds(TimePrecision::Micros) => (Style::Micros, false, 0),
        DisplayHint::Seconds(TimePrecision::Millis) => (Style::Millis, false, 0),
        ref other => bail!("a kernel cannot show a value in the form {other:?}"),
    };
    let width = u8::try_from(width).with_context(|| format!("{width} characters are too many"))?;
    Ok(Hint { style, alternate, width })
}
