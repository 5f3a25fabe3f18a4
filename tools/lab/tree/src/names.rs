//! Whether what a document names in passing is there: files, recipes of the justfile, packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use regex::Regex;

use crate::markdown::Document;
use crate::{files, packages};

/// What there is to be named.
pub struct Names {
    files: Vec<PathBuf>,
    recipes: BTreeSet<String>,
    packages: BTreeSet<String>,
}

impl Names {
    /// Reads the tree in `root`.
    ///
    /// Errors: the justfile or a folder cannot be read, or cargo does not run.
    pub fn read(root: &Path) -> Result<Names> {
        let justfile = std::fs::read_to_string(root.join("justfile"))?;
        let packages = packages::all(root)?;
        Ok(Names {
            files: files::all(root)?,
            recipes: recipes(&justfile),
            packages: packages.into_iter().map(|package| package.name).collect(),
        })
    }

    /// What `document` names that is not there, one line for each.
    ///
    /// A word that looks like a file of ours must be the end of the path of one. Where it has folders, it must lie
    /// below the document's own folder, or be complete; the documents of the root and of doc/ may leave out what is
    /// before.
    pub fn check(&self, document: &Document) -> Vec<String> {
        let file = Regex::new(r"^[\w.-]+(/[\w.-]+)*\.(rs|toml|sh|ld|md|c)$").expect("a pattern");
        let recipe = Regex::new(r"\./just ([a-z][a-z-]*)").expect("a pattern");
        let package = Regex::new(r"cargo [^`\n]*-p ([a-z0-9-]+)").expect("a pattern");
        let mut wrong = Vec::new();
        for (line, word) in document.words() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '.' && c != '_').trim_end_matches('.');
            let built = word.starts_with("build/") || word.starts_with("target/");
            if file.is_match(word) && !built && !self.has_file(&document.path, word) {
                wrong.push(format!("{}: {word} is no file", document.place(line)));
            }
        }
        for (index, line) in document.text.lines().enumerate() {
            let place = document.place(index + 1);
            for found in recipe.captures_iter(line).filter(|found| !self.recipes.contains(&found[1])) {
                wrong.push(format!("{place}: ./just {} is no recipe", &found[1]));
            }
            for found in package.captures_iter(line).filter(|found| !self.packages.contains(&found[1])) {
                wrong.push(format!("{place}: {} is no package", &found[1]));
            }
        }
        wrong
    }

    fn has_file(&self, document: &Path, word: &str) -> bool {
        let folder = document.parent().unwrap_or(Path::new(""));
        let of_all = !word.contains('/') || folder == Path::new("") || folder == Path::new("doc");
        self.files
            .iter()
            .any(|file| file == Path::new(word) || (file.ends_with(word) && (of_all || file.starts_with(folder))))
    }
}

/// The names of a justfile's recipes.
fn recipes(justfile: &str) -> BTreeSet<String> {
    let header = Regex::new(r"(?m)^([a-z][a-z-]*)( [^:\n]*)?:([^=]|$)").expect("a pattern");
    header.captures_iter(justfile).map(|found| found[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let names = Names {
            files: ["kernel/src/lib.rs", "kernel/README.md", "README.md", "tools/run.sh"].map(PathBuf::from).into(),
            recipes: recipes("board := \"x\"\ntest: build\n    @x: y\nrun *OPTIONS:\nbuild manifest=board: setup\n"),
            packages: ["slopos-net".to_owned()].into(),
        };
        names.check(&Document { path: path.into(), text: text.to_owned() })
    }

    #[test]
    fn what_is_there_may_be_named() {
        let text = "`kernel/src/lib.rs`, (lib.rs) ./just run `./just test`, ./just build `cargo test -p slopos-net`, build/x.md tools/run.sh.";
        assert_eq!(check("README.md", text), Vec::<String>::new());
        assert_eq!(check("kernel/README.md", "src/lib.rs tools/run.sh"), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(check("README.md", "\n`src/main.rs`"), ["README.md:2: src/main.rs is no file"]);
        assert_eq!(check("kernel/README.md", "src/run.sh"), ["kernel/README.md:1: src/run.sh is no file"]);
        assert_eq!(check("README.md", "./just board"), ["README.md:1: ./just board is no recipe"]);
        assert_eq!(check("README.md", "`cargo run -p x`"), ["README.md:1: x is no package"]);
    }
}
