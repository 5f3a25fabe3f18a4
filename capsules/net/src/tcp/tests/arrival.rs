//! Data for a process that waits in a read goes into the buffer of that read, not by way of the receive ring.

use super::*;

#[test]
fn what_a_reader_waits_for_is_not_in_the_ring_on_its_way() {
    let mut connection = established();
    let empty = connection.in_use_bytes();
    let stream = pattern(2_920);
    connection.wait_to_read(4_000);
    for (index, payload) in stream.chunks(1_460).enumerate() {
        connection.receive(data(payload).seq(RECEIVE_NEXT + 1_460 * index as u32), at(0));
        assert!(connection.take_ready());
        assert!(!connection.readiness().contains(Readiness::READABLE), "what was delivered has been read");
    }
    assert_eq!(connection.in_use_bytes(), empty);
    let acknowledgement = connection.sent_one(at(0));
    assert_eq!((acknowledgement.acknowledgement, acknowledgement.window), (RECEIVE_NEXT + 2_920, 65_535));
    assert_eq!(connection.read_again().unwrap(), stream);
    assert!(!connection.readiness().contains(Readiness::READABLE));
    assert_eq!(connection.counters.bytes_received, 2_920);
}

#[test]
fn what_does_not_fit_goes_into_the_ring_and_is_read_behind_the_rest() {
    let mut connection = established();
    let stream = pattern(300);
    connection.wait_to_read(250);
    for (index, payload) in stream.chunks(100).enumerate() {
        connection.receive(data(payload).seq(RECEIVE_NEXT + 100 * index as u32), at(0));
    }
    assert_eq!(connection.read_again().unwrap(), stream[..200]);
    assert_eq!(connection.read().unwrap(), stream[200..]);
}

#[test]
fn while_the_ring_holds_bytes_nothing_passes_it() {
    let mut connection = established();
    connection.wait_to_read(4);
    connection.receive(data(b"abcde"), at(0));
    connection.receive(data(b"fg").seq(RECEIVE_NEXT + 5), at(0));
    assert_eq!(connection.read_again().unwrap(), b"abcd");
    assert_eq!(connection.read().unwrap(), b"efg");
}

#[test]
fn a_gap_is_closed_in_the_ring() {
    let mut connection = established();
    connection.wait_to_read(100);
    connection.receive(data(b"ab"), at(0));
    connection.receive(data(b"ef").seq(RECEIVE_NEXT + 4), at(0));
    connection.receive(data(b"cd").seq(RECEIVE_NEXT + 2), at(0));
    connection.receive(data(b"gh").seq(RECEIVE_NEXT + 6), at(0));
    assert_eq!(connection.read_again().unwrap(), b"ab");
    assert_eq!(connection.read().unwrap(), b"cdefgh");
}

#[test]
fn what_is_damaged_on_its_way_to_a_reader_does_not_count() {
    let mut connection = established();
    connection.wait_to_read(100);
    connection.receive(data(b"good"), at(0));
    connection.take_ready();
    let mut bytes = data(b"evil").seq(RECEIVE_NEXT + 4).bytes(REMOTE, LOCAL);
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(connection.receive_bytes(&bytes, at(1)), Err(ParseError::BadChecksum));
    assert!(!connection.take_ready());
    connection.receive(data(b"kept").seq(RECEIVE_NEXT + 4), at(2));
    assert_eq!(connection.read_again().unwrap(), b"goodkept");
}

#[test]
fn the_end_of_the_stream_comes_behind_what_was_delivered() {
    let mut connection = established();
    connection.wait_to_read(100);
    connection.receive(data(b"abc"), at(0));
    connection.receive(data(b"de").seq(RECEIVE_NEXT + 3).and(Flags::FIN), at(0));
    assert_eq!(connection.read_again().unwrap(), b"abc");
    assert_eq!(connection.read().unwrap(), b"de");
    assert_eq!(connection.read().unwrap(), b"");
}

