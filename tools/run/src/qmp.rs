//! QEMU's machine protocol (QMP, docs/interop/qmp-spec in QEMU's sources): commands and events, a line of JSON each.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to QEMU's monitor. A monitor serves one connection at a time.
pub struct Qmp {
    stream: BufReader<UnixStream>,
    /// Events that came while an answer was waited for.
    events: Vec<String>,
}

impl Qmp {
    /// Connects to the monitor at this socket.
    ///
    /// # Errors
    /// Nothing answers there, or not in this protocol.
    pub fn connect(socket: &Path) -> Result<Qmp> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("no board answers at {}; start one with ./just run", socket.display()))?;
        // QEMU answers at once; a monitor that another connection holds never does.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).context("the monitor's socket")?;
        Qmp::greet(stream).with_context(|| format!("the monitor at {}", socket.display()))
    }

    /// Speaks with the monitor at the other end of this connection.
    ///
    /// # Errors
    /// There is none, or it does not speak this protocol.
    pub fn greet(stream: UnixStream) -> Result<Qmp> {
        let mut qmp = Qmp { stream: BufReader::new(stream), events: Vec::new() };
        let greeting = qmp.read().context("no greeting; does another program hold the monitor?")?;
        if greeting.get("QMP").is_none() {
            bail!("this is no QMP: {greeting}");
        }
        qmp.execute("qmp_capabilities", None)?;
        Ok(qmp)
    }

    /// Carries out a command and returns what it gives.
    ///
    /// # Errors
    /// QEMU refuses it, with QEMU's reason, or the connection ends.
    pub fn execute(&mut self, command: &str, arguments: Option<Value>) -> Result<Value> {
        let mut message = json!({ "execute": command });
        if let Some(arguments) = arguments {
            message["arguments"] = arguments;
        }
        self.stream.get_mut().write_all(format!("{message}\n").as_bytes()).context("QEMU does not listen")?;
        loop {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                let reason = error.get("desc").and_then(Value::as_str).unwrap_or("for no reason");
                return Err(anyhow!("QEMU refuses `{command}`: {reason}"));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            self.note(&answer);
        }
    }

    /// Whether the board runs; it does not while it is stopped, or after it ended.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn is_running(&mut self) -> Result<bool> {
        let status = self.execute("query-status", None)?;
        status.get("running").and_then(Value::as_bool).context("QEMU does not say whether the board runs")
    }

    /// Waits for an event of this name, without a limit. `false` where the connection ended before.
    ///
    /// # Errors
    /// QEMU says what cannot be understood.
    pub fn wait_for(&mut self, event: &str) -> Result<bool> {
        self.stream.get_ref().set_read_timeout(None).context("the monitor's socket")?;
        loop {
            if let Some(index) = self.events.iter().position(|known| known == event) {
                self.events.remove(index);
                return Ok(true);
            }
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => return Ok(false),
                Err(why) => return Err(why).context("the monitor's socket"),
            }
            let message: Value = serde_json::from_str(&line).with_context(|| format!("QEMU says {line:?}"))?;
            self.note(&message);
        }
    }

    /// Remembers an event for who waits for it.
    fn note(&mut self, message: &Value) {
        if let Some(event) = message.get("event").and_then(Value::as_str) {
            self.events.push(event.to_owned());
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).context("QEMU does not answer")? == 0 {
            bail!("QEMU has ended");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU says {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A monitor that sends these lines and then closes the connection; returns what it received.
    fn monitor(lines: &'static [&'static str]) -> (UnixStream, std::thread::JoinHandle<Vec<Value>>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let thread = std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs);
            let mut heard = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                // The greeting comes unasked; an event does not wait for a command either.
                if index > 0 && !line.contains("event") {
                    let mut command = String::new();
                    reader.read_line(&mut command).expect("a command");
                    heard.push(serde_json::from_str(&command).expect("JSON"));
                }
                reader.get_mut().write_all(format!("{line}\n").as_bytes()).expect("said");
            }
            heard
        });
        (ours, thread)
    }

    const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;

    #[test]
    fn a_command_gives_what_qemu_returns_whatever_happens_meanwhile() {
        let (stream, thread) = monitor(&[
            GREETING,
            r#"{"return": {}}"#,
            r#"{"event": "STOP", "timestamp": {}}"#,
            r#"{"return": {"running": true}}"#,
        ]);
        let mut qmp = Qmp::greet(stream).expect("a monitor");
        assert!(qmp.is_running().expect("a status"));
        assert!(qmp.wait_for("STOP").expect("an event"));
        assert!(!qmp.wait_for("STOP").expect("the end"), "the event came once");
        let heard = thread.join().expect("the monitor");
        assert_eq!(heard[0]["execute"], "qmp_capabilities");
        assert_eq!(heard[1]["execute"], "query-status");
    }

    #[test]
    fn a_refusal_has_qemus_reason() {
        let (stream, _) = monitor(&[GREETING, r#"{"return": {}}"#, r#"{"error": {"class": "x", "desc": "too big"}}"#]);
        let mut qmp = Qmp::greet(stream).expect("a monitor");
        let refusal = qmp.execute("pmemsave", Some(json!({ "size": 1 }))).expect_err("refused").to_string();
        assert_eq!(refusal, "QEMU refuses `pmemsave`: too big");
    }

    #[test]
    fn what_is_no_monitor_is_told() {
        let (stream, _) = monitor(&[r#"{"hello": 1}"#]);
        assert!(Qmp::greet(stream).is_err());
        let (stream, _) = monitor(&[]);
        assert!(Qmp::greet(stream).is_err());
    }
}
