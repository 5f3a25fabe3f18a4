//! Which layer of the system a function belongs to.
//!
//! With link-time optimisation a symbol tells little, for one function holds the code of many. What counts is the
//! innermost function, inlined or not, that belongs to a crate of ours: a loop of `core` works for who wrote it.

/// Where an instruction's work belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The firmware that runs before the kernel.
    Firmware,
    /// From the first instruction of the kernel to its loop, and what is loaded from the flash.
    Boot,
    /// The driver of the flash.
    Flash,
    /// virtio, PCI and the other devices.
    Driver,
    /// Ethernet, ARP, IPv4, UDP and DHCP.
    Internet,
    /// TCP and the sockets.
    Tcp,
    /// Bytes copied, filled, compared or summed, for whomever.
    Copy,
    /// System calls, traps, processes and their memory.
    SystemCalls,
    /// The board's loop, timers and interrupts.
    Loop,
    /// Both consoles and the kernel's log.
    Console,
    /// Waiting for an interrupt. A processor that waits carries out nothing, so this is the way in and out.
    Idle,
    /// The process's own code.
    Process,
    /// Code that no rule here names.
    Other,
}

impl Layer {
    /// All layers, from the bottom up.
    pub const ALL: [Layer; 13] = [
        Layer::Firmware,
        Layer::Boot,
        Layer::Flash,
        Layer::Driver,
        Layer::Internet,
        Layer::Tcp,
        Layer::Copy,
        Layer::SystemCalls,
        Layer::Loop,
        Layer::Console,
        Layer::Idle,
        Layer::Process,
        Layer::Other,
    ];

    /// Whether it is ours: the firmware's instructions are as many as the package on the host makes them.
    pub fn is_ours(self) -> bool {
        self != Layer::Firmware
    }

    /// The layer's name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Firmware => "firmware",
            Layer::Boot => "boot",
            Layer::Flash => "flash",
            Layer::Driver => "driver",
            Layer::Internet => "ethernet and ipv4",
            Layer::Tcp => "tcp and sockets",
            Layer::Copy => "copy and checksum",
            Layer::SystemCalls => "system calls",
            Layer::Loop => "loop and timers",
            Layer::Console => "console and log",
            Layer::Idle => "idle",
            Layer::Process => "process",
            Layer::Other => "other",
        }
    }
}

/// What each name begins with; the longer ones of two that fit come first.
const RULES: &[(&str, Layer)] = &[
    ("slopos_memory::", Layer::Copy),
    ("memcpy", Layer::Copy),
    ("memmove", Layer::Copy),
    ("memset", Layer::Copy),
    ("memcmp", Layer::Copy),
    ("bcmp", Layer::Copy),
    ("compiler_builtins::mem::", Layer::Copy),
    ("slopos_net::wire::checksum::", Layer::Copy),
    ("slopos_net::wire::ipv4::pseudo_header", Layer::Copy),
    ("slopos_net::wire::ipv4::transport_checksum", Layer::Copy),
    ("slopos_net::tcp::", Layer::Tcp),
    ("slopos_net::wire::tcp::", Layer::Tcp),
    ("slopos_net::sockets::", Layer::Tcp),
    ("slopos_net::", Layer::Internet),
    ("slopos_virtio::blk::", Layer::Flash),
    ("slopos_virtio::transport::probe", Layer::Boot),
    ("slopos_virtio::", Layer::Driver),
    ("slopos_q35::uart::", Layer::Console),
    ("slopos_q35::acpi::", Layer::Boot),
    ("slopos_q35::pci::enumerate", Layer::Boot),
    ("slopos_q35::pit::", Layer::Boot),
    ("slopos_q35::", Layer::Driver),
    ("slopos_registers::", Layer::Driver),
    ("slopos_x86_64::control::wait_for_interrupt", Layer::Idle),
    ("slopos_x86_64::control::sanitise_user_flags", Layer::SystemCalls),
    ("slopos_x86_64::trap::hardware::note", Layer::Loop),
    ("slopos_x86_64::trap::hardware::take_pending", Layer::Loop),
    ("slopos_x86_64::trap::hardware::has_pending", Layer::Loop),
    ("slopos_x86_64::trap::", Layer::SystemCalls),
    ("slopos_x86_64::processor::", Layer::SystemCalls),
    ("slopos_x86_64::paging::", Layer::SystemCalls),
    ("slopos_x86_64::clock::", Layer::Loop),
    ("slopos_x86_64::apic::", Layer::Loop),
    ("slopos_x86_64::", Layer::Boot),
    ("slopos_kernel::loader::", Layer::Boot),
    ("slopos_kernel::time::", Layer::Loop),
    ("slopos_kernel::pacing::", Layer::Loop),
    ("slopos_kernel::", Layer::SystemCalls),
    ("slopos_abi::", Layer::SystemCalls),
    ("slopos_console::", Layer::Console),
    ("slopos_process_console::", Layer::Console),
    ("defmt::", Layer::Console),
    ("_defmt_", Layer::Console),
    ("slopos_board_pc::log::", Layer::Console),
    ("slopos_board_pc::serial::", Layer::Console),
    ("slopos_board_pc::commands::", Layer::Console),
    ("slopos_board_pc::capsules::", Layer::SystemCalls),
    ("slopos_board_pc::board::", Layer::Loop),
    ("slopos_board_pc::machine::Alarm::", Layer::Loop),
    ("slopos_board_pc::machine::now", Layer::Loop),
    ("slopos_board_pc::", Layer::Boot),
    ("kernel_main", Layer::Boot),
    ("trap_in_kernel", Layer::Loop),
    ("trap_", Layer::SystemCalls),
    ("system_call_entry", Layer::SystemCalls),
    ("pvh_start", Layer::Boot),
    ("sha2::", Layer::Boot),
    // Initial sequence numbers and ports.
    ("siphasher::", Layer::Tcp),
];

