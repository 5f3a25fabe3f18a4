//! The closed world: every writable byte of the image has an owner, is padding that an alignment explains, or is
//! unaccounted for.

use crate::audit::{Row, Unaccounted};
use crate::reviewed;
use slopos_elf::image::{Image, Section};
use slopos_elf::types::TypeId;

/// Whose a writable section is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// `.grant.PROCESS.CAPSULE`: what a capsule holds for a process.
    Grant {
        /// The process.
        process: String,
        /// The capsule.
        capsule: String,
    },
    /// `.process.PROCESS`: a process's own memory.
    Process(String),
    /// `.shared.NAME`: what all processes share.
    Shared(String),
    /// `.owner.NAME`: a part of the kernel.
    Owner(String),
    /// Statics of a reviewed list, or memory without statics.
    Reviewed,
    /// Nobody's.
    Nobody,
}

impl Ownership {
    /// Whose the section of this name is.
    pub fn of(section: &str) -> Ownership {
        let mut parts = section.splitn(4, '.').skip(1);
        match (parts.next(), parts.next(), parts.next()) {
            (Some("grant"), Some(process), Some(capsule)) => {
                Ownership::Grant { process: process.into(), capsule: capsule.into() }
            }
            (Some("process"), Some(process), None) => Ownership::Process(process.into()),
            (Some("shared"), Some(name), None) => Ownership::Shared(name.into()),
            (Some("owner"), Some(name), None) => Ownership::Owner(name.into()),
            _ if reviewed::region(section).is_some() => Ownership::Reviewed,
            _ if reviewed::REVIEWED.iter().any(|known| known.section == section) => Ownership::Reviewed,
            _ => Ownership::Nobody,
        }
    }
}

/// A static in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name with its modules.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
    /// Its type, where the debugging information has it whole.
    pub kind: Option<TypeId>,
    /// The source line that declares it, or nothing.
    pub declared: String,
    /// What its address is a multiple of.
    alignment: u64,
}

impl Object {
    /// The last part of its name.
    pub fn short(&self) -> &str {
        self.name.rsplit("::").next().unwrap_or(&self.name)
    }
}

/// A section, cut into what lies in it. The parts sum up to the section's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The statics that belong there.
    pub objects: Vec<Object>,
    /// Bytes between them that alignments explain.
    pub padding: u64,
    /// The rest.
    pub unaccounted: Vec<Unaccounted>,
}

/// Cuts a section into statics, padding, and what nobody owns.
pub fn contents(image: &Image, section: &Section) -> Contents {
    let mut contents = Contents::default();
    let ownership = Ownership::of(&section.name);
    let mut reached = section.address;
    for object in objects(image, section) {
        let start = object.address.max(reached);
        let gap = start - reached;
        if gap > 0 && gap < object.alignment && ownership != Ownership::Nobody {
            contents.padding += gap;
        } else if gap > 0 {
            contents.unaccounted.push(nameless(section, reached, gap));
        }
        let end = object.address + object.size;
        if end <= reached {
            // A second name for what is counted already.
            continue;
        }
        reached = end;
        let allowed = match ownership {
            Ownership::Nobody => false,
            Ownership::Reviewed => reviewed::reason(&section.name, &object.name).is_some(),
            _ => object.name.split("::").next() == Some(reviewed::BOARD),
        };
        if allowed && start == object.address {
            contents.objects.push(object);
        } else {
            contents.unaccounted.push(Unaccounted {
                section: section.name.clone(),
                address: start,
                bytes: end - start,
                what: object.name,
                declared: object.declared,
            });
        }
    }
    if reached < section.end() {
        contents.unaccounted.push(nameless(section, reached, section.end() - reached));
    }
    contents
}

fn nameless(section: &Section, address: u64, bytes: u64) -> Unaccounted {
    let what = "bytes without a symbol".to_owned();
    Unaccounted { section: section.name.clone(), address, bytes, what, declared: String::new() }
}

