//! `get [options] URL... [; [options] URL...]...`: webget's work on Linux, for the guest that the board is compared with.
//!
//! It has webget's options, URLs, requests and parser of responses, and a connection of its own for each request. What
//! differs is below the stream: Linux's sockets instead of the board's, and files in memory where webget has flash regions.
//! It ends each URL with webget's line of figures.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use libslop::io::{Error, ErrorKind, ErrorType, Read, Write};
use slopos_http::response::{self, Head, Progress, Sink};
use slopos_http::{Url, request};
use webget::options::{self, Body, Command, Output, Settings};

/// Most bytes of one read. More than webget's, to be fair to Linux: of 16 and 64 KiB, 256 KiB and 1 MiB this was the
/// fastest, over a tap by a quarter faster than webget's 16 KiB.
const BUFFER: usize = 256 * 1024;

/// What this program calls itself: as long as webget's name, so that requests have the same length.
const AGENT: &str = concat!("webget/", env!("CARGO_PKG_VERSION"));

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: &'static [String] = words.leak();
    let mut buffer = vec![0; BUFFER];
    for words in words.split(|word| word == ";") {
        let command = options::parse(words.iter().map(String::as_str)).map_err(|why| anyhow!("{why}"))?;
        let Command::Fetch(settings, urls) = command else { bail!("the board's webget says that") };
        if settings.output == Output::Digest {
            bail!("--sha256 is for the board, which is tested with it");
        }
        for text in urls {
            let url = Url::parse(text).map_err(|why| anyhow!("{text}: {why}"))?;
            fetch(&settings, &url, &mut buffer).with_context(|| text.to_owned())?;
        }
    }
    Ok(())
}

/// Requests one URL as often as asked, and prints what it came to. Returns the responses' number and their bytes.
fn fetch(settings: &Settings<'_>, url: &Url<'_>, buffer: &mut [u8]) -> Result<(u32, u64)> {
    if !settings.silent {
        eprintln!("webget: {} {}", settings.method, url.text);
    }
    let start = Instant::now();
    let file = settings.region.map(File::create).transpose()?;
    let mut sink = Taker { first: !settings.silent, print: settings.output == Output::Print, file };
    let (mut count, mut bytes, mut status) = (0, 0, 0);
    while count < settings.count {
        let mut progress = Progress::default();
        let mut stream = Stream::connect(url, settings.timeout)?;
        match settings.body {
            Body::Region(name) => upload(&mut stream, settings, url, name, buffer)?,
            _ => {
                request::send(&mut stream, settings.method, url, AGENT).map_err(|why| anyhow!("the request: {why}"))?
            }
        }
        response::receive(&mut stream, settings.method, buffer, &mut sink, &mut progress)
            .map_err(|why| anyhow!("the response: {why:?}"))?;
        bytes += progress.body_bytes;
        status = progress.status;
        count += 1;
    }
    let took = start.elapsed().as_secs_f64();
    if settings.silent {
        return Ok((count, bytes));
    }
    eprintln!("webget: done status={status} count={count} bytes={bytes} seconds={took:.3}");
    Ok((count, bytes))
}

/// Sends a request with a file behind it.
fn upload(stream: &mut Stream, settings: &Settings<'_>, url: &Url<'_>, name: &str, buffer: &mut [u8]) -> Result<()> {
    let mut file = File::open(name)?;
    let length = file.metadata()?.len();
    let content = request::Content::Length(length);
    let fields = settings.fields.as_slice();
    let head = request::Request { fields, content, ..request::Request::new(settings.method, url, AGENT) };
    head.send(&mut *stream).map_err(|why| anyhow!("the request: {why}"))?;
    loop {
        match file.read(buffer)? {
            0 => break,
            count => stream.0.write_all(&buffer[..count])?,
        }
    }
    eprintln!("webget: sent {length} bytes");
    Ok(())
}

/// A connection, as webget makes it: no Nagle, and a limit on each wait where one is asked for.
struct Stream(TcpStream);

impl Stream {
    fn connect(url: &Url<'_>, timeout: Option<Duration>) -> Result<Stream> {
        let address = SocketAddrV4::new(url.address, url.port);
        let stream = match timeout {
            None => TcpStream::connect(address)?,
            Some(limit) => {
                let stream = TcpStream::connect_timeout(&address.into(), limit)?;
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                stream
            }
        };
        stream.set_nodelay(true)?;
        Ok(Stream(stream))
    }
}

/// An error of the socket's.
#[derive(Debug)]
struct Failed(std::io::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Failed {}

impl Error for Failed {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Stream {
    type Error = Failed;
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        self.0.read(buffer).map_err(Failed)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failed> {
        self.0.write(bytes).map_err(Failed)
    }

    fn flush(&mut self) -> Result<(), Failed> {
        self.0.flush().map_err(Failed)
    }
}

/// Takes a response. Of the heads only the first one's status line is printed, for the boot's measure ends there: each
/// byte on the serial line leaves the guest, and would slow Linux down.
struct Taker {
    first: bool,
    print: bool,
    file: Option<File>,
}

impl Sink for Taker {
    type Error = std::io::Error;

    fn head(&mut self, head: &Head<'_>) -> Result<(), std::io::Error> {
        if !std::mem::take(&mut self.first) {
            return Ok(());
        }
        writeln!(std::io::stdout(), "HTTP/1.{} {} {}", head.minor_version, head.status, head.reason)
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), std::io::Error> {
        match &mut self.file {
            Some(file) => file.write_all(piece),
            None if self.print => std::io::stdout().write_all(piece),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn each_request_has_a_connection_of_its_own_and_all_bytes_count() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut head = [0; 1024];
                let length = stream.read(&mut head).expect("a request");
                requests.push(String::from_utf8_lossy(&head[..length]).into_owned());
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("an answer");
            }
            requests
        });
        let text = format!("http://127.0.0.1:{port}/page");
        let url = Url::parse(&text).expect("a URL");
        let settings = Settings { output: Output::Discard, count: 3, ..Settings::default() };
        assert_eq!(fetch(&settings, &url, &mut vec![0; BUFFER]).expect("fetched"), (3, 15));
        for request in server.join().expect("the server") {
            assert!(
                request.starts_with("GET /page HTTP/1.1\r\n") && request.contains("Connection: close"),
                "{request}"
            );
        }
        assert!(fetch(&settings, &url, &mut vec![0; BUFFER]).is_err(), "nobody listens any more");
    }
}
