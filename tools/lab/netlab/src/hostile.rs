//! A network device that lies: the far side of QEMU's `-netdev vhost-user`, which works on the rings of the guest's
//! driver in the guest's own memory (VIRTIO 1.2 sections 2.7 and 5.1).
//!
//! It carries frames between the driver and a [`Lab`](crate::Lab) as a good device does, until its plan says
//! otherwise. After a lie that breaks the rules of a ring it does nothing more on that ring until the driver has reset
//! it, so that the lie stays there to be seen.
//!
//! QEMU 7.2 crashes with vhost-user and MSI-X under TCG: such a board needs `vectors=0`.

mod protocol;
mod ring;

use anyhow::{Context, Result, bail};
use protocol::{Connection, Region, Request};
use ring::{Chain, Ring};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

/// VIRTIO_RING_F_EVENT_IDX and VIRTIO_F_VERSION_1; and VHOST_USER_F_PROTOCOL_FEATURES, without which QEMU 7.2 starts no
/// device.
const FEATURES: u64 = 1 << 29 | 1 << 30 | 1 << 32;
/// Bytes of the header in front of a frame with VERSION_1 (section 5.1.6.1).
const HEADER_BYTES: usize = 12;
/// How long a QEMU may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a late interrupt or a stalled queue waits to be looked at again.
const TICK: Duration = Duration::from_millis(25);

/// One of the device's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Frames for the driver.
    Receive = 0,
    /// Frames of the driver's.
    Transmit = 1,
}

/// What the device does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// A used entry names a descriptor beyond the queue.
    UnknownId(u32),
    /// A used entry is given twice.
    Repeated,
    /// A used entry claims this many bytes.
    Length(u32),
    /// The used index moves by so many more than there are entries.
    IndexJump(u16),
    /// The header in front of the frame has these bytes; what else it needs is the frame's.
    Header([u8; HEADER_BYTES]),
    /// So many interrupts come at once.
    Storm(u32),
    /// The interrupt for the entry comes late.
    LateInterrupt,
    /// The queue is not looked at for so long.
    Stall(Duration),
}

impl Lie {
    /// Whether the lie breaks the rules of a ring, so that the driver has to reset the device.
    fn breaks_the_ring(self) -> bool {
        matches!(self, Lie::UnknownId(_) | Lie::Repeated | Lie::IndexJump(_))
            || matches!(self, Lie::Length(length) if length > LARGEST_BUFFER)
    }
}

/// Longer than any buffer of the driver's.
const LARGEST_BUFFER: u32 = 4096;

/// When the device lies, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The queue.
    pub queue: Queue,
    /// How many entries are used honestly before.
    pub after: u32,
    /// In how many entries the device lies; those of a ring that it breaks come after as many resets.
    pub times: u32,
    /// What it does.
    pub lie: Lie,
}

/// What the device has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Lies told.
    pub lies: u32,
    /// Frames given to the driver.
    pub given: u32,
    /// Frames taken from the driver.
    pub taken: u32,
    /// Rings that were stopped, which two are at each reset of the device.
    pub stops: u32,
    /// Chains of the driver's that make no sense.
    pub bad_chains: u32,
}

/// A device that waits for a QEMU or serves one.
pub struct Hostile {
    socket: PathBuf,
    thread: JoinHandle<Result<Deeds>>,
}

impl Hostile {
    /// A device between a driver and the lab whose socket is at `lab`; its own two sockets are made at `own` and
    /// beside it.
    ///
    /// # Errors
    /// A socket cannot be made.
    pub fn new(own: &Path, lab: &Path, plan: Plan) -> Result<Hostile> {
        let frames = UnixDatagram::bind(own).with_context(|| format!("the socket {}", own.display()))?;
        frames.set_nonblocking(true)?;
        let socket = own.with_extension("vhost");
        let listener = UnixListener::bind(&socket).with_context(|| format!("the socket {}", socket.display()))?;
        let device = Device {
            plan,
            lab: lab.to_owned(),
            frames,
            memory: GuestMemoryMmap::new(),
            regions: Vec::new(),
            waiting: VecDeque::new(),
            features: 0,
            rings: [Ring::default(), Ring::default()],
            fates: [Fate::default(); 2],
            deeds: Deeds::default(),
        };
        Ok(Hostile { socket, thread: std::thread::spawn(move || device.serve(&listener)) })
    }

