//! The board and real servers: DHCP and HTTP of other people's making, in a network namespace behind a tap, over a
//! wire that netlab makes as bad as it is told to.
//!
//! All traffic stays in the namespace. Where namespaces may not be made, the tests say so on standard error, in a line
//! that begins with `SKIPPED:`, and end.

use anyhow::Result;
use slopos_e2e::{Report, board, run};
use slopos_lab::bridge::Carried;
use slopos_lab::files;
use slopos_lab::impair::{Counters, Impairments};
use slopos_lab::namespace::{Namespace, SERVER};
use slopos_lab::network::Network;
use slopos_lab::servers::programs::{HTTP, Server};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A network with a server of addresses, and a web server of a folder.
struct Site {
    network: Network,
    root: TempDir,
}

/// A network with these servers; `None`, after saying so loudly, where there may be none.
fn site(
    test: &str,
    addresses: impl FnOnce(&Path, &str) -> Result<Server>,
    web: impl FnOnce(&Path, &Path, &str) -> Result<Server>,
) -> Option<Site> {
    if let Err(why) = Namespace::is_allowed() {
        // Written past the test runner, which would swallow it.
        let line = format!("SKIPPED: {test}: network namespaces cannot be made here: {why:#}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("standard error");
        return None;
    }
    let root = tempfile::tempdir().expect("a folder");
    let made = Network::new().and_then(|mut network| {
        network.start(addresses)?;
        network.start_web(|folder, namespace| web(folder, root.path(), namespace))?;
        Ok(network)
    });
    Some(Site { network: made.unwrap_or_else(|why| panic!("{why:#}")), root })
}

fn nginx(folder: &Path, root: &Path, namespace: &str) -> Result<Server> {
    Server::nginx(folder, root, HTTP, Some(namespace))
}

impl Site {
    /// Has a board fetch a file of so many bytes so often over a wire that is so bad in both directions, and checks
    /// that all copies came out right.
    fn fetches(&self, length: usize, count: usize, impairments: Impairments, seed: u64) -> (Report, [Counters; 2]) {
        let hash = files::write(&self.root.path().join("file"), length);
        let commands = format!("webget --sha256 --count {count} http://{SERVER}/file; exit");
        let board = board().append(commands).timeout(Duration::from_secs(120));
        let bridged = self.network.bridged([impairments; 2], seed, |netdev| Ok(run(board.netdev(netdev))));
        let (report, Carried { to_right, to_left, .. }) = bridged.unwrap_or_else(|why| panic!("{why:#}"));
        report.exits(0).shows(&format!("webget: done status=200 count={count} bytes={} ", count * length));
        let copies = report.outcome.console.matches(&format!("{hash}  {length}")).count();
        assert_eq!(copies, count, "{}", report.all());
        (report, [to_right, to_left])
    }
}

#[test]
fn dnsmasq_and_nginx_serve_the_board() {
    let Some(site) = site("dnsmasq_and_nginx_serve_the_board", Server::dnsmasq, nginx) else { return };
    let (report, _) = site.fetches(5_000_000, 1, Impairments::default(), 1);
    report.shows("Server: nginx").logs("dhcp: lease 10.9.0.");
}

#[test]
fn udhcpd_and_python_serve_the_board() {
    let Some(site) = site("udhcpd_and_python_serve_the_board", Server::udhcpd, Server::python) else { return };
    let (report, _) = site.fetches(1_000_000, 1, Impairments::default(), 1);
    report.shows("SimpleHTTP").logs("dhcp: lease 10.9.0.1");
}

#[test]
fn downloads_over_a_bad_wire_arrive_intact() {
    let Some(site) = site("downloads_over_a_bad_wire_arrive_intact", Server::dnsmasq, nginx) else { return };
    let (loss, duplication, reordering, corruption) = (50, 50, 50, 20);
    let bad = Impairments { loss, duplication, reordering, reorder_us: 2_000, corruption, ..Impairments::default() };
    let (_, counters) = site.fetches(1 << 20, 4, bad, 4);
    // The wire was as bad as it was meant to be.
    for direction in counters {
        let Counters { frames, lost, duplicated, reordered, corrupted, .. } = direction;
        // The board's direction has acknowledgements alone: some hundreds.
        let often = |count| count * 80 > frames;
        assert!(frames > 200 && often(lost) && often(duplicated) && often(reordered), "{direction:?}");
        assert!(corrupted > 0, "{direction:?}");
    }
}

#[test]
fn lighttpd_serves_the_board_over_a_wire_that_loses_doubles_and_reorders() {
    let test = "lighttpd_serves_the_board_over_a_wire_that_loses_doubles_and_reorders";
    let Some(site) = site(test, Server::dnsmasq, Server::lighttpd) else { return };
    let (loss, duplication, reordering) = (50, 20, 100);
    let chances = Impairments { loss, duplication, reordering, ..Impairments::default() };
    let bad = Impairments { reorder_us: 1_000, delay_us: 5_000, ..chances };
    let (report, counters) = site.fetches(1 << 20, 2, bad, 5);
    report.shows("Server: lighttpd");
    for direction in counters {
        let Counters { frames, lost, duplicated, reordered, .. } = direction;
        assert!(frames > 200 && lost * 80 > frames && duplicated > 0 && reordered * 40 > frames, "{direction:?}");
    }
}
