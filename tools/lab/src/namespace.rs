//! A network namespace of our own, with a tap in it: no traffic of a measure or a test leaves it.

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The servers' address, in a network of 24 bits.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The namespace's end of the guest's wire.
pub const TAP: &str = "tap0";

/// What our namespaces' names begin with; the process's number follows, and the namespace's own.
const PREFIX: &str = "slopos-lab-";

/// A namespace, up to the end of this value.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Whether this machine lets us make one.
    ///
    /// # Errors
    /// Why not.
    pub fn is_allowed() -> Result<()> {
        drop(Namespace::add()?);
        Ok(())
    }

    /// A namespace with nothing in it.
    fn add() -> Result<Namespace> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        Ok(Namespace { name })
    }

    /// Makes a namespace with its loopback and its tap up. What killed tools have left is removed first.
    ///
    /// # Errors
    /// Namespaces or taps may not be made here, or `ip` is not installed.
    pub fn new() -> Result<Namespace> {
        remove_abandoned()?;
        let namespace = Namespace::add()?;
        // Otherwise the server would remember from one connection to the next what the path to the guest is like.
        namespace.set("ipv4/tcp_no_metrics_save", "1")?;
        // Solicitations of IPv6 would be frames that no measure asked for. A kernel without IPv6 sends none.
        if Path::new("/proc/sys/net/ipv6").exists() {
            namespace.set("ipv6/conf/all/disable_ipv6", "1")?;
        }
        namespace.ip(&["link", "set", "lo", "up"])?;
        namespace.ip(&["tuntap", "add", "dev", TAP, "mode", "tap"])?;
        namespace.ip(&["address", "add", &format!("{SERVER}/24"), "dev", TAP])?;
        namespace.ip(&["link", "set", TAP, "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// How many frames may wait at the tap from now on.
    ///
    /// # Errors
    /// The kernel does not allow it.
    pub fn queue(&self, frames: u32) -> Result<()> {
        self.ip(&["link", "set", TAP, "txqueuelen", &frames.to_string()])
    }

    /// Sets a value of /proc/sys/net for this namespace alone.
    fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.within(|| fs::write(&path, value))?.with_context(|| format!("{} cannot be {value}", path.display()))
    }

    /// How connections to the guest avoid congestion from now on: in the way that is named, or in the machine's own.
    ///
    /// # Errors
    /// The kernel does not know this way.
    pub fn congestion_control(&self, name: Option<&str>) -> Result<()> {
        // By the route, for a namespace cannot make its default what the machine's administrator keeps for himself.
        let network = format!("{}/24", Ipv4Addr::from_bits(SERVER.to_bits() & !0xff));
        let server = SERVER.to_string();
        let mut route =
            vec!["route", "replace", &network, "dev", TAP, "proto", "kernel", "scope", "link", "src", &server];
        if let Some(name) = name {
            route.extend(["congctl", name]);
        }
        self.ip(&route)
    }

    /// Carries out `work` in the namespace: sockets that it opens and programs that it starts are in there.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        within(&self.name, work)
    }
}

/// Carries out `work` in the network namespace of this name, as [`Namespace::within`] does.
///
/// # Errors
/// The namespace cannot be entered.
pub fn within<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let path = PathBuf::from("/run/netns").join(name);
    // A namespace is entered by a thread, so a thread of its own does it and none has to come back.
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = File::open(&path).with_context(|| format!("the namespace {}", path.display()))?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .context("the namespace cannot be entered")?;
            Ok(work())
        });
        thread.join().map_err(|_| anyhow!("the work in the namespace {name} panicked"))?
    })
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(why) = ip(&["netns", "del", &self.name]) {
            eprintln!("lab: the namespace {} stays: {why:#}", self.name);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.context("ip cannot be started; is iproute2 installed?")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Removes the namespaces of tools that run no longer.
fn remove_abandoned() -> Result<()> {
    let Ok(entries) = fs::read_dir("/run/netns") else {
        // The first namespace of the machine makes the folder.
        return Ok(());
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if abandoned(&name, |pid| Path::new("/proc").join(pid).exists()) {
            ip(&["netns", "del", &name])?;
        }
    }
    Ok(())
}

/// Whether a name is that of a namespace of ours whose process does not live any more.
fn abandoned(name: &str, lives: impl Fn(&str) -> bool) -> bool {
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(pid, count)| pid.parse::<u32>().is_ok() && count.parse::<u32>().is_ok() && !lives(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dead_benchmarks_lose_their_namespace() {
        let lives = |pid: &str| pid == "7";
        assert!(abandoned("slopos-lab-8-0", lives));
        for name in ["slopos-lab-7-3", "slopos-8-0", "slopos-lab-", "slopos-lab-8", "slopos-lab-x-1", "other"] {
            assert!(!abandoned(name, lives), "{name}");
        }
    }
}
