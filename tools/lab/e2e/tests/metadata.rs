//! The app `metadata`: what a cloud's metadata server says is carried out where the manifest allows it, and nothing
//! else is.
//!
//! The board is that of attack.toml, whose `metadata` may run a few commands, and whose attackers try to have others
//! run.

use slopos_abi::limits::ASKED_COMMAND_MAX;
use slopos_e2e::{Report, attack_board, run};
use slopos_lab::files;
use slopos_lab::servers::loopback::{finish, serve, take_head};
use slopos_lab::servers::{Answer, answering, refusing, response, url};
use slopos_netlab::{Lab, Offer, Server};
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

/// A cloud's metadata server on the loopback, and the heads of the requests that it got.
struct Cloud {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

/// A server that answers each request with what `answer` makes of its head and of how many came before.
fn cloud(answer: impl Fn(&str, usize) -> Vec<u8> + Clone + Send + 'static) -> Cloud {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    let port = serve(move |mut stream| {
        let Some(head) = take_head(&mut stream)? else { return Ok(()) };
        let head = String::from_utf8_lossy(&head).into_owned();
        let before = {
            let mut kept = kept.lock().expect("no thread panics with it");
            kept.push(head.clone());
            kept.len() - 1
        };
        stream.write_all(&answer(&head, before))?;
        finish(stream)
    });
    Cloud { url: url(port, ""), heads }
}

impl Cloud {
    /// The heads of all requests so far.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no thread panics with it").clone()
    }
}

/// A response without a body.
fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// OpenStack's server with this user data.
fn openstack(user_data: impl Into<Vec<u8>>) -> String {
    let user_data = user_data.into();
    cloud(move |_, _| response(&user_data)).url
}

/// Runs a list of commands on the board.
fn commands(list: &str) -> Report {
    run(attack_board().append(list))
}

#[test]
fn amazons_form_is_asked_with_a_token_and_its_commands_run_in_order() {
    let page = files::bytes(20_000);
    let sha256 = files::sha256(&page);
    let (here, missing) = (answering(Answer::Bytes(response(&page))), answering(Answer::Bytes(status("404 No"))));
    let user_data =
        format!("#slopos\r\n# A comment; poweroff\r\n\r\nuptime\r\n webget -s {missing}\r\nwebget --sha256 {here}\r\n");
    let cloud = cloud(move |head, _| match head.split(' ').next() {
        Some("PUT") => response(b"TOKEN=="),
        _ if head.contains("X-aws-ec2-metadata-token: TOKEN==\r\n") => response(user_data.as_bytes()),
        _ => status("401 Unauthorized"),
    });
    let report = commands(&format!("metadata {}; grants; exit", cloud.url));
    // What comes last is the status of `grants`.
    report.exits(0).shows("metadata: running uptime\nup ").shows("metadata: status 22\n");
    report.shows(&format!("{sha256}  {}", page.len())).shows("metadata: done commands=3 failed=1\n");
    report.shows("commands begun=3 may run: webget uptime guard start sleep exit\n");
    report.logs("console: uptime is carried out for process metadata");
    let heads = cloud.heads();
    let [token, data] = &heads[..] else { panic!("{heads:?}") };
    assert!(token.starts_with("PUT /latest/api/token HTTP/1.1\r\n"), "{token}");
    assert!(token.contains("\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n"), "{token}");
    assert!(token.contains("\r\nContent-Length: 0\r\n"), "{token}");
    assert!(data.starts_with("GET /latest/user-data HTTP/1.1\r\n"), "{data}");
    commands(&format!("metadata {}; exit", cloud.url)).exits(22);
}

