//! What `help`, `ps` and `net` print.

use core::fmt::{Result, Write};
use slopos_abi::info::{GrantInfo, NetInfo};
use slopos_kernel::process::Process;

/// The text of `help`.
pub const HELP: &str = "\
help                  this list
ps                    processes: state, last status, calls, descriptors, denials, ledger
net                   address, gateway, lease, counters, buffers
grants                what each process holds of the network
APP [ARGUMENT...]     run a process and wait for it; ^C kills it
start APP [ARG...]    run a process in the background
kill APP              end a process at once
sleep SECONDS         wait
exit                  leave, with the status of the last command
";

/// The lines that `help` adds in an image with the board's own tests.
pub const SELF_TEST_HELP: &str = "\
test                  run the board's own tests
panic                 make the kernel panic
";

/// A line of `ps`, with the table's head before it if `head` is set.
pub fn process(process: &Process, head: bool, out: &mut impl Write) -> Result {
    if head {
        writeln!(
            out,
            "{:<16} {:<8} {:>6} {:>10} {:>4} {:>8} {:>7}",
            "PROCESS", "STATE", "STATUS", "CALLS", "FDS", "DENIALS", "LEDGER"
        )?;
    }
    write!(out, "{:<16} {:<8} ", process.configuration.name, process.state().word())?;
    match process.status() {
        Some(status) => write!(out, "{status:>6}")?,
        None => write!(out, "{:>6}", "-")?,
    }
    let ledger = process.ledger.balance();
    writeln!(out, " {:>10} {:>4} {:>8} {:>+7}", process.calls, process.open_descriptors(), process.denials, ledger)
}

/// A line of `grants`: one process.
pub fn grant(name: &str, info: &GrantInfo, out: &mut impl Write) -> Result {
    let GrantInfo { bytes, in_use, high_water, denials, drops, recycled, sockets, sockets_in_use } = info;
    writeln!(
        out,
        "{name} bytes={bytes} in_use={in_use} high_water={high_water} denials={denials} drops={drops} \
         recycled={recycled} sockets={sockets_in_use}/{sockets}"
    )
}

/// The state of the network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// There is none.
    None,
    /// It works.
    Working {
        /// Receive buffers that it has.
        receiving: u16,
        /// Frames that it has not sent yet.
        sending: u16,
    },
    /// It is being reset.
    Resetting,
    /// It does not answer any more.
    Gone {
        /// Seconds until it is tried again.
        next_try_seconds: u64,
    },
    /// It has failed and waits for its next reset.
    Failed {
        /// Seconds until it is tried again.
        next_try_seconds: u64,
    },
}

/// The text of `net`.
pub fn network(info: &NetInfo, device: DeviceState, out: &mut impl Write) -> Result {
    let [a, b, c, d] = info.address;
    let [e, f, g, h] = info.gateway;
    let [m0, m1, m2, m3, m4, m5] = info.mac;
    let link = if info.link != 0 { "up" } else { "down" };
    writeln!(out, "link {link} mac {m0:02x}:{m1:02x}:{m2:02x}:{m3:02x}:{m4:02x}:{m5:02x} mtu {}", info.mtu)?;
    match info.lease_seconds {
        0 => writeln!(out, "no lease")?,
        u32::MAX => writeln!(out, "address {a}.{b}.{c}.{d}/{} gateway {e}.{f}.{g}.{h} lease for ever", info.prefix)?,
        seconds => writeln!(out, "address {a}.{b}.{c}.{d}/{} gateway {e}.{f}.{g}.{h} lease {seconds} s", info.prefix)?,
    }
    writeln!(
        out,
        "received {} frames {} bytes, dropped {}",
        info.receive_frames, info.receive_bytes, info.receive_dropped
    )?;
    writeln!(
        out,
        "sent {} frames {} bytes, {} segments again",
        info.transmit_frames, info.transmit_bytes, info.retransmits
    )?;
    match device {
        DeviceState::None => writeln!(out, "no device"),
        DeviceState::Working { receiving, sending } => {
            writeln!(out, "device has {receiving} buffers to receive, {sending} to send")
        }
        DeviceState::Resetting => writeln!(out, "device: resetting"),
        DeviceState::Gone { next_try_seconds } => writeln!(out, "device: gone, next try in {next_try_seconds} s"),
        DeviceState::Failed { next_try_seconds } => writeln!(out, "device: failed, next try in {next_try_seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn a_grant_is_one_line_that_scripts_can_read() {
        let info =
            GrantInfo { bytes: 9, in_use: 2, high_water: 5, sockets: 4, sockets_in_use: 1, ..GrantInfo::default() };
        let mut text = String::new();
        grant("webget", &info, &mut text).unwrap();
        assert_eq!(text, "webget bytes=9 in_use=2 high_water=5 denials=0 drops=0 recycled=0 sockets=1/4\n");
    }

    #[test]
    fn the_network_report_says_when_there_is_no_lease() {
        let mut text = String::new();
        network(&NetInfo::default(), DeviceState::None, &mut text).unwrap();
        assert!(text.contains("link down") && text.contains("no lease") && text.contains("no device"));
        let info = NetInfo { address: [10, 0, 2, 15], prefix: 24, lease_seconds: 86_400, ..NetInfo::default() };
        text.clear();
        network(&info, DeviceState::Working { receiving: 256, sending: 1 }, &mut text).unwrap();
        assert!(text.ends_with("\ndevice has 256 buffers to receive, 1 to send\n"));
        assert!(text.contains("address 10.0.2.15/24 gateway 0.0.0.0 lease 86400 s"));
    }

    #[test]
    fn the_network_report_says_how_a_device_is_that_does_not_work() {
        for (device, line) in [
            (DeviceState::Resetting, "device: resetting\n"),
            (DeviceState::Gone { next_try_seconds: 60 }, "device: gone, next try in 60 s\n"),
            (DeviceState::Failed { next_try_seconds: 1 }, "device: failed, next try in 1 s\n"),
        ] {
            let mut text = String::new();
            network(&NetInfo::default(), device, &mut text).unwrap();
            assert_eq!(text.lines().last(), line.lines().last());
        }
    }
}
