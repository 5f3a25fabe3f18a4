//! Responses as servers, proxies and object stores of others send them, and as somebody might who means ill.

use slopos_http::Url;
use slopos_http::request::{self, Method};
use slopos_http::response::{Failure, Head, Progress, Sink, receive};

/// What came of a response: its version, its fields as they read, and its body.
#[derive(Debug, Default, PartialEq)]
struct Got {
    minor_version: u8,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sink for Got {
    type Error = std::convert::Infallible;

    fn head(&mut self, head: &Head<'_>) -> Result<(), Self::Error> {
        self.minor_version = head.minor_version;
        self.fields = head
            .headers
            .iter()
            .map(|header| {
                let pieces: Vec<_> =
                    slopos_http::response::unfolded(header.value).map(String::from_utf8_lossy).collect();
                (header.name.to_owned(), pieces.join(" "))
            })
            .collect();
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        self.body.extend_from_slice(piece);
        Ok(())
    }
}

fn got_with(method: Method, response: &[u8]) -> Result<Got, String> {
    let (mut got, mut progress) = (Got::default(), Progress::default());
    let mut stream = response;
    let mut buffer = vec![0; 64 * 1024];
    match receive(&mut stream, method, &mut buffer, &mut got, &mut progress) {
        Ok(()) => Ok(got),
        Err(Failure::Broken(broken)) => Err(broken.to_string()),
        Err(other) => Err(format!("{other:?}")),
    }
}

fn got(response: &str) -> Result<Got, String> {
    got_with(Method::Get, response.as_bytes())
}

fn body(response: &str) -> Result<String, String> {
    got(response).map(|got| String::from_utf8_lossy(&got.body).into_owned())
}

/// The value of a field of this name in a response with these header lines.
fn field(lines: &str, name: &str) -> String {
    let got = got(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")).expect(lines);
    got.fields.into_iter().find(|(found, _)| found == name).expect(lines).1
}

#[test]
fn a_large_body_of_signed_or_padded_chunks_arrives() {
    for size in
        ["1;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "1      ", "000001"]
    {
        let chunks = format!("{size}\r\nx\r\n").repeat(5_000);
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
        assert_eq!(body(&response).map(|body| body.len()), Ok(5_000), "{size:?}");
    }
}

#[test]
fn a_folded_field_reads_as_if_there_were_a_space() {
    assert_eq!(field("A: one\r\n two", "A"), "one two");
    assert_eq!(field("A: one \t\r\n \t two\r\n\tthree", "A"), "one two three");
    assert_eq!(field("A:\r\n one\r\nB: x", "A"), "one");
    assert_eq!(field("A: one\n two", "A"), "one two", "a bare LF ends a line too (RFC 9112 section 2.2)");
    let response = "HTTP/1.1 200 OK\r\nContent-Length:\r\n 5,\r\n\t5\r\n\r\nhelloBEYOND";
    assert_eq!(body(response).as_deref(), Ok("hello"));
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\r\n chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(body(response).as_deref(), Ok("hi"));
    // A fold in front of the first field belongs to nothing.
    assert!(got("HTTP/1.1 200 OK\r\n folded: x\r\n\r\n").is_err());
}

#[test]
fn a_senseless_length_does_not_matter_where_there_is_no_body() {
    for length in ["-1", "abc", "5, 6", "18446744073709551616", ""] {
        let head = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
        for status in [204, 304] {
            assert_eq!(body(&head(status)).as_deref(), Ok(""), "{status}, {length:?}");
        }
        assert_eq!(got_with(Method::Head, head(200).as_bytes()).map(|got| got.body.len()), Ok(0), "HEAD, {length:?}");
        let interim = head(103) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(body(&interim).as_deref(), Ok("hi"), "103, {length:?}");
        // Nor where Transfer-Encoding says it all (RFC 9112 section 6.3 rules 3 to 5).
        let chunked = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        );
        assert_eq!(body(&chunked).as_deref(), Ok("hi"), "chunked, {length:?}");
        let refused = got(&head(200)).expect_err(length);
        assert!(refused.contains("Content-Length"), "{refused}");
    }
}

#[test]
fn a_higher_minor_version_is_read_as_1_1() {
    for minor in 2..=9 {
        let response = format!("HTTP/1.{minor} 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        let got = got(&response).expect(&response);
        assert_eq!((got.minor_version, got.body.as_slice()), (1, &b"hi"[..]));
    }
    assert_eq!(body("\r\nHTTP/1.3 200 OK\r\n\r\nhi").as_deref(), Ok("hi"));
    for other in ["HTTP/2.1 200 OK\r\n\r\n", "HTTP/0.9 200 OK\r\n\r\n", "HTTP/1.12 200 OK\r\n\r\n"] {
        assert!(got(other).is_err(), "{other:?}");
    }
}

#[test]
fn a_hundred_fields_and_32_kib_of_head_are_taken() {
    let fields: String = (0..100).map(|number| format!("X-Field-{number}: {number}\r\n")).collect();
    let response = format!("HTTP/1.1 200 OK\r\nServer: s\r\n{fields}Content-Length: 2\r\n\r\nhi");
    assert_eq!(got(&response).map(|got| got.fields.len()), Ok(102));
    assert_eq!(body(&response).as_deref(), Ok("hi"));

    let long = format!("Set-Cookie: {}\r\n", "c".repeat(4_000));
    let fields = long.repeat(8);
    let response = format!("HTTP/1.1 200 OK\r\n{fields}X: {}\r\n\r\nhi", "y".repeat(32 * 1024 - fields.len() - 7));
    assert_eq!(body(&response).as_deref(), Ok("hi"));
    let one = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\nhi", "y".repeat(32 * 1024 - 5));
    assert_eq!(body(&one).as_deref(), Ok("hi"));
}

#[test]
fn too_much_of_a_head_is_named() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(1_000));
    assert_eq!(got(&many), Err("the response's head has more than 128 fields".into()));
    for endless in [
        format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(100_000)),
        format!("HTTP/1.1 200 {}", "x".repeat(100_000)),
        format!("HTTP/1.1 200 OK\r\nA: {}", "x\r\n ".repeat(50_000)),
        "\r\n".repeat(100_000),
    ] {
        assert_eq!(got(&endless), Err("the response's head is longer than 33792 bytes".into()), "{:?}", &endless[..30]);
    }
}

