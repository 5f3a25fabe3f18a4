//! Servers of others' making, each a process that ends with its value.

use crate::files;
use crate::namespace::{SERVER, TAP};
use crate::servers::url;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// The web server's address in a namespace.
pub const HTTP: SocketAddrV4 = SocketAddrV4::new(SERVER, 80);

/// A process, ended when this value goes.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It is ours and may have ended by itself, which whoever waits for it has noticed then.
        if self.0.kill().is_ok()
            && let Err(why) = self.0.wait()
        {
            eprintln!("a server does not end: {why}");
        }
    }
}

/// A server.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    process: Process,
    log: PathBuf,
}

impl Server {
    /// Starts a program with its files in `folder`, in a network namespace where one is named.
    ///
    /// # Errors
    /// It is not installed.
    fn start(name: &'static str, arguments: &[&str], folder: &Path, namespace: Option<&str>) -> Result<Server> {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|place| Path::new(place).join(name));
        let program = found.into_iter().find(|path| path.is_file());
        let program =
            program.with_context(|| format!("{name} is not installed; tools/setup/servers.sh installs it"))?;
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // A killed tool takes its servers along. Both programs become what they start, so the process is one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(namespace) = namespace {
            command.args(["ip", "netns", "exec", namespace]);
        }
        command.arg(program).args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Process(command.spawn().context("setpriv, which starts the servers")?);
        Ok(Server { name, process, log })
    }

    /// Serves the files of `root` by HTTP, and takes files by PUT.
    ///
    /// # Errors
    /// nginx is not installed, or its configuration cannot be written.
    pub fn nginx(folder: &Path, root: &Path, address: SocketAddrV4, namespace: Option<&str>) -> Result<Server> {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .concat();
        // One process, so that its time can be told from others'. 512 connections at once take as many files again.
        let text = format!(
            "daemon off; master_process off; pid {}; error_log stderr; worker_rlimit_nofile 4096;\n\
             events {{ worker_connections 2048; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;\n{temporary}\
             client_max_body_size 0;\n\
             server {{ listen {address} backlog=1024; root {}; dav_methods PUT; }} }}\n",
            path("nginx.pid"),
            root.display()
        );
        Server::start("nginx", &["-c", &configuration(folder, "nginx.conf", &text)?], folder, namespace)
    }

    /// Serves the files of `root` by HTTP in a namespace.
    ///
    /// # Errors
    /// lighttpd is not installed, or its configuration cannot be written.
    pub fn lighttpd(folder: &Path, root: &Path, namespace: &str) -> Result<Server> {
        let text = format!(
            "server.bind = \"{SERVER}\"\nserver.port = 80\nserver.document-root = \"{}\"\n\
             server.upload-dirs = ( \"{}\" )\n",
            root.display(),
            folder.display()
        );
        let file = configuration(folder, "lighttpd.conf", &text)?;
        Server::start("lighttpd", &["-D", "-f", &file], folder, Some(namespace))
    }

    /// Serves the files of `root` by HTTP in a namespace.
    ///
    /// # Errors
    /// Python 3 is not installed.
    pub fn python(folder: &Path, root: &Path, namespace: &str) -> Result<Server> {
        let (root, address) = (root.to_string_lossy(), SERVER.to_string());
        let arguments = ["-m", "http.server", "80", "--bind", &address, "--directory", &root];
        Server::start("python3", &arguments, folder, Some(namespace))
    }

    /// Takes bodies with Python's library, and answers with method, type, length and SHA-256 of each.
    ///
    /// # Errors
    /// Python 3 is not installed.
    pub fn taker(folder: &Path, address: SocketAddrV4, namespace: Option<&str>) -> Result<Server> {
        let arguments = ["-c", include_str!("taker.py"), &address.ip().to_string(), &address.port().to_string()];
        Server::start("python3", &arguments, folder, namespace)
    }

    /// Gives addresses to who asks at the namespace's tap.
    ///
    /// # Errors
    /// dnsmasq is not installed.
    pub fn dnsmasq(folder: &Path, namespace: &str) -> Result<Server> {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let arguments = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
            "--no-ping",
            "--dhcp-authoritative",
            &format!("--interface={TAP}"),
            "--bind-interfaces",
            "--dhcp-range=10.9.0.50,10.9.0.99,255.255.255.0,1h",
            &format!("--dhcp-leasefile={}", path("leases")),
            &format!("--pid-file={}", path("dnsmasq.pid")),
        ];
        Server::start("dnsmasq", &arguments, folder, Some(namespace))
    }

    /// The same, by busybox's server.
    ///
    /// # Errors
    /// udhcpd is not installed, or its configuration cannot be written.
    pub fn udhcpd(folder: &Path, namespace: &str) -> Result<Server> {
        let leases = configuration(folder, "leases", "")?;
        let text = format!(
            "start 10.9.0.100\nend 10.9.0.120\ninterface {TAP}\nlease_file {leases}\npidfile {}\n\
             option subnet 255.255.255.0\noption router {SERVER}\noption lease 3600\n",
            folder.join("udhcpd.pid").display()
        );
        Server::start("udhcpd", &["-f", &configuration(folder, "udhcpd.conf", &text)?], folder, Some(namespace))
    }

    /// Its process. It has one thread.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits until somebody listens at the address; to be called where that can be reached.
    ///
    /// # Errors
    /// The server has ended, or does not listen in time.
    pub fn wait_for(&mut self, address: SocketAddrV4) -> Result<()> {
        let deadline = Instant::now() + START;
        while let Err(why) = TcpStream::connect_timeout(&address.into(), START) {
            let ended = self.process.0.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log)?;
                bail!("{} does not listen at {address}: {why}\n{log}", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Writes a file of a server's, and returns its path.
fn configuration(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Python's web server on a free port of the loopback, with a folder of its own; both go when this value does.
pub struct Python {
    port: u16,
    folder: TempDir,
    _process: Process,
    /// Kept open: the server dies when it cannot write to it.
    _output: BufReader<ChildStdout>,
}

impl Python {
    /// Serves a folder that is empty.
    ///
    /// # Panics
    /// Python 3 is not there or does not say which port it took.
    #[expect(clippy::new_without_default, reason = "it starts a process; that is no default")]
    pub fn new() -> Python {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed; ./just setup does that");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("python3 says where it serves");
        // `Serving HTTP on 127.0.0.1 port 43210 (http://127.0.0.1:43210/) ...`
        let mut words = line.split_whitespace().skip_while(|word| *word != "port").skip(1);
        let port = words.next().and_then(|word| word.parse().ok());
        let port = port.unwrap_or_else(|| panic!("python3 says {line:?} instead of its port"));
        Python { port, folder, _process: Process(child), _output: output }
    }

    /// Serves a file of so many bytes too, and gives their SHA-256 in hexadecimal digits.
    pub fn file(&self, name: &str, length: usize) -> String {
        files::write(&self.folder.path().join(name), length)
    }

    /// The address of a file, as the board sees it.
    pub fn url(&self, file: &str) -> String {
        url(self.port, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::loopback::listen;
    use std::net::Ipv4Addr;

    #[test]
    fn a_server_that_ends_is_noticed_with_its_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::start("cat", &["/nonexistent/file"], folder.path(), None).expect("started");
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listen().1);
        let error = server.wait_for(address).expect_err("nobody listens").to_string();
        assert!(error.contains("/nonexistent/file"), "{error}");
        assert!(Server::start("no-such-program", &[], folder.path(), None).is_err());
    }
}
