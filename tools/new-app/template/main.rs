//! `NAME PORT`: prints what the host says on a port, until it closes the connection.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::net::Ipv4Addr;

use libslop::io::{Read, Write};
use libslop::{Arguments, Error, Socket, SocketFlags, eprintln, stdout};

libslop::entry!(run);

fn run(mut arguments: Arguments) -> i32 {
    let Some(port) = arguments.next().and_then(|text| text.parse().ok()) else {
        eprintln!("usage: NAME PORT");
        return 2;
    };
    match copy(port) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("NAME: {error}");
            1
        }
    }
}

fn copy(port: u16) -> Result<(), Error> {
    let mut socket = Socket::stream(SocketFlags::default())?;
    socket.connect(Ipv4Addr::new(10, 0, 2, 2), port, None)?;
    let mut buffer = [0; 512];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Ok(()),
            count => stdout().write_all(&buffer[..count])?,
        }
    }
}
