//! The other end of the board's wire: a peer whose every frame a script decides, and a device that lies.
//!
//! A [`Lab`] is connected to QEMU by a pair of datagram sockets, one frame per datagram. It plays router and DHCP
//! server by itself until the script says otherwise, and [`Server`] is the other end of one TCP connection, with
//! everything on it open to the script. [`step`] is a wire in lock step with the guest. [`hostile`] is a network device
//! that lies to its driver.
//!
//! Functions of [`Lab`] and [`Server`] panic with a transcript of the wire where the board does not do what they wait
//! for: they are made for tests.
#![forbid(unsafe_code)]

pub mod hostile;
pub mod lab;
pub mod server;
pub mod step;

pub use lab::Lab;
pub use server::{Offer, Server};
