//! Values in a memory that is written by hand.

use super::*;
use slopos_elf::image::Segment;
use slopos_elf::types::{Field, Static, Variant};

const BASE: u64 = 0xffff_8000;
const U8: TypeId = TypeId(1);
const U32: TypeId = TypeId(2);
const U64: TypeId = TypeId(3);
const POINTER: TypeId = TypeId(4);
const SLICE: TypeId = TypeId(5);
const PAIR: TypeId = TypeId(6);
const SOME: TypeId = TypeId(7);
const NONE: TypeId = TypeId(8);
const OPTION: TypeId = TypeId(9);
const WORDS: TypeId = TypeId(10);
const CELL: TypeId = TypeId(11);
const ARRAY: TypeId = TypeId(12);
const TEXT: TypeId = TypeId(13);
const BYTE_POINTER: TypeId = TypeId(14);

fn field(name: &str, kind: TypeId, offset: u64) -> Field {
    Field { name: name.into(), kind, offset }
}

/// An image with a few types, whose memory holds these bytes.
fn image(bytes: &[u8]) -> Image {
    let mut image = Image::default();
    let mut add = |id, name: &str, size, shape| image.types.insert(id, Type { name: name.into(), size, shape });
    add(U8, "u8", 1, Shape::Number);
    add(U32, "u32", 4, Shape::Number);
    add(U64, "u64", 8, Shape::Number);
    add(POINTER, "&u32", 8, Shape::Pointer(Some(U32)));
    add(BYTE_POINTER, "*u8", 8, Shape::Pointer(Some(U8)));
    add(SLICE, "&[u32]", 16, Shape::Structure(vec![field("data_ptr", POINTER, 0), field("length", U64, 8)]));
    add(TEXT, "&str", 16, Shape::Structure(vec![field("data_ptr", BYTE_POINTER, 0), field("length", U64, 8)]));
    add(PAIR, "Pair", 8, Shape::Structure(vec![field("first", U32, 0), field("second", U32, 4)]));
    add(SOME, "Some", 8, Shape::Structure(vec![field("__0", POINTER, 0)]));
    add(NONE, "None", 8, Shape::Structure(Vec::new()));
    let variants = vec![
        Variant { value: Some(0), field: field("None", NONE, 0) },
        Variant { value: None, field: field("Some", SOME, 0) },
    ];
    add(OPTION, "Option<&u32>", 8, Shape::Variants { tag: Some((0, U64)), variants });
    add(WORDS, "Words", 1, Shape::Enumeration(vec![("Zero".into(), 0), ("MinusOne".into(), u64::MAX)]));
    add(CELL, "StaticCell<u32>", 8, Shape::Structure(vec![field("val", U32, 0), field("used", U8, 4)]));
    add(ARRAY, "[u32; 3]", 12, Shape::Array { element: U32, count: 3 });
    image.types.statics =
        vec![Static { name: "a::S".into(), address: BASE, kind: PAIR, alignment: None, declared: String::new() }];
    image.segments = vec![Segment { address: BASE, physical: 0x1000, size: bytes.len() as u64, bytes: bytes.to_vec() }];
    image
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Runs `check` on the value of this type at the start of such a memory.
fn with(bytes: &[u8], kind: TypeId, check: impl FnOnce(Value<'_>)) {
    let image = image(bytes);
    let memory = Memory::of_image(&image);
    check(Space { image: &image, memory: &memory }.at(kind, BASE));
}

#[test]
fn fields_are_found_by_name() {
    with(&[1, 0, 0, 0, 2, 1, 0, 0], PAIR, |pair| {
        assert_eq!(pair.field("first").and_then(|value| value.number()).ok(), Some(1));
        assert_eq!(pair.path("second").and_then(|value| value.number()).ok(), Some(0x102));
        let error = pair.field("third").map(|_| ()).expect_err("no such field").to_string();
        assert!(error.contains("Pair at") && error.contains("third"), "{error}");
        assert_eq!(pair.fields().expect("fields").len(), 2);
        assert!(pair.number().is_err() && pair.elements().is_err() && pair.target().is_err());
    });
}

#[test]
fn a_static_is_found_by_its_name() {
    let image = image(&[7, 0, 0, 0, 0, 0, 0, 0]);
    let memory = Memory::of_image(&image);
    let space = Space { image: &image, memory: &memory };
    assert_eq!(space.named("a::S").and_then(|value| value.path("first")?.number()).ok(), Some(7));
    assert!(space.named("a::T").is_err());
}

#[test]
fn a_slice_has_the_elements_that_it_refers_to() {
    let mut bytes = words(&[BASE + 16, 2]);
    bytes.extend([5, 0, 0, 0, 6, 0, 0, 0]);
    with(&bytes, SLICE, |slice| {
        let elements = slice.elements().expect("a slice");
        let numbers: Vec<u64> = elements.iter().map(|value| value.number().expect("a number")).collect();
        assert_eq!(numbers, [5, 6]);
    });
    with(&words(&[BASE + 16, 0]), SLICE, |slice| assert!(slice.elements().expect("empty").is_empty()));
}

#[test]
fn a_wild_slice_is_refused_and_not_followed() {
    for wild in [[BASE + 16, 1 << 60], [BASE + 16, u64::MAX], [3, 1]] {
        with(&words(&wild), SLICE, |slice| assert!(slice.elements().is_err(), "{wild:x?}"));
    }
}

#[test]
fn an_option_of_a_reference_is_none_where_it_is_null() {
    with(&words(&[0]), OPTION, |option| assert!(option.option().expect("an option").is_none()));
    let mut bytes = words(&[BASE + 8]);
    bytes.extend([9, 0, 0, 0]);
    with(&bytes, OPTION, |option| {
        let inner = option.option().expect("an option").expect("something");
        assert_eq!(inner.target().and_then(|value| value.number()).ok(), Some(9));
    });
}

#[test]
fn the_values_of_an_enumeration_have_names() {
    with(&[0], WORDS, |word| assert_eq!(word.variant().map(|(name, _)| name).ok(), Some("Zero")));
    with(&[0xff], WORDS, |word| assert_eq!(word.variant().map(|(name, _)| name).ok(), Some("MinusOne")));
    with(&[7], WORDS, |word| assert!(word.variant().is_err()));
}

#[test]
fn a_cell_is_what_it_holds() {
    with(&[3, 0, 0, 0, 1, 0, 0, 0], CELL, |cell| assert_eq!(cell.number().ok(), Some(3)));
}

#[test]
fn arrays_texts_and_bytes_are_read_in_place() {
    with(&[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0], ARRAY, |array| {
        assert_eq!(array.elements().expect("an array").len(), 3);
        assert_eq!(array.elements().expect("an array")[2].number().ok(), Some(3));
        assert_eq!(array.bytes().expect("bytes").len(), 12);
    });
    let mut bytes = words(&[BASE + 16, 3]);
    bytes.extend(b"abc");
    with(&bytes, TEXT, |text| assert_eq!(text.text().ok(), Some("abc")));
    with(&[1, 2], U32, |outside| assert!(outside.number().is_err()));
}
