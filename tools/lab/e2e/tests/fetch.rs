//! What webget fetches, and what it says where it cannot.

use slopos_e2e::{Report, board, fetch};
use slopos_lab::files;
use slopos_lab::servers::programs::Python;
use slopos_lab::servers::{Answer, answering, refusing, response};
use slopos_run::Transport;

/// Fetches a file of this length from Python's server and compares the hashes.
#[track_caller]
fn arrives_whole(length: usize) {
    let server = Python::new();
    let sha256 = server.file("file", length);
    let report = fetch(board(), &format!("--sha256 {}", server.url("file")));
    report.exits(0).shows(&format!("{sha256}  {length}")).shows(&format!("status=200 count=1 bytes={length} "));
}

#[test]
fn an_empty_file_arrives() {
    arrives_whole(0);
}

#[test]
fn a_file_of_one_byte_arrives() {
    arrives_whole(1);
}

#[test]
fn a_mebibyte_arrives() {
    arrives_whole(1 << 20);
}

#[test]
fn sixty_four_mebibytes_arrive() {
    arrives_whole(64 << 20);
}

#[test]
fn several_addresses_are_fetched_in_turn() {
    let server = Python::new();
    let one = server.file("one", 100_000);
    let two = server.file("two", 200_000);
    let report = fetch(board(), &format!("--sha256 {} {}", server.url("one"), server.url("two")));
    report.exits(0).shows(&format!("{one}  100000")).shows(&format!("{two}  200000"));
}

#[test]
fn a_repeated_fetch_adds_up_its_bytes() {
    // More connections than the process has sockets, so closed ones have to be used again.
    let server = Python::new();
    server.file("file", 10_000);
    let report = fetch(board(), &format!("-o null --count 12 {}", server.url("file")));
    report.exits(0).shows("webget: done status=200 count=12 bytes=120000 seconds=");
}

/// Fetches from a server that answers so.
#[track_caller]
fn answered(answer: Answer) -> Report {
    fetch(board(), &format!("--sha256 {}", answering(answer)))
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn a_missing_page_is_22() {
    let server = Python::new();
    fetch(board(), &server.url("nothing")).exits(22).shows(" 404 ").shows("webget: done status=404 count=1 ");
}

#[test]
fn a_refused_connection_is_7() {
    fetch(board(), &refusing()).exits(7);
}

#[test]
fn a_neighbour_that_does_not_answer_is_28() {
    // Of the subnet's addresses, user networking answers ARP for 10.0.2.2 to 10.0.2.4 alone.
    fetch(board(), "http://10.0.2.77/").exits(28);
}

#[test]
fn a_server_that_never_answers_is_28() {
    fetch(board(), &format!("--timeout 3 {}", answering(Answer::Silence))).exits(28);
}

#[test]
fn an_address_that_makes_no_sense_is_2() {
    let report = fetch(board(), "gopher://10.0.2.2/");
    report.exits(2).shows("usage: webget");
}

#[test]
fn the_first_failure_is_the_status() {
    let server = Python::new();
    let sha256 = server.file("file", 1000);
    let urls = format!("--sha256 {} {} {}", server.url("nothing"), refusing(), server.url("file"));
    fetch(board(), &urls).exits(22).shows(&format!("{sha256}  1000"));
}

#[test]
fn without_a_network_device_the_fetch_fails() {
    let report = fetch(board().network(Transport::None), "http://10.0.2.2:1/");
    report.lacks("HTTP/1.1").lacks("panic: ");
    assert_ne!(report.outcome.code, 33, "{}", report.all());
    assert_eq!(report.outcome.code % 2, 1, "the board did not exit by itself\n{}", report.all());
}

#[test]
fn a_response_that_ends_half_way_is_56() {
    let mut whole = response(&[b'x'; 1000]);
    whole.truncate(whole.len() - 500);
    answered(Answer::Bytes(whole)).exits(56);
}

#[test]
fn a_reset_half_way_is_56() {
    let mut whole = response(&[b'x'; 1000]);
    whole.truncate(whole.len() - 500);
    answered(Answer::Reset(whole)).exits(56);
}

#[test]
fn nonsense_is_56() {
    answered(Answer::Bytes(vec![0, 255, 13, 10, 13, 10])).exits(56);
    answered(Answer::Bytes(text("SSH-2.0-OpenSSH_9.2\r\n"))).exits(56);
    answered(Answer::Bytes(Vec::new())).exits(56);
}

#[test]
fn a_body_ends_with_the_stream_where_no_length_is_given() {
    let body = b"until the end of the stream";
    let report = answered(Answer::Bytes([b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat()));
    report.exits(0).shows(&format!("{}  {}", files::sha256(body), body.len()));
}

#[test]
fn a_chunked_body_is_put_together() {
    let head = text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunks = text("5\r\nHello\r\n1;x=y\r\n,\r\n7\r\n chunks\r\n0\r\nTrailer: t\r\n\r\n");
    let digest = format!("{}  13", files::sha256(b"Hello, chunks"));
    answered(Answer::Bytes([head.clone(), chunks.clone()].concat())).exits(0).shows(&digest);
    // The same with the cuts in awkward places: in the head, in a chunk's length, between its line ends.
    let pieces = [&head[..20], &head[20..], &chunks[..1], &chunks[1..9], &chunks[9..21], &chunks[21..]];
    answered(Answer::Pieces(pieces.map(<[u8]>::to_vec).to_vec())).exits(0).shows(&digest);
    // Without the last chunk the body is not complete.
    answered(Answer::Bytes([head, text("5\r\nHello\r\n")].concat())).exits(56);
}

/// What README.md says of it.
#[test]
fn seven_mebibytes_are_enough() {
    let url = answering(Answer::Bytes(response(b"a page to be seen\n")));
    fetch(board().memory("7M"), &url).exits(0).shows("a page to be seen");
}
