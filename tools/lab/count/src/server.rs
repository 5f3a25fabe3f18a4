//! The peer of a counted run: a web server whose page has as many bytes as its address says.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// Bytes written at once. Large, so that the server is never what the guest waits for.
const PIECE: usize = 256 * 1024;

/// A server on the loopback, up to the end of the program.
pub struct Server {
    port: u16,
}

impl Server {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// The loopback has none.
    pub fn start() -> Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a server on the loopback")?;
        let port = listener.local_addr().context("the server's port")?.port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // The guest's exit status tells of an exchange that failed; this says why.
                if let Err(why) = stream.map_err(Into::into).and_then(answer) {
                    eprintln!("count: the server: {why:#}");
                }
            }
        });
        Ok(Server { port })
    }

    /// The address of a page with this many bytes, as the guest has to write it.
    pub fn page(&self, bytes: u64) -> String {
        format!("http://10.0.2.2:{}/{bytes}", self.port)
    }
}

/// Answers one request; the connection ends with it.
fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().context("no request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).context("no path")?;
    let mut left: usize = path.trim_start_matches('/').parse().with_context(|| format!("no length in {path}"))?;
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\nConnection: close\r\n\r\n").into_bytes();
    let piece = vec![b'x'; PIECE];
    // The head goes out together with the first piece, as it does from a real server.
    loop {
        let count = left.min(PIECE - bytes.len().min(PIECE));
        bytes.extend_from_slice(&piece[..count]);
        stream.write_all(&bytes)?;
        bytes.clear();
        left -= count;
        if left == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_page_has_the_length_in_its_address() {
        let server = Server::start().unwrap();
        for length in [0, 1, PIECE as u64 - 10, PIECE as u64, 3 * PIECE as u64 + 1] {
            assert_eq!(server.page(length), format!("http://10.0.2.2:{}/{length}", server.port));
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
            write!(stream, "GET /{length} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut response = Vec::new();
            stream.read_to_end(&mut response).unwrap();
            let end = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            assert!(response.starts_with(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n").as_bytes()));
            assert_eq!((response.len() - end) as u64, length);
        }
    }
}
