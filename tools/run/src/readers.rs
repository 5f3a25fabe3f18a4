//! Threads that read QEMU's streams while the board runs, one for each, and send events.

use crate::decoder::{Decoded, Decoder, Stream, said};
use crate::lines::Shared;
use crate::outcome::Event;
use crate::paced::Paced;
use crate::pieces::Part;
use std::io::{BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;

/// The longest line of QEMU's own output; a longer one is cut into several.
const SAID_MAX: u64 = 64 << 10;

/// Sends QEMU's own output, line by line, until it ends.
pub fn read_lines(stream: impl Read, events: &SyncSender<Event>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = stream.by_ref().take(SAID_MAX).read_until(b'\n', &mut line);
        let text = match &read {
            Ok(0) => return,
            Ok(_) => String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned(),
            Err(why) => format!("unreadable: {why}"),
        };
        if events.send(Event::Qemu(text)).is_err() || read.is_err() {
            return;
        }
    }
}

/// Reads what there is of a port; 0 once QEMU has ended. Another end of the port is told, for what the board says after it
/// is lost.
fn read_some(stream: &mut impl Read, bytes: &mut [u8], port: &str) -> usize {
    loop {
        match stream.read(bytes) {
            Ok(count) => return count,
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            Err(why) => {
                // QEMU was ended before it had taken all that was typed.
                if why.kind() != std::io::ErrorKind::ConnectionReset {
                    eprintln!("run: {port}: {why}");
                }
                return 0;
            }
        }
    }
}

/// Sends the bytes of COM1 until QEMU ends; with a `log`, what of them is the kernel's log goes there.
pub fn read_console(mut stream: Paced<UnixStream>, mut log: Option<Log<'_>>, events: &SyncSender<Event>) {
    let mut bytes = [0; 65_536];
    while let count @ 1.. = read_some(&mut stream, &mut bytes, "COM1") {
        let sent = match &mut log {
            None => events.send(Event::Console(bytes[..count].to_vec())).is_ok(),
            Some(log) => log.take_shared(&bytes[..count]).into_iter().all(|event| events.send(event).is_ok()),
        };
        if !sent {
            break;
        }
    }
    for event in log.into_iter().flat_map(Log::finish) {
        // Nobody listens any more only where the run has failed already.
        let _told = events.send(event);
    }
    // A thread may still copy the keyboard to the other end of this connection; this ends its writing. That the
    // connection is gone already is what is wanted.
    if let Err(why) = stream.into_inner().shutdown(Shutdown::Both)
        && why.kind() != std::io::ErrorKind::NotConnected
    {
        eprintln!("run: COM1: {why}");
    }
}

/// Sends the lines of COM2 until QEMU ends.
pub fn read_log(mut stream: Paced<UnixStream>, mut log: Log<'_>, events: SyncSender<Event>) {
    let mut bytes = [0; 4096];
    while let count @ 1.. = read_some(&mut stream, &mut bytes, "COM2") {
        for event in log.take(&bytes[..count]) {
            if events.send(event).is_err() {
                return;
            }
        }
    }
    for event in log.finish() {
        // Nobody listens any more only where the run has failed already.
        let _told = events.send(event);
    }
}

/// The log of a board that runs, on a port of its own or on the console's.
pub struct Log<'d> {
    frames: Stream<'d>,
    refused: bool,
    shared: Shared,
}

impl<'d> Log<'d> {
    /// That of a board with this kernel.
    pub fn new(decoder: &'d Decoder) -> Self {
        Log { frames: decoder.stream(), refused: false, shared: decoder.shared() }
    }

    /// Takes bytes of the log.
    fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut all = self.frames.push(bytes);
        if let Some(why) = self.frames.refusal()
            && !std::mem::replace(&mut self.refused, true)
        {
            all.push(Decoded::Line(said(format!("run: {why}"))));
        }
        all.into_iter().map(Event::from).collect()
    }

    /// Takes bytes of a port that has the console's text too.
    fn take_shared(&mut self, bytes: &[u8]) -> Vec<Event> {
        let parts = self.shared.push(bytes);
        parts.into_iter().flat_map(|part| self.take_part(part)).collect()
    }

    fn take_part(&mut self, part: Part) -> Vec<Event> {
        match part {
            Part::Text(text) => vec![Event::Console(text)],
            Part::Log(bytes) => self.take(&bytes),
            Part::Damaged(count) => {
                vec![Event::Log(said(format!("run: a piece of the log of {count} bytes is damaged")))]
            }
        }
    }

    /// What is left over at the end.
    fn finish(mut self) -> Vec<Event> {
        let shared = std::mem::take(&mut self.shared);
        let mut events = shared.finish().map(|part| self.take_part(part)).unwrap_or_default();
        events.extend(self.frames.finish().map(Event::Log));
        events
    }
}