#[test]
fn a_server_without_tokens_is_asked_without_and_one_that_is_not_there_yet_again() {
    let old = |refusal: &'static str| {
        cloud(move |head, _| if head.starts_with("PUT") { status(refusal) } else { response(b"#slopos\nuptime\n") })
    };
    let slow = cloud(|_, before| if before < 2 { status("503 Not Yet") } else { response(b"#slopos\nuptime\n") });
    let empty = cloud(|_, _| status("404 Not Found"));
    let clouds = [old("404 Not Found"), old("405 Method Not Allowed"), old("403 Forbidden"), empty];
    let all: String = clouds.iter().map(|cloud| format!("metadata {}; ", cloud.url)).collect();
    let report = commands(&format!("{all}metadata --format openstack {}; exit", slow.url));
    report.exits(0);
    let count = |text: &str| report.outcome.console.matches(text).count();
    assert_eq!(count("metadata: done commands=1 failed=0\n"), 4, "{}", report.all());
    assert_eq!(count("metadata: there is no user data\n"), 1, "{}", report.all());
    report.shows("metadata: status 503; again in 1 s\n").shows("metadata: status 503; again in 2 s\n");
    for cloud in &clouds[..3] {
        let heads = cloud.heads();
        assert!(heads.len() == 2 && !heads[1].contains("X-aws"), "{heads:?}");
    }
    assert!(slow.heads().iter().all(|head| head.starts_with("GET /openstack/latest/user_data ")), "{:?}", slow.heads());
}

#[test]
fn user_data_that_is_wrong_anywhere_has_nothing_carried_out() {
    let long = format!("#slopos\nuptime\nuptime {}\n", "x".repeat(ASKED_COMMAND_MAX));
    let wrong: [(&[u8], u8, &str); 14] = [
        (
            b"#slopos\nuptime; poweroff\n",
            65,
            "line 2: this is not one command of the process console: uptime; poweroff",
        ),
        (b"#slopos\nuptime\nuptime \"; exit\n", 65, "line 3: this is not one command"),
        (b"#slopos\nuptime\nsleep soon\n", 65, "line 3: this is not one command"),
        (b"#slopos\nuptime\n\npoweroff\n", 77, "line 4: the manifest's `commands` does not allow it: poweroff"),
        (b"#slopos\nuptime\nstart hostile\n", 77, "line 3: the manifest's `commands` does not allow it: start hostile"),
        (b"#slopos\nuptime\nmetadata\n", 77, "line 3: the manifest's"),
        (b"#slopos\nuptime\nlog error\n", 77, "line 3: the manifest's"),
        (b"#slopos\nuptime\n\x1b]0;exit\x07\n", 65, "line 3: a command is made of printable ASCII"),
        (b"#slopos\nuptime\nuptime\0\n", 65, "line 3: a command is made of printable ASCII"),
        (b"#!/bin/sh\nuptime\n", 65, "line 1: user data for this board begins with #slopos"),
        (b"#cloud-config\nruncmd: [uptime]\n", 65, "line 1: user data"),
        (b"\x1f\x8b\x08\0\0\0\0\0", 65, "line 1: user data"),
        (long.as_bytes(), 65, "line 3: a command has at most 1024 bytes"),
        (&[b'#'; 16 * 1024 + 1], 56, "the answer has more than 16384 bytes"),
    ];
    for half in wrong.chunks(7) {
        let all: String =
            half.iter().map(|(data, ..)| format!("metadata --format openstack {}; ", openstack(*data))).collect();
        let report = commands(&format!("{all}grants; exit"));
        report.exits(0).lacks("metadata: running").shows("commands begun=0 may run:");
        for (_, _, said) in half {
            report.shows(said);
        }
    }
    // Each has the status that its kind has.
    for (data, status, _) in [&wrong[0], &wrong[3], &wrong[13]] {
        commands(&format!("metadata --format openstack {}; exit", openstack(*data))).exits(*status);
    }
}

