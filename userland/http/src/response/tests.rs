//! Responses as a server might send them, over a stream that delivers them as a network might.

use libslop::io::{ErrorKind, ErrorType};

use super::*;

/// Delivers pieces, one for each read, then the end or an error.
struct Script<'a> {
    pieces: Vec<&'a [u8]>,
    error: Option<ErrorKind>,
}

impl ErrorType for Script<'_> {
    type Error = ErrorKind;
}

impl Read for Script<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        self.pieces.retain(|piece| !piece.is_empty());
        let Some(piece) = self.pieces.first_mut() else { return self.error.map_or(Ok(0), Err) };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        *piece = &piece[count..];
        Ok(count)
    }
}

/// Keeps what it is given, and fails after `limit` bytes of a body.
struct Keep {
    heads: Vec<(u8, u16, String, usize)>,
    body: Vec<u8>,
    limit: usize,
}

impl Sink for Keep {
    type Error = &'static str;

    fn head(&mut self, head: &Head<'_>) -> Result<(), Self::Error> {
        self.heads.push((head.minor_version, head.status, head.reason.into(), head.headers.len()));
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        assert!(!piece.is_empty());
        self.body.extend_from_slice(piece);
        if self.body.len() > self.limit { Err("full") } else { Ok(()) }
    }
}

type Outcome = Result<(u16, Vec<u8>), Failure<ErrorKind, &'static str>>;

fn exchange<'a>(method: Method, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut sink = Keep { heads: Vec::new(), body: Vec::new(), limit: usize::MAX };
    let mut progress = Progress::default();
    let mut stream = Script { pieces: pieces.into_iter().collect(), error: None };
    let result = receive(&mut stream, method, &mut vec![0; HEAD], &mut sink, &mut progress);
    assert_eq!(progress.body_bytes, sink.body.len() as u64);
    assert_eq!(progress.status, sink.heads.first().map_or(progress.status, |head| head.1));
    result.map(|()| {
        assert_eq!(sink.heads.len(), 1);
        (progress.status, sink.body)
    })
}

fn got(response: &str) -> Outcome {
    exchange(Method::Get, [response.as_bytes()])
}

fn body(response: &str) -> String {
    String::from_utf8(got(response).expect(response).1).unwrap()
}

fn broken(response: &str) -> Broken {
    match got(response) {
        Err(Failure::Broken(broken)) => broken,
        other => panic!("{response:?} gave {other:?}"),
    }
}

#[test]
fn each_framing_survives_each_split() {
    for (response, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloBEYOND", "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\nBEYOND",
            "hello",
        ),
        ("HTTP/1.0 200\r\nServer: x\r\n\r\nhello", "hello"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "hi",
        ),
    ] {
        let bytes = response.as_bytes();
        for cut in 0..=bytes.len() {
            let outcome = exchange(Method::Get, [&bytes[..cut], &bytes[cut..]]);
            assert_eq!(outcome, Ok((200, expected.as_bytes().to_vec())), "{response:?} cut at {cut}");
        }
        assert_eq!(exchange(Method::Get, bytes.chunks(1)), Ok((200, expected.as_bytes().to_vec())));
    }
}

#[test]
fn a_response_that_stops_early_is_cut_off() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        for length in 0..response.len() {
            assert_eq!(broken(&response[..length]), Broken::CutOff, "{length} bytes of {response:?}");
        }
    }
}

#[test]
fn what_has_no_body_does_not_wait_for_one() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    assert_eq!(exchange(Method::Head, [&head[..]]), Ok((200, vec![])));
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(exchange(Method::Head, [&head[..]]), Ok((200, vec![])));
    for status in [204, 304] {
        let response = format!("HTTP/1.1 {status} Nothing\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(got(&response), Ok((status, vec![])));
    }
    assert_eq!(got("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), Ok((404, vec![])));
}

#[test]
fn chunked_wins_over_a_length() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(body(response), "hello");
    let response =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\ntransfer-encoding:  x , chunked;a=b \r\n\r\n0\r\n\r\n";
    assert_eq!(body(response), "");
}

#[test]
fn a_coding_that_is_not_chunked_ends_with_the_connection() {
    assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\nContent-Length: 1\r\n\r\nhello"), "hello");
}

#[test]
fn lengths_that_agree_are_one_length() {
    assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2 , 02\r\n\r\nhi"), "hi");
}

#[test]
fn lengths_that_make_no_sense_are_refused() {
    for length in ["-1", "+1", "", "1 2", "0x5", "5,", "5, 6", "1.5", "18446744073709551616", "5\r\nContent-Length: 6"]
    {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello!");
        assert_eq!(broken(&response), Broken::Length, "{length:?}");
    }
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello";
    assert_eq!(broken(response), Broken::CutOff, "the largest length is one");
}

#[test]
fn nonsense_is_no_response() {
    for response in [
        "nonsense\r\n\r\n",
        "SSH-2.0-server\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.10 200 OK\r\n\r\n",
        "HTTP/1.x 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
    ] {
        assert!(matches!(broken(response), Broken::Head(_)), "{response:?}");
    }
    assert_eq!(broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense"), Broken::Chunk);
}

#[test]
fn a_head_has_bounds() {
    let fill = |length: usize| "x".repeat(length);
    let fits = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", fill(HEAD - 24));
    assert_eq!(fits.len(), HEAD);
    assert_eq!(body(&fits), "");
    let whole = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", fill(HEAD - 23));
    assert_eq!(broken(&whole), Broken::LongHead);
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", fill(100_000));
    assert_eq!(broken(&endless), Broken::LongHead);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
    assert_eq!(broken(&many), Broken::ManyFields);
}

#[test]
fn interim_responses_have_bounds() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let interim = "HTTP/1.1 102 Wait\r\n\r\n";
    assert_eq!(body(&(interim.repeat(INTERIM) + last)), "");
    assert_eq!(broken(&(interim.repeat(INTERIM + 1) + last)), Broken::Interim);
    assert_eq!(broken("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Broken::Interim);
}

#[test]
fn a_body_longer_than_the_buffer_comes_through() {
    let content = "0123456789".repeat(10_000);
    assert_eq!(body(&format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{content}")), content);
    assert_eq!(body(&format!("HTTP/1.1 200 OK\r\n\r\n{content}")), content);
    assert_eq!(
        body(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{content}\r\n0\r\n\r\n")),
        content
    );
}

#[test]
fn errors_of_the_stream_and_of_the_sink_come_through_with_the_progress() {
    let mut sink = Keep { heads: Vec::new(), body: Vec::new(), limit: 6 };
    let mut progress = Progress::default();
    let response = &b"HTTP/1.1 200 OK\r\n\r\nhello"[..];
    let mut stream = Script { pieces: vec![response], error: Some(ErrorKind::ConnectionReset) };
    let mut buffer = vec![0; HEAD];
    let result = receive(&mut stream, Method::Get, &mut buffer, &mut sink, &mut progress);
    assert_eq!(result, Err(Failure::Stream(ErrorKind::ConnectionReset)));
    assert_eq!(progress, Progress { status: 200, body_bytes: 5 });
    stream.pieces = vec![response];
    let result = receive(&mut stream, Method::Get, &mut buffer, &mut sink, &mut progress);
    assert_eq!(result, Err(Failure::Sink("full")));
    assert_eq!(progress, Progress { status: 200, body_bytes: 10 });
}
