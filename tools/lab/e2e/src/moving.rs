//! Servers that a test moves: a body that is complete only when the test says so, and a page that changes.

use crate::HOST;
use crate::servers::response;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that are kept back until the test lets them go.
const KEPT: usize = 1 << 20;
/// Bytes of a piece, at first and of what is kept back.
const PIECE: (usize, usize) = (64 << 10, 2 << 10);
/// The pause between pieces.
const PAUSE: Duration = Duration::from_millis(20);

/// A server of one body, which comes in small pieces, so that its download goes on for as long as the test wants.
pub struct Steady {
    port: u16,
    released: Arc<AtomicBool>,
}

impl Steady {
    /// Serves this body to whoever asks.
    ///
    /// # Panics
    /// The loopback has no free port; the body is no longer than what is kept back.
    pub fn serve(body: Vec<u8>) -> Steady {
        assert!(body.len() > KEPT, "a body of {} bytes does not last", body.len());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let released = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&released);
        let message = Arc::new(response(&body));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (message, gate) = (Arc::clone(&message), Arc::clone(&gate));
                thread::spawn(move || {
                    if let Err(why) = stream.and_then(|stream| send(stream, &message, &gate)) {
                        eprintln!("server: {why}");
                    }
                });
            }
        });
        Steady { port, released }
    }

    /// The body's address, as the board sees it.
    pub fn url(&self) -> String {
        format!("http://{HOST}:{}/", self.port)
    }

    /// Lets the rest of the body go.
    pub fn release(&self) {
        self.released.store(true, Relaxed);
    }
}

/// Sends the message piece by piece: the last of it slowly, and its very end only when it is released.
fn send(mut stream: TcpStream, message: &[u8], released: &AtomicBool) -> std::io::Result<()> {
    take_request(&mut stream)?;
    let (first, kept) = message.split_at(message.len() - KEPT);
    let last = kept.len() - PIECE.1;
    for piece in first.chunks(PIECE.0).chain(kept[..last].chunks(PIECE.1)) {
        stream.write_all(piece)?;
        if !released.load(Relaxed) {
            thread::sleep(PAUSE);
        }
    }
    while !released.load(Relaxed) {
        thread::sleep(PAUSE);
    }
    stream.write_all(&kept[last..])?;
    finish(stream)
}

/// Reads a request's head.
fn take_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut bytes)? {
            0 => break,
            count => head.extend_from_slice(&bytes[..count]),
        }
    }
    Ok(())
}

/// Ends the stream, and waits until the peer has ended its own.
fn finish(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(())
}

/// A page that can be changed, and whose server can go away and come back.
pub struct Page {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    listener: Option<TcpListener>,
    message: Vec<u8>,
}

impl Page {
    /// Serves this page.
    ///
    /// # Panics
    /// The loopback has no free port.
    pub fn serve(body: &[u8]) -> Page {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let state = Arc::new(Mutex::new(State { listener: Some(listener), message: response(body) }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            loop {
                let mut answer = None;
                {
                    let state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(Ok((stream, _))) = state.listener.as_ref().map(TcpListener::accept) {
                        answer = Some((stream, state.message.clone()));
                    }
                }
                match answer {
                    Some((stream, message)) => {
                        if let Err(why) = answer_with(stream, &message) {
                            eprintln!("server: {why}");
                        }
                    }
                    None => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Page { address, state }
    }

    /// The page's address, as the board sees it.
    pub fn url(&self) -> String {
        format!("http://{HOST}:{}/", self.address.port())
    }

    /// Serves another page from now on.
    pub fn change(&self, body: &[u8]) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).message = response(body);
    }

    /// Goes away: connections are refused.
    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).listener = None;
    }

    /// Comes back, at the same address.
    ///
    /// # Panics
    /// Somebody else has taken the port.
    pub fn start(&self) {
        let listener = TcpListener::bind(self.address).expect("the port that was ours");
        listener.set_nonblocking(true).expect("a listener that does not block");
        self.state.lock().unwrap_or_else(PoisonError::into_inner).listener = Some(listener);
    }
}

fn answer_with(mut stream: TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    take_request(&mut stream)?;
    stream.write_all(message)?;
    finish(stream)
}
