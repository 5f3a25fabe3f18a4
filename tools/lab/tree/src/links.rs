//! Whether the links of a document lead somewhere.

use std::path::Path;

use crate::declared;
use crate::files::normalise;
use crate::markdown::{Document, Link};

/// What is wrong with the links of `document`, one line for each.
///
/// A relative link must name a file or a folder of the tree; its anchor, a heading of that document. A link whose text
/// is a span of code and whose target is a Rust file must name something that the file declares. Line numbers are no
/// anchors: they move with each change. Addresses on other machines are not looked up.
pub fn check(root: &Path, document: &Document) -> Vec<String> {
    let mut wrong = Vec::new();
    for link in document.links() {
        if let Err(why) = check_one(root, document, &link) {
            wrong.push(format!("{}: {}: {why}", document.place(link.line), link.target));
        }
    }
    wrong
}

fn check_one(root: &Path, document: &Document, link: &Link) -> Result<(), String> {
    let target = link.target.as_str();
    if target.starts_with("https://") {
        return Ok(());
    }
    if target.contains("://") || target.starts_with('/') || target.starts_with("mailto:") {
        return Err("neither relative nor https".to_owned());
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let folder = document.path.parent().unwrap_or(Path::new(""));
    let path = if path.is_empty() { document.path.clone() } else { normalise(&folder.join(path)) };
    if path.starts_with("..") {
        return Err("leads out of the tree".to_owned());
    }
    if path.starts_with("build") || path.starts_with("target") {
        return Err("leads to what is built".to_owned());
    }
    if !root.join(&path).exists() {
        return Err("is not there".to_owned());
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    if let Some(anchor) = anchor {
        if extension != Some("md") {
            return Err("an anchor into something else than Markdown".to_owned());
        }
        let other = Document::read(root, &path).map_err(|error| format!("{error:#}"))?;
        if !other.anchors().contains(anchor) {
            return Err("has no such heading".to_owned());
        }
    }
    if let (Some(code), Some("rs")) = (&link.code, extension) {
        // A path as the text, as READMEs have it, names the file and not what is in it.
        if !code.contains(['/', '.']) && !path.ends_with(format!("{code}.rs")) {
            let source = std::fs::read_to_string(root.join(&path)).map_err(|error| error.to_string())?;
            let names = declared::names(&source).map_err(|error| format!("{error:#}"))?;
            if !declared::declares(&names, code) {
                return Err(format!("does not declare `{code}`"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/net.rs"), "pub struct Net; impl Net { pub fn receive() {} }").unwrap();
        std::fs::write(folder.path().join("other.md"), "# One heading\n").unwrap();
        check(folder.path(), &Document { path: "a.md".into(), text: text.to_owned() })
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[a](src) [`Net::receive`](src/net.rs) [`src/net.rs`](src/net.rs) [`net`](src/net.rs) [b](other.md#one-heading) [c](https://example.org/)";
        assert_eq!(check_text(text), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_told_with_their_line() {
        for (text, why) in [
            ("\n[a](nowhere.md)", "a.md:2: nowhere.md: is not there"),
            ("[a](other.md#another)", "a.md:1: other.md#another: has no such heading"),
            ("[a](#own)", "a.md:1: #own: is not there"),
            ("[`Net::send`](src/net.rs)", "a.md:1: src/net.rs: does not declare `Net::send`"),
            ("[a](src/net.rs#L1)", "a.md:1: src/net.rs#L1: an anchor into something else than Markdown"),
            ("[a](../b)", "a.md:1: ../b: leads out of the tree"),
            ("[a](/etc)", "a.md:1: /etc: neither relative nor https"),
        ] {
            assert_eq!(check_text(text), [why]);
        }
    }
}
