//! webget's command line as this machine means it: `-o` and `-O` name files of the host, not regions of the board's flash.
//!
//! The options are webget's own; its crate says which there are, which take a value, and what is wrong with a command line.

use anyhow::Result;
use getargs::{Arg, Opt, Options};
use std::path::{Path, PathBuf};
use webget::options::{self, Body, Command, Output, Settings, USAGE, takes_value};
use webget::outcome::NOT_READ;

/// What `--help` adds to webget's own: what is another thing where webget is called from this machine.
pub const HERE: &str = "
on this machine, through ./just webget
  the body goes to standard output, all else to standard error; where both
  are one file, as on a terminal, they are one log
  -o, --output FILE      writes the body to a file of this machine, - being the
                         standard output; once for each URL
  -O, --remote-name      the same, named by the last part of the URL's path
  -C, --continue-at -    with -o or -O: goes on where the file ends
  -s, --silent           the kernel's log is silent too
  progress is shown where the body is not, on a terminal
  10.0.2.2 is this machine; -T and -d @ take regions of the board's flash
  without a URL, a page from a server of its own

  ./just webget -O http://10.0.2.2:8000/image
  ./just webget -s http://10.0.2.2:8000/ | wc -c";

/// Where a body goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To standard output.
    Standard,
    /// Into this file, behind what it holds where that is asked for.
    File(PathBuf),
}

/// A call of webget on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its arguments.
    pub words: Vec<String>,
    /// Where the bodies of its URLs go.
    pub destination: Destination,
    /// Whether they go behind what the file holds.
    pub append: bool,
}

/// What is wrong, and the exit status for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What to tell.
    pub why: String,
    /// webget's status for a mistake of this kind.
    pub status: i32,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To print what webget is and can.
    Help,
    /// To print its version.
    Version,
    /// To fetch.
    Fetch(Request),
}

/// Where a body is to go, as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Standard,
    Nowhere,
    File(PathBuf),
    /// Into a file that is named by the URL.
    Named,
}

/// What is to be fetched, where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Options for the board's webget.
    options: Vec<String>,
    /// The URLs; where there is none, one can be added.
    pub urls: Vec<String>,
    outputs: Vec<To>,
    /// Whether files are gone on with where they end.
    resume: bool,
    /// Whether control characters pass.
    pub raw: bool,
    /// Whether nothing but the output is wanted.
    pub silent: bool,
    /// Whether errors are wanted all the same.
    pub show_error: bool,
    /// Whether bodies themselves are the output, and not their digests, say.
    pub prints: bool,
}

/// Reads webget's arguments.
///
/// # Errors
/// What webget itself would say, and what this machine cannot do.
pub fn read(words: &[String]) -> Result<Asked, Refused> {
    let mut request = Request::default();
    let mut reader = Options::new(words.iter().map(String::as_str));
    loop {
        let (option, name) = match reader.next_arg().map_err(|why| usage(why.to_string()))? {
            None => break,
            Some(Arg::Positional(url)) => {
                request.urls.push(url.to_owned());
                continue;
            }
            Some(Arg::Short(letter)) => (Opt::Short(letter), format!("-{letter}")),
            Some(Arg::Long(long)) => (Opt::Long(long), format!("--{long}")),
        };
        let mut value = || reader.value().map_err(|why| usage(why.to_string()));
        match option {
            Opt::Short('O') | Opt::Long("remote-name") => request.outputs.push(To::Named),
            Opt::Short('o') | Opt::Long("output") => request.outputs.push(match value()? {
                "-" => To::Standard,
                "null" => To::Nowhere,
                path => To::File(path.into()),
            }),
            Opt::Long("resume") => request.resume = true,
            Opt::Short('C') | Opt::Long("continue-at") => match value()? {
                "-" => request.resume = true,
                offset => request.options.extend([name, offset.to_owned()]),
            },
            _ => {
                request.options.push(name);
                if takes_value(option) == Some(true) {
                    request.options.push(value()?.to_owned());
                }
            }
        }
    }
    request.check()
}

/// A mistake that webget answers with its usage.
fn usage(why: String) -> Refused {
    Refused { why: format!("{why}\n{USAGE}"), status: webget::outcome::USAGE }
}