    /// QEMU's `-netdev` without its id.
    pub fn netdev(&self) -> String {
        "vhost-user,chardev=vhost".to_owned()
    }

    /// QEMU's other arguments, for a board with this much memory: memory that can be shared, and the socket.
    pub fn arguments(&self, memory: &str) -> Vec<String> {
        let socket = slopos_lab::link::escape(&self.socket);
        vec![
            "-object".to_owned(),
            format!("memory-backend-memfd,id=shared,size={memory},share=on"),
            "-machine".to_owned(),
            "memory-backend=shared".to_owned(),
            "-chardev".to_owned(),
            format!("socket,id=vhost,path={socket}"),
        ]
    }

    /// Waits until QEMU has ended, and says what the device did.
    ///
    /// # Errors
    /// The device failed in a way that was not planned.
    ///
    /// # Panics
    /// Its thread did.
    pub fn end(self) -> Result<Deeds> {
        self.thread.join().expect("the device's thread")
    }
}

/// What the device has done with a ring since the board was switched on, and what it is about to do.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// Entries used.
    used: u32,
    /// Lies told.
    lies: u32,
    /// The ring is broken and waits for its reset.
    broken: bool,
    /// Not to be looked at before this.
    stalled_until: Option<Instant>,
    /// An interrupt is due at the next tick.
    owes_interrupt: bool,
}

struct Device {
    plan: Plan,
    lab: PathBuf,
    frames: UnixDatagram,
    memory: GuestMemoryMmap,
    regions: Vec<Region>,
    /// Frames for the driver, which may have no buffers.
    waiting: VecDeque<Vec<u8>>,
    /// What the driver has agreed to.
    features: u64,
    rings: [Ring; 2],
    fates: [Fate; 2],
    deeds: Deeds,
}

impl Device {
    /// Waits for a QEMU and serves it until it goes.
    fn serve(mut self, listener: &UnixListener) -> Result<Deeds> {
        if !wait_for(&[listener.as_fd()], START_LIMIT)? {
            bail!("no QEMU has connected");
        }
        let (stream, _) = listener.accept().context("QEMU's connection")?;
        let connection = Connection::new(stream);
        let mut last_tick = Instant::now();
        let mut bytes = vec![0; 65_536];
        loop {
            let mut sources = vec![connection.as_fd(), self.frames.as_fd()];
            sources.extend(self.rings.iter().filter_map(|ring| ring.kick.as_ref()).map(|kick| kick.as_fd()));
            wait_for(&sources, TICK)?;
            drop(sources);
            if wait_for(&[connection.as_fd()], Duration::ZERO)? {
                match connection.receive()? {
                    Some(request) => self.carry_out(request, &connection)?,
                    None => return Ok(self.deeds),
                }
            }
            for ring in &mut self.rings {
                if let Some(kick) = &mut ring.kick
                    && wait_for(&[kick.as_fd()], Duration::ZERO)?
                {
                    kick.read_exact(&mut [0; 8]).context("a notification")?;
                }
            }
            while let Some(frame) = receive(&self.frames, &mut bytes)? {
                self.waiting.push_back(frame);
            }
            let tick = last_tick.elapsed() >= TICK;
            if tick {
                last_tick = Instant::now();
            }
            for queue in [Queue::Transmit, Queue::Receive] {
                self.serve_queue(queue, tick)?;
            }
        }
    }