/// The symbols of a section that have a size, with what the debugging information knows of them.
fn objects(image: &Image, section: &Section) -> Vec<Object> {
    let inside = |address: u64| (section.address..section.end()).contains(&address);
    let symbols = image.symbols.iter().filter(|symbol| symbol.size > 0 && inside(symbol.address));
    symbols
        .map(|symbol| {
            let known = image.types.static_at(symbol.address);
            let size = known.and_then(|known| image.types.get(known.kind)).map(|kind| kind.size);
            let whole = known.filter(|_| size == Some(symbol.size));
            // Without a word from the compiler, any alignment that the address has may be the one that was asked for.
            let natural = 1 << symbol.address.trailing_zeros().min(12);
            Object {
                name: symbol.name.clone(),
                address: symbol.address,
                size: symbol.size,
                kind: whole.map(|known| known.kind),
                declared: known.map_or_else(String::new, |known| known.declared.clone()),
                alignment: whole.and_then(|known| known.alignment).unwrap_or(natural),
            }
        })
        .collect()
}

/// The space between the writable sections of the kernel: padding, and what no alignment explains.
pub fn between(sections: &[&Section]) -> (u64, Vec<Unaccounted>) {
    let mut padding = 0;
    let mut unaccounted = Vec::new();
    for pair in sections.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let gap = after.address.saturating_sub(before.end());
        if gap < after.alignment {
            padding += gap;
        } else if gap > 0 {
            unaccounted.push(Unaccounted {
                section: String::new(),
                address: before.end(),
                bytes: gap,
                what: format!("between {} and {}", before.name, after.name),
                declared: String::new(),
            });
        }
    }
    (padding, unaccounted)
}

/// The statics of a section as rows, padding last.
pub fn rows(contents: &Contents) -> Vec<Row> {
    let row = |object: &Object| Row {
        what: object.name.clone(),
        bytes: object.size,
        asked_by: object.declared.clone(),
        ..Row::default()
    };
    let mut rows: Vec<Row> = contents.objects.iter().map(row).collect();
    rows.extend(padding(contents.padding));
    rows
}

