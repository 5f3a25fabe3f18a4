//! Servers that a test moves: a body that is complete only when the test says so, and a page that changes.

use super::loopback::{finish, listen, response, serve, take_head};
use super::url;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
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
    pub fn serve(body: Vec<u8>) -> Steady {
        assert!(body.len() > KEPT, "a body of {} bytes does not last", body.len());
        let released = Arc::new(AtomicBool::new(false));
        let (gate, message) = (Arc::clone(&released), Arc::new(response(&body)));
        let port = serve(move |stream| send(stream, &message, &gate));
        Steady { port, released }
    }

    /// The body's address, as the board sees it.
    pub fn url(&self) -> String {
        url(self.port, "")
    }

    /// Lets the rest of the body go.
    pub fn release(&self) {
        self.released.store(true, Relaxed);
    }
}

/// Sends the message piece by piece: the last of it slowly, and its very end only when it is released.
fn send(mut stream: TcpStream, message: &[u8], released: &AtomicBool) -> std::io::Result<()> {
    take_head(&mut stream)?;
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

/// A page that can be changed, and whose server can go away and come back.
pub struct Page {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    listener: Option<TcpListener>,
    message: Vec<u8>,
}

impl Page {
    /// Serves this page.
    pub fn serve(body: &[u8]) -> Page {
        let (listener, port) = listen();
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
        Page { port, state }
    }

    /// The page's address, as the board sees it.
    pub fn url(&self) -> String {
        url(self.port, "")
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
    pub fn start(&self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).expect("the port that was ours");
        listener.set_nonblocking(true).expect("a listener that does not block");
        self.state.lock().unwrap_or_else(PoisonError::into_inner).listener = Some(listener);
    }
}

fn answer_with(mut stream: TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    take_head(&mut stream)?;
    stream.write_all(message)?;
    finish(stream)
}
