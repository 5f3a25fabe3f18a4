//! The links that the guests are measured on, and the servers at the other end of them.

use crate::guest::{Bench, Guest, Images, Job, Run};
use crate::namespace::{Namespace, TAP};
use crate::servers::{HTTP, Server, free_port, write_file};
use anyhow::{Context, Result, anyhow, bail};
use slopos_netlab::bridge::{Address, Bridge, End};
use slopos_netlab::impair::Profile;
use slopos_netlab::link::netdev;
use std::fs;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// What is between guest and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// QEMU's user networking; the server is on the host's loopback.
    User,
    /// A tap; the server is in a network namespace of its own.
    Tap,
    /// The same, with netlab's bridge between QEMU and the tap. It impairs the direction toward the guest.
    Bridge {
        /// How long each frame is under way.
        delay: Duration,
        /// Frames lost, of a thousand.
        loss: u32,
    },
}

/// The servers' files, and the server on the loopback.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they are to go.
    server: Server,
    user: SocketAddrV4,
    root: PathBuf,
    folder: TempDir,
}

/// A run, and what the bridge has to say of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// The run.
    pub run: Run,
    /// Frames that an end of the bridge did not take, and that were lost therefore. Nobody asked for that loss.
    pub not_taken: u64,
}

impl Lab {
    /// Starts the server that does without a namespace.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn new() -> Result<Lab> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir().context("a temporary folder")?;
        let root = folder.path().join("www");
        fs::create_dir(&root)?;
        let user = free_port()?;
        let mut server = Server::nginx(folder.path(), &root, user, None)?;
        server.wait_for(user)?;
        Ok(Lab { server, user, root, folder })
    }

    /// A file to be fetched by this link, so often.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn job(&self, wire: Wire, length: u64, count: u32) -> Result<Job> {
        let name = length.to_string();
        write_file(&self.root, &name, length)?;
        let server = match wire {
            Wire::User => format!("10.0.2.2:{}", self.user.port()),
            Wire::Tap | Wire::Bridge { .. } => HTTP.ip().to_string(),
        };
        Ok(Job { url: format!("http://{server}/{name}"), count, length })
    }

    /// A link for one run. Behind a tap there is a network that no run has been in: connections of another run, which
    /// the server would remember for a minute, would make it refuse new ones from the same address now and then, and
    /// the guest wait for a second. There the server avoids congestion in the way that is named, or in the machine's
    /// own.
    ///
    /// # Errors
    /// Namespaces cannot be made here, a server does not start, or the kernel does not know this way.
    pub fn site(&self, wire: Wire, congestion_control: Option<&str>) -> Result<Site<'_>> {
        if wire == Wire::User {
            return Ok(Site { lab: self, wire, inside: None });
        }
        let namespace = Namespace::new()?;
        namespace.congestion_control(congestion_control)?;
        let folder = tempfile::Builder::new().prefix("site-").tempdir_in(self.folder.path())?;
        let mut nginx = Server::nginx(folder.path(), &self.root, HTTP, Some(namespace.name()))?;
        let dnsmasq = Server::dnsmasq(folder.path(), namespace.name())?;
        namespace.within(|| nginx.wait_for(HTTP))??;
        Ok(Site { lab: self, wire, inside: Some(Inside { servers: [nginx, dnsmasq], namespace, folder }) })
    }
}

/// Frames that may wait at the tap where many connections begin at once. The first windows of 512 are 5,120 segments,
/// and what does not fit is lost; the 500 that a tap has are made for a few.
const MANY_FRAMES: u32 = 10_000;

/// The tap for QEMU, which opens that of the namespace it is started in.
const TAP_NETDEV: &str = "tap,ifname=tap0,script=no,downscript=no";

/// A network namespace with its servers.
#[derive(Debug)]
struct Inside {
    // In the order in which they are to go.
    servers: [Server; 2],
    namespace: Namespace,
    folder: TempDir,
}

/// A link, ready for a run.
#[derive(Debug)]
pub struct Site<'a> {
    lab: &'a Lab,
    wire: Wire,
    /// `None` where QEMU is the network.
    inside: Option<Inside>,
}

impl Site<'_> {
    /// The processes of the servers.
    pub fn pids(&self) -> Vec<u32> {
        let inside = self.inside.iter().flat_map(|inside| &inside.servers);
        inside.chain([&self.lab.server]).map(Server::pid).collect()
    }

    /// Carries out `work` where the link is, and gives it the link as QEMU's `-netdev` takes it. Where that is a tap,
    /// it loses nothing when many connections begin at once.
    ///
    /// # Errors
    /// The link is a bridge, which is there for one run of [`Site::run`] only; or it fails.
    pub fn within<T: Send>(&self, work: impl FnOnce(&str) -> Result<T> + Send) -> Result<T> {
        match (&self.inside, self.wire) {
            (None, _) => work("user"),
            (Some(inside), Wire::Tap) => {
                inside.namespace.queue(MANY_FRAMES)?;
                inside.namespace.within(|| work(TAP_NETDEV))?
            }
            (Some(_), _) => bail!("a bridge has no link of its own"),
        }
    }

    /// One run of a guest. What is lost on a bad wire is decided by the seed. The memory is in MiB, where it is not
    /// the guest's usual one.
    ///
    /// # Errors
    /// The run's own; or the link fails.
    pub fn run(&self, images: &Images, guest: Guest, job: &Job, seed: u64, memory: Option<u32>) -> Result<Passed> {
        let bench = |netdev: String| Bench { images, guest, netdev, job, memory };
        let Some(inside) = &self.inside else {
            return Ok(Passed { run: bench("user".to_owned()).run()?, not_taken: 0 });
        };
        let Wire::Bridge { delay, loss } = self.wire else {
            let bench = bench(TAP_NETDEV.to_owned());
            return Ok(Passed { run: inside.namespace.within(|| bench.run())??, not_taken: 0 });
        };
        let (own, peer) = (inside.folder.path().join("bridge"), inside.folder.path().join("guest"));
        let left = End::open(&Address::Datagram(own.clone(), peer.clone()))?;
        let right = End::open(&Address::Tap(TAP.to_owned(), Some(inside.namespace.name().to_owned())))?;
        let to_guest = Profile { delay, loss, ..Profile::default() };
        let mut bridge = Bridge::new(left, right, Profile::default(), to_guest, seed);
        let stop = AtomicBool::new(false);
        let run = std::thread::scope(|scope| {
            let thread = scope.spawn(|| bridge.run(&stop));
            let run = bench(netdev(&peer, &own)).run();
            stop.store(true, Ordering::Relaxed);
            thread.join().map_err(|_| anyhow!("the bridge panicked"))??;
            run
        })?;
        Ok(Passed { run, not_taken: bridge.counters().2 })
    }
}
