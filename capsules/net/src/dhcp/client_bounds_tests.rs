//! Each rule of the client's just inside its bound and just outside.

use super::*;

#[test]
fn a_station_with_another_address_asks_and_is_answered_by_that() {
    const OTHER: MacAddress = MacAddress([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
    let mut bench = Bench::new();
    bench.client.set_mac(OTHER);
    bench.step(at(0)).unwrap();
    let mut out = [0; 400];
    bench.client.transmit(&mut out, at(0), &mut bench.random).unwrap();
    assert_eq!(out[28..34], OTHER.0);
    assert_eq!(bench.answer(at(0), MessageType::Offer, |_| {}), Err(Ignored::NotForUs), "that is the old one's");
    assert_eq!(bench.answer(at(0), MessageType::Offer, |reply| reply.station = OTHER), Ok(None));
    assert_eq!(bench.sent(at(0)), Some(REQUEST));
}

#[test]
fn an_acknowledgement_that_names_no_address_means_the_one_that_was_asked_for() {
    let mut bench = Bench::bound(1_000);
    bench.sent(at(500)).unwrap();
    let nameless = |reply: &mut ServerMessage| reply.your_address = Ipv4Addr::UNSPECIFIED;
    assert!(matches!(bench.answer(at(501), MessageType::Ack, nameless), Ok(Some(Event::Bound(_)))));
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
}

#[test]
fn a_missing_mask_follows_the_class_of_the_address() {
    // RFC 1122 section 3.3.1.1: the first bits of the address say which class it is of.
    let classes = [
        ([1, 0, 0, 5], 8),
        ([126, 9, 9, 9], 8),
        ([128, 1, 2, 3], 16),
        ([172, 16, 0, 9], 16),
        ([191, 255, 0, 1], 16),
        ([192, 0, 1, 1], 24),
        ([223, 1, 1, 1], 24),
    ];
    for (address, prefix) in classes {
        let mut bench = Bench::new();
        bench.sent(at(0));
        let maskless = |reply: &mut ServerMessage| {
            reply.your_address = Ipv4Addr::from_octets(address);
            reply.options.mask = None;
            reply.options.router = None;
        };
        bench.answer(at(0), MessageType::Offer, maskless).unwrap();
        bench.sent(at(1));
        bench.answer(at(1), MessageType::Ack, maskless).unwrap();
        assert_eq!(bench.client.lease().unwrap().prefix, prefix, "{address:?}");
    }
}

#[test]
fn what_is_not_due_cannot_be_skipped() {
    let mut bench = Bench::new();
    bench.sent(at(0)).unwrap();
    let deadline = bench.deadline();
    bench.client.skip(at(1), &mut bench.random);
    assert_eq!(bench.deadline(), deadline, "the next DISCOVER comes no later for it");
}

#[test]
fn a_last_message_that_cannot_be_sent_takes_nothing_else_with_it() {
    let mut bench = Bench::bound(1_000);
    bench.client.release();
    bench.client.start(at(10), &mut bench.random);
    bench.step(at(10)).unwrap();
    assert_eq!(bench.client.due(at(10)), Some(Due { source: ADDRESS, destination: SERVER }));
    bench.client.skip(at(10), &mut bench.random);
    assert_eq!(bench.sent(at(10)), Some(DISCOVER));
}

#[test]
fn a_last_message_has_a_transaction_of_its_own() {
    let mut bench = Bench::bound(1_000);
    let granted = bench.client.transaction;
    bench.client.release();
    let mut out = [0; 400];
    bench.client.transmit(&mut out, at(5), &mut bench.random).unwrap();
    assert_ne!(out[4..8], granted.to_be_bytes());
}

#[test]
fn a_message_says_for_how_many_seconds_the_client_has_been_looking() {
    // RFC 2131 section 2, `secs`.
    let mut bench = Bench::new();
    for (second, expected) in [(0, 0), (7, 7), (70_000, u16::MAX)] {
        bench.step(at(second)).unwrap();
        let mut out = [0; 400];
        bench.client.transmit(&mut out, at(second), &mut bench.random).unwrap();
        assert_eq!(out[8..10], u16::to_be_bytes(expected), "after {second} s");
    }
}
