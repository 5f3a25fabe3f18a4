//! Everything that can keep a board from its work at the same time: a slow console and a slow log, a flash of one
//! request a second, a router that changes its station two thousand times a second, programs that crash, one that never
//! stops printing.

use crate::Scene;
use slopos_e2e::{attack_board, device, run};
use slopos_lab::files;
use slopos_lab::link::Link;
use slopos_lab::servers::response;
use slopos_lab::wire::tcp::SYN;
use slopos_lab::wire::{Arp, BROADCAST, Frame, Mac, Payload};
use slopos_netlab::lab::{ROUTER, ROUTER_MAC, Seen};
use slopos_netlab::{Lab, Offer};
use slopos_run::Transport;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The other station that the router is announced at.
const OTHER_MAC: Mac = [0x52, 0x55, 0x0a, 0, 2, 99];
/// What a serial line of 115,200 baud carries, in bytes a second.
const LINE: u32 = 11_500;
/// Bytes of the download.
const BODY: usize = 16 << 20;
/// How often a process sleeps, and for how many milliseconds.
const NAPS: u32 = 700;
const NAP_MS: u32 = 10;
/// Announcements a second.
const ANNOUNCEMENTS: u32 = 2_000;

/// Announces the router at two stations in turn until told to stop.
fn announce(own: &Path, board: &Path, stop: &AtomicBool) -> u32 {
    let link = Link::between(own, board).expect("a socket");
    let frames = [OTHER_MAC, ROUTER_MAC].map(|station| {
        let arp = Arp::request(station, ROUTER, ROUTER);
        Frame { destination: BROADCAST, source: station, payload: Payload::Arp(arp) }.emit()
    });
    let begin = Instant::now();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_millis() * u128::from(ANNOUNCEMENTS) / 1_000) as u32;
        while sent < due {
            // The board may have ended.
            if !link.send(&frames[sent as usize % 2]).unwrap_or(false) {
                return sent;
            }
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    sent
}

#[test]
fn a_download_and_a_sleeper_get_along_beside_everything_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = Lab::new();
    let (own, board) = (folder.path().join("announcer"), lab.paths().1.to_owned());
    let flash = slopos_e2e::own("-attack.img");
    let drive = format!("if=none,id=own,format=raw,snapshot=on,file={},throttling.iops-total=1", flash.display());
    let machine = attack_board()
        .disk(Transport::None)
        .arguments(["-drive", &drive, "-device", &format!("{},drive=own", device("blk"))])
        .line_rates(Some(LINE), Some(LINE));
    let commands = format!(
        "start accomplice chatter 64; start crasher; start stumbler; start hostile naps {NAPS} {NAP_MS}; \
         webget --sha256 --timeout 100 http://{ROUTER}/; sleep 10; exit"
    );
    let board_thread = machine.netdev(lab.netdev()).append(commands).timeout(Duration::from_secs(240));
    let mut scene = Scene { lab, board: std::thread::spawn(|| run(board_thread)) };
    let body = files::bytes(BODY);
    // The flash takes its time until the program is there. The SYN comes again when it was not answered.
    let syn = |seen: &Seen| seen.frame.tcp().filter(|segment| segment.has(SYN)).map(|_| ());
    scene.lab.wait("a first SYN", Duration::from_secs(120), syn);
    let mut server = scene.accept(Offer::default());
    let stop = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        let announcer = scope.spawn(|| announce(&own, &board, &stop));
        server.reply(&mut scene.lab, &response(&body));
        let report = scene.received(&body);
        stop.store(true, Ordering::Relaxed);
        let sent = announcer.join().expect("the announcer");
        assert!(sent > ANNOUNCEMENTS, "{sent} announcements");
        report
    });
    report.lacks("panic: ");
    let crashes = report.outcome.log.iter().filter(|line| line.contains("killed by #UD")).count();
    assert!(crashes >= 2, "{crashes} crashes\n{}", report.all());
    // A measurement for people: how late the sleeper woke.
    let naps = report.outcome.console.lines().find(|line| line.contains("99 of 100 within"));
    println!("{}", naps.unwrap_or("the sleeper had not finished when the download had"));
}
