//! A network of its own for a run: a namespace with a tap, and servers in it.

use crate::bridge::{Address, Bridge, Carried, End};
use crate::impair::Impairments;
use crate::link::netdev;
use crate::namespace::{Namespace, TAP};
use crate::servers::programs::{HTTP, Server};
use anyhow::{Context, Result};
use std::path::Path;
use tempfile::TempDir;

/// A network namespace with its servers.
#[derive(Debug)]
pub struct Network {
    // In the order in which they are to go.
    servers: Vec<Server>,
    namespace: Namespace,
    folder: TempDir,
}

impl Network {
    /// A network without servers.
    ///
    /// # Errors
    /// Namespaces or taps may not be made here, or `ip` is not installed.
    pub fn new() -> Result<Network> {
        let folder = tempfile::Builder::new().prefix("network-").tempdir().context("a temporary folder")?;
        Ok(Network { servers: Vec::new(), namespace: Namespace::new()?, folder })
    }

    /// Starts a server, which is given its folder and the namespace's name.
    ///
    /// # Errors
    /// The server's.
    pub fn start(&mut self, server: impl FnOnce(&Path, &str) -> Result<Server>) -> Result<()> {
        self.servers.push(server(self.folder.path(), self.namespace.name())?);
        Ok(())
    }

    /// Starts a web server as [`Network::start`] does, and waits until it listens at [`HTTP`].
    ///
    /// # Errors
    /// The server's, or it does not listen in time.
    pub fn start_web(&mut self, server: impl FnOnce(&Path, &str) -> Result<Server>) -> Result<()> {
        let mut server = server(self.folder.path(), self.namespace.name())?;
        self.namespace.within(|| server.wait_for(HTTP))??;
        self.servers.push(server);
        Ok(())
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The processes of the servers.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.servers.iter().map(Server::pid)
    }

    /// Carries out `work` beside a bridge between the tap and a QEMU, to which the given `-netdev` belongs. Frames to
    /// the tap are treated as the first impairments say, those to QEMU as the second.
    ///
    /// # Errors
    /// The bridge fails, or the work does.
    pub fn bridged<T>(
        &self,
        impairments: [Impairments; 2],
        seed: u64,
        work: impl FnOnce(&str) -> Result<T>,
    ) -> Result<(T, Carried)> {
        let (own, peer) = (self.folder.path().join("bridge"), self.folder.path().join("guest"));
        let left = End::open(&Address::Datagram(own.clone(), peer.clone()))?;
        let right = End::open(&Address::Tap(TAP.to_owned(), Some(self.namespace.name().to_owned())))?;
        let carried = Bridge::new(left, right, impairments, seed).during(|| work(&netdev(&peer, &own)));
        // A network may be bridged again, and the socket's path is to be free then.
        std::fs::remove_file(&own).context("the bridge's socket")?;
        carried
    }
}
