//! The links that the guests are measured on, and the servers at the other end of them.

use crate::guest::{Bench, Guest, Images, Job, Run};
use anyhow::{Context, Result, bail};
use slopos_lab::files;
use slopos_lab::impair::Impairments;
use slopos_lab::network::Network;
use slopos_lab::servers::loopback::listen;
use slopos_lab::servers::programs::{HTTP, Server};
use slopos_lab::servers::url;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
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
        loss: u64,
    },
}

/// The servers' files, and the server on the loopback.
#[derive(Debug)]
pub struct Links {
    // In the order in which they are to go.
    server: Server,
    user: SocketAddrV4,
    root: PathBuf,
    _folder: TempDir,
}

/// A run, and what the bridge has to say of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// The run.
    pub run: Run,
    /// Frames that an end of the bridge did not take, and that were lost therefore. Nobody asked for that loss.
    pub not_taken: u64,
}

impl Links {
    /// Starts the server that does without a namespace.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn new() -> Result<Links> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir().context("a temporary folder")?;
        let root = folder.path().join("www");
        fs::create_dir(&root)?;
        // The socket is closed at once, and the port is free again.
        let user = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listen().1);
        let mut server = Server::nginx(folder.path(), &root, user, None)?;
        server.wait_for(user)?;
        Ok(Links { server, user, root, _folder: folder })
    }

    /// A file to be fetched by this link, so often.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn job(&self, wire: Wire, length: u64, count: u32) -> Result<Job> {
        let name = length.to_string();
        files::create(&self.root.join(&name), usize::try_from(length).context("the file's length")?)?;
        let url = match wire {
            Wire::User => url(self.user.port(), &name),
            Wire::Tap | Wire::Bridge { .. } => format!("http://{}/{name}", HTTP.ip()),
        };
        Ok(Job { url, source: None, count, length })
    }

    /// The same file to be fetched, kept and uploaded again by this link.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn upload(&self, wire: Wire, length: u64) -> Result<Job> {
        let job = self.job(wire, length, 1)?;
        let server = job.url.strip_suffix(&length.to_string()).context("the file's name ends its URL")?;
        Ok(Job { url: format!("{server}{UPLOADED}"), source: Some(job.url), ..job })
    }

    /// Checks that the server has what was uploaded, and takes it away.
    fn take_uploaded(&self, length: u64) -> Result<()> {
        let (taken, file) = (self.root.join(UPLOADED), self.root.join(length.to_string()));
        let equal = fs::read(&taken).context("the upload")? == fs::read(file)?;
        fs::remove_file(taken)?;
        if !equal {
            bail!("what the server took is not what was to be uploaded");
        }
        Ok(())
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
            return Ok(Site { links: self, wire, inside: None });
        }
        let mut network = Network::new()?;
        network.namespace().congestion_control(congestion_control)?;
        network.start(Server::dnsmasq)?;
        network.start_web(|folder, namespace| Server::nginx(folder, &self.root, HTTP, Some(namespace)))?;
        Ok(Site { links: self, wire, inside: Some(network) })
    }
}

/// What an upload is called at the server.
const UPLOADED: &str = "uploaded";

/// Frames that may wait at the tap where many connections begin at once. The first windows of 512 are 5,120 segments,
/// and what does not fit is lost; the 500 that a tap has are made for a few.
const MANY_FRAMES: u32 = 10_000;

/// The tap for QEMU, which opens that of the namespace it is started in.
const TAP_NETDEV: &str = "tap,ifname=tap0,script=no,downscript=no";

/// A link, ready for a run.
#[derive(Debug)]
pub struct Site<'a> {
    links: &'a Links,
    wire: Wire,
    /// `None` where QEMU is the network.
    inside: Option<Network>,
}

impl Site<'_> {
    /// The processes of the servers.
    pub fn pids(&self) -> Vec<u32> {
        self.inside.iter().flat_map(Network::pids).chain([self.links.server.pid()]).collect()
    }

    /// Carries out `work` where the link is, and gives it the link as QEMU's `-netdev` takes it. Where that is a tap,
    /// it loses nothing when many connections begin at once.
    ///
    /// # Errors
    /// The link is a bridge, which is there for one run of [`Site::run`] only; or it fails.
    pub fn within<T: Send>(&self, work: impl FnOnce(&str) -> Result<T> + Send) -> Result<T> {
        match (&self.inside, self.wire) {
            (None, _) => work("user"),
            (Some(network), Wire::Tap) => {
                network.namespace().queue(MANY_FRAMES)?;
                network.namespace().within(|| work(TAP_NETDEV))?
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
        let passed = self.pass(images, guest, job, seed, memory)?;
        if job.source.is_some() {
            self.links.take_uploaded(job.length)?;
        }
        Ok(passed)
    }

    fn pass(&self, images: &Images, guest: Guest, job: &Job, seed: u64, memory: Option<u32>) -> Result<Passed> {
        let bench = |netdev: &str| Bench { images, guest, netdev: netdev.to_owned(), job, memory };
        let Some(network) = &self.inside else {
            return Ok(Passed { run: bench("user").run()?, not_taken: 0 });
        };
        let Wire::Bridge { delay, loss } = self.wire else {
            let bench = bench(TAP_NETDEV);
            return Ok(Passed { run: network.namespace().within(|| bench.run())??, not_taken: 0 });
        };
        let to_guest = Impairments { delay_us: delay.as_micros() as u64, loss, ..Impairments::default() };
        let (run, carried) = network.bridged([Impairments::default(), to_guest], seed, |netdev| bench(netdev).run())?;
        Ok(Passed { run, not_taken: carried.not_taken })
    }
}
