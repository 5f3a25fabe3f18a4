//! The lines that a kernel writes are those of `defmt-decoder`, for whatever values.

use defmt_decoder::Table;
use defmt_parser::{Fragment, ParserMode, Type};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use proptest::prelude::*;
use slopos_log::lines::{Texts, VALUES_MAX, Values};
use slopos_texts::{Entry, Tag, entries, put, table};
use std::collections::BTreeMap;

/// What the texts of values are, with their tags.
const VALUES: [(&str, &str); 14] = [
    ("prim", "{=u8}"),
    ("prim", "{=u64}"),
    ("prim", "{=i16}"),
    ("prim", "{=str}"),
    ("prim", "{=bool}"),
    ("prim", "{=[?]}"),
    ("prim", "{=__internal_Display}"),
    ("prim", "{=__internal_FormatSequence}"),
    ("derived", "Unit"),
    ("derived", "Mac({=[?;6]:?})"),
    ("derived", "Lied {{ queue: {=u16:?}, size: {=i32:?}, what: {=?:?} }}"),
    ("derived", "Silent|Broken({=?:?})|Short {{ bytes: {=usize:?}, text: {=str:?} }}|Last"),
    ("write", "{=u8}.{=u8}"),
    ("write", " and {=?}"),
];

/// Lines with every kind of value and every form.
const LINES: [(&str, &str); 23] = [
    ("info", "nothing but text"),
    (
        "warn",
        "{{braces}} \u{fc}ml\u{e4}ut and a text that is longer than one piece of a program can be, by some: {=bool}",
    ),
    ("error", "{=u8} {=u16} {=u32} {=u64} {=usize}"),
    ("debug", "{=i8} {=i16} {=i32} {=i64} {=isize}"),
    ("trace", "{=u8:x} {=u16:#x} {=u32:08x} {=u64:#018x} {=u8:X} {=u16:#06X}"),
    ("info", "{=i8:x} {=i16:#x} {=i32:08X} {=i64:#x}"),
    ("info", "{=u8:b} {=u16:#b} {=u32:#034b} {=u8:o} {=u64:#o}"),
    ("info", "{=u8:03} {=i32:010} {=u64:02}"),
    ("info", "{=u64:us} {=u32:ms} {=u8:us}"),
    ("info", "{=u8:?} {=i64:?}"),
    ("info", "{=bool} {=char} {=bool:?}"),
    ("info", "{=str}, {=str:?}"),
    ("info", "{=[u8]} {=[u8]:02x} {=[u8]:#b} {=[u8]:?}"),
    ("info", "{=[u8;0]} {=[u8;5]} {=[u8;3]:#04X}"),
    ("info", "{=[u8]:a} {=[u8;4]:a}"),
    ("info", "{=__internal_Debug} {=__internal_Display} {=__internal_Display:?}"),
    ("info", "{=?}"),
    ("warn", "{=?} {=?:?} {=?:#x} {=?:04}"),
    ("warn", "{=[?]} {=[?]:?} {=[?]:#06x}"),
    ("error", "{=[?;0]} {=[?;4]:02x}"),
    ("println", "process text {=[u8]:02x}"),
    ("println", "{=?:us} of {=?:ms}"),
    ("info", "{=?:b}{=?:o}{=?:X}"),
];

/// A kernel with these texts and so much room for them, as an object file.
fn kernel(texts: &[(&str, &str)], room: u64) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let defmt = object.add_section(Vec::new(), b".defmt".to_vec(), SectionKind::Metadata);
    object.append_section_data(defmt, &[0; 256], 1);
    let constants = object.section_id(StandardSection::ReadOnlyData);
    object.append_section_data(constants, &vec![0xcc; room as usize + 24], 8);
    let mut symbol = |name: &str, value, size, section| {
        let (kind, scope, weak) = (SymbolKind::Data, SymbolScope::Compilation, false);
        let name = name.as_bytes().to_vec();
        object.add_symbol(Symbol { name, value, size, kind, scope, weak, section, flags: SymbolFlags::None });
    };
    symbol("_defmt_version_ = 4", 0, 0, SymbolSection::Absolute);
    symbol("_defmt_encoding_ = raw", 0, 0, SymbolSection::Absolute);
    symbol("__DEFMT_MARKER_END", 200, 0, SymbolSection::Section(defmt));
    for (index, (tag, text)) in (1..).zip(texts) {
        let name = serde_json::json!({
            "package": "p", "tag": format!("defmt_{tag}"), "data": text, "disambiguator": index.to_string(),
        });
        symbol(&name.to_string(), index, 1, SymbolSection::Section(defmt));
    }
    if room > 0 {
        symbol("__log_texts", 8, room, SymbolSection::Section(constants));
    }
    object.write().expect("an object file")
}

