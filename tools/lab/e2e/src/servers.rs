//! Servers on free ports of the loopback, honest ones and such that misbehave.

use crate::HOST;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Python's web server, ended when this value goes.
pub struct Python {
    child: Child,
    port: u16,
    /// Kept open: the server dies when it cannot write to it.
    _output: BufReader<ChildStdout>,
}

impl Python {
    /// Serves the files of a folder.
    ///
    /// # Panics
    /// Python 3 is not there or does not say which port it took.
    pub fn serve(folder: &Path) -> Python {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed; ./just setup does that");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("python3 says where it serves");
        // `Serving HTTP on 127.0.0.1 port 43210 (http://127.0.0.1:43210/) ...`
        let mut words = line.split_whitespace().skip_while(|word| *word != "port").skip(1);
        let port = words.next().and_then(|word| word.parse().ok());
        let port = port.unwrap_or_else(|| panic!("python3 says {line:?} instead of its port"));
        Python { child, port, _output: output }
    }

    /// The address of a file, as the board sees it.
    pub fn url(&self, file: &str) -> String {
        format!("http://{HOST}:{}/{file}", self.port)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It is ours and does nothing by now; that it has ended already is as good.
        if self.child.kill().is_ok()
            && let Err(why) = self.child.wait()
        {
            eprintln!("python3: {why}");
        }
    }
}

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

/// Starts a server that answers every connection so; returns its address as the board sees it. It ends with the tests.
///
/// # Panics
/// The loopback has no free port.
pub fn answering(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            thread::spawn(move || {
                // The client may go away at any time; what it makes of that is what the test looks at.
                if let Err(why) = stream.and_then(|stream| serve(stream, answer)) {
                    eprintln!("server: {why}");
                }
            });
        }
    });
    format!("http://{HOST}:{port}/")
}

/// Starts a server that takes whatever comes and says nothing; returns its address as the board sees it. It ends with the
/// tests.
///
/// # Panics
/// The loopback has no free port.
pub fn sinking() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let taken = stream.and_then(|mut stream| std::io::copy(&mut stream, &mut std::io::sink()));
                if let Err(why) = taken {
                    // A client that is killed resets its connections.
                    eprintln!("server: {why}");
                }
            });
        }
    });
    format!("http://{HOST}:{port}/")
}

/// An address of the loopback at which nobody listens.
///
/// # Panics
/// The loopback has no free port.
pub fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    format!("http://{HOST}:{port}/")
}

/// A response that is right: a head with the body's length, and the body.
pub fn response(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn serve(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    if let Answer::Reset(answer) = answer {
        // The request is looked at but never taken, and closing with input that nobody took makes the host's TCP send
        // a reset.
        stream.peek(&mut bytes)?;
        stream.write_all(&answer)?;
        // What was sent has to be on its way first: a reset throws away what is still queued.
        thread::sleep(PAUSE);
        return Ok(());
    }
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            count => head.extend_from_slice(&bytes[..count]),
        }
    }
    match &answer {
        Answer::Bytes(bytes) | Answer::Reset(bytes) => stream.write_all(bytes)?,
        Answer::Pieces(pieces) => {
            stream.set_nodelay(true)?;
            for piece in pieces {
                thread::sleep(PAUSE);
                stream.write_all(piece)?;
            }
        }
        Answer::Silence => {}
        Answer::RequestLine => {
            let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
            stream.write_all(&response(line))?;
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            // The client's going away ends it.
            loop {
                stream.write_all(&bytes)?;
            }
        }
    }
    if !matches!(answer, Answer::Silence) {
        stream.shutdown(Shutdown::Write)?;
    }
    // Until the peer ends its own direction: closing earlier could turn into a reset and lose what was sent.
    while stream.read(&mut bytes)? > 0 {}
    Ok(())
}
