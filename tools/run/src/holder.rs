//! Who has a file open for writing: QEMU locks a flash image that a board keeps, and does not say for whom.

use std::fmt;
use std::path::Path;

/// A process that has the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process: of a QEMU that a tool has started, that tool.
    pub process: u32,
    /// Its command line.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.process, self.command)
    }
}

/// The first other process that could write to this file. Those of other users are not seen, except by root.
pub fn writer_of(file: &Path) -> Option<Holder> {
    let file = file.canonicalize().ok()?;
    let process = processes().find(|&process| process != std::process::id() && writes(process, &file))?;
    let tool = parent(process).filter(|&parent| is_run(parent)).unwrap_or(process);
    Some(Holder { process: tool, command: words(tool).join(" ") })
}

/// The processes that run now.
fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process has this file open for writing.
fn writes(process: u32, file: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == file)).any(|entry| {
        let info = format!("/proc/{process}/fdinfo/{}", entry.file_name().to_string_lossy());
        let info = std::fs::read_to_string(info).unwrap_or_default();
        // In octal digits, and the last two bits say what is allowed: 0 is reading alone.
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim).unwrap_or_default();
        u32::from_str_radix(flags, 8).is_ok_and(|flags| flags & 3 != 0)
    })
}

/// The process that has started this one.
fn parent(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Whether a process is one of this folder's tools.
fn is_run(process: u32) -> bool {
    let own = ["run", "fetch"];
    words(process).first().is_some_and(|program| own.iter().any(|name| Path::new(program).ends_with(name)))
}

/// A process's command line.
fn words(process: u32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words = line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_writer_is_found_and_a_reader_is_not() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("a name").to_owned();
        // This very process has it open for writing, and does not count.
        assert_eq!(writer_of(file.path()), None);
        let holder = |redirection: &str| {
            // It says that it has begun, and ends with its input.
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exec {redirection}'{path}'; echo; read word")]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
            let mut begun = [0];
            std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut begun).expect("a line");
            let found = writer_of(file.path());
            let id = child.id();
            drop(child.stdin.take());
            child.wait().expect("its end");
            (id, found)
        };
        assert_eq!(holder("3<").1, None);
        let (id, found) = holder("3>>");
        let found = found.expect("a writer");
        assert_eq!(found.process, id);
        assert!(found.to_string().starts_with(&format!("process {id} (sh -c exec 3>>")), "{found}");
        assert_eq!(writer_of(file.path()), None);
    }
}
