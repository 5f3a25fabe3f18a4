//! Flash regions: what is uploaded out of them, and what is downloaded into them.

use core::time::Duration;

use libslop::abi::Errno;
use libslop::abi::flash::SECTOR;
use libslop::io::{Read, Write};
use libslop::{Error, Region};
use slopos_http::upload::Source;
use webget::options::{Body, List, Settings};
use webget::store::Record;

use crate::meter::Meter;

/// The record of a region; `None` where it has none.
///
/// # Errors
/// Those of [`Region::open`] and of reading.
pub fn record(name: &str) -> Result<Option<Record>, Error> {
    let mut sector = [0; SECTOR];
    Region::open(name)?.read(&mut sector)?;
    Ok(Record::read(&sector))
}

/// Whether a region is there for this process.
///
/// # Errors
/// Those of [`Region::open`].
pub fn check(name: &str) -> Result<(), Error> {
    Region::open(name)?.close()
}

/// A download on its way into a region.
pub struct Store {
    name: &'static str,
    region: Region,
    /// The last sector, as far as it is filled.
    sector: [u8; SECTOR],
    held: usize,
    /// Bytes that are in the region.
    written: u64,
}

impl Store {
    /// Begins at the region's beginning, and makes its record say that it holds nothing.
    ///
    /// # Errors
    /// Those of [`Region::open`] and of writing.
    pub fn begin(name: &'static str) -> Result<Store, Error> {
        let mut region = Region::open(name)?;
        region.write_all(&Record { length: 0, complete: false }.sector())?;
        region.sync()?;
        Ok(Store { name, region, sector: [0; SECTOR], held: 0, written: 0 })
    }

    /// Goes on behind so many bytes, which are whole sectors. The record stays as it is. `room` is for whole sectors too.
    ///
    /// # Errors
    /// Those of [`Region::open`] and of reading; EINVAL where the region has less.
    pub fn resume(name: &'static str, at: u64, room: &mut [u8]) -> Result<Store, Error> {
        let mut region = Region::open(name)?;
        // A descriptor has no way forward but to read: the record, then what is there.
        let mut left = SECTOR as u64 + at;
        while left > 0 {
            let most = usize::try_from(left).map_or(room.len(), |left| left.min(room.len()));
            match region.read(&mut room[..most])? {
                0 => return Err(Errno::Invalid.into()),
                count => left -= count as u64,
            }
        }
        Ok(Store { name, region, sector: [0; SECTOR], held: 0, written: at })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// EINVAL at the end of the region; EIO.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        if self.held > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(SECTOR - self.held));
            self.sector[self.held..self.held + first.len()].copy_from_slice(first);
            self.held += first.len();
            bytes = rest;
            if self.held < SECTOR {
                return Ok(());
            }
            self.flush()?;
        }
        let (mut whole, rest) = bytes.split_at(bytes.len() - bytes.len() % SECTOR);
        while !whole.is_empty() {
            let count = self.region.write(whole)?;
            self.written += count as u64;
            whole = &whole[count..];
        }
        self.sector[..rest.len()].copy_from_slice(rest);
        self.held = rest.len();
        Ok(())
    }

    /// Writes what is held, with zeros behind it.
    fn flush(&mut self) -> Result<(), Error> {
        self.sector[self.held..].fill(0);
        self.region.write_all(&self.sector)?;
        self.written += core::mem::take(&mut self.held) as u64;
        Ok(())
    }

    /// Writes what is held, then the record, and returns how many bytes the region holds: also where there was no room for
    /// the last of them.
    ///
    /// # Errors
    /// As [`Store::push`].
    pub fn finish(mut self, complete: bool) -> Result<u64, Error> {
        let flushed = if self.held > 0 { self.flush() } else { Ok(()) };
        self.region.sync()?;
        let mut region = Region::open(self.name)?;
        region.write_all(&Record { length: self.written, complete: complete && flushed.is_ok() }.sector())?;
        region.sync()?;
        flushed.map(|()| self.written)
    }
}

/// Where a request's body comes from.
pub enum Content {
    /// The command line.
    Words(List<&'static str>, usize),
    /// A region, of which so many bytes are left.
    Region(Region, u64, Option<Meter>),
}

impl Content {
    /// The body and its length, `None` for that of one that goes in chunks. A region without a record is taken as it is, with
    /// all its sectors; so that its length is known, it is read once before. `room` is for that.
    ///
    /// # Errors
    /// Those of [`Region::open`] and of reading.
    pub fn open(
        body: &Body<'static>,
        settings: &Settings<'static>,
        room: &mut [u8],
    ) -> Result<Option<(Content, Option<u64>)>, Error> {
        let (content, length) = match *body {
            Body::None => return Ok(None),
            Body::Data(words) => {
                let content = Content::Words(words, 0);
                (content, bytes(words).count() as u64)
            }
            Body::Region(name) => {
                let room = sectors(room);
                let mut region = Region::open(name)?;
                let count = region.read(&mut room[..SECTOR])?;
                match Record::read(&room[..count]) {
                    Some(record) => (Content::Region(region, record.length, None), record.length),
                    None => {
                        let mut length = count as u64;
                        while let count @ 1.. = region.read(room)? {
                            length += count as u64;
                        }
                        (Content::Region(Region::open(name)?, length, None), length)
                    }
                }
            }
        };
        Ok(Some((content, (!settings.is_chunked()).then_some(length))))
    }

    /// Shows how far it is.
    pub fn measure(&mut self, length: Option<u64>, now: Duration) {
        if let Content::Region(.., meter) = self {
            *meter = Some(Meter::new(length, now));
        }
    }
}

/// The words with `&` between them.
fn bytes(words: List<&'static str>) -> impl Iterator<Item = u8> {
    (0..).zip(words.into_items()).flat_map(|(at, word)| (at > 0).then_some(b'&').into_iter().chain(word.bytes()))
}

/// As much of `room` as is whole sectors.
fn sectors(room: &mut [u8]) -> &mut [u8] {
    let length = room.len() - room.len() % SECTOR;
    &mut room[..length]
}

impl Source for Content {
    type Error = Error;

    fn read(&mut self, room: &mut [u8]) -> Result<usize, Error> {
        match self {
            Content::Words(words, taken) => {
                let mut count = 0;
                for (place, byte) in room.iter_mut().zip(bytes(*words).skip(*taken)) {
                    *place = byte;
                    count += 1;
                }
                *taken += count;
                Ok(count)
            }
            Content::Region(region, left, meter) => {
                if *left == 0 {
                    return Ok(0);
                }
                let count = (region.read(sectors(room))? as u64).min(*left);
                if count == 0 {
                    // The record says more than the region has.
                    return Err(Errno::Invalid.into());
                }
                *left -= count;
                if let Some(meter) = meter {
                    meter.add(count);
                }
                Ok(count as usize)
            }
        }
    }
}
