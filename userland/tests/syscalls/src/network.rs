//! What a process without network authority gets from the network's calls.

use libslop::abi::info::{GrantInfo, NetInfo};
use libslop::abi::{Errno, SocketKind, Syscall};
use libslop::{Socket, SocketFlags, call};

use crate::check::{Checks, Failed};

pub fn run(checks: &mut Checks) -> Result<(), Failed> {
    for flags in [SocketFlags::default(), SocketFlags { nonblock: true, nodelay: true, keepalive: true }] {
        let errno = Socket::stream(flags).map(|_| ()).map_err(|error| error.errno());
        checks.equal("a socket without authority", errno, Err(Errno::Access))?;
    }
    let before = checks.succeeds("ask for the grant", call::grant_info())?.denials;
    let none = call::socket(SocketKind::Stream, SocketFlags::default());
    checks.fails("a socket without authority stays denied", none, Errno::Access)?;
    let invalid = Errno::Invalid.to_return();
    checks.raw("a kind that does not exist", Syscall::Socket.number(), [2, 0, 0, 0], invalid)?;
    checks.raw("a flag that does not exist", Syscall::Socket.number(), [1, 8, 0, 0], invalid)?;
    let after = checks.succeeds("ask for the grant", call::grant_info())?.denials;
    checks.equal("each denial is counted, and nothing else", after - before, 1)?;

    narrowing(checks)?;
    let info = checks.succeeds("ask for the network", call::net_info())?;
    checks.holds("a prefix has at most 32 bits", info.prefix <= 32)?;
    checks.holds("the link is up or down", info.link <= 1)?;
    checks.equal("nobody connected", info.ledger, 0)?;
    let received = (info.receive_frames, info.receive_bytes, info.receive_dropped);
    checks.equal("what others received", received, (0, 0, 0))?;
    let sent = (info.transmit_frames, info.transmit_bytes, info.retransmits);
    checks.equal("what others sent", sent, (0, 0, 0))?;

    let grant = checks.succeeds("ask for the grant", call::grant_info())?;
    checks.equal("no grant has no bytes", (grant.bytes, grant.in_use, grant.high_water), (0, 0, 0))?;
    checks.equal("no grant has no sockets", (grant.sockets, grant.sockets_in_use, grant.recycled), (0, 0, 0))?;
    lengths(checks)
}

/// Without authority there is nothing to narrow, but what makes no sense is still refused.
fn narrowing(checks: &mut Checks) -> Result<(), Failed> {
    let invalid = Errno::Invalid.to_return();
    for arguments in [[0, 33, 1, 1], [0, 256, 1, 1], [0, 0, 0, 1], [0, 0, 2, 1], [0, 0, 1, 65_536], [1 << 32, 0, 1, 1]]
    {
        checks.raw("narrow to what makes no sense", Syscall::RestrictConnect.number(), arguments, invalid)?;
    }
    for (prefix, first, last) in [(0, 1, 65_535), (32, 80, 80), (24, 1, 1)] {
        let result = call::restrict_connect(0x0a00_0200, prefix, first, last);
        checks.succeeds("narrow what is nothing", result)?;
    }
    Ok(())
}

/// The kernel fills what room there is, and writes nothing beyond the structure or the room.
fn lengths(checks: &mut Checks) -> Result<(), Failed> {
    for (what, number, size) in [
        ("the length of net_info", Syscall::NetInfo.number(), size_of::<NetInfo>()),
        ("the length of grant_info", Syscall::GrantInfo.number(), size_of::<GrantInfo>()),
    ] {
        for (room, expected) in [(256, size), (size, size), (size - 1, size - 1), (9, 9), (0, 0)] {
            let mut buffer = [0xa5; 256];
            let address = hazard::address_mut(&mut buffer);
            checks.raw(what, number, [address, room as u64, 0, 0], expected as i64)?;
            let buffer = core::hint::black_box(&buffer);
            checks.holds(what, buffer[expected..].iter().all(|&byte| byte == 0xa5))?;
        }
    }
    Ok(())
}
