//! The entropy driver against a model of a device, on both transports.

use super::*;
use crate::fake::{Fake, LIES, Subject, VERSION_1, Way, physical, virtual_address};
use crate::recovery::{PAUSE_MIN_US, PROBATION_US, RESET_US};
use crate::transport::Kind;

/// A device that is reached this way, by `true` a modern one on PCI.
fn device(way: impl Into<Way>) -> &'static Fake {
    let way = way.into();
    let fake = Fake::of(Kind::Entropy, way);
    fake.state().offered = if way.is_modern() { VERSION_1 | 0xf } else { 0xf };
    fake
}

fn start(fake: &'static Fake) -> Rng<&'static Fake> {
    Rng::start(fake.transport(), Box::leak(Box::new(RngMemory::new())), physical, 0)
}

/// The device answers its request, which has so much room, with these bytes; it claims so many.
fn answer(fake: &Fake, room: u32, bytes: &[u8], claim: u32) {
    let mut state = fake.state();
    let side = state.side(0);
    let chain = side.take().expect("a request");
    assert_eq!((chain.room(), chain.readable.len(), chain.writable.len()), (room, 0, 1));
    chain.write(bytes);
    side.complete(chain.head.into(), claim, false);
}

fn random<const N: usize>() -> [u8; N] {
    core::array::from_fn(|index| (index * 7 + 3) as u8)
}

/// Polls with room for everything.
fn poll(rng: &mut Rng<&'static Fake>, now_us: u64) -> (Drawn, [u8; BYTES]) {
    let mut bytes = [0; BYTES];
    (rng.poll(&mut bytes, now_us), bytes)
}

fn is_off(fake: &Fake) -> bool {
    let state = fake.state();
    // Behind a window nothing else keeps it from memory.
    (state.window.is_some() || state.command() & 4 == 0) && state.status == 0
}

#[test]
fn either_kind_of_device_is_found_and_asked_as_often_as_wanted() {
    for way in Way::ALL {
        let fake = device(way);
        let kind = match way {
            Way::Window => fake.probe_window().unwrap().unwrap().kind(),
            Way::Modern | Way::Legacy => fake.probe().unwrap().unwrap().kind(),
        };
        assert_eq!(kind, Kind::Entropy);
        let mut rng = start(fake);
        assert_eq!(fake.state().accepted, if way.is_modern() { VERSION_1 } else { 0 });
        assert!(rng.can_ask() && rng.due_us().is_none());
        // More times than the ring's indices have values.
        for round in 1..=70_000_usize {
            let length = round % BYTES + 1;
            rng.ask(length, 0);
            assert!(!rng.can_ask());
            rng.ask(length, 0);
            assert_eq!(poll(&mut rng, 0).0, Drawn::Pending);
            answer(fake, length as u32, &random::<BYTES>()[..length], length as u32);
            let (drawn, bytes) = poll(&mut rng, 0);
            assert_eq!(drawn, Drawn::Bytes(length));
            assert!(bytes[..length] == random::<BYTES>()[..length] && bytes[length..].iter().all(|byte| *byte == 0));
        }
        assert_eq!(fake.state().notifications(0), 70_000, "one for each request");
        rng.switch_off();
        assert!(is_off(fake));
    }
}

#[test]
fn nothing_is_asked_for_more_than_the_buffer_or_for_nothing() {
    let fake = device(true);
    let mut rng = start(fake);
    rng.ask(0, 0);
    assert!(rng.can_ask());
    rng.ask(usize::MAX, 0);
    answer(fake, BYTES as u32, &random::<BYTES>(), BYTES as u32);
    assert_eq!(poll(&mut rng, 0), (Drawn::Bytes(BYTES), random()));
}

#[test]
fn a_device_that_gives_less_than_it_was_asked_for_gives_that_and_one_that_gives_nothing_is_broken() {
    for (claim, drawn) in [(0, Drawn::Failed(RngError::Nothing)), (1, Drawn::Bytes(1)), (63, Drawn::Bytes(63))] {
        let fake = device(true);
        let mut rng = start(fake);
        rng.ask(BYTES, 0);
        // It writes more than it tells of: that does not count.
        answer(fake, BYTES as u32, &random::<BYTES>(), claim);
        let (found, bytes) = poll(&mut rng, 0);
        let claim = claim as usize;
        assert_eq!(found, drawn);
        assert!(bytes[..claim] == random::<BYTES>()[..claim] && bytes[claim..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn nothing_is_left_in_the_buffer_whoever_wants_it() {
    for room in [0, 5, BYTES] {
        let fake = device(true);
        let mut rng = start(fake);
        rng.ask(BYTES, 0);
        let mut state = fake.state();
        let side = state.side(0);
        let chain = side.take().unwrap();
        chain.write(&random::<BYTES>());
        let buffer = virtual_address(chain.writable[0].0);
        side.complete(chain.head.into(), BYTES as u32, false);
        drop(state);
        let mut into = vec![0; room];
        assert_eq!(rng.poll(&mut into, 0), Drawn::Bytes(room));
        assert_eq!(into, random::<BYTES>()[..room]);
        // SAFETY: the driver's static buffer, which nobody writes now.
        let left = unsafe { std::ptr::with_exposed_provenance::<[u8; BYTES]>(buffer).read_volatile() };
        assert_eq!(left, [0; BYTES]);
    }
}

#[test]
fn a_device_that_falls_silent_is_reset_and_asked_again_after_pauses_that_grow() {
    let fake = device(true);
    let mut rng = start(fake);
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..12 {
        rng.ask(BYTES, now);
        assert_eq!(rng.due_us(), Some(now + ANSWER_US));
        assert_eq!(poll(&mut rng, now + ANSWER_US - 1).0, Drawn::Pending);
        now += ANSWER_US;
        assert_eq!(poll(&mut rng, now).0, Drawn::Failed(RngError::Timeout));
        assert!(!rng.can_ask());
        let broken = now;
        while !rng.can_ask() {
            now = rng.due_us().unwrap().max(now);
            assert_eq!(poll(&mut rng, now).0, Drawn::Pending);
        }
        pauses.push((now - broken) / 100_000);
        assert!(fake.state().side(0).take().is_none(), "what was asked before is not with the device any more");
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]);
    // It answers again, at once and for a while, and is trusted as at first.
    now += PROBATION_US;
    rng.ask(BYTES, now);
    answer(fake, BYTES as u32, &random::<BYTES>(), BYTES as u32);
    assert_eq!(poll(&mut rng, now), (Drawn::Bytes(BYTES), random()));
    rng.ask(BYTES, now);
    assert_eq!(poll(&mut rng, now + ANSWER_US).0, Drawn::Failed(RngError::Timeout));
    assert_eq!(poll(&mut rng, now + ANSWER_US).0, Drawn::Pending);
    assert!(rng.can_ask(), "without a pause");
}

#[test]
fn an_answer_counts_however_late_the_look() {
    let fake = device(false);
    let mut rng = start(fake);
    rng.ask(BYTES, 0);
    answer(fake, BYTES as u32, &random::<BYTES>(), BYTES as u32);
    assert_eq!(poll(&mut rng, 60 * ANSWER_US), (Drawn::Bytes(BYTES), random()));
}

#[test]
fn a_device_without_a_configuration_of_its_own_is_driven() {
    let fake = device(true);
    // The capability of the device's configuration is another's: an entropy device has no such configuration.
    fake.state().put(crate::fake::capability(4) + 3, &[5]);
    let mut rng = start(fake);
    rng.ask(BYTES, 0);
    answer(fake, BYTES as u32, &random::<BYTES>(), BYTES as u32);
    assert_eq!(poll(&mut rng, 0), (Drawn::Bytes(BYTES), random()));
}

#[test]
fn a_device_that_does_not_finish_its_reset_is_looked_at_now_and_then_and_left_alone() {
    let fake = device(true);
    fake.state().stuck = true;
    let mut rng = start(fake);
    assert!(!rng.can_ask());
    let mut looks = 0;
    let (mut now, failed) = loop {
        let now = rng.due_us().unwrap();
        let before = fake.state().status_reads;
        let (drawn, _) = poll(&mut rng, now);
        assert!(fake.state().status_reads <= before + 1, "one look, no more");
        looks += 1;
        if drawn != Drawn::Pending {
            break (now, drawn);
        }
    };
    assert_eq!(failed, Drawn::Failed(RngError::Transport(TransportError::ResetTimeout)));
    assert!(now == RESET_US && looks > 2, "{now} {looks}");
    assert_eq!(fake.state().command() & 4, 0, "kept from memory");
    fake.state().stuck = false;
    while !rng.can_ask() {
        now = rng.due_us().unwrap().max(now);
        assert_eq!(poll(&mut rng, now).0, Drawn::Pending);
    }
    assert_ne!(fake.state().command() & 4, 0);
}

#[test]
fn a_device_that_is_gone_or_contradicts_itself_is_told_of_and_used_when_it_is_sound() {
    let fake = device(true);
    let mut rng = start(fake);
    rng.ask(BYTES, 0);
    fake.state().gone = true;
    assert_eq!(poll(&mut rng, ANSWER_US).0, Drawn::Failed(RngError::Timeout));
    assert_eq!(poll(&mut rng, ANSWER_US).0, Drawn::Failed(RngError::Transport(TransportError::Gone)));
    assert_eq!(poll(&mut rng, ANSWER_US).0, Drawn::Pending, "told once");
    fake.state().gone = false;
    fake.state().power_on();
    assert_eq!(poll(&mut rng, ANSWER_US + 2 * PAUSE_MIN_US).0, Drawn::Pending);
    assert!(rng.can_ask());

    let fake = device(true);
    fake.state().offered = 0;
    let mut rng = start(fake);
    assert_eq!(poll(&mut rng, PAUSE_MIN_US).0, Drawn::Failed(RngError::NotVersion1));
    rng.ask(BYTES, 0);
    assert_eq!(fake.state().notifications(0), 0, "it is not asked");
    fake.state().offered = VERSION_1;
    assert_eq!(poll(&mut rng, 10 * PAUSE_MIN_US).0, Drawn::Pending);
    assert!(rng.can_ask());
}

#[test]
fn a_device_that_lies_is_reset_and_used_again() {
    for (way, lie) in Way::ALL.into_iter().flat_map(|way| LIES.map(|lie| (way, lie))) {
        let fake = device(way);
        let mut rng = start(fake);
        rng.ask(BYTES, 0);
        let mut state = fake.state();
        let side = state.side(0);
        let chain = side.take().unwrap();
        lie.tell(side, &Subject { chain: &chain, honest: 64, other: 1, outstanding: 1 });
        drop(state);
        let (drawn, bytes) = poll(&mut rng, 0);
        assert!(matches!(drawn, Drawn::Failed(RngError::Fault(fault)) if lie.is_found_as(fault)), "{lie:?}, {way:?}");
        assert_eq!(bytes, [0; BYTES], "what it wrote does not count");
        assert_eq!(poll(&mut rng, 0).0, Drawn::Pending);
        rng.ask(BYTES, 0);
        answer(fake, BYTES as u32, &random::<BYTES>(), BYTES as u32);
        assert_eq!(poll(&mut rng, 0), (Drawn::Bytes(BYTES), random()), "{lie:?}");
    }
}

#[test]
fn it_interrupts_only_where_it_has_been_told_to() {
    let fake = device(true);
    let _rng = start(fake);
    assert_eq!(fake.state().side(0).available_flags(), 1, "no interrupts, please");
    let fake = device(true);
    let mut transport = fake.transport();
    transport.choose_interrupts(None);
    let rng = Rng::start(transport, Box::leak(Box::new(RngMemory::new())), physical, 0);
    assert_eq!(fake.state().side(0).available_flags(), 0);
    assert!(rng.interrupt_gsi().is_some());
    assert!(!rng.acknowledge_interrupt().queues);
    fake.state().isr = 1;
    assert!(rng.acknowledge_interrupt().queues && fake.state().isr == 0);
}