    /// What QEMU wants to know, or wants the device to know.
    fn carry_out(&mut self, request: Request, connection: &Connection) -> Result<()> {
        match request {
            Request::GetFeatures(answer) => connection.answer(answer, &FEATURES.to_le_bytes())?,
            Request::GetProtocolFeatures(answer) => connection.answer(answer, &0_u64.to_le_bytes())?,
            Request::SetFeatures(features) => self.features = features,
            Request::Memory(table) => {
                self.regions = table.iter().map(|(region, ..)| *region).collect();
                let ranges: Vec<_> = table
                    .into_iter()
                    .map(|(region, offset, file)| {
                        (GuestAddress(region.guest), region.size as usize, Some(FileOffset::new(file, offset)))
                    })
                    .collect();
                self.memory = GuestMemoryMmap::from_ranges_with_files(&ranges).context("the guest's memory")?;
            }
            Request::Size(queue, size) => self.ring(queue)?.size = size,
            Request::Addresses(queue, [descriptors, used, available]) => {
                let [descriptors, used, available] = [descriptors, used, available].map(|user| self.guest(user));
                let ring = self.ring(queue)?;
                (ring.descriptors, ring.used, ring.available) = (descriptors?, used?, available?);
                let used = self.ring(queue)?.used;
                let next: u16 = self.memory.read_obj(GuestAddress(used + 2))?;
                self.ring(queue)?.next_used = u16::from_le(next);
            }
            Request::Base(queue, base) => self.ring(queue)?.next = base,
            Request::Stop(queue, answer) => {
                let ring = self.ring(queue)?;
                let base = ring.next;
                *ring = Ring::default();
                let fate = &mut self.fates[queue as usize];
                *fate = Fate { used: fate.used, lies: fate.lies, ..Fate::default() };
                self.deeds.stops += 1;
                let state = [queue.to_le_bytes(), u32::from(base).to_le_bytes()].concat();
                connection.answer(answer, &state)?;
            }
            Request::Kick(queue, file) => self.ring(queue)?.kick = file,
            Request::Call(queue, file) => self.ring(queue)?.call = file,
            // A queue works as soon as it can be notified; nothing hangs on the rest.
            Request::OfNoConcern => {}
        }
        Ok(())
    }

    fn ring(&mut self, queue: u32) -> Result<&mut Ring> {
        self.rings.get_mut(queue as usize).with_context(|| format!("QEMU names the queue {queue}"))
    }

    /// The guest's address of what QEMU has at this one.
    fn guest(&self, user: u64) -> Result<u64> {
        let region = self.regions.iter().find(|region| (region.user..region.user + region.size).contains(&user));
        let region = region.with_context(|| format!("no memory at {user:x}"))?;
        Ok(user - region.user + region.guest)
    }

    /// Carries what can be carried on one queue.
    fn serve_queue(&mut self, queue: Queue, tick: bool) -> Result<()> {
        let number = queue as usize;
        let event_index = self.features & 1 << 29 != 0;
        let mut signals = u32::from(tick && std::mem::take(&mut self.fates[number].owes_interrupt));
        loop {
            let (ring, fate) = (&self.rings[number], self.fates[number]);
            let stalled = fate.stalled_until.is_some_and(|until| Instant::now() < until);
            if ring.kick.is_none() || fate.broken || stalled {
                break;
            }
            if ring.available_index(&self.memory)? == ring.next {
                // The driver is to notify from here on; what it added meanwhile is looked at now.
                if event_index {
                    ring.want_notification(&self.memory)?;
                }
                if ring.available_index(&self.memory)? == ring.next {
                    break;
                }
            }
            let frame = match queue {
                Queue::Receive => match self.waiting.pop_front() {
                    Some(frame) => frame,
                    None => break,
                },
                Queue::Transmit => Vec::new(),
            };
            let head = self.rings[number].take_available(&self.memory)?;
            let chain = self.rings[number].chain(&self.memory, head)?;
            let lie = self.next_lie(queue);
            let length = match queue {
                Queue::Transmit => {
                    self.take_frame(&chain)?;
                    0
                }
                Queue::Receive => {
                    let header = match lie {
                        Some(Lie::Header(header)) => header,
                        _ => honest_header(),
                    };
                    self.give_frame(&chain, &[&header[..], &frame].concat())?
                }
            };
            signals += self.give_back(queue, (u32::from(head), length), lie)?;
        }
        for _ in 0..signals {
            self.rings[number].interrupt()?;
        }
        Ok(())
    }

