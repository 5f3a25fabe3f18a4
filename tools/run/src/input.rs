//! Standard input as the board's keyboard.
//!
//! At a terminal every key passes at once. What comes from a pipe or a file is typed as a person would: a line, and the
//! next one when the board has its prompt again, so that none is lost with a program that ends, and none comes before the
//! board listens. When the input has ended and its last line is answered, the run ends.

use crate::outcome::{Event, Stop};
use crate::terminal::Keys;
use rustix::termios::isatty;
use signal_hook::consts::SIGHUP;
use std::io::{ErrorKind, Read, Result, Write, stdin};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// What the console says where a command can be typed.
pub const PROMPT: &str = "slopos> ";

/// A board that has said nothing for so long, and has no prompt, runs a program that waits for input.
const PROGRAM_WAITS: Duration = Duration::from_secs(3);

/// A board that has said nothing for so long after the end of the input is waited for no longer. No limit of its own, such
/// as the 180 seconds that a connect may take, is as long.
const SILENT: Duration = Duration::from_secs(200);

/// How often is looked whether the next line may be typed.
const TICK: Duration = Duration::from_millis(5);

/// Control-C, for which a program in the foreground is what it is meant for.
const CONTROL_C: u8 = 3;

/// The keyboard of a run.
pub struct Input(Arc<Mutex<Turns>>);

impl Input {
    /// Copies standard input to the board from now on.
    pub fn forward(board: UnixStream) -> Input {
        let turns = Arc::new(Mutex::new(Turns::new(Instant::now())));
        let shared = Arc::clone(&turns);
        let piped = !isatty(stdin());
        // It waits for a key, and the run must be able to end without one: so nobody waits for the thread.
        spawn(move || copy(stdin(), board, piped, &shared));
        Input(turns)
    }

    /// Takes in what the board says.
    pub fn heard(&self, event: &Event) {
        let text: &[u8] = if let Event::Console(bytes) | Event::Beside(bytes) = event { bytes } else { &[] };
        lock(&self.0).heard(text, Instant::now());
    }

    /// Whether the run is to end, and why.
    pub fn stop(&self) -> Option<Stop> {
        lock(&self.0).stop(Instant::now())
    }
}

/// Nobody panics with it in a state that matters: each change is one assignment.
fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who is to speak: the board, or who types.
#[derive(Debug)]
struct Turns {
    /// The end of what the console has said since the last line was typed, as long as a prompt.
    tail: Vec<u8>,
    /// Whether the board has said anything at all. Before, its port may not be set up.
    heard: bool,
    /// Since when the board has said nothing, and nothing was typed.
    quiet_since: Instant,
    /// All of the input was typed.
    ended: bool,
    /// The person wants to quit.
    quit: bool,
    /// The terminal is gone.
    gone: bool,
}

impl Turns {
    fn new(now: Instant) -> Turns {
        Turns { tail: Vec::new(), heard: false, quiet_since: now, ended: false, quit: false, gone: false }
    }

    /// The board has said something: `text` on its console, or something in its log.
    fn heard(&mut self, text: &[u8], now: Instant) {
        self.tail.extend_from_slice(text);
        self.tail.drain(..self.tail.len().saturating_sub(PROMPT.len()));
        (self.heard, self.quiet_since) = (true, now);
    }

    fn has_prompt(&self) -> bool {
        self.tail == PROMPT.as_bytes()
    }

    /// Whether the next line may be typed.
    fn may_type(&self, now: Instant) -> bool {
        self.has_prompt() || self.heard && now.duration_since(self.quiet_since) >= PROGRAM_WAITS
    }

    /// A line was typed, and is to be answered.
    fn typed(&mut self, now: Instant) {
        self.tail.clear();
        self.quiet_since = now;
    }

    fn stop(&self, now: Instant) -> Option<Stop> {
        if self.quit || self.ended && self.has_prompt() {
            return Some(Stop::Quit);
        }
        if self.gone {
            return Some(Stop::Signal(SIGHUP));
        }
        (self.ended && now.duration_since(self.quiet_since) >= SILENT).then_some(Stop::Silent)
    }
}

