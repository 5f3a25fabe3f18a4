//! Values that make sense and values that do not. That lines are those of `defmt-decoder` is shown in tools/texts, where
//! the tables are made.

use super::*;
use proptest::prelude::*;

/// A table with these texts, of which each is a class and its programs; the first has index 1.
fn table(texts: &[(Class, &[&[u8]])]) -> Vec<u8> {
    let count = texts.len() + 1;
    let mut places = vec![0_u16];
    let mut bytes = Vec::new();
    for (class, programs) in texts {
        places.push((4 + 2 * count + bytes.len()) as u16);
        bytes.push(*class as u8);
        if *class == Class::Enum {
            bytes.extend((programs.len() as u16).to_le_bytes());
        }
        for program in *programs {
            bytes.extend((program.len() as u16).to_le_bytes());
            bytes.extend_from_slice(program);
        }
    }
    let mut table = Vec::from((count as u16).to_le_bytes());
    // The last text is the time stamp's.
    table.extend(places[count - 1].to_le_bytes());
    table.extend(places.iter().flat_map(|place| place.to_le_bytes()));
    table.extend(bytes);
    table
}

fn line(table: &[u8], values: &[u8]) -> String {
    let mut collected = Values::new();
    collected.push(values);
    let mut out = String::new();
    collected.write(Texts::new(table), &mut out).expect("a String takes all");
    out
}

/// The time stamp's program: a byte of microseconds.
const TIME: (Class, &[&[u8]]) = (Class::Value, &[&[Kind::U8 as u8 | 0x80, Style::Micros as u8, 0]]);

#[test]
fn what_is_not_known_is_a_question_mark() {
    let table = table(&[
        (Class::Info, &[&[1, b'a', b'=', Kind::U16 as u8, 0, b';']]),
        (Class::Value, &[&[0, b'v']]),
        (Class::Warn, &[&[Kind::Value as u8]]),
        (Class::Error, &[&[0, 0xff]]),
        TIME,
    ]);
    for (values, expected) in [
        (&[1, 0, 9, 2, 1][..], "    0.000009 info  a=258;"),
        // Cut short: in the value, in the time, in the index.
        (&[1, 0, 9, 2], "    0.000009 info  a=?"),
        (&[1, 0], "             info  ?"),
        (&[1], "?"),
        (&[], "?"),
        // No such index, or one that is no line.
        (&[9, 0, 1], "?"),
        (&[0, 0, 1], "?"),
        (&[2, 0, 1], "?"),
        // A value whose text is missing, or is a line's.
        (&[3, 0, 1, 2, 0], "    0.000001 warn  v"),
        (&[3, 0, 1, 7, 0], "    0.000001 warn  ?"),
        (&[3, 0, 1, 1, 0], "    0.000001 warn  ?"),
        // A text that is none.
        (&[4, 0, 1], "    0.000001 error ?"),
    ] {
        assert_eq!(line(&table, values), expected, "{values:?}");
    }
    assert_eq!(line(&[], &[1, 0]), "?", "a table that was never put in");
    assert_eq!(line(&[0; 64], &[1, 0]), "?");
}

#[test]
fn neither_depth_nor_length_is_without_end() {
    // A value that is itself in itself, and a slice of four billion elements of which each is nothing.
    let table = table(&[
        (Class::Info, &[&[Kind::Value as u8]]),
        (Class::Value, &[&[0, b'(', Kind::Value as u8]]),
        (Class::Info, &[&[Kind::Slice as u8]]),
        (Class::Value, &[&[]]),
        TIME,
    ]);
    let endless: Vec<u8> = [1, 0, 0].into_iter().chain([2, 0].into_iter().cycle().take(200)).collect();
    let deep = line(&table, &endless);
    assert!(deep.ends_with("((?") && deep.len() < 40, "{deep}");
    let long = line(&table, &[3, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0]);
    assert!(long.ends_with(", ?") && long.len() < 10_000, "{}", long.len());
}

#[test]
fn control_characters_are_escaped() {
    let table = table(&[(Class::Info, &[&[Kind::Text as u8]]), TIME]);
    let text = "a\x1b[2J\r\nb\u{85}é";
    let values = [&[1, 0, 0, text.len() as u8, 0, 0, 0], text.as_bytes()].concat();
    assert_eq!(line(&table, &values), "    0.000000 info  a\\u{1b}[2J\\r\\nb\\u{85}é");
}

#[test]
fn more_values_than_there_is_room_for_are_left_out() {
    let table = table(&[(Class::Info, &[&[Kind::Text as u8]]), TIME]);
    let values = [&[1, 0, 0, 0, 8, 0, 0][..], &[b'x'; 2048]].concat();
    assert_eq!(line(&table, &values), "    0.000000 info  ?");
}

proptest! {
    /// Whatever the table and the values are, there is a line, and it has an end.
    #[test]
    fn any_bytes_give_a_line(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        values in prop::collection::vec(any::<u8>(), 0..VALUES_MAX),
        places in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        // Some places within the table, for most numbers are none.
        let mut table = bytes;
        for (at, place) in places.iter().enumerate() {
            if let Some(number) = table.get_mut(2 * at..2 * at + 2) {
                number.copy_from_slice(&[*place, 0]);
            }
        }
        let shown = line(&table, &values);
        prop_assert!(!shown.contains('\n'));
        let small = [&[values.first().copied().unwrap_or_default() % 32, 0], &values[..]].concat();
        prop_assert!(!line(&table, &small).chars().any(char::is_control));
    }
}
