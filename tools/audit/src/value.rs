//! A typed value in the kernel's memory: fields, elements, references and variants by name.

use crate::memory::Memory;
use anyhow::{Context, Result, bail};
use slopos_elf::Image;
use slopos_elf::types::{Shape, Type, TypeId};

/// Most elements of a row that is looked at: processes, sockets, ranges.
const ELEMENTS_MAX: u64 = 1 << 20;

/// Where values are looked up. Offsets of types and addresses in memory may be anything: sums of them wrap, and what is
/// outside the kernel's memory is refused when it is read.
#[derive(Clone, Copy)]
pub struct Space<'s> {
    /// The kernel: its types, and where its addresses are in memory.
    pub image: &'s Image,
    /// What memory holds.
    pub memory: &'s Memory,
}

/// A value of a known type at a known address.
#[derive(Clone, Copy)]
pub struct Value<'s> {
    space: Space<'s>,
    kind: TypeId,
    address: u64,
}

impl<'s> Space<'s> {
    /// The static of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(self, name: &str) -> Result<Value<'s>> {
        let found = self.image.types.static_named(name).with_context(|| format!("the kernel has no static {name}"))?;
        Ok(Value { space: self, kind: found.kind, address: found.address })
    }

    /// A value of this type at this address.
    pub fn at(self, kind: TypeId, address: u64) -> Value<'s> {
        Value { space: self, kind, address }
    }

    fn bytes(self, address: u64, size: u64) -> Result<&'s [u8]> {
        let physical = self.image.physical(address);
        let bytes = physical.and_then(|physical| self.memory.physical(physical, size));
        bytes.with_context(|| format!("{size} bytes at {address:#x} are outside the kernel's memory"))
    }
}