/// What works for whoever uses it, as the language's own library does: it decides only where nobody else is named.
const SHARED: [&str; 4] =
    ["slopos_registers::", "slopos_kernel::time::", "slopos_kernel::grant::", "slopos_kernel::process::id::"];

/// Whose work everything within them is, but copying and logging: the flash's driver and the boot use the clock, the
/// queues and the page tables that others use too. The loop ends the search, for it may be part of the boot's function.
const PARTS: [(&str, Option<Layer>); 7] = [
    ("slopos_virtio::blk::", Some(Layer::Flash)),
    ("slopos_board_pc::board::Board::", None),
    ("slopos_board_pc::machine::bring_up", Some(Layer::Boot)),
    ("slopos_board_pc::pci::", Some(Layer::Boot)),
    ("slopos_board_pc::mmio::", Some(Layer::Boot)),
    ("slopos_board_pc::system::run", Some(Layer::Boot)),
    ("kernel_main", Some(Layer::Boot)),
];

/// The layer of kernel code in these functions, the innermost first, and the function that decided it.
pub fn of_kernel(functions: &[String]) -> (Layer, Option<&str>) {
    let is_shared = |function: &&String| SHARED.iter().any(|prefix| plain(function).starts_with(prefix));
    let own = functions.iter().filter(|function| !is_shared(function)).chain(functions);
    let decided = own.filter_map(|function| Some((of_function(function)?, function))).next();
    let Some((layer, function)) = decided else { return (Layer::Other, functions.last().map(String::as_str)) };
    let part = functions.iter().find_map(|outer| PARTS.iter().find(|(prefix, _)| plain(outer).starts_with(prefix)));
    match part {
        Some((_, Some(whole))) if !matches!(layer, Layer::Copy | Layer::Console) => (*whole, Some(function)),
        _ => (layer, Some(function)),
    }
}

/// The innermost function of a process that is not of the language's own library.
pub fn of_process(functions: &[String]) -> Option<&str> {
    let own = |name: &&String| !plain(name).starts_with("core::");
    functions.iter().find(own).or(functions.last()).map(String::as_str)
}

fn of_function(function: &str) -> Option<Layer> {
    let name = plain(function);
    RULES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, layer)| *layer)
}

