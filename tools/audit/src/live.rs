//! What the memory of a board holds: read from outside, without the kernel's help.
//!
//! The figures are found by the ELF's symbols and types. The kernel's count of a grant's bytes in use is not trusted:
//! the audit sums it up again from the sockets, and reports a difference.

use crate::memory::{Memory, total};
use crate::value::{Space, Value};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use slopos_elf::Image;
use slopos_manifest::Expanded;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

/// What a board held when it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The processes, in the order of the manifest.
    pub processes: Vec<LiveProcess>,
    /// What the network stack counted since boot; zeros are left out.
    pub counters: Vec<(String, u64)>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveProcess {
    /// Its name.
    pub name: String,
    /// Whether it runs, in the kernel's word: `Ready`, `Waiting`, `Stopped`, `NoImage`.
    pub state: String,
    /// How often it was started since boot.
    pub starts: u64,
    /// System calls since boot.
    pub calls: u64,
    /// Requests that the manifest did not allow.
    pub denials: u64,
    /// Connects that succeeded.
    pub wins: u64,
    /// Connects that timed out.
    pub losses: u64,
    /// Its balance in the ledger.
    pub ledger: i64,
    /// Its grants.
    pub grants: Vec<LiveGrant>,
}

/// What a capsule holds for a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveGrant {
    /// The capsule.
    pub capsule: String,
    /// Bytes in use, summed up from the sockets.
    pub in_use: u64,
    /// Bytes in use, as the kernel has counted them.
    pub counted_in_use: u64,
    /// The most that was in use since boot.
    pub high_water: u64,
    /// `socket` and `connect` calls that were denied.
    pub denials: u64,
    /// Segments that were dropped.
    pub drops: u64,
    /// TIME-WAIT records and orphans that were ended early.
    pub recycled: u64,
    /// The sockets, in use or not.
    pub sockets: Vec<LiveSocket>,
}

/// A socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveSocket {
    /// What it is to its process: `Free`, `Open`, `Waiting`, `Connected`, `Failed`, `Orphan`.
    pub phase: String,
    /// The state of its connection (RFC 9293 section 3.3.2).
    pub state: String,
    /// Our end.
    pub local: String,
    /// The peer's end.
    pub remote: String,
    /// Bytes in use.
    pub in_use: u64,
    /// The most that was in use since boot.
    pub high_water: u64,
    /// Segments that were dropped.
    pub drops: u64,
    /// Bytes that wait to be read.
    pub receive_bytes: u64,
    /// Bytes that arrived behind a gap.
    pub out_of_order_bytes: u64,
    /// Bytes of the receive buffer.
    pub receive_size: u64,
    /// Bytes that are not acknowledged, or not sent.
    pub send_bytes: u64,
    /// Bytes of the send buffer.
    pub send_size: u64,
}

impl Live {
    /// Where the kernel's sums are not what its sockets hold, a sentence each.
    pub fn disagreements(&self) -> Vec<String> {
        let grants = self.processes.iter().flat_map(|process| process.grants.iter().map(move |grant| (process, grant)));
        grants
            .filter(|(_, grant)| grant.in_use != grant.counted_in_use)
            .map(|(process, grant)| {
                format!(
                    "the kernel counts {} bytes in use in {} of `{}`, and its sockets hold {}",
                    grant.counted_in_use, grant.capsule, process.name, grant.in_use
                )
            })
            .collect()
    }
}

/// Reads what the memory holds.
///
/// # Errors
/// The memory is of another build, the kernel has not come up yet, or it holds what no such kernel can hold.
pub fn look(image: &Image, manifest: &Expanded, memory: &Memory) -> Result<Live> {
    memory.check_build(image)?;
    let space = Space { image, memory };
    let table = cell(space.named("slopos_board_pc::system::PROCESS_TABLE")?)?.elements()?;
    if table.len() != manifest.processes.len() {
        bail!("the kernel has {} processes and the manifest {}", table.len(), manifest.processes.len());
    }
    let mut processes = Vec::new();
    for (index, (process, value)) in manifest.processes.iter().zip(&table).enumerate() {
        let mut live = one_process(value).with_context(|| format!("process {}", process.name))?;
        if live.name != process.name {
            bail!("process {index} is {} in memory and {} in the manifest", live.name, process.name);
        }
        if process.network.is_some() {
            let set = cell(space.named(&format!("slopos_board_pc::statics::process_{index}::SET"))?)?;
            live.grants.push(grant(&set).with_context(|| format!("the grant of {}", process.name))?);
        }
        processes.push(live);
    }
    let mut counters = Vec::new();
    count(&cell(space.named("slopos_board_pc::system::STACK")?)?.field("counters")?, "", &mut counters)?;
    Ok(Live { processes, counters })
}

/// How often a running board is read until its sums agree.
const LOOKS: usize = 10;
/// The time between two reads.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks into a running board through the monitor at this socket. The board may stand still in the middle of changing
/// its sums; then it is looked at again, a few times.
///
/// # Errors
/// QEMU cannot be reached; and as [`look`].
pub fn look_at_board(image: &Image, manifest: &Expanded, socket: &Path) -> Result<Live> {
    let mut found = look(image, manifest, &Memory::of_board(socket, image)?)?;
    for _ in 1..LOOKS {
        if found.disagreements().is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        found = look(image, manifest, &Memory::of_board(socket, image)?)?;
    }
    Ok(found)
}

