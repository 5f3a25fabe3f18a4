//! The board against a peer that decides every frame, and misbehaves.
//!
//! Each test boots a board on a wire of its own and plays all that is at the other end of it. What the board does on
//! the wire is looked at frame by frame, and webget's exit status says what the program saw.

mod all_at_once;
mod arp;
mod attacks;
mod dhcp;
mod flood;
mod handshake;
mod ip;
mod link;
mod transfer;

use slopos_e2e::{Report, board, run};
use slopos_lab::files;
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer, Server};
use slopos_run::Builder;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long one of these boards may run.
const LIMIT: Duration = Duration::from_secs(60);

/// A board that runs, and the network that it is on.
struct Scene {
    lab: Lab,
    board: JoinHandle<Report>,
}

impl Scene {
    /// Boots a board in this network with these console commands.
    fn with(lab: Lab, commands: &str) -> Scene {
        Scene::of(board(), lab, commands)
    }

    /// Boots this board in this network with these console commands.
    fn of(board: Builder, lab: Lab, commands: &str) -> Scene {
        let machine = board.netdev(lab.netdev()).append(commands).timeout(LIMIT);
        Scene { lab, board: std::thread::spawn(|| run(machine)) }
    }

    /// Boots a board that fetches a page from behind the router.
    fn fetching() -> Scene {
        Scene::fetching_with("")
    }

    /// Boots such a board, and takes its connection and request.
    #[track_caller]
    fn connected(offer: Offer) -> (Scene, Server) {
        let mut scene = Scene::fetching();
        let server = scene.accept(offer);
        (scene, server)
    }

    /// Boots a board that fetches a page from behind the router with these options of webget.
    fn fetching_with(options: &str) -> Scene {
        Scene::with(Lab::new(), &format!("webget --sha256 {options} {}; exit", url()))
    }

    /// Lets the board's life take its course.
    fn end(mut self) -> Report {
        while !self.board.is_finished() {
            self.lab.during(Duration::from_millis(10));
        }
        let report = self.board.join();
        report.unwrap_or_else(|_| panic!("the board could not be run\n{}", self.lab.transcript()))
    }

    /// Lets the board's life take its course, and checks webget's status.
    #[track_caller]
    fn ends(mut self, status: u8) -> Report {
        while !self.board.is_finished() {
            self.lab.during(Duration::from_millis(10));
        }
        let transcript = self.lab.transcript();
        let report = self.end();
        let found = slopos_run::verdict(report.outcome.code);
        assert_eq!(found, slopos_run::Verdict::Exit(status), "{}\n{transcript}", report.all());
        report
    }

    /// Takes the board's connection and request, so that the script can go on with the response.
    #[track_caller]
    fn accept(&mut self, offer: Offer) -> Server {
        let mut server = Server::accept(&mut self.lab, offer);
        server.request(&mut self.lab);
        server
    }

    /// Answers the board's request with a body whose bytes look random, and checks that it arrived.
    #[track_caller]
    fn completes(mut self, mut server: Server) -> Report {
        let body = files::bytes(20_000);
        server.respond(&mut self.lab, &body);
        self.received(&body)
    }

    /// Checks that the board's program ends well and has had exactly this body.
    #[track_caller]
    fn received(self, body: &[u8]) -> Report {
        let report = self.ends(0);
        report.shows(&format!("{}  {}", files::sha256(body), body.len()));
        report
    }
}

/// Milliseconds, for short.
const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
