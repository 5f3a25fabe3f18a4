//! A person at a terminal: types keys, and looks at the screen.
//!
//! The program has a pseudo-terminal of 80 columns and 24 rows as its standard streams; what it writes is shown by a model
//! of a terminal.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The keys that send more than one byte, as `xterm` sends them.
pub mod key {
    /// To the left.
    pub const LEFT: &str = "\x1b[D";
    /// To the right.
    pub const RIGHT: &str = "\x1b[C";
    /// Up.
    pub const UP: &str = "\x1b[A";
    /// Down.
    pub const DOWN: &str = "\x1b[B";
    /// To the beginning.
    pub const HOME: &str = "\x1b[H";
    /// To the end.
    pub const END: &str = "\x1b[F";
    /// The character under the cursor.
    pub const DELETE: &str = "\x1b[3~";
}

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// Rows above the screen that the terminal keeps.
const SCROLLBACK: usize = 1_000;
/// How long a person looks for something.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often.
const LOOK: Duration = Duration::from_millis(20);

/// A person, and the program at whose terminal they sit.
pub struct Typist {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Typist {
    /// Starts the program at a new terminal.
    ///
    /// # Panics
    /// There is no terminal to be had, or no such program.
    pub fn at(command: &mut Command) -> Typist {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal of our own");
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("the terminal takes a size");
        let name = OsString::from_vec(ptsname(&terminal, Vec::new()).expect("its name").into_bytes());
        let end = OpenOptions::new().read(true).write(true).open(Path::new(&name)).expect("its other end");
        let stream = || Stdio::from(end.try_clone().expect("another descriptor"));
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("the program runs");
        drop(end);
        let keys = File::from(terminal);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, SCROLLBACK)));
        let (mut shown, seen) = (keys.try_clone().expect("another descriptor"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // The read fails once nobody has the other end any more.
            while let Ok(count @ 1..) = shown.read(&mut bytes) {
                seen.lock().expect("nobody panics with it").process(&bytes[..count]);
            }
        });
        Typist { child, keys, screen }
    }

    /// Types keys.
    ///
    /// # Panics
    /// The terminal does not take them.
    pub fn types(&mut self, keys: &str) -> &mut Typist {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self
    }

    /// Looks at the screen until it is as `wanted`.
    ///
    /// # Panics
    /// It does not become so.
    #[track_caller]
    pub fn looks_until(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> &mut Typist {
        let until = Instant::now() + PATIENCE;
        loop {
            if wanted(self.screen.lock().expect("nobody panics with it").screen()) {
                return self;
            }
            assert!(Instant::now() < until, "{what:?} does not come to the screen:\n{}", self.screen());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the screen shows this text.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> &mut Typist {
        self.looks_until(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the cursor's row is this, `_` standing for the cursor. Blanks at the end do not count.
    ///
    /// # Panics
    /// It does not become so.
    #[track_caller]
    pub fn sees_row(&mut self, row: &str) -> &mut Typist {
        self.looks_until(row, |screen| {
            let (at, column) = screen.cursor_position();
            let mut shown = screen.rows(0, COLUMNS).nth(at.into()).unwrap_or_default().trim_end().to_owned();
            while shown.len() < column.into() {
                shown.push(' ');
            }
            shown.insert(column.into(), '_');
            shown == row
        })
    }

    /// What the screen shows.
    ///
    /// # Panics
    /// Never: nobody panics while they have it.
    pub fn screen(&self) -> String {
        self.screen.lock().expect("nobody panics with it").screen().contents()
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// It does not end.
    #[track_caller]
    pub fn sees_the_end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the program is ours") {
                return status;
            }
            assert!(Instant::now() < until, "the program does not end:\n{}", self.screen());
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        // It has ended already, unless the test fails.
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().and_then(|()| self.child.wait()).expect("the program is ours");
        }
    }
}
