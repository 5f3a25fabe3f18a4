//! The commands that documents show with their output, as far as they need a built board; `slopos_tree::shown` says how
//! such a block is read. Those that need none are carried out by the tests of `slopos-tree`.

use slopos_tree::{files, markdown, shown};

#[test]
fn commands_on_the_board_print_what_documents_show() {
    let root = files::root();
    let mut wrong = String::new();
    let mut carried_out = 0;
    for document in markdown::documents(&root).unwrap() {
        for block in shown::blocks(&document).unwrap().iter().filter(|block| block.board) {
            carried_out += 1;
            if let Err(error) = block.check(&root) {
                wrong += &format!("{error:#}\n\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(carried_out >= 3, "only {carried_out} blocks need the board");
}
