//! The board and real servers: DHCP and HTTP of other people's making, in a network namespace behind a tap, over a
//! wire that netlab makes as bad as it is told to.
//!
//! All traffic stays in the namespace. Where namespaces may not be made, the tests say so on standard error, in a line
//! that begins with `SKIPPED:`, and end.

use slopos_e2e::{Report, board, files, run};
use slopos_netlab::bridge::{Address, Bridge, End};
use slopos_netlab::impair::{Counters, Profile};
use slopos_netlab::link::netdev;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The servers' address, in a network of 24 bits.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The namespace's end of the wire.
const TAP: &str = "tap0";

/// A network namespace with a tap, servers in it, and a folder for their files.
struct Network {
    name: String,
    folder: TempDir,
    servers: Vec<Child>,
}

impl Network {
    /// Makes a namespace; `None`, after saying so loudly, where that is not allowed.
    fn new(test: &str) -> Option<Network> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("slopos-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).stdin(Stdio::null()).output();
        let refusal = match made {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(why) => Some(format!("ip: {why}")),
        };
        if let Some(why) = refusal {
            // Written past the test runner, which would swallow it.
            let line = format!("SKIPPED: {test}: network namespaces cannot be made here: {why}\n");
            std::io::stderr().write_all(line.as_bytes()).expect("standard error");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("interop-").tempdir().expect("a folder");
        let network = Network { name, folder, servers: Vec::new() };
        network.ip(&["link", "set", "lo", "up"]);
        network.ip(&["tuntap", "add", "dev", TAP, "mode", "tap"]);
        network.ip(&["address", "add", &format!("{SERVER}/24"), "dev", TAP]);
        network.ip(&["link", "set", TAP, "up"]);
        Some(network)
    }

    fn ip(&self, arguments: &[&str]) {
        let output = Command::new("ip").args(["-n", &self.name]).args(arguments).output().expect("ip runs");
        assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// Starts a server in the namespace.
    fn start(&mut self, program: &str, arguments: &[&str]) {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|folder| Path::new(folder).join(program));
        let program = found.iter().find(|path| path.is_file());
        let program = program.unwrap_or_else(|| panic!("{} is not installed; run ./just setup", found[0].display()));
        let log = std::fs::File::create(self.path("server.log")).expect("a log");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.name])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.servers.push(child.unwrap_or_else(|why| panic!("{}: {why}", program.display())));
    }

    /// Serves addresses by dnsmasq.
    fn dnsmasq(&mut self) {
        let (leases, pid) = (self.path("leases"), self.path("dnsmasq.pid"));
        self.start(
            "dnsmasq",
            &[
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--port=0",
                "--user=root",
                "--no-ping",
                "--dhcp-authoritative",
                &format!("--interface={TAP}"),
                "--bind-interfaces",
                "--dhcp-range=10.9.0.50,10.9.0.99,255.255.255.0,1h",
                &format!("--dhcp-leasefile={leases}"),
                &format!("--pid-file={pid}"),
            ],
        );
    }

    /// Serves addresses by busybox's udhcpd.
    fn udhcpd(&mut self) {
        let (file, leases, pid) = (self.path("udhcpd.conf"), self.path("leases"), self.path("udhcpd.pid"));
        let text = format!(
            "start 10.9.0.100\nend 10.9.0.120\ninterface {TAP}\nlease_file {leases}\npidfile {pid}\n\
             option subnet 255.255.255.0\noption router {SERVER}\noption lease 3600\n"
        );
        std::fs::write(&leases, "").expect("written");
        std::fs::write(&file, text).expect("written");
        self.start("udhcpd", &["-f", &file]);
    }

    /// Serves the folder `www` by nginx at port 80.
    fn nginx(&mut self) {
        let (root, pid, file) = (self.folder(), self.path("nginx.pid"), self.path("nginx.conf"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", self.path(kind)))
            .collect();
        let text = format!(
            "daemon off; master_process off; pid {pid}; error_log stderr;\nevents {{ }}\n\
             http {{ access_log off;\n{temporary}server {{ listen {SERVER}:80; root {root}; }} }}\n"
        );
        std::fs::write(&file, text).expect("written");
        self.start("nginx", &["-c", &file]);
    }

    /// Serves the folder `www` by lighttpd at port 80.
    fn lighttpd(&mut self) {
        let (root, folder, file) = (self.folder(), self.path(""), self.path("lighttpd.conf"));
        let text = format!(
            "server.bind = \"{SERVER}\"\nserver.port = 80\nserver.document-root = \"{root}\"\n\
             server.upload-dirs = ( \"{folder}\" )\n"
        );
        std::fs::write(&file, text).expect("written");
        self.start("lighttpd", &["-D", "-f", &file]);
    }

    /// Serves the folder `www` by Python at port 80.
    fn python(&mut self) {
        let (root, address) = (self.folder(), SERVER.to_string());
        self.start("python3", &["-m", "http.server", "80", "--bind", &address, "--directory", &root]);
    }

    /// The folder that is served.
    fn folder(&self) -> String {
        let path = self.path("www");
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// Writes a file to be served, and returns its hash.
    fn file(&self, name: &str, length: usize) -> String {
        files::write(&Path::new(&self.folder()).join(name), length)
    }

    /// Waits until somebody listens at port 80.
    fn wait_for_http(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let output = Command::new("ip").args(["netns", "exec", &self.name, "cat", "/proc/net/tcp"]).output();
            let text = String::from_utf8(output.expect("cat runs").stdout).expect("text");
            // Port 80 in hexadecimal digits, in the state LISTEN.
            if text.lines().any(|line| line.contains(":0050 00000000:0000 0A")) {
                return;
            }
            let log = std::fs::read_to_string(self.path("server.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the web server does not listen: {log}\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Has a board fetch a file of so many bytes so often over such a wire, and checks that all copies came out right.
    fn fetches(&self, length: usize, count: usize, profile: Profile, seed: u64) -> (Report, [Counters; 2]) {
        let hash = self.file("file", length);
        let commands = format!("webget --sha256 --count {count} http://{SERVER}/file; exit");
        let (report, counters) = self.run(profile, seed, &commands);
        report.exits(0).shows(&format!("webget: done status=200 count={count} bytes={} ", count * length));
        let copies = report.outcome.console.matches(&format!("{hash}  {length}")).count();
        assert_eq!(copies, count, "{}", report.all());
        (report, counters)
    }

    /// Boots a board on a wire of this kind in both directions.
    fn run(&self, profile: Profile, seed: u64, commands: &str) -> (Report, [Counters; 2]) {
        self.wait_for_http();
        let (own, peer) = (self.folder.path().join("bridge"), self.folder.path().join("board"));
        let left = End::open(&Address::Datagram(own.clone(), peer.clone())).expect("an end");
        let right = End::open(&Address::Tap(TAP.to_owned(), Some(self.name.clone()))).expect("a tap");
        let mut bridge = Bridge::new(left, right, profile.clone(), profile, seed);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread: JoinHandle<anyhow::Result<[Counters; 2]>> = std::thread::spawn(move || {
            bridge.run(&stopped)?;
            let (right, left, _) = bridge.counters();
            Ok([right, left])
        });
        let report = run(board().netdev(netdev(&peer, &own)).append(commands).timeout(Duration::from_secs(120)));
        stop.store(true, Ordering::Relaxed);
        let counters = thread.join().expect("the bridge's thread").unwrap_or_else(|why| panic!("{why:#}"));
        (report, counters)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // It may have ended by itself, which the test has noticed then.
            if server.kill().is_ok()
                && let Err(why) = server.wait()
            {
                eprintln!("a server: {why}");
            }
        }
        let gone = Command::new("ip").args(["netns", "del", &self.name]).status();
        if !gone.as_ref().is_ok_and(|status| status.success()) {
            eprintln!("the namespace {} stays: {gone:?}", self.name);
        }
    }
}

#[test]
fn dnsmasq_and_nginx_serve_the_board() {
    let Some(mut network) = Network::new("dnsmasq_and_nginx_serve_the_board") else { return };
    network.dnsmasq();
    network.nginx();
    let (report, _) = network.fetches(5_000_000, 1, Profile::default(), 1);
    report.shows("Server: nginx").logs("dhcp: lease 10.9.0.");
}

#[test]
fn udhcpd_and_python_serve_the_board() {
    let Some(mut network) = Network::new("udhcpd_and_python_serve_the_board") else { return };
    network.udhcpd();
    network.python();
    let (report, _) = network.fetches(1_000_000, 1, Profile::default(), 1);
    report.shows("SimpleHTTP").logs("dhcp: lease 10.9.0.1");
}

#[test]
fn downloads_over_a_bad_wire_arrive_intact() {
    let Some(mut network) = Network::new("downloads_over_a_bad_wire_arrive_intact") else { return };
    network.dnsmasq();
    network.nginx();
    let profile = Profile {
        loss: 50,
        duplicate: 50,
        reorder: 50,
        reorder_by: Duration::from_millis(2),
        corrupt: 20,
        ..Profile::default()
    };
    let (_, counters) = network.fetches(1 << 20, 4, profile, 4);
    // The wire was as bad as it was meant to be.
    for direction in counters {
        let Counters { put, lost, doubled, reordered, corrupted, .. } = direction;
        // The board's direction has acknowledgements alone: some hundreds.
        assert!(put > 200 && lost * 80 > put && doubled * 80 > put && reordered * 80 > put, "{direction:?}");
        assert!(corrupted > 0, "{direction:?}");
    }
}

#[test]
fn lighttpd_serves_the_board_over_a_wire_that_loses_doubles_and_reorders() {
    let test = "lighttpd_serves_the_board_over_a_wire_that_loses_doubles_and_reorders";
    let Some(mut network) = Network::new(test) else { return };
    network.dnsmasq();
    network.lighttpd();
    let profile = Profile {
        loss: 50,
        duplicate: 20,
        reorder: 100,
        reorder_by: Duration::from_millis(1),
        delay: Duration::from_millis(5),
        ..Profile::default()
    };
    let (report, counters) = network.fetches(1 << 20, 2, profile, 5);
    report.shows("Server: lighttpd");
    for direction in counters {
        let Counters { put, lost, doubled, reordered, .. } = direction;
        assert!(put > 200 && lost * 80 > put && doubled > 0 && reordered * 40 > put, "{direction:?}");
    }
}
