//! Commands that a document shows with their output: carried out, and compared.
//!
//! Such a block has the language `console`, its commands begin with `$ ` (and go on in the next line after a `\` at the
//! end), and what stands below a command is what it prints. The comment before it names it and says what has to be
//! known to carry it out:
//!
//! ```text
//! <!-- shown: fetch; board; varies: seconds=[0-9.]+; port: 8000 -->
//! ```
//!
//! - `board`: the board has to be built, so the block belongs to the end-to-end tests.
//! - `varies: PATTERN`: what matches the pattern in the document may be anything that matches it in the output. As
//!   often as needed.
//! - `port: NUMBER`: the port is replaced by one that is free, in the commands and in what they print.
//! - `scratch`: the block is carried out in the copy of the tree that has the book's apps ([`crate::book`]).
//! - `both`: standard error counts too, where it stands among the output, as on a terminal; what cargo says there does not.
//! - `apart`: the block runs in a folder of its own that has copies of the board's image and flash in `build/`, for it
//!   writes there. Everything else is carried out in the tree.
//!
//! What counts otherwise is the standard output; a program's remarks on standard error do not. A line
//! `...` in a document stands for any number of lines.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;

use crate::markdown::{Block, Document, Kind};

/// No block may take longer than this, on a busy machine, where what it needs is built.
pub const TIME_MAX: Duration = Duration::from_secs(300);
/// No block may take longer than this where it installs and builds everything.
pub const BUILD_TIME_MAX: Duration = Duration::from_secs(3600);

/// A block of commands with their output.
#[derive(Debug)]
pub struct Shown {
    /// What its marker calls it.
    pub name: String,
    /// Where it stands: `path:line`.
    pub place: String,
    /// Whether it needs a built board.
    pub board: bool,
    /// Whether it needs the copy of the tree that has the book's apps.
    pub scratch: bool,
    both: bool,
    apart: bool,
    port: Option<u16>,
    varies: Vec<Regex>,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    output: Vec<String>,
}

/// The blocks of `document` that show commands with their output.
///
/// Errors: a `console` block has no marker, or one that cannot be understood; a marker stands at another block.
pub fn blocks(document: &Document) -> Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for block in document.blocks() {
        let place = document.place(block.line);
        let console = block.language == "console";
        match &block.marker {
            Some(marker) if marker.kind == Kind::Shown && console => {
                shown.push(parse(&place, &marker.text, &block).context(place)?);
            }
            Some(marker) if marker.kind == Kind::Shown => bail!("{place}: a marker at a block that is no `console`"),
            Some(marker) if marker.kind == Kind::NotRun => ensure!(!marker.text.is_empty(), "{place}: no reason"),
            _ if console => bail!("{place}: commands with their output, but no marker says how to check them"),
            _ => {}
        }
    }
    Ok(shown)
}

/// Whether each block of this document has to be carried out or compared: the README at the root, and the book.
pub fn is_walked(document: &Document) -> bool {
    document.path == Path::new("README.md") || document.path.starts_with("doc")
}

fn parse(place: &str, marker: &str, block: &Block) -> Result<Shown> {
    let mut words = marker.split(';').map(str::trim);
    let name = words.next().unwrap_or_default().to_owned();
    ensure!(!name.is_empty(), "the marker has no name");
    let mut shown = Shown {
        name,
        place: place.to_owned(),
        board: false,
        scratch: false,
        both: false,
        apart: false,
        port: None,
        varies: Vec::new(),
        steps: steps(&block.text)?,
    };
    for word in words {
        match word.split_once(':').map(|(key, value)| (key, value.trim())) {
            None if word == "board" => shown.board = true,
            None if word == "scratch" => shown.scratch = true,
            None if word == "both" => shown.both = true,
            None if word == "apart" => shown.apart = true,
            Some(("port", port)) => shown.port = Some(port.parse().context("the marker's port")?),
            Some(("varies", pattern)) => shown.varies.push(Regex::new(pattern).context("the marker's pattern")?),
            _ => bail!("the marker says {word:?}, which means nothing"),
        }
    }
    for pattern in &shown.varies {
        ensure!(pattern.is_match(&block.text), "nothing in the block matches {pattern}");
    }
    Ok(shown)
}

