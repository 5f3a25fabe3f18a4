//! The program `netlab`, run as a person would.

use slopos_lab::link::Link;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_bridge_carries_frames_until_its_input_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let mut one = Link::between(&path("one"), &path("left")).expect("a socket");
    let mut two = Link::between(&path("two"), &path("right")).expect("a socket");
    let end = |own: &str, peer: &str| format!("dgram:{},{}", path(own).display(), path(peer).display());
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_netlab"))
        .args(["bridge", &end("left", "one"), &end("right", "two"), "--direction", "to-left", "--loss", "100"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut ready = String::new();
    let mut errors = BufReader::new(bridge.stderr.take().expect("a pipe"));
    errors.read_line(&mut ready).expect("a line");
    assert_eq!(ready, "netlab: the bridge is up\n");
    assert!(one.send(b"there").expect("sent") && two.send(b"back").expect("sent"));
    let frame = two.receive(Instant::now() + Duration::from_secs(10)).expect("received");
    assert_eq!(frame.as_deref(), Some(&b"there"[..]));
    assert_eq!(one.receive(Instant::now() + Duration::from_millis(100)).expect("nothing"), None);
    drop(bridge.stdin.take());
    assert!(bridge.wait().expect("ended").success());
    let mut text = String::new();
    bridge.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
    assert!(text.contains("to the right: 1 frames in, 1 out, 0 lost"), "{text}");
    assert!(text.contains("to the left: 1 frames in, 0 out, 1 lost"), "{text}");
}

#[test]
fn ends_that_make_no_sense_are_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_netlab")).args(["bridge", "eth0", "tap:x"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("neither dgram:OWN,PEER nor tap:NAME"));
}
