//! The servers that both guests fetch from: nginx, and dnsmasq where no QEMU gives the addresses.

use crate::namespace::{SERVER, TAP};
use anyhow::{Context, Result, anyhow, bail};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// A server, ended when this value goes.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a program with its files in `folder`, in a network namespace where one is named.
    ///
    /// # Errors
    /// It is not installed.
    fn start(name: &'static str, arguments: &[String], folder: &Path, namespace: Option<&str>) -> Result<Server> {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|place| Path::new(place).join(name));
        let program = found.into_iter().find(|path| path.is_file());
        let program =
            program.with_context(|| format!("{name} is not installed; run ./just bench, which installs it"))?;
        let log = folder.join(format!("{name}-{}.log", namespace.unwrap_or("host")));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // A killed benchmark takes its servers along. Both programs become what they start, so the process is one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(namespace) = namespace {
            command.args(["ip", "netns", "exec", namespace]);
        }
        command.arg(program).args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("setpriv, which starts the servers")?;
        Ok(Server { name, child, log })
    }

    /// Serves the files of `root` by HTTP.
    ///
    /// # Errors
    /// nginx is not installed, or its configuration cannot be written.
    pub fn nginx(folder: &Path, root: &Path, address: SocketAddrV4, namespace: Option<&str>) -> Result<Server> {
        let place = folder.join(format!("nginx-{}", namespace.unwrap_or("host")));
        fs::create_dir_all(&place)?;
        let path = |name: &str| place.join(name).to_string_lossy().into_owned();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .concat();
        // One process, so that its time can be told from others'. 512 connections at once take as many files again.
        let text = format!(
            "daemon off; master_process off; pid {}; error_log stderr; worker_rlimit_nofile 4096;\n\
             events {{ worker_connections 2048; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;\n{temporary}\
             server {{ listen {address} backlog=1024; root {}; }} }}\n",
            path("pid"),
            root.display()
        );
        let file = path("conf");
        fs::write(&file, text).with_context(|| format!("cannot write {file}"))?;
        Server::start("nginx", &["-c".to_owned(), file], folder, namespace)
    }

    /// Gives addresses to who asks at the namespace's tap.
    ///
    /// # Errors
    /// dnsmasq is not installed.
    pub fn dnsmasq(folder: &Path, namespace: &str) -> Result<Server> {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let arguments = [
            "--keep-in-foreground".to_owned(),
            "--conf-file=/dev/null".to_owned(),
            "--port=0".to_owned(),
            "--user=root".to_owned(),
            "--no-ping".to_owned(),
            "--dhcp-authoritative".to_owned(),
            format!("--interface={TAP}"),
            "--bind-interfaces".to_owned(),
            "--dhcp-range=10.9.0.50,10.9.0.99,255.255.255.0,1h".to_owned(),
            format!("--dhcp-leasefile={}", path("leases")),
            format!("--pid-file={}", path("dnsmasq.pid")),
        ];
        Server::start("dnsmasq", &arguments, folder, Some(namespace))
    }

    /// Its process. It has one thread.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until somebody listens at the address; to be called where that can be reached.
    ///
    /// # Errors
    /// The server has ended, or does not listen in time.
    pub fn wait_for(&mut self, address: SocketAddrV4) -> Result<()> {
        let deadline = Instant::now() + START;
        while let Err(why) = TcpStream::connect_timeout(&address.into(), START) {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log)?;
                bail!("{} does not listen at {address}: {why}\n{log}", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait().map(drop));
        if let Err(why) = ended {
            eprintln!("bench: {}: {why}", self.name);
        }
    }
}

/// A port of the loopback that is free now.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<SocketAddrV4> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port of the loopback")?;
    let port = listener.local_addr()?.port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// The web server's address in the namespace.
pub const HTTP: SocketAddrV4 = SocketAddrV4::new(SERVER, 80);

/// Writes a file to be served. Its bytes are not looked at by the guests, only counted.
///
/// # Errors
/// It cannot be written.
pub fn write_file(root: &Path, name: &str, length: u64) -> Result<()> {
    let length = usize::try_from(length).map_err(|_| anyhow!("{length} bytes do not fit into memory"))?;
    let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    fs::write(root.join(name), bytes).with_context(|| format!("cannot write {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        for length in [0, 1, 1024, 100_000] {
            write_file(folder.path(), "file", length).expect("written");
            assert_eq!(fs::metadata(folder.path().join("file")).expect("a file").len(), length);
        }
        assert!(write_file(&folder.path().join("none"), "file", 1).is_err());
    }

    #[test]
    fn a_server_that_ends_is_noticed_with_its_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let words = ["/nonexistent/file".to_owned()];
        let mut server = Server::start("cat", &words, folder.path(), None).expect("started");
        let address = free_port().expect("a port");
        let error = server.wait_for(address).expect_err("nobody listens").to_string();
        assert!(error.contains("/nonexistent/file"), "{error}");
        assert!(Server::start("no-such-program", &[], folder.path(), None).is_err());
    }
}
