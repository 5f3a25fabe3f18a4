//! webget as curl's users expect it: its options on the board, against real servers and against such as mean ill.
//! Uploads are in upload.rs.

mod upload;

use slopos_e2e::{Report, board, fetch, run, test_board};
use slopos_lab::files;
use slopos_lab::servers::loopback::{finish, listen, serve, take_head};
use slopos_lab::servers::programs::Server;
use slopos_lab::servers::{Answer, answering, response, url};
use slopos_run::Transport;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tempfile::TempDir;

/// nginx on a free port of the loopback, with a folder that it serves and takes files into.
struct Nginx {
    root: TempDir,
    port: u16,
    _folder: TempDir,
    _server: Server,
}

impl Nginx {
    fn start() -> Nginx {
        let (root, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let port = listen().1;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut server = Server::nginx(folder.path(), root.path(), address, None).expect("nginx");
        server.wait_for(address).expect("nginx listens");
        Nginx { root, port, _folder: folder, _server: server }
    }

    fn file(&self, name: &str, length: usize) -> String {
        files::write(&self.root.path().join(name), length)
    }

    fn url(&self, path: &str) -> String {
        url(self.port, path)
    }
}

/// The digest of a file that a server has taken.
fn digest(path: &Path) -> String {
    files::sha256(&std::fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
}

/// Runs commands on the test board, whose webget has the regions `store`, of 64 MiB, and `file`, of 1 KiB.
fn commands(commands: &[String]) -> Report {
    run(test_board().append(commands.join("; ") + "; exit"))
}

/// A server that does this with each connection once it has the request's head, and then closes it in order.
fn after_head(work: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Clone + Send + 'static) -> String {
    let port = serve(move |mut stream| {
        let head = take_head(&mut stream)?.unwrap_or_default();
        work(&mut stream, &String::from_utf8_lossy(&head))?;
        finish(stream)
    });
    url(port, "")
}

#[test]
fn silence_leaves_the_body_and_include_puts_the_head_before_it() {
    let server = answering(Answer::Bytes(response(b"the body\n")));
    fetch(board(), &format!("-s {server}")).exits(0).shows("the body\n").lacks("webget:").lacks("HTTP/1.1");
    let report = fetch(board(), &format!("-si {server}"));
    report.exits(0).shows("HTTP/1.1 200 OK\nContent-Length: 9\n\nthe body\n").lacks("webget:");
    fetch(board(), &format!("-sI {server}")).exits(0).shows("HTTP/1.1 200 OK\nContent-Length: 9\n\n").lacks("the body");
    fetch(board(), "-s http://10.0.2.77/").exits(28).lacks("webget:");
    fetch(board(), "-sS http://10.0.2.77/").exits(28).shows("webget: 10.0.2.77:80: timed out");
}

#[test]
fn fields_and_methods_go_as_they_are_given() {
    let echo = after_head(|stream, head| stream.write_all(&response(head.as_bytes())));
    let report = fetch(board(), &format!("-X PURGE -H User-Agent: -H \"Accept: text/html\" -H X-Own:1 {echo}page"));
    report.exits(0).shows("PURGE /page HTTP/1.1\\x0d\n").shows("X-Own: 1\\x0d\nConnection: close");
    report.shows("Accept: text/html").lacks("User-Agent").lacks("*/*");
}

#[test]
fn an_address_that_cannot_be_reached_so_says_what_to_do() {
    fetch(board(), "https://10.0.2.2/").exits(2).shows("there is no TLS here: ask for http://");
    fetch(board(), "http://example.org/").exits(2).shows("write its IPv4 address");
    for here in ["http://localhost:8000/", "http://127.0.0.1:8000/"] {
        fetch(board(), here).exits(2).shows("this is the board itself").shows("10.0.2.2");
    }
}

#[test]
fn help_version_and_near_names() {
    let report = run(board()
        .network(Transport::None)
        .append("webget --help; webget --version; webget --tiemout 3 http://10.0.2.2/; exit"));
    report.exits(2).shows("usage: webget [OPTION]...").shows(concat!("webget ", env!("CARGO_PKG_VERSION"), "\n"));
    report.shows("unknown option --tiemout; did you mean --timeout?");
}

/// A server that redirects from each path to the next: `/N` to `/N-1`, as far as `/0`.
fn stairs() -> String {
    after_head(|stream, head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let step: usize = path.trim_start_matches('/').parse().unwrap_or_default();
        match step {
            0 => stream.write_all(&response(b"the ground\n")),
            step => write!(stream, "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 4\r\n\r\nmove", step - 1),
        }
    })
}

#[test]
fn redirects_are_followed_where_that_is_asked_for() {
    let stairs = stairs();
    fetch(board(), &format!("{stairs}1")).exits(0).shows("move").lacks("the ground");
    let report = fetch(board(), &format!("-L {stairs}10"));
    report.exits(0).shows("the ground").shows(&format!("webget: redirected to {stairs}0\n")).lacks("move");
    report.shows("webget: done status=200 count=1 bytes=11 ");
}

#[test]
fn a_redirect_that_leads_nowhere_is_47() {
    fetch(board(), &format!("-L {}11", stairs())).exits(47).shows("more than 10 redirects");
    let to = |place: &str| {
        let head = format!("HTTP/1.1 301 Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
        fetch(board(), &format!("-L {}", answering(Answer::Bytes(head.into_bytes()))))
    };
    to("/").exits(47).shows("more than 10 redirects");
    to("https://10.0.2.2/").exits(47).shows("a redirect leads nowhere: ").shows("no TLS");
    to("http://127.0.0.1/").exits(47).shows("this is the board itself");
    to(&format!("/{}", "a".repeat(3_000))).exits(47);
}

#[test]
fn several_addresses_go_over_one_connection_where_the_server_keeps_it() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let port = serve(move |mut stream| {
        count.fetch_add(1, SeqCst);
        while let Some(head) = take_head(&mut stream)? {
            stream.write_all(&response(b"page"))?;
            if String::from_utf8_lossy(&head).contains("Connection: close") {
                break;
            }
        }
        finish(stream)
    });
    let report = fetch(board(), &format!("-v {} {}", url(port, "one"), url(port, "two")));
    report.exits(0).shows(" reused=0 ").shows(" reused=1 ").shows(" retransmits=");
    assert_eq!(connections.load(SeqCst), 1);
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_opened_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    // The server closes without a word when the second request has come.
    let port = serve(move |mut stream| {
        count.fetch_add(1, SeqCst);
        take_head(&mut stream)?;
        stream.write_all(&response(b"page"))?;
        take_head(&mut stream)?;
        finish(stream)
    });
    let report = fetch(board(), &format!("{} {} {}", url(port, "one"), url(port, "two"), url(port, "three")));
    report.exits(0);
    assert_eq!(report.outcome.console.matches("webget: done status=200 count=1 bytes=4 ").count(), 3);
    assert_eq!(connections.load(SeqCst), 3);
}

/// What a progress line says behind these words: bytes a second, and seconds left where it knows.
#[track_caller]
fn progress(report: &Report, words: &str) -> (u64, Option<u64>) {
    let line = report.outcome.console.split('\r').find_map(|line| line.strip_prefix(words));
    let line = line.unwrap_or_else(|| panic!("no line {words:?}\n{}", report.all()));
    let (rate, rest) = line.split_once(" B/s").unwrap_or_else(|| panic!("no rate in {line:?}"));
    let left = rest.strip_prefix(", ").and_then(|rest| rest.split_once(" s left"));
    (rate.parse().expect("a rate"), left.map(|(left, _)| left.parse().expect("seconds")))
}

#[test]
fn progress_is_told_each_second_with_rate_and_time_left() {
    let slowly = |head: &'static str| {
        after_head(move |stream, _| {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n")?;
            (0..4).try_for_each(|_| {
                stream.write_all(b"0123456789")?;
                std::thread::sleep(Duration::from_millis(1_100));
                Ok(())
            })
        })
    };
    let report = fetch(board(), &format!("--progress {}", slowly("Content-Length: 40\r\n")));
    let (rate, left) = progress(report.exits(0), "webget: 20 of 40 bytes, 50 %, ");
    // Twenty bytes took a second or more.
    assert!((1..=20).contains(&rate) && left == Some(20 / rate), "{rate} {left:?}");
    // The last word is the end, not where the transfer was a second earlier.
    report.shows("webget: 40 of 40 bytes, 100 %, ");
    let report = fetch(board(), &format!("--progress -o null {}", slowly("")));
    let (rate, left) = progress(report.exits(0), "webget: 30 bytes, ");
    assert!((1..=30).contains(&rate) && left.is_none(), "{rate} {left:?}");
    // Without it, and on standard output, there is nothing of the kind.
    fetch(board(), &slowly("Content-Length: 40\r\n")).exits(0).lacks(" B/s");
}

