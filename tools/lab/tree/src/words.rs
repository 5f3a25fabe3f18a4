//! Words that have no place in the tree: the project speaks of itself alone, and of no machine that it was made on.

use std::path::Path;

use anyhow::Result;
use regex::RegexSet;

use crate::files;

/// Someone's home or work folder, numbers of what was asked for elsewhere, and what a merge leaves where it stopped.
const UNWANTED: [&str; 5] = [
    r"^(<<<<<<<|>>>>>>>) ",
    r"/(home|Users)/[a-z]",
    r"(^|[^\w}])/(root|work)/\w",
    r"(?i)\b(issue|ticket|task|pull request)s? ?#?\d",
    r"(^|\s|\()#\d{1,2}\b",
];

/// The lines of the tree's text files that have such words.
///
/// Errors: a file cannot be read.
pub fn unwanted(root: &Path) -> Result<Vec<String>> {
    let patterns = RegexSet::new(UNWANTED)?;
    let mut found = Vec::new();
    for path in files::all(root)? {
        // What is no UTF-8 is no text: the fuzzer's corpus.
        let Ok(text) = String::from_utf8(std::fs::read(root.join(&path))?) else { continue };
        for (index, line) in text.lines().enumerate() {
            if patterns.is_match(line) {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_and_numbers_are_found() {
        let folder = tempfile::tempdir().unwrap();
        // Put together here, so that this file itself has no such words.
        let [slash, hash] = ["/", "#"];
        let text = format!(
            "fine {slash}rootless, $work{slash}root/x {hash}666\nin {slash}home/me\n{slash}root/x\nsee is{}12\n({hash}12)\n",
            "sue "
        );
        std::fs::write(folder.path().join("a.md"), text).unwrap();
        std::fs::write(folder.path().join("b"), [0xff, 0xfe]).unwrap();
        let lines: Vec<_> = unwanted(folder.path()).unwrap();
        let places: Vec<_> = lines.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(places, ["a.md:2", "a.md:3", "a.md:4", "a.md:5"]);
    }
}
