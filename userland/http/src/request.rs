//! The request (RFC 9112 section 3).

use libslop::Gather;
use libslop::io::Write;
use libslop::text::{cut, same_word};

use crate::Url;
pub use crate::method::Method;
use crate::method::is_token;
use crate::range::Range;

/// Longest request that leaves in one piece, in bytes. One with a longer URL leaves in three: up to the URL's first
/// bytes, the rest of the URL, which is never copied whole, and what follows it.
const REQUEST: usize = 768;

/// A header field that replaces one of ours, or comes beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; `None` leaves the field out.
    pub value: Option<&'a str>,
}

impl<'a> Field<'a> {
    /// One as curl's `-H` takes it: `Name: value`; `Name:` leaves the field out, `Name;` sends it empty. `None` where the
    /// name is no token or the value could end the line.
    pub fn parse(text: &'a str) -> Option<Field<'a>> {
        let (name, value) = match cut(text, b':') {
            Some((name, value)) => (name, Some(value.trim_ascii()).filter(|value| !value.is_empty())),
            None => (text.strip_suffix(';')?, Some("")),
        };
        let clean = value.is_none_or(|value| !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'));
        (is_token(name) && clean).then_some(Field { name, value })
    }

    /// Whether it is the field of this name; case does not matter.
    pub fn is(&self, name: &str) -> bool {
        same_word(self.name.as_bytes(), name.as_bytes())
    }
}

/// What follows a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, as many as it takes.
    Chunked,
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub method: Method<'a>,
    /// Of whom, and for what.
    pub url: &'a Url<'a>,
    /// What a URL that names a folder lacks: the file's name. Empty where it lacks nothing.
    pub file: &'a str,
    /// What the client calls itself, `webget/1.0` for instance.
    pub agent: &'a str,
    /// Fields that replace ours or come beside them.
    pub fields: &'a [Field<'a>],
    /// The body.
    pub content: Content,
    /// The body's type, where it has one.
    pub content_type: Option<&'a str>,
    /// Whether the body waits until the server has asked for it (RFC 9110 section 10.1.1).
    pub expect: bool,
    /// What is wanted of the resource, where it is not all.
    pub range: Option<Range<'a>>,
    /// Whether another request may follow on the same connection.
    pub keep: bool,
}