impl<'s> Value<'s> {
    /// Its type.
    ///
    /// # Errors
    /// The debugging information refers to a type that it does not have.
    pub fn kind(&self) -> Result<&'s Type> {
        self.space.image.types.get(self.kind).with_context(|| format!("the type {:?} is unknown", self.kind))
    }

    /// The name of its type.
    pub fn id(&self) -> TypeId {
        self.kind
    }

    /// Its address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The field of this name; `__0` is the first one of a tuple.
    ///
    /// # Errors
    /// It has none.
    pub fn field(&self, name: &str) -> Result<Value<'s>> {
        self.try_field(name)?.with_context(|| format!("{} has no field {name}", self.describe()))
    }

    fn try_field(&self, name: &str) -> Result<Option<Value<'s>>> {
        let Shape::Structure(fields) = &self.kind()?.shape else { return Ok(None) };
        let field = fields.iter().find(|field| field.name == name);
        Ok(field.map(|field| self.space.at(field.kind, self.address.wrapping_add(field.offset))))
    }

    /// The field at the end of a path: `receiver.ring`.
    ///
    /// # Errors
    /// A part of the path is missing.
    pub fn path(&self, path: &str) -> Result<Value<'s>> {
        path.split('.').try_fold(*self, |value, name| value.field(name))
    }

    /// Each field with its name; none for what has no fields.
    ///
    /// # Errors
    /// The type is unknown.
    pub fn fields(&self) -> Result<Vec<(&'s str, Value<'s>)>> {
        let Shape::Structure(fields) = &self.kind()?.shape else { return Ok(Vec::new()) };
        let value = |kind, offset| self.space.at(kind, self.address.wrapping_add(offset));
        Ok(fields.iter().map(|field| (field.name.as_str(), value(field.kind, field.offset))).collect())
    }

    /// What lies inside wrappers that add nothing: static cells, `UnsafeCell`, `MaybeUninit`, atomic numbers, and
    /// structures with one field of their own size.
    ///
    /// # Errors
    /// A type is unknown.
    pub fn unwrapped(&self) -> Result<Value<'s>> {
        let mut value = *self;
        loop {
            let kind = value.kind()?;
            let Shape::Structure(fields) = &kind.shape else { return Ok(value) };
            let size = |id| self.space.image.types.get(id).map_or(0, |inner: &Type| inner.size);
            let inner = match &fields[..] {
                _ if kind.name.contains("StaticCell<") => fields.iter().find(|field| field.name == "val"),
                _ => fields.iter().find(|field| size(field.kind) == kind.size && kind.size > 0),
            };
            match inner {
                Some(inner) => value = self.space.at(inner.kind, value.address.wrapping_add(inner.offset)),
                None => return Ok(value),
            }
        }
    }

    /// The elements of an array, or of what a slice refers to.
    ///
    /// # Errors
    /// It is neither.
    pub fn elements(&self) -> Result<Vec<Value<'s>>> {
        if let Shape::Array { element, count } = self.kind()?.shape {
            return self.row(element, self.address, count);
        }
        let (data, length) = (self.try_field("data_ptr")?, self.try_field("length")?);
        let (Some(data), Some(length)) = (data, length) else {
            bail!("{} is neither an array nor a slice", self.describe());
        };
        let Shape::Pointer(Some(element)) = data.kind()?.shape else {
            bail!("{} refers to nothing of a known type", self.describe());
        };
        self.row(element, data.number()?, length.number()?)
    }

    fn row(&self, element: TypeId, address: u64, count: u64) -> Result<Vec<Value<'s>>> {
        let size = self.space.at(element, 0).kind()?.size;
        let whole = size.checked_mul(count).context("a slice longer than memory")?;
        if count > ELEMENTS_MAX {
            bail!("a row of {count} elements at {address:#x}, which no table of the kernel has");
        }
        // What lies outside the image is refused here, before a wild length makes a row of it.
        if whole > 0 {
            self.space.bytes(address, whole)?;
        }
        Ok((0..count).map(|index| self.space.at(element, address.wrapping_add(index.wrapping_mul(size)))).collect())
    }

    /// What a reference refers to.
    ///
    /// # Errors
    /// It is no reference, or a null one.
    pub fn target(&self) -> Result<Value<'s>> {
        let Shape::Pointer(Some(target)) = self.kind()?.shape else {
            bail!("{} is no reference", self.describe());
        };
        match self.number()? {
            0 => bail!("{} is null", self.describe()),
            address => Ok(self.space.at(target, address)),
        }
    }

    /// The variant of an enum: its name, and the value with its fields.
    ///
    /// # Errors
    /// It is no enum, or the number in memory names no variant.
    pub fn variant(&self) -> Result<(&'s str, Value<'s>)> {
        match &self.kind()?.shape {
            Shape::Enumeration(names) => {
                let number = self.number()?;
                let mask = self.mask()?;
                let known = names.iter().find(|(_, value)| value & mask == number);
                let (name, _) = known.with_context(|| format!("{} cannot be {number}", self.describe()))?;
                Ok((name, *self))
            }
            Shape::Variants { tag, variants } => {
                let number = match tag {
                    None => None,
                    Some((offset, kind)) => {
                        let tag = self.space.at(*kind, self.address.wrapping_add(*offset));
                        Some((tag.number()?, tag.mask()?))
                    }
                };
                let named = variants.iter().find(|variant| match (variant.value, number) {
                    (Some(value), Some((number, mask))) => value & mask == number,
                    _ => false,
                });
                let found = named.or_else(|| variants.iter().find(|variant| variant.value.is_none()));
                let Some(found) = found else { bail!("{} has none of its variants", self.describe()) };
                let value = self.space.at(found.field.kind, self.address.wrapping_add(found.field.offset));
                Ok((&found.field.name, value))
            }
            _ => bail!("{} is no enum", self.describe()),
        }
    }

    /// What an `Option` holds.
    ///
    /// # Errors
    /// It is no `Option`.
    pub fn option(&self) -> Result<Option<Value<'s>>> {
        match self.variant()? {
            ("None", _) => Ok(None),
            ("Some", value) => Ok(Some(value.field("__0")?)),
            (other, _) => bail!("{} is {other}, which no Option is", self.describe()),
        }
    }

    /// A number of at most 64 bits, also inside wrappers; one with a sign keeps its bits.
    ///
    /// # Errors
    /// It is none, or lies outside the kernel's memory.
    pub fn number(&self) -> Result<u64> {
        let inner = self.unwrapped()?;
        let kind = inner.kind()?;
        match kind.shape {
            Shape::Number | Shape::Pointer(_) | Shape::Enumeration(_) if (1..=8).contains(&kind.size) => {
                let bytes = self.space.bytes(inner.address, kind.size)?;
                Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
            }
            _ => bail!("{} is no number", self.describe()),
        }
    }

    /// Whether a truth value is true.
    ///
    /// # Errors
    /// As [`Value::number`].
    pub fn truth(&self) -> Result<bool> {
        Ok(self.number()? != 0)
    }

    /// The bits that a number of this type has.
    fn mask(&self) -> Result<u64> {
        let size = self.unwrapped()?.kind()?.size;
        Ok(if size >= 8 { u64::MAX } else { (1 << (8 * size)) - 1 })
    }

    /// All of its bytes.
    ///
    /// # Errors
    /// They lie outside the kernel's memory.
    pub fn bytes(&self) -> Result<&'s [u8]> {
        self.space.bytes(self.address, self.kind()?.size)
    }

    /// The text that a `&str` refers to.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self) -> Result<&'s str> {
        let (data, length) = (self.field("data_ptr")?.number()?, self.field("length")?.number()?);
        if length == 0 {
            return Ok("");
        }
        Ok(std::str::from_utf8(self.space.bytes(data, length)?)?)
    }

    /// The value in words, for messages.
    fn describe(&self) -> String {
        let name = self.kind().map_or("a value of an unknown type", |kind| kind.name.as_str());
        format!("{name} at {:#x}", self.address)
    }
}

#[cfg(test)]
mod tests;