impl Request {
    /// Has webget look at its own options.
    fn check(mut self) -> Result<Asked, Refused> {
        let url = self.urls.first().map_or("http://10.0.2.2/", String::as_str);
        let words = self.options.iter().map(String::as_str).chain([url]);
        let settings: Settings<'_> = match options::parse(words).map_err(|why| usage(why.to_string()))? {
            Command::Help => return Ok(Asked::Help),
            Command::Version => return Ok(Asked::Version),
            Command::Fetch(settings, _) => settings,
        };
        if let Body::Region(name) = settings.body
            && Path::new(name).is_file()
        {
            let why = format!(
                "-T and -d @ take a region of the board's flash, and {name} is a file of this machine, which the board cannot \
                 read; -d 'DATA' sends what stands on the command line"
            );
            return Err(Refused { why, status: NOT_READ });
        }
        (self.raw, self.silent, self.show_error) = (settings.raw, settings.silent, settings.show_error);
        self.prints = settings.output == Output::Print;
        let files = self.outputs.iter().any(|to| matches!(to, To::File(_) | To::Named));
        if self.outputs.contains(&To::Nowhere) && !files {
            // As on the board: no body of any URL.
            self.outputs.clear();
            self.options.extend(["-o", "null"].map(str::to_owned));
            self.prints = false;
        }
        if self.resume && !files {
            return Err(usage("-C - goes on with a file: it wants -o FILE or -O".to_owned()));
        }
        Ok(Asked::Fetch(self))
    }

    /// The calls of webget that this takes: one for each file, and one for neighbours that go to standard output.
    ///
    /// # Errors
    /// There are more outputs than URLs, or a URL that is to name a file does not.
    pub fn calls(&self) -> Result<Vec<Call>, Refused> {
        if self.outputs.len() > self.urls.len() {
            return Err(usage(format!("{} outputs for {} URLs", self.outputs.len(), self.urls.len())));
        }
        let mut calls: Vec<Call> = Vec::new();
        let outputs = self.outputs.iter().chain(std::iter::repeat(&To::Standard));
        for (url, to) in self.urls.iter().zip(outputs) {
            let mut words = self.options.clone();
            let path = match to {
                To::Standard | To::Nowhere => None,
                To::File(path) => Some(path.clone()),
                To::Named => Some(file_name(url)?.into()),
            };
            match (to, calls.last_mut()) {
                (To::Standard, Some(call)) if call.destination == Destination::Standard => {
                    call.words.push(url.clone());
                    continue;
                }
                (To::Nowhere, _) => words.extend(["-o", "null"].map(str::to_owned)),
                _ => {}
            }
            let held = path.as_ref().filter(|_| self.resume).and_then(|path| std::fs::metadata(path).ok());
            let held = held.map_or(0, |held| held.len());
            if path.is_some() {
                // What a file holds is a download, not what a server says instead of it.
                words.push("-f".to_owned());
            }
            if held > 0 {
                words.extend(["-C".to_owned(), held.to_string()]);
            }
            words.push(url.clone());
            let destination = path.map_or(Destination::Standard, Destination::File);
            calls.push(Call { words, destination, append: held > 0 || self.goes_on() });
        }
        Ok(calls)
    }

    /// Whether an offset was given, behind which a file is written.
    fn goes_on(&self) -> bool {
        let offset = |pair: &[String]| matches!(pair[0].as_str(), "-C" | "--continue-at") && pair[1] != "0";
        self.options.windows(2).any(offset)
    }
}

