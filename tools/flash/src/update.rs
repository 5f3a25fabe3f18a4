//! Changes of a flash in its place, by steps that a power cut between or within any two of them cannot spoil.
//!
//! The confirmed version is never written. A new one goes to the spare slot, is flushed and read back; then one state
//! sector is written, the one that does not count, and flushed. So what a board finds is the old state or the new one,
//! each whole.

use crate::image::{Image, Slot as Entry};
use crate::record;
use anyhow::{Context, Result, bail, ensure};
use slopos_abi::flash::{AppHeader, AppState, AppVersion, FlashState, Reason, SECTOR, Slot};

/// Where a flash is: a file, or a model of a disk that loses its power.
pub trait Medium {
    /// Reads so many bytes from this offset on.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>>;
    /// Writes bytes at this offset; they may be in a cache until the next flush.
    ///
    /// # Errors
    /// They cannot be written.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;
    /// What was written is on the medium afterwards.
    ///
    /// # Errors
    /// Some of it may not be.
    fn flush(&mut self) -> Result<()>;
    /// How many bytes there are.
    fn size(&self) -> u64;
}

/// The flash on a medium.
///
/// # Errors
/// It cannot be read, or its map is wrong.
pub fn read(medium: &mut impl Medium) -> Result<Image> {
    let size = usize::try_from(medium.size()).context("more bytes than this machine can hold")?;
    Image::from_bytes(medium.read(0, size)?)
}

/// How a version is put into a flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// It is the confirmed one at once, without a trial.
    pub confirm: bool,
    /// It may be older than the confirmed one.
    pub downgrade: bool,
}

/// What became of a version that was put into a flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is on trial.
    Trial,
    /// It is the confirmed one.
    Confirmed,
    /// Likewise, because there was no whole version to return to.
    Alone,
}

/// Puts a record into the spare slot of an app, and then says in the state that it runs.
///
/// # Errors
/// It does not fit, is no whole record of this app and board, is older than the confirmed version, or cannot be
/// written. The confirmed version is untouched then.
pub fn replace(medium: &mut impl Medium, name: &str, record: &[u8], how: How) -> Result<Replaced> {
    let image = read(medium)?;
    let (index, entry) = image.app(name)?;
    let (header, program) = record::decode(name, image.board(), record)?;
    image.fits(entry, &program, record)?;
    let (mut state, _) = image.state();
    let whole = |slot| image.record(entry, slot).map(|(header, _)| header).ok();
    // Where the confirmed version is damaged and the spare one is not, that is what runs; it is not written.
    let mut app = state.apps[index];
    if whole(app.confirmed()).is_none() && whole(app.spare()).is_some() {
        app = AppState::confirmed_in(app.spare());
    }
    let confirmed = whole(app.confirmed());
    if let Some(confirmed) = &confirmed
        && header.app_version < confirmed.app_version
        && !how.downgrade
    {
        bail!(
            "version {} of app `{name}` is older than the confirmed {}; --downgrade puts it there all the same",
            version(&header),
            version(confirmed)
        );
    }
    if app.is_on_trial() {
        // What is on trial is about to be overwritten, so it is no version any more.
        app = AppState::confirmed_in(app.confirmed());
        state.apps[index] = app;
        state = write_state(medium, &state)?;
    }
    write_slot(medium, entry, app.spare(), record)?;
    let replaced = match confirmed {
        None => Replaced::Alone,
        Some(_) if how.confirm => Replaced::Confirmed,
        Some(_) => Replaced::Trial,
    };
    state.apps[index] = match replaced {
        Replaced::Trial => AppState::confirmed_in(app.confirmed()).activate(),
        Replaced::Confirmed | Replaced::Alone => AppState::confirmed_in(app.spare()),
    };
    write_state(medium, &state)?;
    Ok(replaced)
}

/// Takes the last version back: ends its trial, or makes the one in the spare slot the confirmed one again. Answers the
/// version that runs now.
///
/// # Errors
/// There is no whole version to return to, or the state cannot be written.
pub fn revert(medium: &mut impl Medium, name: &str) -> Result<AppHeader> {
    let image = read(medium)?;
    let (index, entry) = image.app(name)?;
    let (mut state, _) = image.state();
    let app = state.apps[index];
    if let Some(reason) = app.reverted() {
        bail!("the last version of app `{name}` was taken back already: {}", reason.text());
    }
    let (next, slot) = if app.is_on_trial() {
        (app.revert(Reason::ByHand), app.confirmed())
    } else {
        (AppState::confirmed_in(app.spare()), app.spare())
    };
    let (header, _) = image
        .record(entry, slot)
        .with_context(|| format!("app `{name}` has no version to return to in its {} slot", ordinal(slot)))?;
    state.apps[index] = next;
    write_state(medium, &state)?;
    Ok(header)
}

/// Writes a slot: the contents first, then the header, so that no header stands before contents that are not its own
/// for longer than it has to. The rest becomes zeros. All is read back.
fn write_slot(medium: &mut impl Medium, entry: &Entry, slot: Slot, record: &[u8]) -> Result<()> {
    let range = entry.range(slot);
    let offset = range.start as u64;
    let mut bytes = record.to_vec();
    bytes.resize(range.len(), 0);
    // A header that stands there now is not that of what is written.
    medium.write(offset, &[0; SECTOR])?;
    medium.flush()?;
    medium.write(offset + SECTOR as u64, &bytes[SECTOR..])?;
    medium.write(offset, &bytes[..SECTOR])?;
    medium.flush()?;
    ensure!(medium.read(offset, bytes.len())? == bytes, "the spare slot does not read back as it was written");
    Ok(())
}

/// Writes a changed state to the sector that does not count, and flushes it. Answers the state as it is now.
fn write_state(medium: &mut impl Medium, state: &FlashState) -> Result<FlashState> {
    let (sector, bytes) = state.encode(crate::image::sha256);
    let offset = sector * SECTOR as u64;
    medium.write(offset, &bytes)?;
    medium.flush()?;
    ensure!(medium.read(offset, SECTOR)? == bytes, "the state does not read back as it was written");
    Ok(state.written())
}

/// A version's text, or its number where it has none.
pub fn version(header: &AppHeader) -> String {
    let text = slopos_abi::flash::name_text(&header.version_text).map(str::to_owned);
    text.unwrap_or_else(|| AppVersion::new(header.app_version).to_string())
}

/// First or second.
pub fn ordinal(slot: Slot) -> &'static str {
    match slot {
        Slot::First => "first",
        Slot::Second => "second",
    }
}
