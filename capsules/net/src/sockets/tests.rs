use core::net::Ipv4Addr;

use super::*;
use slopos_abi::{Endpoint, RemoteRange, SocketFlags};
use slopos_kernel::time::{Duration, Instant};

const REMOTE: RemoteRange =
    RemoteRange { address: Ipv4Addr::new(10, 0, 2, 0), prefix: 24, first_port: 8_000, last_port: 8_080 };

fn end(last: [u8; 4], port: u16) -> Endpoint {
    Endpoint { address: Ipv4Addr::from_octets(last), port }
}

#[test]
fn authority_covers_a_network_and_a_range_of_ports_and_nothing_else() {
    for covered in [end([10, 0, 2, 2], 8_000), end([10, 0, 2, 255], 8_080)] {
        assert!(REMOTE.covers(covered), "{covered:?}");
    }
    for beyond in [end([10, 0, 3, 2], 8_000), end([10, 0, 2, 2], 7_999), end([10, 0, 2, 2], 8_081)] {
        assert!(!REMOTE.covers(beyond), "{beyond:?}");
    }
    let anyone = RemoteRange { prefix: 0, first_port: 0, last_port: u16::MAX, ..REMOTE };
    assert!(anyone.covers(end([203, 0, 113, 7], 443)));
}

#[test]
fn narrowing_keeps_what_both_cover_and_never_widens() {
    let anyone = [RemoteRange::ANY];
    let mut sockets = [];
    let mut set = SocketSet::new("app", &mut sockets, &anyone);
    set.authority_mut().narrow(&RemoteRange {
        address: Ipv4Addr::new(10, 0, 0, 0),
        prefix: 8,
        first_port: 80,
        last_port: 9_000,
    });
    set.authority_mut().narrow(&REMOTE);
    assert!(set.authority().permits(end([10, 0, 2, 2], 8_000)));
    for beyond in [end([10, 0, 3, 2], 8_000), end([10, 0, 2, 2], 80), end([10, 0, 2, 2], 9_000)] {
        assert!(!set.authority().permits(beyond), "{beyond:?}");
    }
    set.authority_mut().narrow(&RemoteRange::ANY);
    assert!(!set.authority().permits(end([10, 0, 3, 2], 8_000)));
    set.authority_mut().narrow(&RemoteRange { address: Ipv4Addr::new(10, 0, 3, 0), ..REMOTE });
    assert!(!set.authority().permits(end([10, 0, 2, 2], 8_000)) && !set.authority().permits(end([10, 0, 3, 2], 8_000)));
    set.authority_mut().restore();
    assert!(set.authority().permits(end([10, 0, 3, 2], 1)));
}

#[test]
fn each_denied_remote_is_worth_one_line_and_all_of_them_a_line_a_second() {
    let mut sockets = [];
    let mut set = SocketSet::new("app", &mut sockets, &[]);
    let now = Instant::BOOT;
    assert!(set.authority_mut().deny(end([1, 1, 1, 1], 80), "app", now));
    assert!(!set.authority_mut().deny(end([1, 1, 1, 1], 80), "app", now));
    for port in 0..7 {
        assert!(set.authority_mut().deny(end([1, 1, 1, 1], port), "app", now));
    }
    let later = |milliseconds: u64| now + Duration::from_millis(milliseconds);
    let logged = (0..60_000_u64)
        .filter(|&number| set.authority_mut().deny(end([1, 1, 1, 2], number as u16), "app", later(number)));
    assert_eq!(logged.count(), 59);
    assert_eq!(set.info().denials, 60_009);
    // A remote that was logged lately is not news, however long ago it was.
    assert!(set.authority_mut().deny(end([9, 9, 9, 9], 9), "app", later(90_000)));
    assert!(!set.authority_mut().deny(end([9, 9, 9, 9], 9), "app", later(900_000)));
}

#[test]
fn a_socket_takes_no_more_memory_beside_its_buffers_than_is_documented() {
    let bytes = size_of::<Socket<'_>>();
    assert!(bytes <= 1_736, "{bytes}");
}

#[test]
fn what_is_in_use_is_charged_and_its_peak_remembered() {
    let (mut receive, mut send) = ([0; 1_000], [0; 500]);
    let mut sockets = [Socket::new(&mut receive, &mut send)];
    let mut set = SocketSet::new("app", &mut sockets, &[]);
    let whole = set.info();
    assert_eq!(whole.bytes, (size_of::<SocketSet<'_>>() + size_of::<Socket<'_>>() + 1_500) as u64);
    assert_eq!((whole.in_use, whole.sockets, whole.sockets_in_use), (0, 1, 0));
    let Ok(opened) = set.open(SocketFlags::default()) else { panic!("there is a free one") };
    let open = set.info().in_use;
    assert!(open > 0 && open <= size_of::<Socket<'_>>() as u64, "{open}");
    assert!(set.open(SocketFlags::default()).is_err(), "a held socket is not recycled");
    set.enter(opened.index).unwrap().close(Instant::BOOT);
    let after = set.info();
    assert_eq!((after.in_use, after.sockets_in_use), (0, 0));
    assert_eq!(after.high_water, open);
    let socket = set.view(opened.index).map(Socket::info);
    assert_eq!(socket.map(|socket| (socket.in_use, socket.high_water)), Some((0, open)));
}
