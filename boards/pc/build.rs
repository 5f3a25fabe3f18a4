//! Turns the manifest into the statics and the linker sections of each process.
//!
//! `SLOPOS_MANIFEST` names the manifest. `./just build` always does; the default is for linters.

use slopos_abi::{COMMANDS_NAME, ENTROPY_NAME};
use slopos_manifest::{Expanded, LogForm, Manifest, Mmio, Process, Restart, Start};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let path = env::var("SLOPOS_MANIFEST").map_or_else(|_| folder.join(MANIFEST), PathBuf::from);
    println!("cargo:rerun-if-env-changed=SLOPOS_MANIFEST");
    println!("cargo:rerun-if-changed={}", path.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(selftest)");
    println!("cargo:rustc-check-cfg=cfg(log_text)");
    let manifest = slopos_manifest::load(&path).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1);
    });
    if manifest.board.selftest {
        println!("cargo:rustc-cfg=selftest");
    }
    if manifest.board.log == LogForm::Text {
        println!("cargo:rustc-cfg=log_text");
    }
    println!("cargo:rustc-env=SLOPOS_REVISION={}", revision(&folder.join("../..")));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let name = name_in_tree(&path, &folder);
    write(&out.join("processes.rs"), &statics(&manifest, &name));
    write(&out.join("sections.ld"), &sections(&manifest));
    let expanded = Expanded::new(&manifest, &name).to_json();
    write(&out.join("manifest.json"), &expanded);
    // For link.rs, the build script of the boards. A layout that changes has the boards linked again.
    println!("cargo:rerun-if-changed=layout.ld");
    println!("cargo::metadata=sections={}", out.display());
    println!("cargo::metadata=board={}", manifest.board.machine.folder());
    println!("cargo::metadata=layout={}", folder.join("layout.ld").display());
}

/// The manifest where none is named.
const MANIFEST: &str = "../qemu_q35/board.toml";

/// The manifest's path from the root of the tree, or its file name if it lies elsewhere: the image must not depend on
/// where the tree is.
fn name_in_tree(path: &Path, folder: &Path) -> String {
    let root = folder.join("../..");
    let name = match (path.canonicalize(), root.canonicalize()) {
        (Ok(path), Ok(root)) => path.strip_prefix(&root).ok().map(Path::to_owned),
        _ => None,
    };
    name.unwrap_or_else(|| path.file_name().map(PathBuf::from).unwrap_or_default()).display().to_string()
}

/// The revision of the tree, for the console: `SLOPOS_REVISION`, where a package of the sources sets it, else the commit
/// that is checked out, else [`NO_REVISION`]. Changes that are not committed do not show: the build id tells images apart.
fn revision(root: &Path) -> String {
    println!("cargo:rerun-if-env-changed=SLOPOS_REVISION");
    if let Ok(given) = env::var("SLOPOS_REVISION") {
        assert!(given.bytes().all(|byte| byte.is_ascii_graphic()), "SLOPOS_REVISION is one word, not {given:?}");
        return given;
    }
    // Naming the folder keeps git from a repository further up, and from asking whose it is.
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("--git-dir").arg(root.join(".git")).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return NO_REVISION.into() };
    // The log of the HEAD grows with each commit and each switch to another; without one, the HEAD and its branch change.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["logs/HEAD", "HEAD", branch.as_deref().unwrap_or("HEAD")] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", name])
            && Path::new(&path).is_file()
        {
            println!("cargo:rerun-if-changed={path}");
            if name == "logs/HEAD" {
                break;
            }
        }
    }
    // Git may show more digits where twelve are not enough.
    commit.chars().take(12).collect()
}

/// The revision where there is no repository.
const NO_REVISION: &str = "unversioned";

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|why| panic!("cannot write {}: {why}", path.display()));
}