impl<'a> Request<'a> {
    /// One without a body and without anything special, for a connection of its own.
    pub const fn new(method: Method<'a>, url: &'a Url<'a>, agent: &'a str) -> Request<'a> {
        Request {
            method,
            url,
            file: "",
            agent,
            fields: &[],
            content: Content::None,
            content_type: None,
            expect: false,
            range: None,
            keep: false,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the stream said.
    pub fn send<W: Write>(&self, stream: W) -> Result<(), W::Error> {
        let mut gather = Gather::<W, REQUEST>::new(stream);
        let (method, url) = (self.method, self.url);
        gather.print(format_args!("{method} {}{} HTTP/1.1\r\n", url.target(), self.file))?;
        let ours = |name: &str| !self.fields.iter().any(|field| field.is(name));
        if self.fields.is_empty() {
            gather.print(format_args!("Host: {}", url.address))?;
            if url.port != 80 {
                gather.print(format_args!(":{}", url.port))?;
            }
            gather.print(format_args!("\r\nUser-Agent: {}\r\nAccept: */*\r\n", self.agent))?;
        } else {
            self.send_fields(&mut gather)?;
        }
        if let Some(range) = self.range.filter(|_| ours("range")) {
            gather.print(format_args!("Range: bytes={range}\r\n"))?;
        }
        if let Some(content_type) = self.content_type.filter(|_| ours("content-type")) {
            gather.print(format_args!("Content-Type: {content_type}\r\n"))?;
        }
        match self.content {
            Content::None => {}
            Content::Length(length) => gather.print(format_args!("Content-Length: {length}\r\n"))?,
            Content::Chunked if ours("transfer-encoding") => gather.write_all(b"Transfer-Encoding: chunked\r\n")?,
            Content::Chunked => {}
        }
        if self.expect && ours("expect") {
            gather.write_all(b"Expect: 100-continue\r\n")?;
        }
        let end = if !self.keep && ours("connection") { "Connection: close\r\n\r\n" } else { "\r\n" };
        gather.write_all(end.as_bytes())?;
        gather.flush()
    }

    /// The fields that were given, and those of ours that they do not replace.
    #[inline(never)]
    fn send_fields<W: Write>(&self, gather: &mut Gather<W, REQUEST>) -> Result<(), W::Error> {
        let ours = |name: &str| !self.fields.iter().any(|field| field.is(name));
        if ours("host") {
            gather.print(format_args!("Host: {}:{}\r\n", self.url.address, self.url.port))?;
        }
        if ours("user-agent") {
            gather.print(format_args!("User-Agent: {}\r\n", self.agent))?;
        }
        if ours("accept") {
            gather.write_all(b"Accept: */*\r\n")?;
        }
        for field in self.fields {
            if let Some(value) = field.value {
                gather.print(format_args!("{}: {value}\r\n", field.name))?;
            }
        }
        Ok(())
    }
}

/// Writes the request for a URL, on a connection of its own. `agent` is what the client calls itself, `webget/1.0` for
/// instance.
///
/// # Errors
/// What the stream said.
pub fn send<W: Write>(stream: W, method: Method<'_>, url: &Url<'_>, agent: &str) -> Result<(), W::Error> {
    Request::new(method, url, agent).send(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &Request<'_>) -> String {
        let mut bytes = [0; 1024];
        let mut rest = &mut bytes[..];
        request.send(&mut rest).unwrap();
        let left = rest.len();
        String::from_utf8(bytes[..1024 - left].to_vec()).unwrap()
    }

    fn written(method: Method<'_>, url: &str) -> String {
        text(&Request::new(method, &Url::parse(url).unwrap(), "webget/1.0"))
    }

    #[test]
    fn a_request_names_the_host_as_the_url_does() {
        assert_eq!(
            written(Method::Get, "http://10.0.2.2:8000/a?b#c"),
            "GET /a?b HTTP/1.1\r\nHost: 10.0.2.2:8000\r\nUser-Agent: webget/1.0\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        );
        assert!(written(Method::Head, "http://10.0.2.2").starts_with("HEAD / HTTP/1.1\r\nHost: 10.0.2.2\r\n"));
    }

    #[test]
    fn a_body_is_announced_by_its_length_or_by_chunks() {
        let url = Url::parse("http://10.0.2.2/folder/").unwrap();
        let request = Request { file: "store", keep: true, ..Request::new(Method::Put, &url, "w") };
        assert_eq!(
            text(&Request { content: Content::Length(7), expect: true, ..request }),
            "PUT /folder/store HTTP/1.1\r\nHost: 10.0.2.2\r\nUser-Agent: w\r\nAccept: */*\r\nContent-Length: 7\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        let chunked = Field::parse("transfer-encoding:chunked").unwrap();
        for fields in [&[][..], &[chunked]] {
            let head = text(&Request { content: Content::Chunked, fields, ..request }).to_lowercase();
            assert_eq!(head.matches("transfer-encoding: chunked\r\n").count(), 1, "{head}");
            assert!(!head.contains("content-length"), "{head}");
        }
    }

    #[test]
    fn fields_replace_ours_leave_them_out_or_come_beside_them() {
        let fields =
            ["User-Agent: me", "accept:", "X-Empty;", "Cookie:  a=b; c=d "].map(|field| Field::parse(field).unwrap());
        let url = Url::parse("http://10.0.2.2/").unwrap();
        assert_eq!(
            text(&Request { fields: &fields, ..Request::new(Method::Other("PURGE"), &url, "w") }),
            "PURGE / HTTP/1.1\r\nHost: 10.0.2.2:80\r\nUser-Agent: me\r\nX-Empty: \r\nCookie: a=b; c=d\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn what_could_end_a_line_is_no_field_and_no_method() {
        for field in ["", "Name", "a b: c", ": c", "Name: a\r\nX: b", "Näme: x", "Name: \x1b"] {
            assert_eq!(Field::parse(field), None, "{field:?}");
        }
        for method in ["", "GET /", "A\r\nB", "CONNECT", "GÉT"] {
            assert_eq!(Method::from_name(method), None, "{method:?}");
        }
        assert_eq!(Method::from_name("PUT"), Some(Method::Put));
        assert_eq!(Method::from_name("PROPFIND"), Some(Method::Other("PROPFIND")));
    }
}