#[test]
fn a_server_that_misbehaves_is_given_up_in_time() {
    let good = response(b"#slopos\nuptime\n");
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n";
    let away = cloud(|_, _| b"HTTP/1.1 302 Found\r\nLocation: http://10.0.2.2/\r\nContent-Length: 0\r\n\r\n".to_vec());
    let drip = serve(|mut stream| {
        take_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
        loop {
            sleep(Duration::from_millis(200));
            stream.write_all(b"#")?;
        }
    });
    let runs = [
        ("", away.url.clone(), "status 302: redirects are not followed"),
        ("", cloud(|_, _| response(b"")).url, "what the server gave is no token"),
        ("", cloud(|_, _| response(b"a\nb: c")).url, "what the server gave is no token"),
        (
            "--format openstack",
            answering(Answer::Bytes(b"HTTP/1.1 200 OK\r\n\r\n#slopos\nuptime\n".to_vec())),
            "the answer does not say where it ends",
        ),
        (
            "--format openstack --retry 0",
            answering(Answer::Bytes([&head[..], b"#slopos\nuptime"].concat())),
            "the response was cut off",
        ),
        ("--format openstack --retry 0", answering(Answer::Reset(good[..good.len() - 4].to_vec())), "connection reset"),
        ("--format openstack --retry 0", answering(Answer::Bytes(status("500 No"))), "status 500"),
        ("--format openstack --timeout 1 --retry 0", answering(Answer::Silence), "timed out"),
        ("--format openstack --max-time 2", url(drip, ""), "timed out"),
        ("--retry 1", refusing(), "connection refused; again in 1 s"),
        ("", "http://10.0.3.2/".to_owned(), "connect = [\"10.0.3.2/32:80\"] under [process.network] would allow it"),
        ("--format azure", refusing(), "--format cannot be \"azure\""),
    ];
    let all: String = runs.iter().map(|(options, url, _)| format!("metadata {options} {url}; ")).collect();
    let report = commands(&format!("{all}exit"));
    report.exits(2).lacks("metadata: running");
    // Of the last ones it is not said from where they come.
    for (index, (_, url, said)) in runs.iter().enumerate() {
        let place = url.trim_start_matches("http://").trim_end_matches('/');
        let place = if index < 9 { format!("metadata: {place}: ") } else { String::new() };
        report.shows(&format!("{place}{said}"));
    }
    assert_eq!(away.heads().len(), 1);
}

#[test]
fn user_data_can_end_the_board_with_the_status_of_its_last_command() {
    let missing = answering(Answer::Bytes(status("404 No")));
    let user_data = format!("#slopos\nwebget -s {missing}\nexit\n");
    // In the foreground, and in the background beside a console that waits for a person.
    commands(&format!("metadata --format openstack {}", openstack(user_data.clone()))).exits(22);
    let board =
        attack_board().when("slopos> ", format!("start metadata --format openstack {}\r", openstack(user_data)));
    run(board).exits(22).shows("metadata: status 22\nmetadata: running exit\n");
}

#[test]
fn what_it_runs_is_in_the_foreground_and_can_be_interrupted() {
    let (silent, data) = (answering(Answer::Silence), "uptime\nstart guard\nsleep 1\n");
    let user_data = format!("#slopos\nwebget {silent}\n{data}");
    let board = attack_board()
        .when("slopos> ", format!("metadata --format openstack {}; exit\r", openstack(user_data)))
        .when("webget: GET", "\x03");
    let report = run(board);
    report
        .exits(110)
        .shows("webget: killed\nmetadata: status 110\n")
        .lacks("metadata: killed")
        .shows("guard: the secret is at ");
    report.shows("metadata: done commands=4 failed=1\n");
}

#[test]
fn a_process_without_the_key_has_no_way_to_the_console() {
    let report = commands("accomplice commands; hostile commands ledger; exit");
    report.exits(0).shows("accomplice: contained commands").shows("hostile: contained commands");
    report.logs("process accomplice may not open what it asks for: the manifest does not grant it");
    report.logs("process hostile may not have that command carried out: the manifest does not name it");
}

#[test]
fn the_clouds_address_is_asked_on_the_link() {
    let cloud = Ipv4Addr::new(169, 254, 169, 254);
    let mut lab = Lab::new();
    lab.stations.push((cloud, [2, 0, 0, 0, 0, 7]));
    let machine = attack_board().netdev(lab.netdev()).append("metadata --format openstack; exit");
    let board = std::thread::spawn(|| run(machine.timeout(Duration::from_secs(60))));
    let mut server = Server::accept(&mut lab, Offer::default());
    assert_eq!((*server.local.ip(), server.local.port()), (cloud, 80));
    server.request(&mut lab);
    assert!(server.received.starts_with(b"GET /openstack/latest/user_data HTTP/1.1\r\nHost: 169.254.169.254\r\n"));
    server.respond(&mut lab, b"#slopos\nuptime\n");
    while !board.is_finished() {
        lab.during(Duration::from_millis(10));
    }
    let report = board.join().expect("the board's thread");
    report.exits(0).shows("metadata: done commands=1 failed=0\n");
}
