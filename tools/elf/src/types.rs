//! What the compiler's debugging information says: how each type is laid out, and where each static lies.
//!
//! Everything is read for what it is, without knowledge of SlopOS: structures, arrays, references, and Rust's enums,
//! whose variant is told by a number that may lie in the spare values of another field.

use anyhow::{Result, bail, ensure};
use gimli::{AttributeValue, DebugInfoOffset, EndianSlice, LittleEndian};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _};
use std::borrow::Cow;
use std::collections::HashMap;

/// Largest image that is believed, in bytes, and largest size of anything in it: no board of this kind has as much
/// memory. What an ELF claims beyond it is damage, and is refused before it is counted with or memory is set aside.
pub const SIZE_MAX: u64 = 1 << 32;

/// Arrays of arrays that are followed.
const ARRAY_DEPTH: usize = 16;

/// Deepest nesting that is followed, of entries and of types in types; a compiler's is far less.
const DEPTH_MAX: usize = 256;

type Reader<'d> = EndianSlice<'d, LittleEndian>;
type Unit<'d> = gimli::Unit<Reader<'d>>;
type Entry<'a, 'd> = gimli::DebuggingInformationEntry<'a, 'a, Reader<'d>>;

/// Names a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub usize);

/// All types, and all statics.
#[derive(Debug, Default)]
pub struct Types {
    types: HashMap<TypeId, Type>,
    /// The statics, in the order of their addresses.
    pub statics: Vec<Static>,
}

/// A type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Type {
    /// Its name with its modules: `slopos_net::sockets::socket::Socket`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What it is made of.
    pub shape: Shape,
}

/// What a type is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// A number, a truth value or a character.
    #[default]
    Number,
    /// An address of something, or of code where it is `None`.
    Pointer(Option<TypeId>),
    /// Fields side by side, or on top of each other.
    Structure(Vec<Field>),
    /// One of several, told apart by a number.
    Variants {
        /// Where the number lies and of which type it is; `None` where there is only one variant.
        tag: Option<(u64, TypeId)>,
        /// The variants.
        variants: Vec<Variant>,
    },
    /// A number with names for its values.
    Enumeration(Vec<(String, u64)>),
    /// So many in a row.
    Array {
        /// Of which type.
        element: TypeId,
        /// How many.
        count: u64,
    },
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; the number of its place in a tuple, with two underscores in front.
    pub name: String,
    /// Its type.
    pub kind: TypeId,
    /// Bytes from the structure's start.
    pub offset: u64,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The tag's value; `None` for the variant that takes every other value.
    pub value: Option<u64>,
    /// Its name and its fields.
    pub field: Field,
}

/// A static variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// Its name with its modules.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its type.
    pub kind: TypeId,
    /// What its address is a multiple of.
    pub alignment: Option<u64>,
    /// The file and line that declare it, as the compiler was told the file's name.
    pub declared: String,
}

