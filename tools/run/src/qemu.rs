//! QEMU as a process.

use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Instant;

/// A running QEMU; it does not outlive this value.
pub struct Qemu {
    child: Child,
    /// When it was started.
    pub started: Instant,
    /// The socket that it makes for a monitor.
    monitor: Option<PathBuf>,
}

impl Qemu {
    /// The command that starts the QEMU of the environment variable `QEMU`, or the one that is installed. It lacks the
    /// arguments yet.
    ///
    /// # Errors
    /// There is none.
    pub fn command() -> Result<Command> {
        let program = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
        if !runs(&program) {
            bail!(
                "{} is not installed; run ./just setup, or install the package qemu-system-x86",
                program.to_string_lossy()
            );
        }
        let Some(guard) = guard() else { return Ok(Command::new(program)) };
        // QEMU ends when the tool is killed, and takes its monitor's socket away: else the board would run for ever.
        let mut command = Command::new(guard);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        Ok(command)
    }

    /// Starts it, with the socket at which its monitor is to answer.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(mut command: Command, monitor: Option<PathBuf>) -> Result<Qemu> {
        // Control-C at the terminal is this tool's to act on: QEMU would end by itself, as if the board had.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let child = command.spawn().map_err(|why| anyhow!("cannot start QEMU: {why}"))?;
        Ok(Qemu { child, started, monitor })
    }

    /// Its standard error; to be taken once.
    ///
    /// # Errors
    /// It was taken.
    pub fn standard_error(&mut self) -> Result<ChildStderr> {
        self.child.stderr.take().context("QEMU's standard error is a pipe")
    }

    /// Ends it, if it has not ended by itself.
    pub fn stop(&mut self) {
        if let Err(why) = self.child.kill() {
            eprintln!("run: cannot stop QEMU: {why}");
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().context("QEMU")?;
        // One that was stopped leaves it there. Another board may have one at the same place by now.
        if let Some(socket) = self.monitor.take().filter(|socket| UnixStream::connect(socket).is_err())
            && let Err(why) = std::fs::remove_file(&socket)
            && why.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("run: {} stays behind: {why}", socket.display());
        }
        Ok(status)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.stop();
        }
        if let Err(why) = self.wait() {
            eprintln!("run: {why:#}");
        }
    }
}

/// Whether a program of this name can be started.
fn runs(program: &OsString) -> bool {
    let version = Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// A program of util-linux that ends its child when its parent ends, where it is installed.
fn guard() -> Option<OsString> {
    let name = OsString::from("setpriv");
    runs(&name).then_some(name)
}
