//! What the documents say is so.

use slopos_tree::markdown::{Document, documents};
use slopos_tree::names::Names;
use slopos_tree::{files, links, listings, shown, words};

#[test]
fn links_lead_somewhere() {
    let root = files::root();
    let documents = documents(&root).unwrap();
    assert!(documents.len() > 30);
    let wrong: Vec<String> = documents.iter().flat_map(|document| links::check(&root, document)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The changelog is left out: it tells of what is no more.
#[test]
fn files_recipes_and_packages_that_are_named_are_there() {
    let root = files::root();
    let names = Names::read(&root).unwrap();
    let documents = documents(&root).unwrap();
    let of_today = documents.iter().filter(|document| !document.path.ends_with("CHANGELOG.md"));
    let wrong: Vec<String> = of_today.flat_map(|document| names.check(document)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those that need a built board are carried out by the end-to-end tests.
#[test]
fn commands_print_what_documents_show() {
    let root = files::root();
    let mut wrong = String::new();
    for document in documents(&root).unwrap() {
        for block in shown::blocks(&document).unwrap().iter().filter(|block| !block.board && !block.scratch) {
            if let Err(error) = block.check(&root, shown::TIME_MAX) {
                wrong += &format!("{error:#}\n\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn listings_are_what_the_tree_has() {
    let root = files::root();
    let documents = documents(&root).unwrap();
    let wrong: Vec<String> = documents.iter().flat_map(|document| listings::check(&root, document)).collect();
    assert!(wrong.is_empty(), "`cargo run -p slopos-tree -- listings` puts them right\n{}", wrong.join("\n"));
}

/// In the README and the book nothing stands that nobody checks, unless it says why.
#[test]
fn every_block_of_the_readme_and_of_doc_is_run_or_compared_or_says_why_not() {
    let mut blocks = 0;
    for document in documents(&files::root()).unwrap().iter().filter(|document| shown::is_walked(document)) {
        for block in document.blocks() {
            blocks += 1;
            assert!(block.marker.is_some(), "{}: a block without a marker", document.place(block.line));
        }
    }
    assert!(blocks >= 10, "only {blocks} blocks");
}

#[test]
fn the_readme_is_short() {
    let readme = Document::read(&files::root(), "README.md".as_ref()).unwrap();
    let lines = readme.text.lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn the_tree_speaks_of_itself_alone() {
    let found = words::unwanted(&files::root()).unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
