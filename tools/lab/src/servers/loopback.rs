//! Servers on free ports of the loopback, each with a thread for a connection. They end with the program.
//! Where there is no free port, what starts one panics.

use super::url;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// What a server does with a connection once it has read the head of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Sends these bytes, then closes the connection in order.
    Bytes(Vec<u8>),
    /// Sends these pieces one by one, with a pause before each, then closes.
    Pieces(Vec<Vec<u8>>),
    /// Sends these bytes, then resets the connection.
    Reset(Vec<u8>),
    /// Sends nothing and keeps the connection open.
    Silence,
    /// Sends a body without an end.
    Endless,
    /// Sends the first line of the request back, as a body.
    RequestLine,
}

/// Longer than the board takes to read what has arrived, so that pieces arrive one by one.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a page written at once. Large, so that the server is never what the guest waits for.
const PIECE: usize = 256 * 1024;

/// A socket that listens on a free port of the loopback, and the port.
pub fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Has `work` done on each connection to a free port, which is returned.
pub fn serve(work: impl Fn(TcpStream) -> Result<()> + Clone + Send + 'static) -> u16 {
    let (listener, port) = listen();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let work = work.clone();
            thread::spawn(move || {
                // The client may go away at any time; what it makes of that is what the test looks at.
                if let Err(why) = stream.and_then(work) {
                    eprintln!("server: {why}");
                }
            });
        }
    });
    port
}

/// Starts a server that answers every connection so; returns its address as the board sees it.
pub fn answering(answer: Answer) -> String {
    url(serve(move |stream| give(stream, &answer)), "")
}

/// Starts a server that takes whatever comes and says nothing; returns its address as the board sees it.
pub fn sinking() -> String {
    // A client that is killed resets its connections.
    url(serve(|mut stream| std::io::copy(&mut stream, &mut std::io::sink()).map(drop)), "")
}

/// An address of the loopback at which nobody listens.
pub fn refusing() -> String {
    url(listen().1, "")
}

/// Starts a server whose pages have as many bytes as their paths say, and returns its port.
pub fn pages() -> u16 {
    serve(page)
}

/// A response that is right: a head with the body's length, and the body.
pub fn response(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Whether there is a whole head in these bytes.
pub fn has_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window == b"\r\n\r\n")
}

/// Reads a request's head; `None` where the client ends its stream before.
///
/// # Errors
/// The connection's.
pub fn take_head(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut bytes = [0; 4096];
    while !has_head(&head) {
        match stream.read(&mut bytes)? {
            0 => return Ok(None),
            count => head.extend_from_slice(&bytes[..count]),
        }
    }
    Ok(Some(head))
}

/// Ends the stream, and waits until the peer has ended its own: closing earlier could turn into a reset and lose what
/// was sent.
///
/// # Errors
/// The connection's.
pub fn finish(mut stream: TcpStream) -> Result<()> {
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(())
}

fn give(mut stream: TcpStream, answer: &Answer) -> Result<()> {
    if let Answer::Reset(answer) = answer {
        // The request is looked at but never taken, and closing with input that nobody took makes the host's TCP send
        // a reset.
        stream.peek(&mut [0])?;
        stream.write_all(answer)?;
        // What was sent has to be on its way first: a reset throws away what is still queued.
        thread::sleep(PAUSE);
        return Ok(());
    }
    let Some(head) = take_head(&mut stream)? else { return Ok(()) };
    match answer {
        Answer::Bytes(bytes) | Answer::Reset(bytes) => stream.write_all(bytes)?,
        Answer::Pieces(pieces) => {
            stream.set_nodelay(true)?;
            for piece in pieces {
                thread::sleep(PAUSE);
                stream.write_all(piece)?;
            }
        }
        // It lasts for as long as the client's side does.
        Answer::Silence => return std::io::copy(&mut stream, &mut std::io::sink()).map(drop),
        Answer::RequestLine => {
            let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
            stream.write_all(&response(line))?;
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            // The client's going away ends it.
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
    }
    finish(stream)
}

/// Answers one request for a page; the connection ends with it.
fn page(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let head = take_head(&mut stream)?.unwrap_or_default();
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    let no_length = |_| Error::new(ErrorKind::InvalidInput, format!("no length in {path:?}"));
    let mut left: usize = path.trim_start_matches('/').parse().map_err(no_length)?;
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

    #[test]
    fn a_page_has_the_length_in_its_address() {
        let port = pages();
        for length in [0, 1, PIECE - 10, PIECE, 3 * PIECE + 1] {
            assert_eq!(url(port, &length.to_string()), format!("http://10.0.2.2:{port}/{length}"));
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            write!(stream, "GET /{length} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut response = Vec::new();
            stream.read_to_end(&mut response).unwrap();
            let end = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            assert!(response.starts_with(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n").as_bytes()));
            assert_eq!(response.len() - end, length);
        }
    }
}