/// A name that begins with its crate: `<A as B>::c` is A's.
fn plain(function: &str) -> &str {
    function.trim_start_matches(['<', '&']).trim_start_matches("mut ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_function_of_ours_decides() {
        let layer = |functions: &[&str]| {
            let functions: Vec<String> = functions.iter().map(|&function| function.to_owned()).collect();
            let (layer, function) = of_kernel(&functions);
            (layer, function.map(str::to_owned))
        };
        let (loop_of_core, read, run) =
            ("core::slice::copy", "slopos_net::tcp::ring::Ring::read", "slopos_board_pc::board::x");
        assert_eq!(layer(&[loop_of_core, read, run]), (Layer::Tcp, Some(read.to_owned())));
        assert_eq!(layer(&["slopos_net::wire::checksum::sum", "slopos_net::wire::tcp::Segment::parse"]).0, Layer::Copy);
        assert_eq!(layer(&["memcpy"]).0, Layer::Copy);
        assert_eq!(layer(&["<slopos_virtio::net::Net<B>>::receive"]).0, Layer::Driver);
        let take_used = "slopos_virtio::queue::Queue::take_used";
        assert_eq!(layer(&[take_used, "slopos_virtio::net::Net<B>::receive"]).0, Layer::Driver);
        assert_eq!(layer(&[take_used, "slopos_virtio::blk::Block<B>::transfer"]).0, Layer::Flash);
        let at = "slopos_x86_64::clock::Clock::at";
        assert_eq!(
            layer(&[at, "slopos_virtio::blk::Block<B>::transfer", "slopos_board_pc::flash::Flash::load"]).0,
            Layer::Flash
        );
        assert_eq!(layer(&["slopos_net::stack::receive::<impl slopos_net::stack::Stack>::f"]).0, Layer::Internet);
        // What is shared is whose it is used by, and names itself only where nobody else does.
        let add = "<slopos_kernel::time::Instant as core::ops::arith::Add>::add";
        assert_eq!(layer(&[add, "slopos_net::tcp::timers::Timers::earliest"]).0, Layer::Tcp);
        assert_eq!(layer(&[add]), (Layer::Loop, Some(add.to_owned())));
        let port = "<slopos_registers::Hardware as slopos_registers::Bus>::port_write";
        assert_eq!(
            layer(&[port, "slopos_q35::uart::Uart<B>::write", "slopos_board_pc::board::Board::run"]).0,
            Layer::Console
        );
        // The boot's use of what others use is the boot's, but the loop within its function is not.
        assert_eq!(layer(&["slopos_x86_64::paging::PageTable::set", "kernel_main"]).0, Layer::Boot);
        let started = "slopos_board_pc::pci::start";
        assert_eq!(layer(&["slopos_virtio::queue::Queue::new", started]).0, Layer::Boot);
        assert_eq!(layer(&["slopos_board_pc::log::emit", started]).0, Layer::Console);
        assert_eq!(layer(&[at, "slopos_board_pc::board::Board::run", "slopos_board_pc::system::run"]).0, Layer::Loop);
        assert_eq!(layer(&["slopos_board_pc::log::emit", "kernel_main"]).0, Layer::Console);
        assert_eq!(
            layer(&["slopos_board_pc::machine::Alarm::set", "slopos_board_pc::board::Board::run"]).0,
            Layer::Loop
        );
        assert_eq!(layer(&["core::fmt::write"]), (Layer::Other, Some("core::fmt::write".to_owned())));
        assert_eq!(layer(&[]), (Layer::Other, None));
    }

    #[test]
    fn a_process_is_charged_by_its_own_functions_where_it_has_any() {
        let functions = ["<core::slice::Iter<T>>::next", "webget::fetch"].map(str::to_owned);
        assert_eq!(of_process(&functions), Some("webget::fetch"));
        assert_eq!(of_process(&functions[..1]), Some("<core::slice::Iter<T>>::next"));
    }

    #[test]
    fn no_rule_is_hidden_by_a_shorter_one_before_it() {
        for (index, (prefix, _)) in RULES.iter().enumerate() {
            let first = RULES.iter().position(|(other, _)| prefix.starts_with(other));
            assert_eq!(first, Some(index), "{prefix}");
        }
        let mut layers = Layer::ALL.to_vec();
        layers.dedup();
        assert_eq!(layers.len(), Layer::ALL.len());
    }
}