/// What a static cell holds, once the kernel has put it there.
fn cell<'s>(value: Value<'s>) -> Result<Value<'s>> {
    if !value.field("used")?.truth()? {
        bail!("the kernel has not come up yet");
    }
    value.field("val")?.unwrapped()
}

fn one_process(value: &Value<'_>) -> Result<LiveProcess> {
    let number = |path: &str| value.path(path)?.number();
    // The ledger is signed; the stake is the kernel's, so it is taken from there by its own sum.
    let (wins, losses) = (number("ledger.wins")?, number("ledger.losses")?);
    Ok(LiveProcess {
        name: value.field("configuration")?.target()?.field("name")?.text()?.to_owned(),
        state: value.field("state")?.variant()?.0.to_owned(),
        starts: number("starts")?,
        calls: number("calls")?,
        denials: number("denials")?,
        wins,
        losses,
        ledger: (wins as i64).wrapping_sub(losses as i64).wrapping_mul(slopos_kernel::ledger::STAKE),
        grants: Vec::new(),
    })
}

fn grant(set: &Value<'_>) -> Result<LiveGrant> {
    let mut sockets = Vec::new();
    for (index, value) in set.field("sockets")?.elements()?.iter().enumerate() {
        sockets.push(socket(value).with_context(|| format!("socket {index}"))?);
    }
    let number = |path: &str| set.path(path)?.number();
    Ok(LiveGrant {
        capsule: "net".into(),
        in_use: total(sockets.iter().map(|socket| socket.in_use)),
        counted_in_use: number("accounts.in_use")?,
        high_water: number("accounts.high_water")?,
        denials: number("authority.denials")?,
        drops: total(sockets.iter().map(|socket| socket.drops)),
        recycled: number("recycled")?,
        sockets,
    })
}

fn socket(value: &Value<'_>) -> Result<LiveSocket> {
    let (phase, _) = value.field("state")?.variant()?;
    let tcp = value.field("tcp")?;
    let (state, _) = tcp.field("life")?.variant()?;
    let (receive_bytes, receive_size) = ring(&tcp.path("receiver.ring")?)?;
    let (send_bytes, send_size) = ring(&tcp.path("sender.ring")?)?;
    let out_of_order_bytes = ranges(&tcp.path("receiver.assembler.ranges.ranges")?)?;
    let is_held = tcp.field("is_held")?.truth()?;
    let phase = if phase == "Connected" && !is_held { "Orphan" } else { phase };
    let idle = !is_held && state == "Closed" && tcp.field("reset")?.option()?.is_none();
    let in_use = match (phase, idle) {
        ("Free", _) => 0,
        (_, idle) => {
            let around = value.kind()?.size.saturating_sub(tcp.kind()?.size);
            let block = if idle { 0 } else { tcp.kind()?.size };
            total([around, block, receive_bytes, out_of_order_bytes, send_bytes].into_iter())
        }
    };
    Ok(LiveSocket {
        phase: phase.into(),
        state: state.into(),
        local: endpoint(&tcp.field("local")?)?,
        remote: endpoint(&tcp.field("remote")?)?,
        in_use,
        high_water: value.field("high_water")?.number()?,
        drops: value.field("drops")?.number()?,
        receive_bytes,
        out_of_order_bytes,
        receive_size,
        send_bytes,
        send_size,
    })
}

/// Bytes that a ring holds, and bytes of its memory.
fn ring(value: &Value<'_>) -> Result<(u64, u64)> {
    let size = value.field("storage")?.field("length")?.number()?;
    let length = value.field("length")?.number()?;
    if length > size {
        bail!("a ring of {size} bytes claims to hold {length}");
    }
    Ok((length, size))
}

/// Bytes that a bounded list of ranges covers. Sequence numbers wrap.
fn ranges(list: &Value<'_>) -> Result<u64> {
    let length = usize::try_from(list.field("len")?.number()?)?;
    let elements = list.field("buffer")?.unwrapped()?.elements()?;
    let used = elements.get(..length).context("a list that is longer than its memory")?;
    let mut sum = 0;
    for range in used {
        let range = range.unwrapped()?;
        let (start, end) = (range.field("start")?.number()? as u32, range.field("end")?.number()? as u32);
        sum += u64::from(end.wrapping_sub(start));
    }
    Ok(sum)
}

/// An end of a connection; empty where there is none.
fn endpoint(value: &Value<'_>) -> Result<String> {
    let address =
        <[u8; 4]>::try_from(value.field("address")?.bytes()?).context("an address that is not of four bytes")?;
    let port = u16::try_from(value.field("port")?.number()?)?;
    if address == [0; 4] && port == 0 {
        return Ok(String::new());
    }
    Ok(SocketAddrV4::new(Ipv4Addr::from(address), port).to_string())
}

/// Every number below a structure that is not zero, by its path.
fn count(value: &Value<'_>, path: &str, found: &mut Vec<(String, u64)>) -> Result<()> {
    for (name, field) in value.fields()? {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if field.fields()?.is_empty() {
            let number = field.number()?;
            if number > 0 {
                found.push((path, number));
            }
        } else {
            count(&field, &path, found)?;
        }
    }
    Ok(())
}