/// All texts: lines, then values, then the time stamp.
fn texts() -> Vec<(&'static str, &'static str)> {
    LINES.into_iter().chain(VALUES).chain([("timestamp", "{=u64:us}")]).collect()
}

/// Makes up values.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }

    /// Bytes of which most are characters.
    fn characters(&mut self, count: usize, out: &mut Vec<u8>) {
        let bytes = b"aZ \"\\\t\n\r\x7f\0\xff~";
        (0..count).for_each(|_| out.push(bytes[self.below(bytes.len() as u64) as usize]));
    }

    /// A number, often a small or an outermost one.
    fn number(&mut self, bytes: usize, out: &mut Vec<u8>) {
        let number = match self.below(4) {
            0 => self.below(3),
            1 => u64::MAX - self.below(3),
            2 => 1 << (8 * bytes as u64 - 1),
            _ => self.below(1 << 32) << 32 | self.below(1 << 32),
        };
        out.extend_from_slice(&number.to_le_bytes()[..bytes]);
    }

    fn text(&mut self) -> String {
        let texts = ["", "a", "10.0.2.2", "a \"quote\" and \\", "\x1b[2J\r\n", "\u{85}\u{e9}\u{20ac}\u{1f600}", "{}|?"];
        texts[self.below(texts.len() as u64) as usize].to_owned()
    }

    /// An index of a value's text; `parts` are those that `write!` makes.
    fn index(&mut self, parts: bool, depth: u32) -> u16 {
        let first = LINES.len() as u64 + 1;
        match (parts, depth) {
            (true, 0) => (first + 12) as u16,
            (true, _) => (first + 12 + self.below(2)) as u16,
            // At some depth there are no more values within values.
            (false, 0) => (first + self.below(5)) as u16,
            (false, _) => (first + self.below(12)) as u16,
        }
    }

    fn values(&mut self, text: &str, depth: u32, out: &mut Vec<u8>) {
        for fragment in defmt_parser::parse(text, ParserMode::Strict).expect("a text") {
            let Fragment::Parameter(parameter) = fragment else { continue };
            match parameter.ty {
                Type::U8 | Type::I8 => self.number(1, out),
                Type::U16 | Type::I16 => self.number(2, out),
                Type::U32 | Type::I32 | Type::Usize | Type::Isize => self.number(4, out),
                Type::U64 | Type::I64 => self.number(8, out),
                Type::Bool => out.push(self.below(2) as u8),
                Type::Char => out.extend(u32::from(['a', '\n', '\u{1f600}'][self.below(3) as usize]).to_le_bytes()),
                Type::Str => {
                    let text = self.text();
                    out.extend((text.len() as u32).to_le_bytes());
                    out.extend(text.as_bytes());
                }
                Type::Debug | Type::Display => {
                    out.extend(self.text().as_bytes());
                    out.push(0xff);
                }
                Type::U8Slice => {
                    let count = self.below(5) as u32;
                    out.extend(count.to_le_bytes());
                    self.characters(count as usize, out);
                }
                Type::U8Array(count) => self.characters(count, out),
                Type::Format => self.value(depth, out),
                Type::FormatSlice => {
                    let count = self.below(4) as usize;
                    out.extend((count as u32).to_le_bytes());
                    self.elements(count, depth, out);
                }
                Type::FormatArray(count) => self.elements(count, depth, out),
                Type::FormatSequence => {
                    for _ in 0..self.below(4) {
                        let index = self.index(true, depth.saturating_sub(1));
                        out.extend(index.to_le_bytes());
                        self.values(texts()[usize::from(index) - 1].1, depth.saturating_sub(1), out);
                    }
                    out.extend([0, 0]);
                }
                ty => panic!("no text has {ty:?}"),
            }
        }
    }

    fn value(&mut self, depth: u32, out: &mut Vec<u8>) {
        let index = self.index(false, depth);
        out.extend(index.to_le_bytes());
        self.of_text(texts()[usize::from(index) - 1].1, depth.saturating_sub(1), out);
    }

    fn elements(&mut self, count: usize, depth: u32, out: &mut Vec<u8>) {
        let index = self.index(false, depth);
        out.extend(index.to_le_bytes());
        (0..count).for_each(|_| self.of_text(texts()[usize::from(index) - 1].1, depth.saturating_sub(1), out));
    }

    fn of_text(&mut self, text: &str, depth: u32, out: &mut Vec<u8>) {
        let variants: Vec<&str> = text.split('|').collect();
        let variant = self.below(variants.len() as u64) as usize;
        if variants.len() > 1 {
            out.push(variant as u8);
        }
        self.values(variants[variant], depth, out);
    }
}