/// A row of padding, where there is any.
pub fn padding(bytes: u64) -> Option<Row> {
    (bytes > 0).then(|| Row { what: "padding".into(), bytes, ..Row::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slopos_elf::image::Symbol;
    use slopos_elf::types::{Static, Type};

    fn section(name: &str, address: u64, size: u64) -> Section {
        Section { name: name.into(), address, size, alignment: 16, writable: true }
    }

    /// An image with these symbols, as (name, address, size, alignment).
    fn image(symbols: &[(&str, u64, u64, u64)]) -> Image {
        let mut image = Image::default();
        for (index, &(name, address, size, alignment)) in symbols.iter().enumerate() {
            let kind = TypeId(index);
            image.symbols.push(Symbol { name: name.into(), address, size });
            image.types.insert(kind, Type { name: "T".into(), size, ..Type::default() });
            let declared = format!("main.rs:{index}");
            let alignment = Some(alignment);
            image.types.statics.push(Static { name: name.into(), address, kind, alignment, declared });
        }
        image
    }

    /// What lies in a section; the parts have to sum up.
    #[track_caller]
    fn cut(image: &Image, section: &Section) -> Contents {
        let contents = contents(image, section);
        let objects: u64 = contents.objects.iter().map(|object| object.size).sum();
        let lost: u64 = contents.unaccounted.iter().map(|unaccounted| unaccounted.bytes).sum();
        assert_eq!(objects + contents.padding + lost, section.size, "{contents:?}");
        contents
    }

    #[test]
    fn a_section_belongs_to_whom_its_name_says() {
        let grant = Ownership::Grant { process: "webget".into(), capsule: "net".into() };
        assert_eq!(Ownership::of(".grant.webget.net"), grant);
        assert_eq!(Ownership::of(".process.web_get"), Ownership::Process("web_get".into()));
        assert_eq!(Ownership::of(".shared.net"), Ownership::Shared("net".into()));
        assert_eq!(Ownership::of(".owner.log"), Ownership::Owner("log".into()));
        assert_eq!(Ownership::of(".cpu"), Ownership::Reviewed);
        assert_eq!(Ownership::of(".stacks"), Ownership::Reviewed);
        for nobodys in [".data", ".bss", ".grant.webget", ".owner", ".tdata", ".process.a.b", ""] {
            assert_eq!(Ownership::of(nobodys), Ownership::Nobody, "{nobodys}");
        }
    }

    #[test]
    fn the_boards_statics_are_owned_and_gaps_are_padding() {
        let image = image(&[("slopos_board_pc::A", 0x1000, 5, 1), ("slopos_board_pc::B", 0x1008, 8, 8)]);
        let contents = cut(&image, &section(".owner.kernel", 0x1000, 16));
        assert_eq!((contents.objects.len(), contents.padding, contents.unaccounted.len()), (2, 3, 0));
        assert_eq!(contents.objects[1].declared, "main.rs:1");
    }

    #[test]
    fn a_gap_that_no_alignment_explains_is_nobodys() {
        let image = image(&[("slopos_board_pc::A", 0x1000, 8, 8), ("slopos_board_pc::B", 0x1010, 8, 8)]);
        let contents = cut(&image, &section(".owner.kernel", 0x1000, 24));
        assert_eq!(contents.padding, 0);
        assert_eq!((contents.unaccounted[0].address, contents.unaccounted[0].bytes), (0x1008, 8));
        let tail = cut(&image, &section(".owner.kernel", 0x1010, 12));
        assert_eq!((tail.unaccounted[0].address, tail.unaccounted[0].bytes), (0x1018, 4));
    }

    #[test]
    fn a_static_of_another_crate_is_nobodys_even_in_an_owners_section() {
        let image = image(&[("slopos_net::BUFFER", 0x1000, 8, 8)]);
        for owner in [".owner.kernel", ".grant.webget.net", ".process.webget", ".shared.net"] {
            let contents = cut(&image, &section(owner, 0x1000, 8));
            assert!(contents.objects.is_empty());
            assert_eq!(contents.unaccounted[0].what, "slopos_net::BUFFER");
            assert_eq!(contents.unaccounted[0].declared, "main.rs:0");
        }
    }

    #[test]
    fn data_and_bss_are_nobodys_whoever_declares_what_is_in_them() {
        let image = image(&[("slopos_board_pc::A", 0x1000, 5, 1), ("slopos_board_pc::B", 0x1008, 8, 8)]);
        for name in [".data", ".bss", ".surprise"] {
            let contents = cut(&image, &section(name, 0x1000, 20));
            assert!(contents.objects.is_empty() && contents.padding == 0);
        }
    }

    #[test]
    fn a_reviewed_section_holds_what_is_on_the_list() {
        let image = image(&[("slopos_x86_64::clock::START", 0x1000, 8, 8), ("slopos_x86_64::NEW", 0x1008, 8, 8)]);
        let contents = cut(&image, &section(".cpu", 0x1000, 16));
        assert_eq!(contents.objects[0].name, "slopos_x86_64::clock::START");
        assert_eq!(contents.unaccounted[0].what, "slopos_x86_64::NEW");
    }

    #[test]
    fn two_names_for_one_static_count_once() {
        let image = image(&[("slopos_board_pc::A", 0x1000, 8, 8), ("slopos_board_pc::A2", 0x1000, 8, 8)]);
        let contents = cut(&image, &section(".owner.kernel", 0x1000, 8));
        assert_eq!(contents.objects.len(), 1);
    }

    #[test]
    fn space_between_sections_is_padding_up_to_the_alignment() {
        let (first, second) = (section(".owner.a", 0x1000, 3), section(".owner.b", 0x1010, 8));
        assert_eq!(between(&[&first, &second]), (13, Vec::new()));
        let third = section(".owner.c", 0x1030, 8);
        let (padding, lost) = between(&[&first, &second, &third]);
        assert_eq!((padding, lost[0].address, lost[0].bytes), (13, 0x1018, 24));
        assert!(lost[0].what.contains(".owner.b and .owner.c"));
    }
}