#[test]
fn a_transfer_that_takes_too_long_in_all_is_28() {
    let drip = after_head(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.write_all(b".")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    fetch(board(), &format!("--timeout 60 --max-time 1.5 {drip}")).exits(28).shows("webget: done status=200 count=0 ");
    // The connect counts too: a neighbour that does not answer is given up after three seconds otherwise.
    let report = fetch(board(), "--max-time 1 http://10.0.2.77/");
    report.exits(28).shows("10.0.2.77:80: timed out").shows("webget: done status=0 count=0 bytes=0 seconds=1.0");
}

#[test]
fn what_curl_tries_again_is_tried_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let busy = after_head(move |stream, _| match count.fetch_add(1, SeqCst) % 3 {
        2 => stream.write_all(&response(b"at last")),
        _ => stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"),
    });
    let report = fetch(board(), &format!("--retry 2 {busy}"));
    report.exits(0).shows("webget: status 503; again in 0 s, 1 left").shows("at last").lacks("busy");
    fetch(board(), &format!("--retry 1 {busy}")).exits(22).shows("busy");
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let missing = after_head(move |stream, _| {
        count.fetch_add(1, SeqCst);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    });
    fetch(board(), &format!("--retry 5 {missing}")).exits(22).lacks("again in");
    assert_eq!(tries.load(SeqCst), 1);
    // The first wait is a second, the next one two.
    let silent = answering(Answer::Silence);
    let report = fetch(board(), &format!("--retry 2 --timeout 0.5 {silent}"));
    report.exits(28).shows("timed out; again in 1 s, 2 left").shows("again in 2 s, 1 left");
}

