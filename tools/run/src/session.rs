//! A run of the board in QEMU, from its start to its exit code.

use crate::decoder::Decoder;
use crate::holder::writer_of;
use crate::input::Input;
use crate::kept::Kept;
use crate::lines::Line;
use crate::machine::Builder;
use crate::outcome::{Event, Outcome, Stop};
use crate::paced::Paced;
use crate::ports::Ports;
use crate::qemu::Qemu;
use crate::readers::{Log, read_console, read_lines, read_log};
use crate::status::{KILLED, TIMED_OUT};
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Bytes that are kept of the beginning of a port's output, and of its end: a board may run for weeks.
const KEPT: usize = 16 << 20;

/// Events that may wait to be handled. When there are more, the board waits.
const EVENTS: usize = 64;

/// How often is looked whether the board is to be stopped.
const TICK: Duration = Duration::from_millis(20);

impl Builder {
    /// Boots the board and waits for its end.
    ///
    /// # Errors
    /// QEMU is not there or cannot be started, the kernel's ELF cannot be read, or another board keeps the flash.
    pub fn run(self) -> Result<Outcome> {
        self.run_with(|_| Ok(()))
    }

    /// Boots the board, gives each event to `listener`, and waits for the end.
    ///
    /// # Errors
    /// As [`run`](Builder::run), and what `listener` returns; the board is stopped then.
    pub fn run_with(self, mut listener: impl FnMut(&Event) -> Result<()>) -> Result<Outcome> {
        let decoder = &Decoder::from_elf(&self.kernel)?;
        self.claim_flash()?;
        let (Ports { console: com1, log: com2, watch }, ends) =
            Ports::new(self.dump_on_panic.is_some(), self.one_port)?;
        let mut command = Qemu::command()?;
        command.args(self.command_line(&ends)?);
        ends.give(&mut command)?;
        let deadline = self.timeout.map(|limit| Instant::now() + limit);
        // The command has QEMU's ends of the ports, and goes here: a port ends when QEMU does.
        let mut qemu = Qemu::start(command, self.monitor.clone())?;
        let stderr = qemu.standard_error()?;
        let mut kept = Output::new();
        let mut typing =
            Typing { waiting: self.typing.clone(), board: com1.try_clone().context("COM1")?, unsearched: Vec::new() };
        let input = if self.interactive { Some(Input::forward(com1.try_clone().context("COM1")?)) } else { None };

        let stopped = std::thread::scope(|scope| -> Result<Option<Stop>> {
            let (sender, events) = sync_channel(EVENTS);
            let [from_qemu, from_watch, from_com1] = [(); 3].map(|()| sender.clone());
            scope.spawn(move || read_lines(stderr, &from_qemu));
            if let (Some(watch), Some(file)) = (watch, &self.dump_on_panic) {
                scope.spawn(move || crate::dump::watch(watch, file, &from_watch));
            } else {
                drop(from_watch);
            }
            let [rate1, rate2] = self.line_rates;
            let mut log = Some(Log::new(decoder));
            if let Some(com2) = com2 {
                let log = log.take();
                scope.spawn(move || log.map(|log| read_log(Paced::new(com2, rate2), log, sender)));
            } else {
                drop(sender);
            }
            scope.spawn(move || read_console(Paced::new(com1, rate1), log, &from_com1));
            // From here on only the readers hold senders, so the events end when QEMU does.
            let mut stopped = None;
            loop {
                let event = match events.recv_timeout(TICK) {
                    Ok(event) => Some(event),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return Ok(stopped),
                };
                if stopped.is_none() {
                    let late = deadline.is_some_and(|deadline| Instant::now() >= deadline).then_some(Stop::Late);
                    let signal = self.signals.received().map(Stop::Signal);
                    stopped = signal.or(late).or_else(|| input.as_ref()?.stop());
                    if stopped.is_some() {
                        qemu.stop();
                    }
                }
                let Some(event) = event else { continue };
                if let Some(input) = &input {
                    input.heard(&event);
                }
                if let Err(why) = listener(&event) {
                    qemu.stop();
                    return Err(why);
                }
                // The prompt is among what travels apart, where anything does.
                if let Event::Console(bytes) | Event::Beside(bytes) = &event {
                    kept.said(typing.heard(bytes));
                }
                kept.take(event);
            }
        })?;
        let status = qemu.wait()?;
        // It may have come while QEMU ended, for the same reason.
        let stopped = stopped.or(self.signals.received().map(Stop::Signal));
        if stopped.is_none() && status.code() == Some(1) {
            // QEMU could not lock the image, where another board was faster.
            self.claim_flash()?;
        }
        let code = match (stopped, status.code()) {
            (Some(Stop::Late | Stop::Silent), _) => TIMED_OUT,
            (_, Some(code)) => code,
            (_, None) => {
                kept.said(Some(format!("run: QEMU was ended: {status}")));
                KILLED
            }
        };
        Ok(kept.outcome(Outcome {
            code,
            stopped,
            started: qemu.started,
            console: String::new(),
            beside: String::new(),
            log: Vec::new(),
            log_times: Vec::new(),
            qemu: Vec::new(),
        }))
    }

