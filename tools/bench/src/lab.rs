//! The links that the guests are measured on, and the servers at the other end of them.

use crate::guest::{Bench, Guest, Images, Job, Run};
use crate::namespace::{Namespace, TAP};
use crate::servers::{HTTP, Server, free_port, write_file};
use anyhow::{Context, Result, anyhow};
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

/// The servers and the links.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they are to go.
    servers: Vec<Server>,
    namespace: Option<Namespace>,
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
    /// Starts the servers that do without a namespace.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn new() -> Result<Lab> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir().context("a temporary folder")?;
        let root = folder.path().join("www");
        fs::create_dir(&root)?;
        let user = free_port()?;
        let mut nginx = Server::nginx(folder.path(), &root, user, None)?;
        nginx.wait_for(user)?;
        Ok(Lab { servers: vec![nginx], namespace: None, user, root, folder })
    }

    /// The namespace with its servers, made when it is first asked for.
    ///
    /// # Errors
    /// It cannot be made here, or a server does not start.
    fn namespace(&mut self) -> Result<&Namespace> {
        if self.namespace.is_none() {
            let namespace = Namespace::new()?;
            let name = Some(namespace.name());
            let mut nginx = Server::nginx(self.folder.path(), &self.root, HTTP, name)?;
            namespace.within(|| nginx.wait_for(HTTP))??;
            self.servers.extend([nginx, Server::dnsmasq(self.folder.path(), namespace.name())?]);
            self.namespace = Some(namespace);
        }
        self.namespace.as_ref().context("the namespace was just made")
    }

    /// Makes the link ready: everything that a run on it needs is there afterwards. Behind a tap the server avoids
    /// congestion in the way that is named, or in the machine's own.
    ///
    /// # Errors
    /// Namespaces cannot be made here, a server does not start, or the kernel does not know this way.
    pub fn prepare(&mut self, wire: Wire, congestion_control: Option<&str>) -> Result<()> {
        match wire {
            Wire::User => Ok(()),
            Wire::Tap | Wire::Bridge { .. } => self.namespace()?.congestion_control(congestion_control),
        }
    }

    /// The processes of the servers.
    pub fn pids(&self) -> Vec<u32> {
        self.servers.iter().map(Server::pid).collect()
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

    /// One run of a guest on a link. What is lost is decided by the seed.
    ///
    /// # Errors
    /// The run's own; or the link is not [prepared](Lab::prepare), or fails.
    pub fn run(
        &self,
        images: &Images,
        guest: Guest,
        job: &Job,
        wire: Wire,
        seed: u64,
        memory: Option<u32>,
    ) -> Result<Passed> {
        let bench = |netdev: String| Bench { images, guest, netdev, job, memory };
        let namespace = || self.namespace.as_ref().context("the namespace is not prepared");
        match wire {
            Wire::User => Ok(Passed { run: bench("user".to_owned()).run()?, not_taken: 0 }),
            Wire::Tap => {
                // QEMU opens the tap of the namespace that it is started in.
                let bench = bench(format!("tap,ifname={TAP},script=no,downscript=no"));
                Ok(Passed { run: namespace()?.within(|| bench.run())??, not_taken: 0 })
            }
            Wire::Bridge { delay, loss } => {
                let folder = tempfile::Builder::new().prefix("wire-").tempdir_in(self.folder.path())?;
                let (own, peer) = (folder.path().join("bridge"), folder.path().join("guest"));
                let guest = End::open(&Address::Datagram(own.clone(), peer.clone()))?;
                let tap = End::open(&Address::Tap(TAP.to_owned(), Some(namespace()?.name().to_owned())))?;
                let to_guest = Profile { delay, loss, ..Profile::default() };
                let mut bridge = Bridge::new(guest, tap, Profile::default(), to_guest, seed);
                let stop = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    let thread = scope.spawn(|| bridge.run(&stop));
                    let run = bench(netdev(&peer, &own)).run();
                    stop.store(true, Ordering::Relaxed);
                    thread.join().map_err(|_| anyhow!("the bridge panicked"))??;
                    run
                })
                .map(|run| Passed { run, not_taken: bridge.counters().2 })
            }
        }
    }
}
