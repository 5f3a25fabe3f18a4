//! The flash as a module of the loader's (`-initrd`), on boards without a block device and on others whose disk has none.

use slopos_e2e::{Report, board, fetch, own, run, test_board, test_flash};
use slopos_lab::servers::{Answer, answering, response};
use slopos_run::{Builder, Transport};
use std::path::Path;

/// A board whose loader has put a file into memory, and that has no disk.
fn with_module(board: Builder, file: &Path) -> Builder {
    board.disk(Transport::None).arguments(["-initrd", &file.display().to_string()])
}

#[track_caller]
fn fetches(board: Builder) -> Report {
    let report = fetch(board, &answering(Answer::Bytes(response(b"a page to be seen\n"))));
    report.exits(0).shows("a page to be seen");
    report
}

#[test]
fn a_board_without_a_disk_takes_its_flash_from_a_module() {
    let report = fetches(with_module(board(), &own(".img")));
    report.logs("flash: module 1 of the loader, read-only, sectors=2048");
}

#[test]
fn a_module_is_read_and_never_written() {
    let file = test_flash();
    let report = run(with_module(test_board().memory("128M"), &file).append("random; syscalls; exit"));
    report.shows("EROFS");
    // Its seed would be the same at each boot, so it is not used.
    report.logs("boot: the seed in the flash cannot be renewed");
}

#[test]
fn a_disk_with_a_flash_comes_before_a_module_and_one_without_behind_it() {
    let module = ["-initrd".to_owned(), own(".img").display().to_string()];
    fetches(board().arguments(&module)).logs("flash: the whole disk, sectors=2048");
    let folder = tempfile::tempdir().expect("a folder");
    let blank = folder.path().join("blank");
    std::fs::write(&blank, vec![0; 1 << 20]).expect("a blank disk");
    let report = fetches(board().flash(&blank).arguments(&module));
    report.logs("flash: the map is rejected: Magic").logs("flash: module 1 of the loader");
}

#[test]
fn of_a_module_that_is_cut_short_the_whole_records_are_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut = folder.path().join("cut");
    let bytes = std::fs::read(test_flash()).expect("the flash");
    // Behind the first app's slots.
    std::fs::write(&cut, &bytes[..680 * 512]).expect("a file");
    let report = fetches(with_module(test_board(), &cut));
    report.logs("flash: module 1 is cut short: sectors=680, of 132858").logs("flash: app syscalls rejected");
    // Not even a map.
    std::fs::write(&cut, &bytes[..1000]).expect("a file");
    let report = run(with_module(board(), &cut).append("webget http://10.0.2.2/; exit"));
    report.logs("flash: module 1 is cut short: not even a map fits it").logs("flash: no usable flash");
    report.shows("has no usable image in the flash");
}