#[test]
fn what_the_rfc_lets_a_client_bear_is_borne() {
    // Blanks before the colon (RFC 9112 section 5.1), several in the status line (section 4), LF alone (section 2.2).
    let response = "HTTP/1.1  200  OK\nContent-Length : 2\n\nhiBEYOND";
    assert_eq!(body(response).as_deref(), Ok("hi"));
    // Without a reason phrase, with and without the space before it.
    for line in ["HTTP/1.1 200", "HTTP/1.1 200 "] {
        assert_eq!(body(&format!("{line}\r\nContent-Length: 2\r\n\r\nhi")).as_deref(), Ok("hi"), "{line:?}");
    }
    // A server that works for long says so again and again (RFC 9110 section 15.2).
    let waits = "HTTP/1.1 102 Processing\r\n\r\n".repeat(30) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(body(&waits).as_deref(), Ok("hi"));
}

#[test]
fn what_nobody_may_send_is_refused_with_its_reason() {
    for (response, reason) in [
        ("HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nA: \x1b[2J\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200 \x1b]0;x\x07\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", "Content-Length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5 6\r\n\r\n", "Content-Length"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", "chunks are broken"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "cut off"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "interim"),
    ] {
        let refused = got(response).expect_err(response);
        assert!(refused.contains(reason), "{response:?}: {refused}");
    }
}

#[test]
fn a_url_of_8000_octets_is_asked_for_as_it_is() {
    let path = format!("/bucket/key?X-Amz-Signature={}", "a".repeat(7_955));
    let text = format!("http://10.0.2.2{path}");
    assert_eq!(text.len(), 7_998);
    let url = Url::parse(&text).expect("a URL");
    let mut room = vec![0; 10_000];
    let mut rest = &mut room[..];
    request::send(&mut rest, Method::Get, &url, "webget/1.0").expect("there is room");
    let unused = rest.len();
    room.truncate(10_000 - unused);
    let request = String::from_utf8(room).expect("text");
    assert!(
        request.starts_with(&format!("GET {path} HTTP/1.1\r\nHost: 10.0.2.2\r\n")) && request.ends_with("\r\n\r\n")
    );
}