fn steps(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        if let Some(step) = steps.last_mut().filter(|_| goes_on) {
            step.command.push('\n');
            step.command.push_str(line);
            goes_on = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), output: Vec::new() });
            goes_on = line.ends_with('\\');
        } else {
            let step = steps.last_mut().context("output before the first command")?;
            step.output.push(line.to_owned());
        }
    }
    ensure!(!steps.is_empty(), "no line begins with `$ `");
    ensure!(!goes_on, "the last command is not complete");
    Ok(steps)
}

impl Shown {
    /// Carries the block out in the tree `root` and compares. `limit` is how long that may take.
    ///
    /// Errors: something cannot be started, takes too long, or prints something else than the document shows.
    pub fn check(&self, root: &Path, limit: Duration) -> Result<()> {
        self.carry_out(root, limit).with_context(|| format!("{}: the block `{}`", self.place, self.name))
    }

    fn carry_out(&self, root: &Path, limit: Duration) -> Result<()> {
        let free = match self.port {
            Some(_) => Some(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
            None => None,
        };
        let adapt = |text: &str| match (self.port, free) {
            (Some(port), Some(free)) => text.replace(&port.to_string(), &free.to_string()),
            _ => text.to_owned(),
        };
        let folder = if self.apart { Some(apart(root)?) } else { None };
        let place = folder.as_ref().map_or(root, |folder| folder.path());
        // A line that no program prints tells where one command's output ends.
        let end = format!("@@ end of a step in process {} @@", std::process::id());
        let mut script = if self.both { "exec 2>&1\n".to_owned() } else { String::new() };
        for step in &self.steps {
            script += &adapt(&step.command);
            script += &format!("\necho '{end}'\n");
        }
        let (printed, remarks) = run(&script, place, limit)?;
        let printed = printed.replace('\r', "");
        let end = format!("{end}\n");
        let mut outputs = printed.split(&end);
        for step in &self.steps {
            let printed = outputs.next().unwrap_or_default();
            let expected: Vec<String> = step.output.iter().map(|line| adapt(line)).collect();
            let outcome = self.compare(&expected, printed);
            outcome.with_context(|| format!("`{}`, which remarked\n{remarks}", step.command))?;
        }
        Ok(())
    }

    fn compare(&self, expected: &[String], printed: &str) -> Result<()> {
        let normal = |line: &str| {
            let mut line = line.trim_end().to_owned();
            for pattern in &self.varies {
                line = pattern.replace_all(&line, regex::NoExpand(&format!("<{pattern}>"))).into_owned();
            }
            line
        };
        let wanted: Vec<String> = expected.iter().map(|line| normal(line)).collect();
        let found: Vec<String> = printed.lines().filter(|line| !(self.both && is_cargos(line))).map(normal).collect();
        ensure!(
            matches(&wanted, &found),
            "the document shows\n{}\nand the command printed\n{printed}",
            expected.join("\n")
        );
        Ok(())
    }
}

/// Whether this is how cargo says what it does: a verb that ends in the twelfth column.
fn is_cargos(line: &str) -> bool {
    line.split_at_checked(12).is_some_and(|(verb, rest)| {
        let verb = verb.trim_start();
        verb.starts_with(char::is_uppercase) && verb.chars().all(char::is_alphabetic) && rest.starts_with(' ')
    })
}

/// Whether `found` is what `wanted` says, in which `...` stands for any lines.
fn matches(wanted: &[String], found: &[String]) -> bool {
    match wanted.split_first() {
        None => found.is_empty(),
        Some((line, rest)) if line == "..." => (0..=found.len()).any(|skipped| matches(rest, &found[skipped..])),
        Some((line, rest)) => found.split_first().is_some_and(|(first, below)| first == line && matches(rest, below)),
    }
}

/// What `script` prints in `place`, and what it remarks on standard error. What it leaves running is ended.
fn run(script: &str, place: &Path, limit: Duration) -> Result<(String, String)> {
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .current_dir(place)
        // The tests' own: with it the board would be built anew, and log more than a reader's.
        .env_remove("DEFMT_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot run sh")?;
    let group = shell.id();
    let mut stdout = shell.stdout.take().context("no output")?;
    let mut stderr = shell.stderr.take().context("no output")?;
    let printed = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let remarks = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = shell.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > limit {
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // A server in the background holds the pipes open; where nothing is left, there is no such group.
    let _ended_or_not_there =
        Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null()).status()?;
    let printed = printed.join().ok().context("the output's reader ended")??;
    let remarks = remarks.join().ok().context("the output's reader ended")??;
    if status.is_none() {
        shell.wait()?;
        bail!("not done after {} seconds:\n{printed}\n{remarks}", limit.as_secs());
    }
    Ok((printed, remarks))
}

/// A folder in which everything of the tree is linked to, and the board's files in `build/` are copies.
fn apart(root: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        if name != "build" && name != ".git" && name != "target" {
            std::os::unix::fs::symlink(root.join(&name), folder.path().join(&name))?;
        }
    }
    std::os::unix::fs::symlink(crate::book::output(root), folder.path().join("target"))?;
    let build = folder.path().join("build");
    std::fs::create_dir(&build)?;
    for name in ["qemu_q35.elf", "qemu_q35.img"] {
        let from = root.join("build").join(name);
        std::fs::copy(&from, build.join(name))
            .with_context(|| format!("{} is missing; `./just build` makes it", from.display()))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<()> {
        let shown = blocks(&Document { path: "a.md".into(), text: text.to_owned() })?;
        let folder = tempfile::tempdir()?;
        shown.iter().try_for_each(|block| block.check(folder.path(), TIME_MAX))
    }

    #[test]
    fn what_a_document_shows_is_compared_with_what_is_printed() {
        let text = |shown: &str| {
            format!("<!-- shown: a; varies: [0-9]+ s -->\n```console\n$ printf \\\n'x 12 s\\ny\\n'\n{shown}\n```\n")
        };
        checked(&text("x 3 s\ny")).unwrap();
        checked(&text("...\ny")).unwrap();
        for wrong in ["x 3 s", "x 3 m\n3 s", "x 3 s\nz", "...\nz", "y\nx 3 s", "x 3 s\ny\nz"] {
            let error = format!("{:#}", checked(&text(wrong)).unwrap_err());
            assert!(error.contains("a.md:2: the block `a`"), "{error}");
        }
    }

    #[test]
    fn each_command_has_its_own_output() {
        checked("<!-- shown: a -->\n```console\n$ echo 1\n1\n$ echo 2\n2\n```\n").unwrap();
        checked("<!-- shown: a -->\n```console\n$ echo 1\n1\n2\n$ echo 2\n```\n").unwrap_err();
    }

    #[test]
    fn standard_error_counts_where_that_is_said_but_for_cargos_lines() {
        let command = "$ echo 1; echo '    Finished `dev` profile in 1s' >&2; echo 2 >&2; echo 3";
        let text =
            |words: &str, shown: &str| format!("<!-- shown: a{words} -->\n```console\n{command}\n{shown}\n```\n");
        checked(&text("; both", "1\n2\n3")).unwrap();
        checked(&text("; both", "1\n3")).unwrap_err();
        checked(&text("", "1\n3")).unwrap();
        assert!(is_cargos("   Compiling x v0.1.0") && is_cargos(" Downloading crates ..."));
        assert!(!is_cargos("webget: GET u") && !is_cargos("    finished x y") && !is_cargos("x"));
    }

    #[test]
    fn a_server_in_the_background_is_ended_and_its_port_is_a_free_one() {
        let text = "<!-- shown: a; port: 8000 -->\n```console\n$ sleep 1000 &\n$ echo 8000; test 8000 = \"$((8000))\" && echo yes\n8000\nyes\n```\n";
        let begin = Instant::now();
        checked(text).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn blocks_without_a_marker_and_markers_without_sense_are_refused() {
        for text in [
            "```console\n$ true\n```\n",
            "<!-- shown: a -->\n```sh\ntrue\n```\n",
            "<!-- shown: a; nonsense -->\n```console\n$ true\n```\n",
            "<!-- shown: -->\n```console\n$ true\n```\n",
            "<!-- shown: a -->\n```console\ntrue\n```\n",
            "<!-- shown: a -->\n```console\n$ true \\\n```\n",
            "<!-- shown: a; varies: never -->\n```console\n$ true\n```\n",
        ] {
            assert!(checked(text).is_err(), "{text}");
        }
    }
}
