//! The grant: using all of it, never giving back, never reading what was asked for.

use core::time::Duration;

use libslop::abi::Errno;
use libslop::abi::SocketKind;
use libslop::abi::info::SocketState;
use libslop::{Socket, SocketFlags, call, println, time};
use slopos_http::request::{self, Method};

use crate::check::{self, Failed, Words};

/// Sockets that this program can handle: at least those of its grant.
const SOCKETS: usize = 8;
/// How long the grant is watched for getting full.
const TIMEOUT: Duration = Duration::from_secs(20);

fn in_use() -> Result<u32, Failed> {
    Ok(check::succeeds("ask for the grant", call::grant_info())?.sockets_in_use)
}

/// `sockets`: takes all sockets of the grant, and asks for more, again and again. Exits with all of them open.
pub fn sockets(_: &mut Words) -> Result<(), Failed> {
    let limit = check::succeeds("ask for the grant", call::grant_info())?.sockets;
    check::holds("the grant has sockets", (1..=SOCKETS as u32).contains(&limit))?;
    for _ in 0..200 {
        let mut open = [const { None }; SOCKETS];
        for place in open.iter_mut().take(limit as usize) {
            *place = Some(check::succeeds("open a socket", Socket::stream(SocketFlags::default()))?);
        }
        for _ in 0..3 {
            let more = Socket::stream(SocketFlags::default()).map(|_| ());
            check::refused("a socket beyond the grant", more, Errno::TooManyOpen)?;
        }
        check::equal("sockets in use", in_use()?, limit)?;
        open[0] = None;
        open[0] = Some(check::succeeds("open a socket when one was closed", Socket::stream(SocketFlags::default()))?);
        drop(open);
        check::equal("sockets in use when all are closed", in_use()?, 0)?;
    }
    for _ in 0..limit {
        check::succeeds("open a socket", call::socket(SocketKind::Stream, SocketFlags::default()))?;
    }
    check::equal("sockets in use", in_use()?, limit)
}

/// `ports URL COUNT`: connects that often to where nobody listens.
pub fn ports(words: &mut Words) -> Result<(), Failed> {
    let (url, count) = (words.url()?, words.number()?);
    for round in 0..count {
        let mut socket = check::succeeds("open a socket", Socket::stream(SocketFlags::default()))?;
        let result = socket.connect(url.address, url.port, Some(TIMEOUT));
        if result != Err(Errno::ConnectionRefused.into()) {
            return check::fails(format_args!("connect {round} to a closed port: {result:?}"));
        }
    }
    check::equal("sockets in use behind it", in_use()?, 0)?;
    println!("hostile: refused {count} times");
    Ok(())
}

/// `hoard URL exit`, `hoard URL stay`: asks for a body on each socket of the grant, never reads, and waits until the
/// receive buffers are full. Then it exits with all of them open, or stays until it is killed.
pub fn hoard(words: &mut Words) -> Result<(), Failed> {
    let (url, end) = (words.url()?, words.word()?);
    let grant = check::succeeds("ask for the grant", call::grant_info())?;
    let mut open = [const { None }; SOCKETS];
    for place in open.iter_mut().take(grant.sockets as usize) {
        let mut socket = check::succeeds("open a socket", Socket::stream(SocketFlags::default()))?;
        check::succeeds("connect", socket.connect(url.address, url.port, Some(TIMEOUT)))?;
        check::succeeds("ask for a body", request::send(&mut socket, Method::Get, &url, "hostile"))?;
        *place = Some(socket);
    }
    let mut held = 0;
    for _ in 0..TIMEOUT.as_millis() / 100 {
        check::succeeds("sleep", time::sleep(Duration::from_millis(100)))?;
        held = check::succeeds("ask for the grant", call::grant_info())?.in_use;
        check::holds("more is in use than the grant has", held <= grant.bytes)?;
        if held > grant.bytes / 2 {
            break;
        }
    }
    println!("hostile: holds {held} of {} bytes", grant.bytes);
    check::holds("the receive buffers are full", held > grant.bytes / 2)?;
    match end {
        "exit" => {
            // Neither closed nor reset here: that is the kernel's to do when the process has ended.
            open.into_iter().for_each(core::mem::forget);
            Ok(())
        }
        "stay" => loop {
            check::succeeds("sleep", time::sleep(TIMEOUT))?;
        },
        _ => Err(Failed::Usage),
    }
}

/// `grants`: the process's own grant holds nothing, TIME-WAIT records excepted, and its figures agree with each other.
pub fn grants(_: &mut Words) -> Result<(), Failed> {
    let grant = check::succeeds("ask for the grant", call::grant_info_with_sockets::<SOCKETS>())?;
    let info = grant.info;
    check::holds("the grant has sockets", (1..=SOCKETS as u32).contains(&info.sockets))?;
    let sockets = &grant.sockets[..info.sockets as usize];
    // The set's own figures are part of the grant beside the sockets.
    let bytes: u64 = sockets.iter().map(|socket| socket.bytes).sum();
    check::holds("the sockets are most of the grant", bytes <= info.bytes && bytes > info.bytes / 2)?;
    check::equal("bytes in use of all sockets", sockets.iter().map(|socket| socket.in_use).sum(), info.in_use)?;
    let used = sockets.iter().filter(|socket| socket.state != SocketState::Free as u32).count();
    check::equal("sockets in use", used as u32, info.sockets_in_use)?;
    for socket in sockets {
        let idle = [SocketState::Free as u32, SocketState::TimeWait as u32].contains(&socket.state);
        check::holds("a socket is neither free nor in TIME-WAIT", idle)?;
        check::holds(
            "a free socket holds nothing",
            socket.state != 0 || (socket.in_use, socket.remote_port) == (0, 0),
        )?;
        check::holds("more was in use than there is", socket.high_water <= socket.bytes)?;
    }
    println!(
        "hostile: grant bytes={} in_use={} high_water={} sockets={}/{}",
        info.bytes, info.in_use, info.high_water, info.sockets_in_use, info.sockets
    );
    Ok(())
}