#[test]
fn a_part_is_what_was_asked_for_or_33() {
    let nginx = Nginx::start();
    std::fs::write(nginx.root.path().join("letters"), "abcdefghij").expect("written");
    let letters = nginx.url("letters");
    fetch(board(), &format!("-s -r 2-4 {letters}")).exits(0).shows("cde");
    fetch(board(), &format!("--sha256 -r -3 {letters}")).exits(0).shows(&files::sha256(b"hij"));
    fetch(board(), &format!("-r 20- {letters}")).exits(22).shows(" 416 ");
    for range in ["bytes 1-3/10", "bytes 2-9/10", "bytes 2-4/3", "bytes 4-2/10", "nonsense"] {
        let head = format!("HTTP/1.1 206 Part\r\nContent-Range: {range}\r\nContent-Length: 3\r\n\r\ncde");
        let report = fetch(board(), &format!("-r 2-4 {}", answering(Answer::Bytes(head.into_bytes()))));
        report.exits(33).shows("the response is not the part that was asked for");
    }
}

#[test]
fn a_download_that_was_cut_off_goes_on_where_it_stopped() {
    let nginx = Nginx::start();
    let sha256 = nginx.file("file", 300_001);
    let mut cut = response(&files::bytes(300_001));
    cut.truncate(200_000);
    let cut = answering(Answer::Bytes(cut));
    let report = commands(&[
        format!("webget -o store {cut}"),
        format!("webget -C - -o store {}", nginx.url("file")),
        format!("webget -T store {}", nginx.url("copy")),
        // It is complete: its last bytes come again, and nothing changes.
        format!("webget --resume -o store {}", nginx.url("file")),
        format!("webget -T store {}", nginx.url("second")),
    ]);
    report.exits(0).shows("the response was cut off").shows("webget: store holds 199957 bytes").shows(" 206 ");
    report.shows("webget: store holds 300001 bytes");
    for copy in ["copy", "second"] {
        assert_eq!(digest(&nginx.root.path().join(copy)), sha256, "{}", report.all());
    }
    // Without parts there is no going on, and what is there stays.
    let whole = answering(Answer::Bytes(response(b"anew")));
    let report = commands(&[
        format!("webget -o store {cut}"),
        format!("webget -C - -o store {whole}"),
        format!("webget -T store {}", nginx.url("kept")),
    ]);
    report.exits(0).shows("the server sends no parts");
    assert_eq!(std::fs::read(nginx.root.path().join("kept")).expect("a file"), files::bytes(300_001)[..199_957]);
}

#[test]
fn a_region_that_is_too_small_or_not_granted_is_told() {
    let server = answering(Answer::Bytes(response(&[b'x'; 2_000])));
    fetch(test_board(), &format!("-o file {server}")).exits(23).shows("file: the region is full");
    let report = fetch(test_board(), &format!("-o other {server}"));
    report.exits(77).shows("flash = [\"other\"] under [[process]] would");
    // Before anything is sent: nobody has to listen.
    let nobody = slopos_lab::servers::refusing();
    for options in ["-o other", "-T other", "-d @other", "--retry 3 -T other"] {
        let report = fetch(test_board(), &format!("{options} {nobody}"));
        report.exits(77).shows("other: the manifest does not let it be opened").lacks("refused").lacks("again in");
    }
    // An error is no download.
    let missing = answering(Answer::Bytes(b"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nnone".to_vec()));
    fetch(test_board(), &format!("-o file {missing}")).exits(22).lacks("file holds");
}
