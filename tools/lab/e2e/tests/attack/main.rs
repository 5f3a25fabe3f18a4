//! Isolation, shown by attack: on the board of attack.toml one process attacks while another fetches 16 MiB, and a
//! third guards a secret.
//!
//! Of each attack is checked that it was begun, and that it ended as it has to: the attacker was ended with a report in
//! the log, or it got the error that it should get. Of each board is checked that the download came out right, that the
//! secret is what it was, and that the attacker's network memory is back.

mod board;
mod crash;
mod neighbours;
mod privilege;
mod resources;
mod storm;

use board::Count;
use std::io::Write;

#[test]
fn every_attack_is_contained() {
    let mut total = Count::default();
    for group in [privilege::attacks, storm::attacks, resources::attacks, crash::attacks] {
        total.add(group());
    }
    // Not by the macros, whose text the test's harness keeps to itself.
    let line = format!("attacks: {} carried out, {} contained\n", total.carried_out, total.contained);
    std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
    assert_eq!(total.carried_out, total.contained);
    assert!(total.carried_out >= 480, "only {} attacks were carried out", total.carried_out);
}
