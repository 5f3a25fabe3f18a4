//! The vhost-user protocol, as far as QEMU 7.2 uses it for one pair of queues (docs/interop/vhost-user in its sources).
//!
//! A message is a header of three words (request, flags, length of what follows), its payload, and files beside it.

use anyhow::{Context, Result, bail};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Bytes of a header.
const HEADER_BYTES: usize = 12;
/// Most memory regions of one table.
const REGIONS: usize = 8;
/// Longest payload: a table of memory regions.
const LONGEST: usize = 8 + 32 * REGIONS;
/// Flags of an answer: version 1, and that it is one.
const ANSWER: u32 = 1 | 4;

/// The number of a request that is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer(u32);

/// A part of the guest's memory as QEMU names it.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Address in the guest.
    pub guest: u64,
    /// Bytes.
    pub size: u64,
    /// Address in QEMU, which names the rings by such.
    pub user: u64,
}

/// What QEMU wants.
#[derive(Debug)]
pub enum Request {
    /// Which features there are.
    GetFeatures(Answer),
    /// Which extensions of this protocol there are.
    GetProtocolFeatures(Answer),
    /// The features that the driver has agreed to.
    SetFeatures(u64),
    /// The guest's memory: each region with its offset in a file.
    Memory(Vec<(Region, u64, File)>),
    /// A queue's number of descriptors.
    Size(u32, u16),
    /// Where a queue's descriptor table, used ring and available ring are, as addresses of QEMU's.
    Addresses(u32, [u64; 3]),
    /// A queue's next available index.
    Base(u32, u16),
    /// A queue stops; the answer is its next available index.
    Stop(u32, Answer),
    /// Where the driver's notifications come from; none while there are none.
    Kick(u32, Option<File>),
    /// Where interrupts go.
    Call(u32, Option<File>),
    /// Something that this device has nothing to do with.
    OfNoConcern,
}

/// The connection to QEMU.
pub struct Connection(UnixStream);

impl Connection {
    /// A connection that QEMU has made.
    pub fn new(stream: UnixStream) -> Connection {
        Connection(stream)
    }

    /// The next request, waited for; `None` where QEMU has ended.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn receive(&self) -> Result<Option<Request>> {
        let mut header = [0; HEADER_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REGIONS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut header)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let length = match received {
            Ok(message) => message.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(why) => return Err(why).context("QEMU's request"),
        };
        if length == 0 {
            return Ok(None);
        }
        let mut files = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                files.extend(descriptors.map(File::from));
            }
        }
        (&self.0).read_exact(&mut header[length..]).context("the rest of a header")?;
        let [request, _, length] = [0, 4, 8].map(|offset| word(&header, offset));
        if length as usize > LONGEST {
            bail!("the request {request} has {length} bytes");
        }
        let mut payload = vec![0; length as usize];
        (&self.0).read_exact(&mut payload).context("a payload")?;
        // Fixed-size payloads are read with what is missing as zeros.
        payload.resize(LONGEST, 0);
        Ok(Some(read(request, &payload, files)?))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// QEMU does not take it.
    pub fn answer(&self, Answer(request): Answer, payload: &[u8]) -> Result<()> {
        let header = [request, ANSWER, payload.len() as u32].map(u32::to_le_bytes).concat();
        (&self.0).write_all(&[&header, payload].concat()).context("an answer to QEMU")
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads a request, the payload of which is filled up with zeros.
fn read(request: u32, payload: &[u8], mut files: Vec<File>) -> Result<Request> {
    let (index, state) = (word(payload, 0), word(payload, 4) as u16);
    // Where a file goes, the first byte is the queue, and the next bit says that there is none.
    let queue = index & 0xff;
    Ok(match request {
        1 => Request::GetFeatures(Answer(request)),
        2 => Request::SetFeatures(long(payload, 0)),
        5 => {
            let count = index as usize;
            if count != files.len() || count > REGIONS {
                bail!("{count} memory regions with {} files", files.len());
            }
            let regions = files.into_iter().enumerate().map(|(number, file)| {
                let [guest, size, user, offset] = [8, 16, 24, 32].map(|field| long(payload, 32 * number + field));
                (Region { guest, size, user }, offset, file)
            });
            Request::Memory(regions.collect())
        }
        8 => Request::Size(index, state),
        9 => Request::Addresses(index, [8, 16, 24].map(|offset| long(payload, offset))),
        10 => Request::Base(index, state),
        11 => Request::Stop(index, Answer(request)),
        12 => Request::Kick(queue, files.pop()),
        13 => Request::Call(queue, files.pop()),
        15 => Request::GetProtocolFeatures(Answer(request)),
        // Owner, error file, protocol features, enabling a queue, an announcement for a switch: nothing to do, nothing
        // to answer.
        3 | 4 | 14 | 16 | 18 | 19 => Request::OfNoConcern,
        _ => bail!("QEMU makes the request {request}"),
    })
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("4 bytes"))
}

fn long(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(bytes: &[u8]) -> Result<Option<Request>> {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.write_all(bytes).expect("written");
        drop(theirs);
        Connection::new(ours).receive()
    }

    fn message(request: u32, payload: &[u8]) -> Vec<u8> {
        [&[request, 1, payload.len() as u32].map(u32::to_le_bytes).concat()[..], payload].concat()
    }

    #[test]
    fn requests_are_read() {
        assert!(matches!(sent(&message(1, &[])), Ok(Some(Request::GetFeatures(_)))));
        let features = sent(&message(2, &0x1_2345_6789_u64.to_le_bytes()));
        assert!(matches!(features, Ok(Some(Request::SetFeatures(0x1_2345_6789)))));
        assert!(matches!(sent(&message(8, &[1, 0, 0, 0, 0, 4, 0, 0])), Ok(Some(Request::Size(1, 1024)))));
        assert!(matches!(sent(&message(12, &[1, 1, 0, 0, 0, 0, 0, 0])), Ok(Some(Request::Kick(1, None)))));
        assert!(matches!(sent(&[]), Ok(None)));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert!(sent(&message(99, &[])).is_err());
        assert!(sent(&message(5, &[1, 0, 0, 0, 0, 0, 0, 0])).is_err(), "a region without its file");
        assert!(sent(&message(1, &[0; 2000])).is_err());
        assert!(sent(&message(2, &[0; 8])[..15]).is_err());
    }
}
