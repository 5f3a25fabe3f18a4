//! Who is on our link: the stations of the hosts that we send to in [`cache`], and whether our own address is ours
//! alone in [`conflict`]. Both speak ARP, whose packets are in [`crate::wire::arp`].

pub mod cache;
pub mod conflict;