impl Types {
    /// The type of this id.
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(&id)
    }

    /// Takes a type in; for tests and for the reader.
    pub fn insert(&mut self, id: TypeId, kind: Type) {
        self.types.insert(id, kind);
    }

    /// Works out the sizes of arrays, which the compiler leaves to the reader.
    fn measure_arrays(&mut self) {
        let ids: Vec<TypeId> = self.types.keys().copied().collect();
        for id in ids {
            let size = self.measured(id, 0);
            if let Some(kind) = self.types.get_mut(&id) {
                kind.size = size;
            }
        }
    }

    /// The size of a type, that of an array by its elements.
    fn measured(&self, id: TypeId, depth: usize) -> u64 {
        match self.get(id) {
            // No type of a program is an array of itself; a damaged file must not send us round for ever.
            Some(Type { size: 0, shape: Shape::Array { element, count }, .. }) if depth < ARRAY_DEPTH => {
                count.saturating_mul(self.measured(*element, depth + 1))
            }
            Some(kind) => kind.size,
            None => 0,
        }
    }

    /// Checks that the types can be counted with: that none is larger than memory, and none contains itself.
    fn check(&self) -> Result<()> {
        for kind in self.types.values() {
            // What has no size of its own, like `[(); N]`, has any count.
            let (name, size) = (&kind.name, kind.size);
            ensure!(size <= SIZE_MAX, "the type {name} claims {size} bytes, which no board has");
        }
        // How deep types contain others; `None` while that is being found out.
        let mut depths: HashMap<TypeId, Option<usize>> = HashMap::new();
        for &id in self.types.keys() {
            let mut stack = vec![id];
            while let Some(&top) = stack.last() {
                if let Some(Some(_)) = depths.get(&top) {
                    stack.pop();
                    continue;
                }
                let inner = self.contained(top);
                let unknown: Vec<TypeId> =
                    inner.iter().copied().filter(|id| !matches!(depths.get(id), Some(Some(_)))).collect();
                if unknown.is_empty() {
                    let depth = inner.iter().filter_map(|id| depths.get(id).copied().flatten()).max().unwrap_or(0) + 1;
                    ensure!(depth <= DEPTH_MAX, "types contain others more than {DEPTH_MAX} deep");
                    depths.insert(top, Some(depth));
                    stack.pop();
                    continue;
                }
                depths.insert(top, None);
                if let Some(id) = unknown.iter().find(|id| depths.contains_key(id)) {
                    let name = self.get(*id).map_or("", |kind| &kind.name);
                    bail!("the type {name} contains itself");
                }
                stack.extend(unknown);
            }
        }
        Ok(())
    }

    /// The types of which a type holds values.
    fn contained(&self, id: TypeId) -> Vec<TypeId> {
        match self.get(id).map(|kind| &kind.shape) {
            Some(Shape::Structure(fields)) => fields.iter().map(|field| field.kind).collect(),
            Some(Shape::Variants { tag, variants }) => {
                variants.iter().map(|variant| variant.field.kind).chain(tag.map(|(_, kind)| kind)).collect()
            }
            Some(Shape::Array { element, .. }) => vec![*element],
            Some(Shape::Number | Shape::Pointer(_) | Shape::Enumeration(_)) | None => Vec::new(),
        }
    }

    /// The static at exactly this address that is the largest there.
    pub fn static_at(&self, address: u64) -> Option<&Static> {
        let from = self.statics.partition_point(|known| known.address < address);
        let here = self.statics[from..].iter().take_while(|known| known.address == address);
        here.max_by_key(|known| self.get(known.kind).map_or(0, |kind| kind.size))
    }

    /// The static of this name.
    pub fn static_named(&self, name: &str) -> Option<&Static> {
        self.statics.iter().find(|known| known.name == name)
    }
}

/// Reads all of an ELF's debugging information.
///
/// # Errors
/// It is malformed.
pub(crate) fn read(file: &ElfFile64<'_, object::LittleEndian>) -> Result<Types> {
    let sections = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>> {
        Ok(match file.section_by_name(id.name()) {
            Some(section) => section.uncompressed_data()?,
            None => Cow::Borrowed(&[]),
        })
    };
    let data = gimli::DwarfSections::load(sections)?;
    let dwarf = data.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut found = Types::default();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let mut tree = unit.entries_tree(None)?;
        let mut walk = Walk { dwarf: &dwarf, unit: &unit, path: Vec::new(), depth: 0, found: &mut found };
        walk.node(tree.root()?)?;
    }
    found.measure_arrays();
    found.check()?;
    found.statics.sort_by(|left, right| (left.address, &left.name).cmp(&(right.address, &right.name)));
    found.statics.dedup();
    Ok(found)
}

/// The way through one unit.
struct Walk<'w, 'd> {
    dwarf: &'w gimli::Dwarf<Reader<'d>>,
    unit: &'w Unit<'d>,
    /// The modules around the present entry.
    path: Vec<String>,
    /// Entries around the present one.
    depth: usize,
    found: &'w mut Types,
}

