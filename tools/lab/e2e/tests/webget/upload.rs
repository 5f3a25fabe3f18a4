//! Uploads: what real servers make of them, over a good wire and a bad one.

use super::{Nginx, commands, digest};
use slopos_e2e::{Report, run, test_board};
use slopos_lab::files;
use slopos_lab::impair::Impairments;
use slopos_lab::namespace::{Namespace, SERVER};
use slopos_lab::network::Network;
use slopos_lab::servers::loopback::{finish, listen, serve, take_head};
use slopos_lab::servers::programs::{HTTP, Server};
use slopos_lab::servers::url;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Python's taker of bodies on a free port of the loopback.
struct Python {
    port: u16,
    _folder: TempDir,
    _server: Server,
}

impl Python {
    fn start() -> Python {
        let folder = tempfile::tempdir().expect("a folder");
        let port = listen().1;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut server = Server::taker(folder.path(), address, None).expect("python3");
        server.wait_for(address).expect("Python listens");
        Python { port, _folder: folder, _server: server }
    }
}

/// The commands that fetch a file of this name from nginx and upload it by its length and in chunks, to nginx and to Python.
fn uploads(name: &str, nginx: &str, python: &str) -> Vec<String> {
    let chunks = "-H Transfer-Encoding:chunked";
    vec![
        format!("webget -o store {nginx}{name}"),
        format!("webget -v -T store {nginx}{name}-by-length"),
        format!("webget -v {chunks} -T store {nginx}{name}-in-chunks"),
        format!("webget -v -T store {python}"),
        format!("webget -v {chunks} -T store {python}"),
    ]
}

/// Checks that all of that arrived in a folder of nginx's and at Python.
#[track_caller]
fn arrived(report: &Report, root: &Path, name: &str, length: usize, sha256: &str) {
    report.shows(&format!("webget: store holds {length} bytes"));
    for copy in ["by-length", "in-chunks"] {
        assert_eq!(digest(&root.join(format!("{name}-{copy}"))), sha256, "{copy}\n{}", report.all());
    }
    let console = &report.outcome.console;
    for (text, count) in [
        (format!("webget: sent {length} bytes\n"), 4),
        (format!("PUT none {length} {sha256}\n"), 2),
        ("webget: done status=201 count=1 ".to_owned(), 2),
        ("webget: done status=200 count=1 ".to_owned(), 3),
    ] {
        assert_eq!(console.matches(&text).count(), count, "{text:?}\n{}", report.all());
    }
}

#[test]
fn uploads_arrive_at_nginx_and_python_by_length_and_in_chunks() {
    let (nginx, python) = (Nginx::start(), Python::start());
    for (name, length) in [("one", 1), ("mebibyte", 1 << 20), ("large", 64 << 20)] {
        let sha256 = nginx.file(name, length);
        let report = commands(&uploads(name, &nginx.url(""), &url(python.port, "")));
        report.exits(0);
        arrived(&report, nginx.root.path(), name, length, &sha256);
    }
}

#[test]
fn an_upload_to_a_folder_is_named_after_its_region() {
    let nginx = Nginx::start();
    let sha256 = nginx.file("file", 1_000);
    let report = commands(&[
        format!("webget --sha256 -o store {}", nginx.url("file")),
        format!("webget -T store {}", nginx.url("")),
        // The region that has the name of the URL's file.
        format!("webget -O {}", nginx.url("store")),
    ]);
    report.exits(0).shows(&format!("{sha256}  1000\n")).shows("webget: PUT http://");
    assert_eq!(report.outcome.console.matches("webget: store holds 1000 bytes").count(), 2, "{}", report.all());
    assert_eq!(digest(&nginx.root.path().join("store")), sha256);
}

