//! Where a redirect leads (RFC 3986 section 5.2), and with which method (RFC 9110 section 15.4).

use libslop::text::cut;
use slopos_http::request::Method;

/// Whether a status redirects to what the Location field names.
pub const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The method of the next request, as curl has it: behind 301 and 302 POST becomes GET, behind 303 everything but HEAD, and
/// a method that was given by name stays what it is.
pub const fn next_method<'a>(status: u16, method: Method<'a>, by_name: bool) -> Method<'a> {
    match (status, method) {
        _ if by_name => method,
        (301 | 302, Method::Post) => Method::Get,
        (303, Method::Post | Method::Put) => Method::Get,
        _ => method,
    }
}

/// Writes the URL to which `location` leads from the URL `base` into `room`, without a fragment, and returns its length:
/// `None` where it does not fit.
pub fn resolve(base: &str, location: &str, room: &mut [u8]) -> Option<usize> {
    let (base, _) = cut(base, b'#').unwrap_or((base, ""));
    let (location, _) = cut(location, b'#').unwrap_or((location, ""));
    // Behind the authority: where path or query begin.
    let slash = position(base, 0, |byte| byte == b'/');
    let origin = position(base, slash + 2, |byte| matches!(byte, b'/' | b'?'));
    let query = position(base, 0, |byte| byte == b'?');
    let part = |from: usize, to: usize| base.get(from..to).unwrap_or_default();
    let mut out = Room { room, length: 0, path: origin };
    if has_scheme(location) {
        out.put(location)?;
        out.path = out.length;
    } else if location.starts_with("//") {
        out.put(part(0, slash))?;
        out.put(location)?;
        out.path = out.length;
    } else if location.starts_with('/') {
        out.put(part(0, origin))?;
        out.put_path(location)?;
    } else if location.starts_with('?') {
        out.put(part(0, query))?;
        out.put(location)?;
    } else if location.is_empty() {
        out.put(base)?;
    } else {
        let folder = part(origin, query).bytes().rposition(|byte| byte == b'/').map_or(origin, |at| origin + at);
        out.put(part(0, origin))?;
        out.put_path(part(origin, folder))?;
        out.put("/")?;
        out.put_path(location)?;
    }
    Some(out.length)
}

/// Where the first byte of this kind is, from there on; the end where there is none.
fn position(text: &str, from: usize, is: impl Fn(u8) -> bool) -> usize {
    text.bytes().skip(from).position(is).map_or(text.len(), |at| from + at)
}

/// Whether it begins with a scheme, as `http:` is one.
fn has_scheme(location: &str) -> bool {
    cut(location, b':').is_some_and(|(scheme, _)| {
        scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

/// A URL that is being written.
struct Room<'r> {
    room: &'r mut [u8],
    length: usize,
    /// Where its path begins.
    path: usize,
}

impl Room<'_> {
    fn put(&mut self, text: &str) -> Option<()> {
        self.room.get_mut(self.length..)?.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Some(())
    }

    /// Puts path and query, without the segments `.` and `..` of the path (section 5.2.4).
    fn put_path(&mut self, text: &str) -> Option<()> {
        let (path, query) = text.split_at_checked(position(text, 0, |byte| byte == b'?'))?;
        let mut rest = path;
        while !rest.is_empty() {
            let end = (position(rest, 0, |byte| byte == b'/') + 1).min(rest.len());
            let (segment, behind) = rest.split_at_checked(end)?;
            match segment.strip_suffix('/').unwrap_or(segment) {
                "." => {}
                ".." => self.up(),
                _ => self.put(segment)?,
            }
            rest = behind;
        }
        self.put(query)
    }

    /// Takes the last segment away; the slash in front of it stays.
    fn up(&mut self) {
        let path = &self.room[self.path..self.length];
        let end = path.strip_suffix(b"/").unwrap_or(path);
        if let Some(slash) = end.iter().rposition(|&byte| byte == b'/') {
            self.length = self.path + slash + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(base: &str, location: &str) -> String {
        let mut room = [0; 128];
        let length = resolve(base, location, &mut room).expect(location);
        String::from_utf8(room[..length].to_vec()).expect("text")
    }

    #[test]
    fn locations_are_taken_as_the_rfc_says() {
        let base = "http://10.0.2.2:8000/b/c/d;p?q";
        for (location, expected) in [
            ("http://10.0.2.3/x", "http://10.0.2.3/x"),
            ("https://example.org/", "https://example.org/"),
            ("//10.0.2.3:81/x", "http://10.0.2.3:81/x"),
            ("/x?y", "http://10.0.2.2:8000/x?y"),
            ("x", "http://10.0.2.2:8000/b/c/x"),
            ("x/", "http://10.0.2.2:8000/b/c/x/"),
            ("./x", "http://10.0.2.2:8000/b/c/x"),
            ("../x", "http://10.0.2.2:8000/b/x"),
            ("../../x", "http://10.0.2.2:8000/x"),
            ("../../../x", "http://10.0.2.2:8000/x"),
            ("/../x/./y/../z", "http://10.0.2.2:8000/x/z"),
            ("..", "http://10.0.2.2:8000/b/"),
            (".", "http://10.0.2.2:8000/b/c/"),
            ("?y", "http://10.0.2.2:8000/b/c/d;p?y"),
            ("", "http://10.0.2.2:8000/b/c/d;p?q"),
            ("x#part", "http://10.0.2.2:8000/b/c/x"),
            ("x?../y", "http://10.0.2.2:8000/b/c/x?../y"),
            (".x/..y", "http://10.0.2.2:8000/b/c/.x/..y"),
        ] {
            assert_eq!(resolved(base, location), expected, "{location:?}");
        }
        for base in ["http://10.0.2.2", "http://10.0.2.2?q/r", "http://10.0.2.2#f"] {
            assert_eq!(resolved(base, "x"), "http://10.0.2.2/x", "{base}");
            assert_eq!(resolved(base, "/x"), "http://10.0.2.2/x", "{base}");
        }
    }

    #[test]
    fn what_does_not_fit_is_nothing() {
        let base = "http://10.0.2.2/";
        assert_eq!(resolve(base, "/abc", &mut [0; 19]), Some(19));
        assert_eq!(resolve(base, "/abc", &mut [0; 18]), None);
        assert_eq!(resolve(base, &"a/".repeat(5_000), &mut [0; 4_096]), None);
    }

    #[test]
    fn methods_change_as_with_curl() {
        for (status, method, next) in [
            (301, Method::Post, Method::Get),
            (302, Method::Post, Method::Get),
            (303, Method::Put, Method::Get),
            (303, Method::Head, Method::Head),
            (302, Method::Put, Method::Put),
            (307, Method::Post, Method::Post),
            (308, Method::Put, Method::Put),
        ] {
            assert_eq!(next_method(status, method, false), next, "{status} {method}");
            assert_eq!(next_method(status, method, true), method, "{status} {method}");
        }
        assert_eq!([300, 301, 304, 305, 308, 200].map(is_redirect), [false, true, false, false, true, false]);
    }
}