/// The linker sections of the processes: their own memory, and their grants: of the network, of random bytes.
fn sections(manifest: &Manifest) -> String {
    let mut text = String::new();
    for process in &manifest.processes {
        let name = &process.name;
        if process.network.is_some() {
            section(&mut text, &format!(".grant.{name}.net"));
        }
        if process.entropy.is_some() {
            section(&mut text, &format!(".grant.{name}.entropy"));
        }
        if !process.commands.is_empty() {
            section(&mut text, &format!(".grant.{name}.commands"));
        }
        section(&mut text, &format!(".process.{name}"));
    }
    if has_entropy(manifest) {
        section(&mut text, ".owner.entropy");
    }
    if has_commands(manifest) {
        section(&mut text, ".owner.commands");
    }
    text
}

/// Whether any process has random bytes. Where none has, nothing is compiled for them.
fn has_entropy(manifest: &Manifest) -> bool {
    manifest.processes.iter().any(|process| process.entropy.is_some())
}

/// Whether any process may have commands carried out. Where none may, nothing is compiled for them.
fn has_commands(manifest: &Manifest) -> bool {
    manifest.processes.iter().any(|process| !process.commands.is_empty())
}

fn section(text: &mut String, name: &str) {
    writeln!(text, "{name} (NOLOAD) : AT(ADDR({name}) - KERNEL_BASE) {{ KEEP(*({name})) }}").expect("a String grows");
}