/// Has the board carry out commands, given nginx's address and Python's, over a wire that loses a frame of twenty in each
/// direction. nginx has a `file` of this length; `check` gets its folder and the digest.
fn over_loss(
    test: &str,
    length: usize,
    commands: impl FnOnce(&str, &str) -> Vec<String>,
    check: impl FnOnce(&Report, &Path, &str),
) {
    if let Err(why) = Namespace::is_allowed() {
        let line = format!("SKIPPED: {test}: network namespaces cannot be made here: {why:#}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("standard error");
        return;
    }
    let root = tempfile::tempdir().expect("a folder");
    let sha256 = files::write(&root.path().join("file"), length);
    let mut network = Network::new().expect("a network");
    network.start(Server::dnsmasq).expect("dnsmasq");
    let nginx = |folder: &Path, namespace: &str| Server::nginx(folder, root.path(), HTTP, Some(namespace));
    network.start_web(nginx).expect("nginx");
    let python = SocketAddrV4::new(SERVER, 8_000);
    network.start(|folder, namespace| Server::taker(folder, python, Some(namespace))).expect("python3");
    let lines = commands(&format!("http://{SERVER}/"), &format!("http://{python}/")).join("; ") + "; exit";
    let wire = Impairments { loss: 50, ..Impairments::default() };
    let work = |netdev: &str| Ok(run(test_board().netdev(netdev).append(lines).timeout(Duration::from_secs(180))));
    let (report, carried) = network.bridged([wire; 2], 7, work).expect("a bridge");
    report.exits(0);
    check(&report, root.path(), &sha256);
    // Each of four uploads, or one that is longer.
    let least = length as u64 / 65_536;
    assert!(carried.to_right.lost >= least && carried.to_left.lost >= least, "{carried:?}");
    let again = report.outcome.console.split(" retransmits=").skip(1);
    let again: u64 = again.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum();
    assert!(again >= least, "webget sent {again} segments again\n{}", report.all());
}

#[test]
fn a_byte_and_a_mebibyte_arrive_over_a_wire_that_loses_a_twentieth() {
    let test = "a_byte_and_a_mebibyte_arrive_over_a_wire_that_loses_a_twentieth";
    for length in [1, 1 << 20] {
        let commands = |nginx: &str, python: &str| uploads("file", nginx, python);
        over_loss(test, length, commands, |report, root, sha256| arrived(report, root, "file", length, sha256));
    }
}

#[test]
fn sixty_four_mebibytes_arrive_over_a_wire_that_loses_a_twentieth() {
    let test = "sixty_four_mebibytes_arrive_over_a_wire_that_loses_a_twentieth";
    let commands = |nginx: &str, _: &str| uploads("file", nginx, "").into_iter().take(2).collect();
    over_loss(test, 64 << 20, commands, |report, root, sha256| {
        report.shows("webget: sent 67108864 bytes\n");
        assert_eq!(digest(&root.join("file-by-length")), sha256, "{}", report.all());
    });
}

#[test]
fn progress_of_an_upload_is_told_too() {
    let slow = half_way(100_000, |mut stream| {
        std::thread::sleep(Duration::from_millis(1_500));
        let mut rest = vec![0; (24 << 20) - 100_000];
        stream.read_exact(&mut rest)?;
        stream.write_all(&slopos_lab::servers::response(b"taken\n"))?;
        finish(stream)
    });
    let nginx = Nginx::start();
    // More than there is room for between the board and a server that does not read.
    nginx.file("file", 24 << 20);
    let report = commands(&[
        format!("webget -s -o store {}", nginx.url("file")),
        format!("webget --progress -v -T store {slow}"),
    ]);
    report
        .exits(0)
        .shows(" of 25165824 bytes, ")
        .shows(" s left ")
        .shows("taken\n")
        .shows("webget: sent 25165824 bytes");
    // The rate is that of what went out, too.
    report.lacks(" rate=0 ");
}

#[test]
fn bodies_arrive_at_python_by_length_in_chunks_and_from_the_command_line() {
    let (taker, nginx) = (Python::start(), Nginx::start());
    let sha256 = nginx.file("file", (2 << 20) + 77);
    let here = url(taker.port, "");
    let report = commands(&[
        format!("webget -s -o store {}", nginx.url("file")),
        format!("webget -T store {here}"),
        format!("webget -T store -H Transfer-Encoding:chunked {here}"),
        format!("webget -d a=1 -d b=2 {here}"),
        format!("webget -X PATCH -H Content-Type:text/plain --data-raw @x {here}"),
        format!("webget -d @file {here}"),
    ]);
    report.exits(0);
    let put = format!("PUT none {} {sha256}\n", (2 << 20) + 77);
    assert_eq!(report.outcome.console.matches(&put).count(), 2, "{}", report.all());
    let form = "application/x-www-form-urlencoded";
    report.shows(&format!("POST {form} 7 {}\n", files::sha256(b"a=1&b=2")));
    report.shows(&format!("PATCH text/plain 2 {}\n", files::sha256(b"@x")));
    // A region that holds no download goes as it is.
    report.shows(&format!("POST {form} 1024 {}\n", files::sha256(&[0; 1024])));
}

/// A server that reads so many bytes of an upload before it does what is asked.
fn half_way(bytes: usize, work: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) -> String {
    let port = serve(move |mut stream| {
        take_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let mut body = vec![0; bytes];
        stream.read_exact(&mut body)?;
        work(stream)
    });
    url(port, "")
}

#[test]
fn servers_that_do_not_want_an_upload_are_understood() {
    let nginx = Nginx::start();
    nginx.file("file", 3 << 20);
    let full = half_way(100_000, |mut stream| {
        stream.write_all(b"HTTP/1.1 507 Full\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfull")?;
        finish(stream)
    });
    let gone = half_way(100_000, |stream| {
        let closed = stream.shutdown(std::net::Shutdown::Write);
        std::thread::sleep(Duration::from_millis(500));
        closed
    });
    let flood = half_way(0, |mut stream| {
        for _ in 0..100 {
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
        }
        finish(stream)
    });
    let store = format!("webget -s -o store {}", nginx.url("file"));
    let upload = |server: &str| commands(&[store.clone(), format!("webget -T store {server}")]);
    upload(&full).exits(22).shows("HTTP/1.1 507 Full").shows(" bytes, then the server answered").shows("full");
    let report = upload(&gone);
    report.exits(55).shows(" bytes of the upload were sent").shows("closed the connection before it had the upload");
    upload(&flood).exits(56).shows("one interim response after another");
}
