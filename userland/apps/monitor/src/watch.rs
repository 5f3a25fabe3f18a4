//! What is news: the first finding, and each one that differs from the one before.

use core::fmt;

use slopos_http::response::Failure;

/// A page as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The response's status code.
    pub status: u16,
    /// Bytes of its body.
    pub length: u64,
    /// SHA-256 of its body.
    pub digest: [u8; 32],
}

/// Why a look found no page. No sink of this program can fail.
pub type Trouble = Failure<libslop::Error, core::convert::Infallible>;

/// What a look found.
pub type Finding = Result<Page, Trouble>;

/// What was found before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// The last page, however long ago.
    page: Option<Page>,
    /// The last look's trouble.
    trouble: Option<Trouble>,
}

/// A finding that is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The first page.
    First(Page),
    /// Another page than before.
    Changed {
        /// The page before.
        was: Page,
        /// The page now.
        is: Page,
    },
    /// The server answers again, with the same page as before.
    Back,
    /// The look failed, and the one before did not, or in another way.
    Trouble(Trouble),
}

impl Watch {
    /// Takes a finding, and says whether it is news.
    pub fn take(&mut self, finding: Finding) -> Option<News> {
        match finding {
            Err(trouble) => (self.trouble.replace(trouble) != Some(trouble)).then_some(News::Trouble(trouble)),
            Ok(is) => {
                let recovered = self.trouble.take().is_some();
                match self.page.replace(is) {
                    None => Some(News::First(is)),
                    Some(was) if was != is => Some(News::Changed { was, is }),
                    Some(_) => recovered.then_some(News::Back),
                }
            }
        }
    }
}

/// A digest in hexadecimal digits.
struct Hex<'a>(&'a [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Display for News {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::First(page) => {
                write!(formatter, "status={} bytes={} sha256={}", page.status, page.length, Hex(&page.digest))
            }
            News::Changed { was, is } => {
                formatter.write_str("changed:")?;
                if was.status != is.status {
                    write!(formatter, " status={} (was {})", is.status, was.status)?;
                }
                if was.length != is.length {
                    write!(formatter, " bytes={} (was {})", is.length, was.length)?;
                }
                if was.digest != is.digest {
                    write!(formatter, " sha256={}", Hex(&is.digest))?;
                }
                Ok(())
            }
            News::Back => formatter.write_str("answers again, unchanged"),
            News::Trouble(Failure::Stream(error)) => write!(formatter, "failed: {error}"),
            News::Trouble(Failure::Broken(broken)) => write!(formatter, "failed: {broken}"),
            News::Trouble(Failure::Sink(never)) => match *never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libslop::abi::Errno;
    use slopos_http::response::Broken;

    fn page(status: u16, length: u64, digest: u8) -> Page {
        Page { status, length, digest: [digest; 32] }
    }

    fn refused() -> Trouble {
        Failure::Stream(Errno::ConnectionRefused.into())
    }

    #[test]
    fn the_same_page_is_news_once() {
        let mut watch = Watch::default();
        assert_eq!(watch.take(Ok(page(200, 5, 1))), Some(News::First(page(200, 5, 1))));
        for _ in 0..3 {
            assert_eq!(watch.take(Ok(page(200, 5, 1))), None);
        }
        let changed = News::Changed { was: page(200, 5, 1), is: page(200, 5, 2) };
        assert_eq!(watch.take(Ok(page(200, 5, 2))), Some(changed));
        assert_eq!(watch.take(Ok(page(200, 5, 2))), None);
    }

    #[test]
    fn a_trouble_is_news_once_and_so_is_its_end() {
        let mut watch = Watch::default();
        watch.take(Ok(page(200, 5, 1)));
        assert_eq!(watch.take(Err(refused())), Some(News::Trouble(refused())));
        assert_eq!(watch.take(Err(refused())), None);
        let cut = Failure::Broken(Broken::CutOff);
        assert_eq!(watch.take(Err(cut)), Some(News::Trouble(cut)), "another trouble is news");
        assert_eq!(watch.take(Ok(page(200, 5, 1))), Some(News::Back));
        assert_eq!(watch.take(Ok(page(200, 5, 1))), None);
        watch.take(Err(refused()));
        let changed = News::Changed { was: page(200, 5, 1), is: page(404, 0, 3) };
        assert_eq!(watch.take(Ok(page(404, 0, 3))), Some(changed), "compared with the page before the trouble");
    }

    #[test]
    fn a_change_names_what_changed_and_nothing_else() {
        let text = |was, is| News::Changed { was, is }.to_string();
        assert_eq!(text(page(200, 5, 1), page(404, 5, 1)), "changed: status=404 (was 200)");
        assert_eq!(
            text(page(200, 5, 1), page(200, 6, 0xab)),
            format!("changed: bytes=6 (was 5) sha256={}", "ab".repeat(32))
        );
        assert_eq!(News::First(page(200, 5, 0)).to_string(), format!("status=200 bytes=5 sha256={}", "00".repeat(32)));
        assert_eq!(News::Trouble(refused()).to_string(), "failed: connection refused");
    }
}