/// The line of these bytes as the decoder shows it; `None` where they are no frame.
fn decoded(table: &Table, values: &[u8]) -> Option<String> {
    let (frame, _) = table.decode(values).ok()?;
    let level = frame.level().map_or("", |level| level.as_str());
    let shown = format!("{:>12} {level:<5} ", frame.display_timestamp()?.to_string());
    let message = frame.display_message().to_string();
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    Some(shown + &message.chars().map(escape).collect::<String>())
}

fn shown(table: &[u8], values: &[u8]) -> String {
    let mut collected = Values::new();
    collected.push(values);
    let mut line = String::new();
    collected.write(Texts::new(table), &mut line).expect("a String takes all");
    line
}

/// The decoder's table and ours, of the same kernel.
fn both() -> (Table, Vec<u8>) {
    let kernel = kernel(&texts(), 4096);
    let ours = table(&entries(&kernel).expect("texts")).expect("what can be shown");
    (Table::parse(&kernel).expect("a kernel").expect("texts"), ours)
}

#[test]
fn lines_are_those_of_the_decoder() {
    let (table, ours) = both();
    let mut config = ProptestConfig::with_cases(4_000);
    config.failure_persistence = None;
    proptest!(config, |(index in 1..=LINES.len(), seed in 1..u64::MAX, depth in 0..4_u32)| {
        let mut values = Vec::from((index as u16).to_le_bytes());
        let mut chance = Chance(seed);
        chance.number(8, &mut values);
        chance.values(LINES[index - 1].1, depth, &mut values);
        prop_assume!(values.len() <= VALUES_MAX);
        let expected = decoded(&table, &values).expect("a frame");
        // With 128 bits, the decoder shows more than a number has.
        prop_assume!(!expected.contains(&"1".repeat(65)) && !expected.contains("37777777777777777777777"));
        prop_assert_eq!(shown(&ours, &values), expected);
        // Cut short, it says so.
        values.pop();
        if decoded(&table, &values).is_none() {
            prop_assert!(shown(&ours, &values).ends_with('?'));
        }
    });
}

#[test]
fn the_texts_are_put_into_the_room_of_the_kernel_and_nowhere_else() {
    let before = kernel(&texts(), 4096);
    let mut after = before.clone();
    let used = put(&mut after).expect("they fit").expect("there is room");
    let changed: Vec<usize> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
    assert!(changed[changed.len() - 1] - changed[0] < 4096);
    let start = after.windows(used).position(|bytes| bytes == both().1).expect("the table");
    assert!(after[start + used..][..4096 - used].iter().all(|&byte| byte == 0), "the rest is cleared");
    // The same kernel gives the same bytes, also where it has them already.
    let mut again = after.clone();
    assert_eq!(put(&mut again).expect("they fit"), Some(used));
    assert_eq!(again, after);
    let frames = kernel(&texts(), 0);
    let mut same = frames.clone();
    assert_eq!(put(&mut same).expect("nothing to do"), None);
    assert_eq!(same, frames);
}

#[test]
fn a_kernel_that_cannot_show_its_log_is_refused() {
    for (text, why) in [
        ("a float {=f32}", "a kernel cannot show a value of the kind F32"),
        ("{=u128}", "of the kind U128"),
        ("{0=0..4}", "of the kind BitField"),
        ("{=istr}", "of the kind IStr"),
        ("{=?:a}", "in the form Ascii"),
        ("{1=u8} {0=u8}", "it names value 1 where value 0 comes"),
        ("{0=u8} {0=u8}", "it names value 0 where value 1 comes"),
        ("{=u8:0300}", "300 characters are too many"),
        ("{", "it is no text of defmt's"),
    ] {
        let mut kernel = kernel(&[("info", text), ("timestamp", "{=u64:us}")], 4096);
        let before = kernel.clone();
        let error = format!("{:#}", put(&mut kernel).expect_err(text));
        assert!(error.contains(why) && error.contains(&format!("the text {text:?} of the log")), "{error}");
        assert_eq!(kernel, before, "it is as it was");
    }
    let error = put(&mut kernel(&texts(), 100)).expect_err("too little room").to_string();
    assert!(error.contains("and there are 100: ROOM in boards/pc/src/log/lines.rs"), "{error}");
    let error = put(&mut kernel(&[("info", "x")], 100)).expect_err("no time").to_string();
    assert!(error.contains("no time stamp"), "{error}");
    assert!(put(&mut b"#!/bin/sh".to_vec()).expect_err("no ELF").to_string().contains("64-bit ELF"));
}

#[test]
fn texts_that_nothing_shows_are_left_out() {
    let entry = |tag, text: &str| Entry { tag, text: text.to_owned() };
    let entries = BTreeMap::from([(3, entry(Tag::Timestamp, "{=u64:us}")), (7, entry(Tag::Other, "{=f32}"))]);
    let table = table(&entries).expect("nothing that cannot be shown");
    assert_eq!(shown(&table, &[7, 0]), "?");
}
