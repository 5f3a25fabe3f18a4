//! Threads that read QEMU's streams while the board runs, one for each, and send events.

use crate::decoder::{Decoded, Decoder, said};
use crate::outcome::Event;
use crate::paced::Paced;
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

/// Sends the bytes of COM1 until QEMU ends.
pub fn read_console(mut stream: Paced<UnixStream>, events: &SyncSender<Event>) {
    let mut bytes = [0; 65_536];
    while let count @ 1.. = read_some(&mut stream, &mut bytes, "COM1") {
        if events.send(Event::Console(bytes[..count].to_vec())).is_err() {
            break;
        }
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
pub fn read_log(mut stream: Paced<UnixStream>, decoder: &Decoder, events: SyncSender<Event>) {
    let mut frames = decoder.stream();
    let mut bytes = [0; 4096];
    let mut refused = false;
    while let count @ 1.. = read_some(&mut stream, &mut bytes, "COM2") {
        let mut all = frames.push(&bytes[..count]);
        if let Some(why) = frames.refusal()
            && !std::mem::replace(&mut refused, true)
        {
            all.push(Decoded::Line(said(format!("run: {why}"))));
        }
        for decoded in all {
            if events.send(decoded.into()).is_err() {
                return;
            }
        }
    }
    if let Some(rest) = frames.finish() {
        // Nobody listens any more only where the run has failed already.
        let _told = events.send(Event::Log(rest));
    }
}
