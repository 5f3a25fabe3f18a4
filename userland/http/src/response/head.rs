//! The head of a response, as it is handed on.

use httparse::Header;
use libslop::text::same_word;

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The second number of the protocol's version: 0 or 1. A higher one counts as 1 (RFC 9110 section 2.5).
    pub minor_version: u8,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The words after it; may be empty.
    pub reason: &'a str,
    /// The header fields, in the server's order. A value may be folded: [`unfolded`] says how it reads.
    pub headers: &'a [Header<'a>],
}

impl<'a> Head<'a> {
    /// The values of the fields of this name.
    pub fn fields(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |header: &&Header<'_>| same_word(header.name.as_bytes(), name.as_bytes());
        self.headers.iter().filter(named).map(|header| header.value)
    }

    /// The value of the one field of this name, without the blanks around it; `None` where there are several.
    #[inline(never)]
    pub fn field(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut fields = self.fields(name);
        let field = fields.next()?;
        fields.next().is_none().then(|| field.trim_ascii())
    }
}

/// The pieces of a field's value: a space belongs between two of them, where the server began a new line
/// (RFC 9112 section 5.2, obs-fold).
pub fn unfolded(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty())
}
