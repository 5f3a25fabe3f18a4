//! The peer of a counted run that repeats: a web server all of whose frames are decided by what the board sends.
//!
//! It has one segment or one burst under way at a time, and sends the next when the board has acknowledged everything
//! and waits. So the board always finds the same frames together, however fast the host is.

use slopos_lab::wire::tcp::{ACK, FIN, Options, PSH, Tcp};
use slopos_netlab::lab::SOON;
use slopos_netlab::{Lab, Offer, Server};

/// Segments of a burst. As many as fit into [`slopos_netlab::step::LARGEST_BURST`], an even number: of an odd one the
/// last would be acknowledged by a timer.
const BURST: usize = 16;

/// Bytes of a segment with timestamps on an ordinary Ethernet.
const SEGMENT: usize = 1448;

/// The options that a Linux server agrees to.
fn offer() -> Offer {
    let options = Options {
        mss: Some(1460),
        shift: Some(7),
        sack_permitted: true,
        // The values are filled in; that they are there turns them on.
        timestamps: Some((0, 0)),
        ..Options::default()
    };
    Offer { options, ..Offer::default() }
}

/// Answers one request after another with pages of these many bytes.
///
/// # Panics
/// The board does not play its part; the text shows the whole wire.
pub fn serve(lab: &mut Lab, pages: impl IntoIterator<Item = usize>) {
    for page in pages {
        let mut server = Server::accept(lab, offer());
        while !server.received.ends_with(b"\r\n\r\n") {
            server.take(lab, SOON);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {page}\r\nConnection: close\r\n\r\n");
        let response = [head.as_bytes(), &vec![b'x'; page]].concat();
        respond(lab, &mut server, &response);
    }
}

/// Sends a whole response, ends the connection with its last segment, and waits until the board has ended it too.
fn respond(lab: &mut Lab, server: &mut Server, response: &[u8]) {
    let mut left = response;
    while !left.is_empty() {
        while server.acknowledged != server.next || (server.board_window as usize) < BURST * SEGMENT {
            server.take(lab, SOON);
        }
        let (burst, rest) = left.split_at(left.len().min(BURST * SEGMENT));
        left = rest;
        let mut pieces = burst.chunks(SEGMENT).peekable();
        while let Some(piece) = pieces.next() {
            if left.is_empty() && pieces.peek().is_none() {
                let last = Tcp { flags: ACK | PSH | FIN, ..server.data(0, piece) };
                server.next = server.next.wrapping_add(last.length());
                server.send(lab, last);
            } else {
                server.push(lab, piece);
            }
        }
    }
    while !(server.finished && server.acknowledged == server.next) {
        server.take(lab, SOON);
    }
    server.send(lab, server.segment());
}