/// Copies `input` to the board until either side ends, or the person quits.
fn copy(mut input: impl Read, mut board: impl Write, piped: bool, turns: &Mutex<Turns>) {
    let mut keys = Keys::default();
    let mut read = [0; 4096];
    let mut last = None;
    loop {
        let count = match input.read(&mut read) {
            Err(why) if why.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let mut bytes = Vec::new();
        let quit = keys.type_bytes(&read[..count], &mut bytes);
        let typed = if piped { type_lines(&bytes, &mut last, &mut board, turns) } else { board.write_all(&bytes) };
        if quit {
            lock(turns).quit = true;
        }
        // The board has ended where it takes no more.
        if quit || typed.is_err() {
            return;
        }
    }
    // The last line may lack its end. That the board has ended is seen by itself.
    if piped && last.is_some_and(|last| !ends_line(last)) {
        let _typed = type_lines(b"\r", &mut last, &mut board, turns);
    }
    let mut turns = lock(turns);
    // A terminal has no end of its own: it has hung up.
    (turns.ended, turns.gone) = (piped, !piped);
}

/// Types text, each line when its turn has come.
fn type_lines(text: &[u8], last: &mut Option<u8>, mut board: impl Write, turns: &Mutex<Turns>) -> Result<()> {
    for piece in text.split_inclusive(|&byte| ends_line(byte)) {
        let end = piece[piece.len() - 1];
        let before = last.replace(end);
        if piece == b"\n" && before == Some(b'\r') {
            // A file with the line ends of another system.
            continue;
        }
        while before.is_none_or(ends_line) && piece != [CONTROL_C] && !lock(turns).may_type(Instant::now()) {
            sleep(TICK);
        }
        if ends_line(end) {
            // Before it is written, for the answer may be quick.
            lock(turns).typed(Instant::now());
        }
        board.write_all(piece)?;
    }
    Ok(())
}

/// Whether a board answers this key.
fn ends_line(key: u8) -> bool {
    matches!(key, b'\r' | b'\n' | CONTROL_C)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board that answers each line with what it got and, unless it says `program`, with the prompt.
    struct Board<'t> {
        turns: &'t Mutex<Turns>,
        typed: &'t Mutex<Vec<String>>,
        line: Vec<u8>,
    }

    impl Write for Board<'_> {
        fn write(&mut self, keys: &[u8]) -> Result<usize> {
            self.line.extend_from_slice(keys);
            if self.line.last().is_some_and(|&key| ends_line(key)) {
                let line = String::from_utf8(std::mem::take(&mut self.line)).expect("text");
                let prompt = if line.starts_with("program") { "" } else { PROMPT };
                lock(self.turns).heard(format!("{}\r\nanswer\r\n{prompt}", line.trim_end()).as_bytes(), Instant::now());
                self.typed.lock().expect("the lines").push(line);
            }
            Ok(keys.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// What a board gets of a file's text, and the turns at its end.
    fn typed(text: &str) -> (Vec<String>, Turns) {
        let (turns, lines) = (Mutex::new(Turns::new(Instant::now())), Mutex::new(Vec::new()));
        lock(&turns).heard(format!("SlopOS\r\n{PROMPT}").as_bytes(), Instant::now());
        copy(text.as_bytes(), Board { turns: &turns, typed: &lines, line: Vec::new() }, true, &turns);
        (lines.into_inner().expect("the lines"), turns.into_inner().expect("the turns"))
    }

    #[test]
    fn a_line_waits_for_the_prompt_and_the_last_one_needs_no_end() {
        let (lines, turns) = typed("ps\nnet\r\n\nexit");
        assert_eq!(lines, ["ps\n", "net\r", "\n", "exit\r"]);
        assert_eq!(turns.stop(Instant::now()), Some(Stop::Quit));
        // Without any input, the prompt is the end.
        assert_eq!(typed("").1.stop(Instant::now()), Some(Stop::Quit));
        assert_eq!(typed("\x01x").1.stop(Instant::now()), Some(Stop::Quit));
    }

    #[test]
    fn control_c_does_not_wait_for_the_program_that_it_ends() {
        let (lines, _) = typed("program\n\x03ps\n");
        assert_eq!(lines, ["program\n", "\x03", "ps\n"]);
    }

    #[test]
    fn a_program_that_waits_gets_the_next_line_and_a_board_that_says_nothing_is_given_up() {
        let start = Instant::now();
        let mut turns = Turns::new(start);
        assert!(!turns.may_type(start + 2 * PROGRAM_WAITS), "before its first word a board does not listen");
        turns.heard(b"", start);
        assert!(!turns.may_type(start) && turns.may_type(start + PROGRAM_WAITS));
        turns.heard(b"what? slopos> ", start + PROGRAM_WAITS);
        assert!(turns.may_type(start + PROGRAM_WAITS));
        let typed = start + 2 * PROGRAM_WAITS;
        turns.typed(typed);
        assert!(!turns.may_type(typed));
        turns.ended = true;
        assert_eq!(turns.stop(typed), None);
        turns.heard(b"slopos>", typed);
        turns.heard(b" p", typed);
        assert_eq!(turns.stop(typed), None);
        assert_eq!(turns.stop(typed + SILENT), Some(Stop::Silent));
        turns.heard(b"\r\x1b[Kslopos> ", typed);
        assert_eq!(turns.stop(typed), Some(Stop::Quit));
    }
}