#[test]
fn what_was_delivered_before_a_reset_is_read_first() {
    let mut connection = established();
    connection.wait_to_read(100);
    connection.receive(data(b"abc"), at(0));
    connection.receive(rst().seq(RECEIVE_NEXT + 3), at(0));
    assert_eq!(connection.read_again().unwrap(), b"abc");
    assert_eq!(connection.read(), Err(Error::Reset));
}

#[test]
fn a_connection_knows_nothing_of_what_an_earlier_one_delivered() {
    let mut connection = established();
    connection.wait_to_read(100);
    connection.receive(data(b"abc"), at(0));
    connection.free();
    connection.open(SocketFlags::default());
    assert!(!connection.readiness().contains(Readiness::READABLE));
    assert_eq!(connection.read(), Err(Error::NotConnected));
}

#[test]
fn what_a_check_refuses_is_not_delivered() {
    // RFC 7323 section 5.3: the checksum is right, the timestamp is of the past.
    let mut connection = established().timestamps();
    connection.receive(ack().stamped(600, TIMESTAMP_OFFSET), at(0));
    connection.wait_to_read(100);
    connection.receive(data(b"evil").stamped(599, TIMESTAMP_OFFSET), at(0));
    assert_eq!(connection.read_again(), Err(Error::WouldBlock));
    assert_eq!(connection.counters.bytes_received, 0);
}

#[test]
fn a_small_window_is_opened_again_by_what_is_delivered() {
    // Half of the ring has become free as seen by the peer (RFC 9293 section 3.8.6.2.2): that is said at once.
    let mut connection = established().receive_window(1_000);
    connection.wait_to_read(1_000);
    connection.receive(data(&pattern(499)), at(0));
    assert!(connection.sent(at(0)).is_empty());
    connection.receive(data(b"x").seq(RECEIVE_NEXT + 499), at(0));
    let acknowledgement = connection.sent_one(at(0));
    assert_eq!((acknowledgement.acknowledgement, acknowledgement.window), (RECEIVE_NEXT + 500, 1_000));
}

/// A reader that gives so many bytes whatever is asked for, how often it was asked, and what was delivered.
struct Obstinate {
    buffer: [u8; 8],
    length: usize,
    asked: usize,
    delivered: usize,
}

impl Readers for Obstinate {
    fn buffer(&mut self, socket: SocketId, _: usize) -> Option<&mut [u8]> {
        assert_eq!(socket, SOCKET);
        self.asked += 1;
        self.buffer.get_mut(..self.length)
    }

    fn deliver(&mut self, socket: SocketId, length: usize) {
        assert_eq!(socket, SOCKET);
        self.delivered += length;
    }
}

#[test]
fn it_is_copied_once_and_only_to_as_many_bytes() {
    let untouched = b"\0\0\0\0\0\0\0\0";
    let elsewhere = Err(Error::WouldBlock);
    let cases = [(4, untouched, 0, Ok(5)), (5, b"hello\0\0\0", 5, elsewhere), (6, untouched, 0, Ok(5))];
    for (length, copied, delivered, read) in cases {
        let mut connection = established();
        let empty = connection.in_use_bytes();
        let bytes = data(b"hello").bytes(REMOTE, LOCAL);
        let segment = Unverified::parse(REMOTE.address, LOCAL.address, &bytes).unwrap();
        let mut reader = Obstinate { buffer: [0; 8], length, asked: 0, delivered: 0 };
        connection.inner.receive(segment, at(0), SOCKET, &mut reader, &mut connection.counters).unwrap();
        assert_eq!((&reader.buffer, reader.asked, reader.delivered), (copied, 1, delivered));
        assert_eq!(connection.in_use_bytes() - empty, if length == 5 { 0 } else { 5 }, "else it goes into the ring");
        assert_eq!(connection.inner.read(&mut [0; 8]), read);
    }
}