    /// The lie that is due with the next entry of this queue.
    fn next_lie(&mut self, queue: Queue) -> Option<Lie> {
        let fate = &mut self.fates[queue as usize];
        fate.used += 1;
        let due = self.plan.queue == queue && fate.used > self.plan.after && fate.lies < self.plan.times;
        if !due {
            return None;
        }
        fate.lies += 1;
        self.deeds.lies += 1;
        Some(self.plan.lie)
    }

    /// Writes a used entry, or what the lie makes of it; says how often to interrupt.
    fn give_back(&mut self, queue: Queue, (head, length): (u32, u32), lie: Option<Lie>) -> Result<u32> {
        let (ring, fate) = (&mut self.rings[queue as usize], &mut self.fates[queue as usize]);
        let (mut entry, mut entries, mut signals) = ((head, length), 1, 1);
        match lie {
            Some(Lie::UnknownId(id)) => entry.0 = id,
            Some(Lie::Length(claim)) => entry.1 = claim,
            Some(Lie::Repeated) => {
                ring.write_used(&self.memory, 1, entry)?;
                entries = 2;
            }
            Some(Lie::IndexJump(more)) => entries = 1_u16.wrapping_add(more),
            Some(Lie::Storm(count)) => signals = count,
            Some(Lie::LateInterrupt) => {
                fate.owes_interrupt = true;
                signals = 0;
            }
            Some(Lie::Stall(span)) => fate.stalled_until = Some(Instant::now() + span),
            Some(Lie::Header(_)) | None => {}
        }
        fate.broken = lie.is_some_and(Lie::breaks_the_ring);
        ring.write_used(&self.memory, 0, entry)?;
        ring.show_used(&self.memory, entries)?;
        Ok(signals)
    }

    /// Sends the driver's frame to the lab.
    fn take_frame(&mut self, chain: &Chain) -> Result<()> {
        let mut bytes = Vec::new();
        for &(address, length, writable) in chain {
            if writable {
                self.deeds.bad_chains += 1;
            }
            let begin = bytes.len();
            bytes.resize(begin + length as usize, 0);
            self.memory.read_slice(&mut bytes[begin..], address)?;
        }
        match bytes.get(HEADER_BYTES..) {
            // The driver was promised nothing: its header has to be all zeros (section 5.1.6.2).
            Some(frame) if bytes[..HEADER_BYTES - 2].iter().all(|&byte| byte == 0) => {
                self.deeds.taken += 1;
                // A lab that does not listen loses the frame.
                let _lost = self.frames.send_to(frame, &self.lab);
            }
            _ => self.deeds.bad_chains += 1,
        }
        Ok(())
    }

    /// Writes a frame with its header into the driver's buffers, and says how many bytes.
    fn give_frame(&mut self, chain: &Chain, bytes: &[u8]) -> Result<u32> {
        let mut rest = bytes;
        for &(address, length, writable) in chain {
            let (now, later) = rest.split_at(rest.len().min(length as usize));
            if !writable {
                self.deeds.bad_chains += 1;
            }
            self.memory.write_slice(now, address)?;
            rest = later;
        }
        self.deeds.given += 1;
        Ok((bytes.len() - rest.len()) as u32)
    }
}

/// A header that asks for nothing, of a frame in one buffer.
fn honest_header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[10] = 1;
    header
}

/// Waits until one of these can be read; `false` where none can within the time.
fn wait_for(sources: &[BorrowedFd<'_>], span: Duration) -> Result<bool> {
    let mut waits: Vec<_> = sources.iter().map(|source| PollFd::from_borrowed_fd(*source, PollFlags::IN)).collect();
    let time = Timespec { tv_sec: span.as_secs() as _, tv_nsec: span.subsec_nanos() as _ };
    match poll(&mut waits, Some(&time)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(why) => Err(why).context("waiting for QEMU"),
    }
}

/// The next frame of the lab's.
fn receive(socket: &UnixDatagram, bytes: &mut [u8]) -> Result<Option<Vec<u8>>> {
    match socket.recv(bytes) {
        Ok(length) => Ok(Some(bytes[..length].to_vec())),
        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(why) => Err(why).context("the lab's frames"),
    }
}
