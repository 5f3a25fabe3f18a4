//! How long a body is (RFC 9112 section 6.3).

use libslop::text::{decimal, same_word};

use super::head::Head;
use crate::broken::Broken;
use crate::chunked::Decoder;

/// Where a body ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// After this many more bytes.
    Length(u64),
    /// Where the chunked coding says so.
    Chunked(Decoder),
    /// Where the server closes the connection.
    UntilClose,
}

impl Framing {
    /// The framing that a head announces, by the rules in their order: a Content-Length counts, and has to make sense,
    /// only where neither the method or the status (rule 1) nor Transfer-Encoding (rules 3 and 4) has decided before.
    /// `head_only` says that the request was HEAD.
    pub(super) fn of(head_only: bool, head: &Head<'_>) -> Result<Framing, Broken> {
        if head_only || matches!(head.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        match last_coding(head) {
            Some(coding) if same_word(coding, b"chunked") => Ok(Framing::Chunked(Decoder::new())),
            Some(_) => Ok(Framing::UntilClose),
            None => Ok(content_length(head)?.map_or(Framing::UntilClose, Framing::Length)),
        }
    }
}

/// The values of the header fields of this name, each cut at its commas and stripped of blanks and folds.
fn values<'a>(head: &Head<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    head.fields(name).flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// Whether the connection stays open behind the response (RFC 9112 section 9.3).
pub(super) fn is_persistent(head: &Head<'_>) -> bool {
    let has = |option: &[u8]| values(head, "connection").any(|value| same_word(value, option));
    !has(b"close") && (head.minor_version >= 1 || has(b"keep-alive"))
}

/// The one length that all Content-Length fields agree on.
///
/// # Errors
/// [`Broken::Length`].
pub fn content_length(head: &Head<'_>) -> Result<Option<u64>, Broken> {
    let mut agreed = None;
    for value in values(head, "content-length") {
        let length = decimal(value).ok_or(Broken::Length)?;
        if agreed.is_some_and(|agreed| agreed != length) {
            return Err(Broken::Length);
        }
        agreed = Some(length);
    }
    Ok(agreed)
}

/// The transfer coding that was applied last, without its parameters.
fn last_coding<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let coding = values(head, "transfer-encoding").filter(|value| !value.is_empty()).last()?;
    coding.split(|&byte| byte == b';').next().map(<[u8]>::trim_ascii)
}
