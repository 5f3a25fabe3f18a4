//! Listings that a document takes from a file of the tree, so that they cannot drift from it.
//!
//! The comment before such a block names the file, and the part of it where it is not the whole:
//!
//! ```text
//! <!-- listing: capsules/entropy/src/lib.rs; a read -->
//! ```
//!
//! A part stands between the lines `// book: a read` and `// book: end` of the file (`#` instead of `//` where the
//! language has it so). It is shown without the blanks that all of its lines begin with.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::markdown::{Document, Kind};

/// The first and the last line of a part begin so, behind the sign of a comment.
const PART: &str = "book: ";
const END: &str = "book: end";

/// What of `document` is not what the tree has, one line for each listing.
pub fn check(root: &Path, document: &Document) -> Vec<String> {
    let listings = document.blocks().into_iter().filter_map(|block| {
        let marker = block.marker.filter(|marker| marker.kind == Kind::Listing)?;
        Some((block.line, marker.text, block.text))
    });
    let wrong = listings.filter_map(|(line, source, text)| {
        let place = document.place(line);
        match read(root, &source) {
            Err(error) => Some(format!("{place}: {error:#}")),
            Ok(found) if found.trim_end() != text.trim_end() => {
                Some(format!("{place}: is not `{source}`, which is\n{found}"))
            }
            Ok(_) => None,
        }
    });
    wrong.collect()
}

/// `document` with each listing as the tree has it.
///
/// Errors: a listing names a file or a part that is not there.
pub fn renew(root: &Path, document: &Document) -> Result<String> {
    let mut text = document.text.clone();
    for block in document.blocks() {
        if let Some(marker) = block.marker.filter(|marker| marker.kind == Kind::Listing) {
            let found = read(root, &marker.text).with_context(|| document.place(block.line))?;
            // The fences keep a listing apart from the same words elsewhere.
            let fenced = |text: &str| format!("```{}\n{}\n```", block.language, text.trim_end());
            text = text.replacen(&fenced(&block.text), &fenced(&found), 1);
        }
    }
    Ok(text)
}

/// The file or the part of one that a marker names.
fn read(root: &Path, source: &str) -> Result<String> {
    let (path, part) = match source.split_once(';') {
        Some((path, part)) => (path.trim(), Some(part.trim())),
        None => (source.trim(), None),
    };
    let text = std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    let Some(part) = part else { return Ok(text) };
    let word = |line: &str| line.trim_start().trim_start_matches(['/', '#', ' ']).to_owned();
    let mut lines = text.lines().skip_while(|line| word(line) != format!("{PART}{part}"));
    ensure!(lines.next().is_some(), "{path} has no part `{part}`");
    let inside: Vec<&str> = lines.clone().take_while(|line| word(line) != END).collect();
    ensure!(lines.any(|line| word(line) == END), "the part `{part}` of {path} does not end");
    let indent = inside.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len()).min();
    let indent = indent.with_context(|| format!("the part `{part}` of {path} is empty"))?;
    Ok(inside.iter().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "mod a;\n    // book: one\n    fn one() {\n\n        two();\n    }\n    // book: end\n# book: open\nx\n";

    fn document(source: &str, text: &str) -> Document {
        Document { path: "a.md".into(), text: format!("<!-- listing: {source} -->\n```rust\n{text}\n```\n") }
    }

    #[test]
    fn a_listing_is_the_file_or_the_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.rs"), SOURCE).unwrap();
        let check = |source: &str, text: &str| check(folder.path(), &document(source, text));
        let part = "fn one() {\n\n    two();\n}";
        assert_eq!(check("a.rs; one", part), Vec::<String>::new());
        assert_eq!(check("a.rs", SOURCE.trim_end()), Vec::<String>::new());
        for (source, text, why) in [
            ("a.rs; one", "fn one() {\n\n    three();\n}", "a.md:2: is not `a.rs; one`"),
            ("a.rs; two", part, "has no part `two`"),
            ("a.rs; open", "x", "does not end"),
            ("b.rs", part, "cannot read b.rs"),
        ] {
            assert!(matches!(&check(source, text)[..], [told] if told.contains(why)), "{source}");
        }
        let old = document("a.rs; one", "fn old() {}");
        assert_eq!(renew(folder.path(), &old).unwrap(), document("a.rs; one", part).text);
    }
}