/// The last part of a URL's path, which names a file.
fn file_name(url: &str) -> Result<String, Refused> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    match path.rsplit_once('/').map(|(_, name)| name) {
        Some(name) if !matches!(name, "" | "." | "..") => Ok(name.to_owned()),
        _ => Err(usage(format!("-O: {url} does not end with a file's name; -o FILE gives one"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn request(line: &str) -> Request {
        match read(&words(line)) {
            Ok(Asked::Fetch(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// The calls, each as its words and its file.
    fn calls(line: &str) -> Vec<(String, Option<String>)> {
        let calls = request(line).calls().unwrap_or_else(|why| panic!("{line}: {why:?}"));
        let shown = |call: Call| {
            let file = match call.destination {
                Destination::Standard => None,
                Destination::File(path) => Some(path.to_string_lossy().into_owned()),
            };
            (call.words.join(" "), file)
        };
        calls.into_iter().map(shown).collect()
    }

    fn refused(line: &str) -> String {
        let request = match read(&words(line)) {
            Ok(Asked::Fetch(request)) => request,
            Err(why) => return why.why,
            other => panic!("{line}: {other:?}"),
        };
        request.calls().expect_err(line).why
    }

    #[test]
    fn without_files_the_board_gets_what_was_said() {
        let one = |line: &str| [(line.to_owned(), None)];
        assert_eq!(calls("-n 2 --sha256 http://a/x http://b/y"), one("-n 2 --sha256 http://a/x http://b/y"));
        assert_eq!(calls("http://a/x -Lsi"), one("-L -s -i http://a/x"));
        assert_eq!(calls("-o null http://a/ http://b/"), one("-o null http://a/ http://b/"));
        assert_eq!(calls("-o - http://a/ http://b/"), one("http://a/ http://b/"));
        assert_eq!(calls("--timeout=3 -C 10 http://a/"), one("--timeout 3 -C 10 http://a/"));
    }

    #[test]
    fn an_option_is_no_url() {
        for line in ["", "-I", "--sha256 -o null", "--count 3", "-n 2 --timeout 5", "--max-redirs 3", "-r 0-1"] {
            assert_eq!(request(line).urls, [""; 0], "{line}");
        }
    }

    #[test]
    fn each_file_is_a_call_and_the_rest_goes_to_standard_output() {
        let file = |words: &str, file: &str| (words.to_owned(), Some(file.to_owned()));
        assert_eq!(calls("-so out http://a/x"), [file("-s -f http://a/x", "out")]);
        assert_eq!(
            calls("-o one http://a/x -O http://b/c/two?q=/z http://d/ http://e/"),
            [
                file("-f http://a/x", "one"),
                file("-f http://b/c/two?q=/z", "two"),
                ("http://d/ http://e/".to_owned(), None)
            ]
        );
        assert_eq!(calls("-o null -o f http://a/ http://b/")[0].0, "-o null http://a/");
        assert!(refused("-o a -o b http://a/").starts_with("2 outputs for 1 URLs\n"));
        for url in ["http://a/", "http://a", "http://a/x/", "http://a/..", "http://a/?x=/y", "http://a/#/y"] {
            assert!(refused(&format!("-O {url}")).contains("does not end with a file's name"), "{url}");
        }
    }

    #[test]
    fn a_download_goes_on_where_its_file_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let (half, none) = (folder.path().join("half"), folder.path().join("none"));
        std::fs::write(&half, "12345").expect("written");
        let call = |path: &Path| request(&format!("-C - -o {} http://a/x", path.display())).calls().expect("calls");
        assert_eq!(call(&half)[0].words, ["-f", "-C", "5", "http://a/x"]);
        assert!(call(&half)[0].append && !call(&none)[0].append);
        assert_eq!(call(&none)[0].words, ["-f", "http://a/x"]);
        assert!(request("-C 7 -o x http://a/x").calls().expect("calls")[0].append);
        assert!(refused("-C - http://a/x").starts_with("-C - goes on with a file"));
        assert!(refused("--resume -o - http://a/x").starts_with("-C - goes on with a file"));
    }

    #[test]
    fn mistakes_are_webgets_and_need_no_board() {
        assert_eq!(read(&words("-s --help")), Ok(Asked::Help));
        assert_eq!(read(&words("-V http://a/")), Ok(Asked::Version));
        assert!(refused("--tiemout 3").starts_with("unknown option --tiemout; did you mean --timeout?\nusage: webget"));
        assert!(refused("--count 0").starts_with("--count cannot be \"0\"\nusage: webget"));
        assert!(refused("-o").contains("usage: webget"));
        let file = env!("CARGO_MANIFEST_PATH");
        assert!(refused(&format!("-T {file} http://a/")).contains("is a file of this machine"));
        assert_eq!(calls("-T store http://a/")[0].0, "-T store http://a/");
    }

    #[test]
    fn help_fits_a_terminal() {
        assert!(HERE.lines().all(|line| line.len() < 80), "a terminal has 80 columns");
    }
}
