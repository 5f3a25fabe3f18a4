//! The commands that documents show with their output, as far as they need a built board; `slopos_tree::shown` says how
//! such a block is read. Those that need none are carried out by the tests of `slopos-tree`.

use slopos_tree::{book, files, markdown, shown};

/// The book's listings become files of a copy of the tree, and its commands build, flash and run them there.
#[test]
fn the_books_apps_are_built_flashed_and_run() {
    let root = files::root();
    let documents = markdown::documents(&root).unwrap();
    let copy = book::write(&root, &documents).unwrap();
    let mut wrong = String::new();
    let mut carried_out = 0;
    for document in &documents {
        for block in shown::blocks(document).unwrap().iter().filter(|block| block.scratch) {
            carried_out += 1;
            if let Err(error) = block.check(&copy, shown::BUILD_TIME_MAX) {
                wrong += &format!("{error:#}\n\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(carried_out >= 3, "only {carried_out} blocks of the book");
}

#[test]
fn commands_on_the_board_print_what_documents_show() {
    let root = files::root();
    let mut wrong = String::new();
    let mut carried_out = 0;
    for document in markdown::documents(&root).unwrap() {
        for block in shown::blocks(&document).unwrap().iter().filter(|block| block.board && !block.scratch) {
            carried_out += 1;
            if let Err(error) = block.check(&root, shown::TIME_MAX) {
                wrong += &format!("{error:#}\n\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(carried_out >= 3, "only {carried_out} blocks need the board");
}