    /// Checks that no other board keeps the flash that this one is to keep.
    fn claim_flash(&self) -> Result<()> {
        if let Some(flash) = self.flash.as_ref().filter(|_| self.keep_flash)
            && let Some(holder) = writer_of(flash)
        {
            bail!(
                "{} is in use by {holder}, and only one board can keep what it writes there: end that one, or run without \
                 --keep-flash",
                flash.display()
            );
        }
        Ok(())
    }
}

/// Keys that wait for the console to say something.
struct Typing {
    waiting: VecDeque<(String, String)>,
    board: UnixStream,
    /// Console text in which the next prompt may be.
    unsearched: Vec<u8>,
}

impl Typing {
    /// Takes console text, and types what was to come behind it. Returns a word on what could not be typed.
    fn heard(&mut self, bytes: &[u8]) -> Option<String> {
        if !self.waiting.is_empty() {
            self.unsearched.extend_from_slice(bytes);
        }
        while let Some((prompt, _)) = self.waiting.front() {
            let Some(found) = find(&self.unsearched, prompt.as_bytes()) else {
                // Only a tail that may begin a match is searched again.
                let searched = (self.unsearched.len() + 1).saturating_sub(prompt.len());
                self.unsearched.drain(..searched);
                break;
            };
            self.unsearched.drain(..found + prompt.len());
            if let Some((_, keys)) = self.waiting.pop_front()
                && let Err(why) = self.board.write_all(keys.as_bytes())
            {
                // The board ended before the key arrived; its exit code tells the rest.
                return Some(format!("run: {keys:?} could not be typed: {why}"));
            }
        }
        None
    }
}

/// Where `needle` begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// What is kept of a run's output.
struct Output {
    console: Kept<Vec<u8>>,
    beside: Kept<Vec<u8>>,
    log: Kept<(String, Option<Duration>)>,
    qemu: Kept<String>,
}

impl Output {
    fn new() -> Output {
        Output { console: Kept::new(KEPT), beside: Kept::new(KEPT), log: Kept::new(KEPT), qemu: Kept::new(KEPT) }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Console(bytes) => {
                let length = bytes.len();
                self.console.push(bytes, length);
            }
            Event::Beside(bytes) => {
                let length = bytes.len();
                self.beside.push(bytes, length);
            }
            Event::Log(line) => {
                let (time, length) = (line.since_boot(), line.text.len());
                // A line takes memory even where it is empty.
                self.log.push((line.text, time), length + size_of::<Line>());
            }
            Event::Qemu(text) => self.said(Some(text)),
        }
    }

    /// A line of QEMU's own, or about it.
    fn said(&mut self, text: Option<String>) {
        if let Some(text) = text {
            let length = text.len() + size_of::<String>();
            self.qemu.push(text, length);
        }
    }

    /// The outcome with this output.
    fn outcome(self, outcome: Outcome) -> Outcome {
        let gap = |bytes: u64| format!("run: {bytes} bytes were left out here");
        let (log, log_times) = self.log.finish(|bytes| (gap(bytes), None)).into_iter().unzip();
        let text = |kept: Kept<Vec<u8>>| {
            let bytes = kept.finish(|bytes| format!("\n{}\n", gap(bytes)).into_bytes()).concat();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Outcome {
            console: text(self.console),
            beside: text(self.beside),
            log,
            log_times,
            qemu: self.qemu.finish(gap),
            ..outcome
        }
    }
}