/// The statics of the processes and the functions that hand them out.
fn statics(manifest: &Manifest, name_in_tree: &str) -> String {
    let mut text = String::new();
    let count = manifest.processes.len();
    let bytes: u64 = manifest
        .processes
        .iter()
        .map(|process| {
            let network = process.network.as_ref().map_or(0, |network| network.buffer_bytes());
            process.ram + process.stack + network
        })
        .sum();
    let frame = manifest.board.max_frame;
    let on_panic = manifest.board.on_panic;
    let watchdog = manifest.board.watchdog.map(|timeout| timeout.as_millis());
    let windows = manifest.board.mmio.map(|Mmio { address, size, count, interrupt }| {
        format!("Windows {{ address: {address}, length: {size}, count: {count}, gsi: {interrupt} }}")
    });
    let windows = windows.map_or("None".to_owned(), |windows| format!("Some({windows})"));
    let seed = manifest.seed().map(|region| region.name.as_str());
    // As the kernel writes them; the tools have the same names for the same things.
    let keys: Vec<PublicKey> =
        manifest.flash.keys.iter().map(|key| PublicKey { id: key.public.id(), bytes: *key.public.bytes() }).collect();
    let (unsigned, development) = (manifest.flash.unsigned, manifest.flash.is_development());
    let mut configurations = String::new();
    let mut spaces = String::new();
    let mut grants = String::new();
    let mut buffers = String::new();
    let mut requests = String::new();
    let mut modules = String::new();
    for (index, process) in manifest.processes.iter().enumerate() {
        configurations.push_str(&configuration(process));
        writeln!(spaces, "process_{index}::space(),").expect("a String grows");
        let element = |array: &mut String, is_some: bool, function: &str| {
            let element = if is_some { format!("Some(process_{index}::{function}())") } else { "None".to_owned() };
            writeln!(array, "{element},").expect("a String grows");
        };
        element(&mut grants, process.network.is_some(), "sockets");
        element(&mut buffers, process.entropy.is_some(), "entropy");
        element(&mut requests, !process.commands.is_empty(), "commands");
        modules.push_str(&module(index, process));
    }
    let entropy = grants_of("entropy", "random bytes", "Region", has_entropy(manifest), &buffers);
    let commands = grants_of("commands", "commands", "Request", has_commands(manifest), &requests);
    write!(
        text,
        "/// The board's name, by the manifest.
pub const BOARD_NAME: &str = {:?};
/// The manifest's file.
pub const MANIFEST_FILE: &str = {name_in_tree:?};
/// Which records the board runs.
pub static TRUST: Trust = Trust {{
    board: BOARD_NAME,
    keys: &{keys:?},
    unsigned: Unsigned::{unsigned:?},
    development: {development},
}};
/// How many processes the manifest names.
pub const PROCESSES: usize = {count};
/// Bytes of the statics whose size the manifest decides.
pub const MANIFEST_BYTES: usize = {bytes};
/// Largest Ethernet frame, in bytes.
pub const MAX_FRAME: u16 = {frame};
/// What follows a panic.
pub const ON_PANIC: OnPanic = OnPanic::{on_panic:?};
/// After how many milliseconds without progress a watchdog resets the board.
pub const WATCHDOG_MS: Option<u32> = {watchdog:?};
/// Where virtio devices may be, unless the command line says it.
pub const WINDOWS: Option<Windows> = {windows};
/// The flash region in which a seed is kept.
pub const SEED_REGION: Option<&str> = {seed:?};
/// The manifest in full, for the audit. It is in the ELF and not in memory.
#[used]
#[unsafe(link_section = \".manifest\")]
static MANIFEST: [u8; include_bytes!(concat!(env!(\"OUT_DIR\"), \"/manifest.json\")).len()] =
    *include_bytes!(concat!(env!(\"OUT_DIR\"), \"/manifest.json\"));
/// What the manifest says of each process.
pub static CONFIGURATIONS: [Configuration; PROCESSES] = [{configurations}];
/// Hands out the memory of each process. To be called once: a second call panics.
pub fn user_spaces() -> [UserSpace; PROCESSES] {{ [{spaces}] }}
/// Hands out the network grants. To be called once: a second call panics.
pub fn network_grants() -> [Option<&'static mut SocketSet<'static>>; PROCESSES] {{ [{grants}] }}
{entropy}
{commands}
{modules}",
        manifest.board.name
    )
    .expect("a String grows");
    text
}

/// A key, shown as the kernel's sources write it.
#[derive(Debug)]
#[expect(dead_code, reason = "they are shown")]
struct PublicKey {
    id: [u8; 8],
    bytes: [u8; 32],
}

/// What hands out the grants of a capsule that a board may do without; `elements` are those of its array, one for each
/// process.
fn grants_of(name: &str, what: &str, region: &str, any: bool, elements: &str) -> String {
    let constant = name.to_uppercase();
    let (memory, hand_out) = if any {
        let memory = format!(
            "#[unsafe(link_section = \".owner.{name}\")]
static {constant}_GRANTS: StaticCell<[Option<&'static mut {region}<'static>>; PROCESSES]> = StaticCell::new();
"
        );
        (memory, format!("{constant}_GRANTS.init_with(|| [{elements}])"))
    } else {
        (String::new(), "&mut []".to_owned())
    };
    format!(
        "/// Whether any process has {what}.
pub const {constant}: bool = {any};
{memory}/// Hands out the grants of {what}. To be called once: a second call panics.
pub fn {name}_grants() -> &'static mut [Option<&'static mut {region}<'static>>] {{ {hand_out} }}"
    )
}

fn configuration(process: &Process) -> String {
    let mut opens: Vec<&str> = process.flash.iter().map(String::as_str).collect();
    opens.extend(process.entropy.map(|_| ENTROPY_NAME));
    opens.extend(process.commands.first().map(|_| COMMANDS_NAME));
    format!(
        "Configuration {{ name: {:?}, app: {:?}, minimum_version: AppVersion::new({}), arguments: &{:?}, \
         start_at_boot: {}, opens: &{opens:?}, \
         restart: {}, priority: {}, console: ConsoleAccess::{:?} }},\n",
        process.name,
        process.app,
        process.minimum_version.number(),
        process.arguments,
        process.start == Start::Boot,
        restart(process.restart),
        process.priority,
        process.console
    )
}

fn restart(restart: Restart) -> String {
    match restart {
        Restart::Never => "Restart::Never".to_owned(),
        Restart::Backoff { first, maximum } => format!(
            "Restart::Backoff {{ first: slopos_kernel::time::Duration::from_millis({}), \
             maximum: slopos_kernel::time::Duration::from_millis({}) }}",
            first.as_millis(),
            maximum.as_millis()
        ),
    }
}

fn module(index: usize, process: &Process) -> String {
    let Process { name, ram, stack, .. } = process;
    let mut text = format!(
        "mod process_{index} {{
use super::*;
#[unsafe(link_section = \".process.{name}\")]
static RAM: PageCell<{ram}> = PageCell::new();
#[unsafe(link_section = \".process.{name}\")]
static STACK: PageCell<{stack}> = PageCell::new();
#[unsafe(link_section = \".process.{name}\")]
static TABLES: UserTables = UserTables::new();
#[unsafe(link_section = \".process.{name}\")]
static TAKEN: Once = Once::new();
pub fn space() -> UserSpace {{
    TAKEN.claim();
    // SAFETY: claimed above, once.
    unsafe {{ UserSpace::new(RAM.memory(), STACK.memory(), &TABLES) }}
}}
"
    );
    if let Some(entropy) = process.entropy {
        let size = entropy.buffer;
        write!(
            text,
            "#[unsafe(link_section = \".grant.{name}.entropy\")]
static RANDOM: ConstStaticCell<[u8; {size}]> = ConstStaticCell::new([0; {size}]);
#[unsafe(link_section = \".grant.{name}.entropy\")]
static REGION: StaticCell<Region<'static>> = StaticCell::new();
pub fn entropy() -> &'static mut Region<'static> {{
    REGION.init_with(|| Region::new(RANDOM.take()))
}}
"
        )
        .expect("a String grows");
    }
    let words = process.command_words();
    if !words.is_empty() {
        write!(
            text,
            "#[unsafe(link_section = \".grant.{name}.commands\")]
static LINE: ConstStaticCell<requests::RequestLine> = ConstStaticCell::new(requests::RequestLine::new());
#[unsafe(link_section = \".grant.{name}.commands\")]
static REQUEST: StaticCell<Request<'static>> = StaticCell::new();
use slopos_process_console::requests;
static ALLOWED: [&str; {}] = {words:?};
pub fn commands() -> &'static mut Request<'static> {{
    REQUEST.init_with(|| Request::new(\"{name}\", &ALLOWED, LINE.take()))
}}
",
            words.len()
        )
        .expect("a String grows");
    }
    if let Some(network) = &process.network {
        let (sockets, receive, send) = (network.sockets, network.receive, network.send);
        let mut remotes = String::new();
        for remote in network.connect.iter().map(|connect| connect.remote) {
            write!(
                remotes,
                "RemoteRange {{ address: Ipv4Addr::from_octets({:?}), prefix: {}, first_port: {}, last_port: {} }},",
                remote.address.octets(),
                remote.prefix,
                remote.first_port,
                remote.last_port
            )
            .expect("a String grows");
        }
        write!(
            text,
            "#[used]
#[unsafe(link_section = \".grant.{name}.net\")]
static CONTROL: StaticCell<[Socket<'static>; {sockets}]> = StaticCell::new();
#[used]
#[unsafe(link_section = \".grant.{name}.net\")]
static SET: StaticCell<SocketSet<'static>> = StaticCell::new();
#[used]
#[unsafe(link_section = \".grant.{name}.net\")]
static RECEIVE: ConstStaticCell<[[u8; {receive}]; {sockets}]> = ConstStaticCell::new([[0; {receive}]; {sockets}]);
#[used]
#[unsafe(link_section = \".grant.{name}.net\")]
static SEND: ConstStaticCell<[[u8; {send}]; {sockets}]> = ConstStaticCell::new([[0; {send}]; {sockets}]);
static AUTHORITY: [RemoteRange; {}] = [{remotes}];
// Inlined, what builds a control block would stay in the frame of `main`, once for each process.
#[inline(never)]
pub fn sockets() -> &'static mut SocketSet<'static> {{
    let mut receive = RECEIVE.take().iter_mut();
    let mut send = SEND.take().iter_mut();
    let control = fill(CONTROL.uninit(), |_| {{
        let (Some(receive), Some(send)) = (receive.next(), send.next()) else {{ unreachable!(\"as many buffers as sockets\") }};
        Socket::new(receive, send)
    }});
    SET.init_with(|| SocketSet::new(\"{name}\", control, &AUTHORITY))
}}
",
            network.connect.len()
        )
        .expect("a String grows");
    }
    text.push_str("}\n");
    text
}