impl<'d> Walk<'_, 'd> {
    /// Takes in an entry and all below it.
    fn node(&mut self, node: gimli::EntriesTreeNode<'_, '_, '_, Reader<'d>>) -> Result<()> {
        ensure!(self.depth < DEPTH_MAX, "its entries are nested more than {DEPTH_MAX} deep");
        self.depth += 1;
        let taken = self.entry(node);
        self.depth -= 1;
        taken
    }

    fn entry(&mut self, node: gimli::EntriesTreeNode<'_, '_, '_, Reader<'d>>) -> Result<()> {
        let entry = node.entry();
        let tag = entry.tag();
        if tag == gimli::DW_TAG_variable {
            return self.variable(entry);
        }
        let scope = match tag {
            gimli::DW_TAG_namespace | gimli::DW_TAG_subprogram | gimli::DW_TAG_structure_type => self.name(entry)?,
            _ => None,
        };
        if let Some(kind) = self.kind(entry)? {
            return self.type_node(node, kind, scope);
        }
        let depth = self.path.len();
        self.path.extend(scope);
        let mut children = node.children();
        while let Some(child) = children.next()? {
            self.node(child)?;
        }
        self.path.truncate(depth);
        Ok(())
    }

    /// The start of a type, where the entry is one.
    fn kind(&self, entry: &Entry<'_, 'd>) -> Result<Option<Type>> {
        let shape = match entry.tag() {
            gimli::DW_TAG_base_type => Shape::Number,
            gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type => Shape::Pointer(self.target(entry)?),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => Shape::Structure(Vec::new()),
            gimli::DW_TAG_enumeration_type => Shape::Enumeration(Vec::new()),
            gimli::DW_TAG_array_type => match self.target(entry)? {
                Some(element) => Shape::Array { element, count: 0 },
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let mut size = self.number(entry, gimli::DW_AT_byte_size)?.unwrap_or(0);
        if matches!(shape, Shape::Pointer(_)) && size == 0 {
            size = u64::from(self.unit.encoding().address_size);
        }
        let name = self.name(entry)?.unwrap_or_default();
        let name = if self.path.is_empty() { name } else { format!("{}::{name}", self.path.join("::")) };
        Ok(Some(Type { name, size, shape }))
    }

    /// Takes in a type with what it is made of.
    fn type_node(
        &mut self,
        node: gimli::EntriesTreeNode<'_, '_, '_, Reader<'d>>,
        mut kind: Type,
        scope: Option<String>,
    ) -> Result<()> {
        let id = self.id(node.entry());
        let depth = self.path.len();
        self.path.extend(scope);
        let mut children = node.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            match (entry.tag(), &mut kind.shape) {
                (gimli::DW_TAG_member, Shape::Structure(fields)) => fields.extend(self.field(entry)?),
                (gimli::DW_TAG_enumerator, Shape::Enumeration(names)) => {
                    let value = self.number(entry, gimli::DW_AT_const_value)?.unwrap_or(0);
                    names.push((self.name(entry)?.unwrap_or_default(), value));
                }
                (gimli::DW_TAG_subrange_type, Shape::Array { count, .. }) => {
                    let upper = self.number(entry, gimli::DW_AT_upper_bound)?.map(|bound| bound.wrapping_add(1));
                    *count = self.number(entry, gimli::DW_AT_count)?.or(upper).unwrap_or(0);
                }
                (gimli::DW_TAG_variant_part, _) => kind.shape = self.variants(child)?,
                _ => self.node(child)?,
            }
        }
        self.path.truncate(depth);
        self.found.insert(id, kind);
        Ok(())
    }

    /// The variants of an enum.
    fn variants(&mut self, part: gimli::EntriesTreeNode<'_, '_, '_, Reader<'d>>) -> Result<Shape> {
        let mut tag = None;
        let mut variants = Vec::new();
        let mut children = part.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            if entry.tag() == gimli::DW_TAG_member {
                tag = self.field(entry)?.map(|field| (field.offset, field.kind));
            } else if entry.tag() == gimli::DW_TAG_variant {
                let value = self.number(entry, gimli::DW_AT_discr_value)?;
                let mut members = child.children();
                while let Some(member) = members.next()? {
                    let field = self.field(member.entry())?;
                    variants.extend(field.map(|field| Variant { value, field }));
                }
            }
        }
        Ok(Shape::Variants { tag, variants })
    }

    fn field(&self, entry: &Entry<'_, 'd>) -> Result<Option<Field>> {
        let offset = self.number(entry, gimli::DW_AT_data_member_location)?.unwrap_or(0);
        let name = self.name(entry)?.unwrap_or_default();
        Ok(self.target(entry)?.map(|kind| Field { name, kind, offset }))
    }

    /// Takes in a static; a variable that has no fixed address is none.
    fn variable(&mut self, entry: &Entry<'_, 'd>) -> Result<()> {
        let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(gimli::DW_AT_location)? else {
            return Ok(());
        };
        let mut operations = expression.operations(self.unit.encoding());
        let (Some(gimli::Operation::Address { address }), None) = (operations.next()?, operations.next()?) else {
            return Ok(());
        };
        let (Some(name), Some(kind)) = (self.name(entry)?, self.target(entry)?) else { return Ok(()) };
        let mut path = self.path.clone();
        path.push(name);
        let alignment = self.number(entry, gimli::DW_AT_alignment)?;
        let declared = self.declared(entry)?;
        self.found.statics.push(Static { name: path.join("::"), address, kind, alignment, declared });
        Ok(())
    }

    /// The file and line of a declaration.
    fn declared(&self, entry: &Entry<'_, 'd>) -> Result<String> {
        let line = self.number(entry, gimli::DW_AT_decl_line)?.unwrap_or(0);
        let file = match entry.attr_value(gimli::DW_AT_decl_file)? {
            Some(AttributeValue::FileIndex(index)) => index,
            _ => return Ok(String::new()),
        };
        let Some(program) = &self.unit.line_program else { return Ok(String::new()) };
        let header = program.header();
        let Some(file) = header.file(file) else { return Ok(String::new()) };
        let text = |value| self.dwarf.attr_string(self.unit, value).map(|text| text.to_string_lossy().into_owned());
        let name = text(file.path_name())?;
        let folder = match file.directory(header) {
            // Folder 0 is where the compiler ran: the root of the tree.
            Some(folder) if file.directory_index() != 0 => text(folder)? + "/",
            _ => String::new(),
        };
        let whole = format!("{folder}{name}");
        Ok(format!("{}:{line}", crate::source_file(&whole)))
    }

    fn name(&self, entry: &Entry<'_, 'd>) -> Result<Option<String>> {
        match entry.attr_value(gimli::DW_AT_name)? {
            None => Ok(None),
            Some(value) => Ok(Some(self.dwarf.attr_string(self.unit, value)?.to_string_lossy().into_owned())),
        }
    }

    fn number(&self, entry: &Entry<'_, 'd>, attribute: gimli::DwAt) -> Result<Option<u64>> {
        let value = entry.attr_value(attribute)?;
        // A negative value is kept as the bits that it has in memory.
        Ok(value.and_then(|value| value.udata_value().or_else(|| value.sdata_value().map(|value| value as u64))))
    }

    /// The type that an entry refers to.
    fn target(&self, entry: &Entry<'_, 'd>) -> Result<Option<TypeId>> {
        Ok(match entry.attr_value(gimli::DW_AT_type)? {
            Some(AttributeValue::UnitRef(offset)) => {
                offset.to_debug_info_offset(&self.unit.header).map(|DebugInfoOffset(offset)| TypeId(offset))
            }
            Some(AttributeValue::DebugInfoRef(DebugInfoOffset(offset))) => Some(TypeId(offset)),
            _ => None,
        })
    }

    fn id(&self, entry: &Entry<'_, 'd>) -> TypeId {
        let offset = entry.offset().to_debug_info_offset(&self.unit.header);
        TypeId(offset.map_or(usize::MAX, |DebugInfoOffset(offset)| offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types numbered from 0, each holding values of those named.
    fn holding(inner: &[&[usize]]) -> Types {
        let mut types = Types::default();
        for (id, inner) in inner.iter().enumerate() {
            let field = |&kind: &usize| Field { name: "f".into(), kind: TypeId(kind), offset: 0 };
            let shape = Shape::Structure(inner.iter().map(field).collect());
            types.insert(TypeId(id), Type { name: format!("T{id}"), size: 8, shape });
        }
        types
    }

    #[test]
    fn a_type_that_contains_itself_is_refused() {
        holding(&[&[1, 2], &[2, 2], &[], &[0, 9]]).check().expect("several ways to one type");
        for cycle in [&[&[0][..]][..], &[&[1], &[2], &[0]], &[&[], &[0, 2], &[0, 1]]] {
            let refusal = holding(cycle).check().expect_err("a cycle").to_string();
            assert!(refusal.ends_with("contains itself"), "{refusal}");
        }
        let chain: Vec<Vec<usize>> = (1..=DEPTH_MAX + 1).map(|next| vec![next]).collect();
        let chain: Vec<&[usize]> = chain.iter().map(Vec::as_slice).collect();
        holding(&chain[..DEPTH_MAX - 1]).check().expect("deep, but not too deep");
        assert!(holding(&chain).check().is_err());
    }

    #[test]
    fn a_type_larger_than_memory_is_refused() {
        let mut types = holding(&[&[]]);
        let shape = Shape::Array { element: TypeId(0), count: u64::MAX };
        types.insert(TypeId(1), Type { name: "Table".into(), size: 0, shape });
        types.measure_arrays();
        let refusal = types.check().expect_err("too large").to_string();
        assert!(refusal.contains("the type Table claims"), "{refusal}");
    }

    #[test]
    fn an_array_is_as_large_as_its_elements() {
        let mut types = Types::default();
        let mut add = |id, size, shape| types.insert(TypeId(id), Type { name: String::new(), size, shape });
        add(1, 2, Shape::Number);
        add(2, 0, Shape::Array { element: TypeId(1), count: 3 });
        add(3, 0, Shape::Array { element: TypeId(2), count: 5 });
        add(4, 0, Shape::Array { element: TypeId(4), count: 2 });
        types.measure_arrays();
        let size = |id| types.get(TypeId(id)).map(|kind| kind.size);
        assert_eq!((size(2), size(3), size(4)), (Some(6), Some(30), Some(0)));
    }
}
