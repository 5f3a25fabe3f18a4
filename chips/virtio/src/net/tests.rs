//! The network driver against the model of a device, on both transports.

mod absence;
mod hostile;
mod sizes;

use slopos_q35::pci::Message;

use super::*;
use crate::fake::{Event, Fake, VERSION_1, Way, physical};
use crate::queue::SIZE_MAX;
use crate::transport::Kind;

const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const STATUS: u64 = 1 << 16;
const ANY_LAYOUT: u64 = 1 << 27;
const EVENT_IDX: u64 = 1 << 29;
/// Features that a device offers and this driver must not take: checksums, segmentation, mergeable buffers, indirect
/// descriptors, a control queue.
const UNWANTED: u64 = 0x3 | 0x3f << 7 | 1 << 15 | 1 << 17 | 1 << 28;

const ADDRESS: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const FALLBACK: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const RX: usize = 4;
const TX: usize = 2;

fn options() -> Options {
    Options { messages: None, fallback_mac: FALLBACK }
}

/// A device that is reached this way, by `true` a modern one on PCI, and offers these features beside its own.
fn device(way: impl Into<Way>, features: u64) -> &'static Fake {
    let way = way.into();
    let fake = Fake::of(Kind::Network, way);
    let mut state = fake.state();
    state.offered = features | UNWANTED | if way.is_modern() { VERSION_1 } else { 0 };
    state.configuration[..6].copy_from_slice(&ADDRESS);
    state.configuration[6] = 1;
    state.configuration[10..12].copy_from_slice(&1400_u16.to_le_bytes());
    drop(state);
    fake
}

fn try_start(fake: &'static Fake) -> Result<Net<&'static Fake>, StartError> {
    let memory = Box::leak(Box::new(NetMemory::<RX, TX, 1514>::new()));
    outcome(Net::start(fake.transport(), memory, physical, options(), 0))
}

/// What came of a start, when its reset is over.
fn outcome(mut net: Net<&'static Fake>) -> Result<Net<&'static Fake>, StartError> {
    while let (Condition::Resetting, Some(due_us)) = (net.condition(0), net.due_us()) {
        assert_ne!(net.tend(false, due_us), Tended::Lost);
    }
    match net.is_broken() {
        None => Ok(net),
        Some(Broken::NotStarted(error)) => Err(error),
        Some(broken) => panic!("{broken:?}"),
    }
}

impl Net<&'static Fake> {
    /// Lets time pass until the device that is broken works again, or its next start has failed.
    fn recover(&mut self) -> Result<(), StartError> {
        assert!(self.is_broken().is_some());
        let mut now_us = self.due_us().unwrap_or(0);
        if self.recovery.is_working() {
            assert_eq!(self.tend(true, now_us), Tended::Lost);
            now_us = self.due_us().unwrap();
        }
        loop {
            match (self.tend(true, now_us), self.condition(now_us)) {
                (Tended::Back, _) => return Ok(()),
                (_, Condition::Resetting) => now_us = self.due_us().unwrap(),
                _ => break,
            }
        }
        match self.is_broken() {
            Some(Broken::NotStarted(error)) => Err(error),
            broken => panic!("{broken:?}"),
        }
    }
}

fn start(way: impl Into<Way>, features: u64) -> (Net<&'static Fake>, &'static Fake) {
    let fake = device(way, features);
    (try_start(fake).unwrap(), fake)
}

/// The device receives a frame with a virtio header of `header` bytes.
fn deliver(fake: &Fake, header: &[u8], frame: &[u8]) {
    let mut state = fake.state();
    let event_index = state.accepted & EVENT_IDX != 0;
    let side = state.side(0);
    let chain = side.take().expect("a receive buffer");
    let length = chain.write(&[header, frame].concat());
    side.complete(chain.head.into(), length, event_index);
}

fn frame(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| seed.wrapping_add(index as u8)).collect()
}

fn received(net: &mut Net<&'static Fake>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while net.receive(|frame| frames.push(frame.to_vec())) {}
    frames
}

type Vec<T> = std::vec::Vec<T>;

#[test]
fn only_what_the_driver_can_do_is_accepted() {
    let wanted = MAC | STATUS | EVENT_IDX | MTU;
    let (net, fake) = start(true, wanted | ANY_LAYOUT);
    assert_eq!(fake.state().accepted, VERSION_1 | wanted);
    assert_eq!((net.mac(), net.mtu(), net.link_up()), (ADDRESS, 1400, true));
    let (net, fake) = start(false, MAC | STATUS | ANY_LAYOUT);
    assert_eq!(fake.state().accepted, MAC | STATUS | ANY_LAYOUT);
    assert_eq!((net.mac(), net.mtu()), (ADDRESS, 1500));
}

#[test]
fn a_device_without_an_address_gets_the_boards() {
    let (net, _) = start(true, 0);
    assert_eq!((net.mac(), net.link_up()), (FALLBACK, true));
}

#[test]
fn addresses_that_are_no_hosts_are_refused() {
    for mac in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let fake = device(true, MAC);
        fake.state().configuration[..6].copy_from_slice(&mac);
        assert_eq!(try_start(fake).err(), Some(StartError::BadMac { mac }));
        assert_eq!(fake.state().status & 0x80, 0x80, "marked as failed");
        assert_eq!(fake.state().status & 4, 0);
    }
}

#[test]
fn an_mtu_that_the_buffers_are_not_for_or_dhcp_does_not_fit_is_declined() {
    let large = [(1500_u16, MTU, 1500), (1501, 0, 1500), (9000, 0, 1500)];
    let small = [(0, 0, 1500), (67, 0, 1500), (68, 0, 1500), (327, 0, 1500), (328, MTU, 328)];
    for (named, accepted, mtu) in large.into_iter().chain(small) {
        let fake = device(true, MTU);
        fake.state().configuration[10..12].copy_from_slice(&named.to_le_bytes());
        let net = try_start(fake).unwrap();
        assert_eq!((fake.state().accepted & MTU, net.mtu()), (accepted, mtu), "device's mtu {named}");
    }
}

#[test]
fn start_refuses_devices_that_contradict_themselves() {
    let fake = device(true, 0);
    fake.state().offered &= !VERSION_1;
    assert_eq!(try_start(fake).err(), Some(StartError::NotVersion1));
    let fake = device(true, 0);
    fake.state().refuses_features = true;
    assert_eq!(try_start(fake).err(), Some(StartError::Transport(TransportError::FeaturesRefused)));
    let fake = device(true, 0);
    fake.state().stuck = true;
    assert_eq!(try_start(fake).err(), Some(StartError::Transport(TransportError::ResetTimeout)));
    let fake = device(true, 0);
    fake.state().queues[1].max = 0;
    assert_eq!(try_start(fake).err(), Some(StartError::Transport(TransportError::NoSuchQueue { queue: 1 })));
    for size in [3, 2048] {
        let fake = device(false, ANY_LAYOUT);
        fake.state().queues[0].max = size;
        let refused = TransportError::BadQueueSize { queue: 0, size };
        assert_eq!(try_start(fake).err(), Some(StartError::Transport(refused)));
    }
}

#[test]
fn receive_buffers_are_in_the_ring_before_the_device_runs() {
    for way in Way::ALL {
        let (_, fake) = start(way, ANY_LAYOUT);
        let state = fake.state();
        assert_eq!(state.queues[0].side.available_index(), RX as u16);
        let place = |event| state.events.iter().position(|entry| *entry == event).expect("an event");
        let run = place(Event::Status(if way.is_modern() { 0xf } else { 7 }));
        assert!(place(Event::Queue(0)) < run && place(Event::Queue(1)) < run);
        assert!(place(Event::Notified(0)) > run, "no notification before the device runs");
        assert_eq!(state.notifications(0), 1);
    }
}

#[test]
fn frames_arrive_with_the_header_of_each_transport() {
    for (way, features, header, pieces) in [
        (Way::Modern, 0, 12, vec![1526]),
        (Way::Legacy, ANY_LAYOUT, 10, vec![1524]),
        (Way::Legacy, 0, 10, vec![10, 1514]),
        (Way::Window, 0, 12, vec![1526]),
    ] {
        let (mut net, fake) = start(way, features);
        let side = fake.state().queues[0].side;
        let lengths: Vec<u32> = { side }.take().unwrap().writable.iter().map(|(_, length)| *length).collect();
        assert_eq!(lengths, pieces);
        assert!(!net.enable_interrupts());
        deliver(fake, &vec![0; header], &frame(60, 1));
        deliver(fake, &vec![0; header], &frame(1514, 2));
        assert!(net.enable_interrupts());
        assert_eq!(received(&mut net), [frame(60, 1), frame(1514, 2)]);
        assert_eq!((net.counters().received, net.counters().received_bytes), (2, 1574));
    }
}

#[test]
fn buffers_go_back_to_the_device_at_the_flush() {
    let (mut net, fake) = start(true, EVENT_IDX);
    for round in 0..20_u8 {
        deliver(fake, &[0; 12], &frame(100, round));
        deliver(fake, &[0; 12], &frame(200, round));
        assert_eq!(received(&mut net), [frame(100, round), frame(200, round)]);
        let before = fake.state().queues[0].side.available_index();
        net.flush();
        assert_eq!(fake.state().queues[0].side.available_index(), before.wrapping_add(2));
    }
    assert_eq!(net.is_broken(), None);
}

#[test]
fn short_and_offloaded_frames_are_dropped_and_counted() {
    let (mut net, fake) = start(true, 0);
    deliver(fake, &[0; 5], &[]);
    deliver(fake, &[0; 12], &frame(13, 0));
    deliver(fake, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &frame(100, 0));
    deliver(fake, &[0; 12], &frame(14, 7));
    assert_eq!(received(&mut net), [frame(14, 7)]);
    let counters = net.counters();
    assert_eq!((counters.received_short, counters.received_offloaded, counters.received), (2, 1, 1));
    net.flush();
    assert!(fake.state().side(0).take().is_some(), "their buffers went back too");
}

#[test]
fn frames_leave_with_the_header_of_each_transport() {
    for (way, features, header) in
        [(Way::Modern, 0, 12), (Way::Legacy, ANY_LAYOUT, 10), (Way::Legacy, 0, 10), (Way::Window, 0, 12)]
    {
        let (mut net, fake) = start(way, features);
        for seed in 0..2 {
            assert!(net.transmit_with(|buffer| {
                assert_eq!(buffer.len(), 1514);
                buffer[..300].copy_from_slice(&frame(300, seed));
                Some(300)
            }));
        }
        assert!(!net.transmit_with(|_| panic!("no buffer is free")));
        assert!(fake.state().side(1).take().is_none(), "shown at the flush only");
        net.flush();
        assert_eq!(fake.state().notifications(1), 1, "one notification for the batch");
        for seed in 0..2 {
            let mut state = fake.state();
            let chain = state.side(1).take().unwrap();
            assert_eq!(chain.readable.len(), if way.is_modern() || features != 0 { 1 } else { 2 });
            assert_eq!(chain.read(), [vec![0; header], frame(300, seed)].concat());
            state.side(1).complete(chain.head.into(), 0, false);
        }
        assert!(net.can_transmit());
        assert_eq!((net.counters().transmitted, net.counters().transmitted_bytes), (2, 600));
    }
}

#[test]
fn buffers_that_are_with_the_device_are_counted() {
    let (mut net, fake) = start(true, MAC);
    assert_eq!((usize::from(net.receiving()), net.transmitting()), (RX, 0));
    for frames in 1..=2 {
        assert!(net.transmit_with(|_| Some(60)));
        assert_eq!(net.transmitting(), frames);
    }
    net.flush();
    let head = fake.state().side(1).take().unwrap().head;
    fake.state().side(1).complete(head.into(), 0, false);
    assert_eq!(net.transmitting(), 2, "nobody has looked");
    net.reclaim();
    assert_eq!(net.transmitting(), 1);
    deliver(fake, &[0; 12], &frame(60, 9));
    assert!(net.receive(|_| ()));
    assert_eq!(usize::from(net.receiving()), RX, "it will have the buffer again");
}

#[test]
fn frames_that_are_none_are_refused() {
    let (mut net, fake) = start(true, MTU);
    assert!(!net.transmit_with(|_| None));
    for length in [0, 13, 1415, 1515, usize::MAX] {
        assert!(!net.transmit_with(|_| Some(length)));
    }
    assert_eq!(net.counters().transmit_refused, 5);
    assert!(net.transmit_with(|_| Some(1414)));
    net.flush();
    assert_eq!(fake.state().side(1).take().unwrap().read().len(), 1426);
}

#[test]
fn a_device_that_looks_by_itself_is_not_notified() {
    let (mut net, fake) = start(true, EVENT_IDX);
    fake.state().side(1).set_available_event(1);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    assert_eq!(fake.state().notifications(1), 0);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    assert_eq!(fake.state().notifications(1), 1);
    assert_eq!(net.counters().notifications, 2, "one for the receive buffers at the start");
}

#[test]
fn interrupts_are_asked_for_only_when_they_help() {
    for event_index in [false, true] {
        let (mut net, fake) = start(true, if event_index { EVENT_IDX } else { 0 });
        let interrupts =
            |fake: &Fake, queue: u16, head: u16| fake.state().side(queue).complete(head.into(), 30, event_index);
        // Nothing is asked for at first.
        let head = fake.state().side(0).take().unwrap().head;
        assert!(!interrupts(fake, 0, head));
        assert!(net.enable_interrupts(), "a frame has come already");
        assert_eq!(received(&mut net).len(), 1);
        assert!(!net.enable_interrupts());
        let head = fake.state().side(0).take().unwrap().head;
        assert!(interrupts(fake, 0, head));
        net.disable_interrupts();
        let head = fake.state().side(0).take().unwrap().head;
        assert!(!interrupts(fake, 0, head));
        received(&mut net);

        // A sent frame interrupts only where no buffer is free for another.
        let sent = |fake: &Fake| {
            let head = fake.state().side(1).take().unwrap().head;
            fake.state().side(1).complete(head.into(), 0, event_index)
        };
        assert!(net.transmit_with(|_| Some(60)));
        net.flush();
        assert!(!net.enable_interrupts());
        assert!(!sent(fake));
        net.reclaim();
        while net.transmit_with(|_| Some(60)) {}
        net.flush();
        assert!(!net.enable_interrupts());
        assert!(sent(fake));
        assert!(net.enable_interrupts(), "a buffer has come back already");
        assert!(net.can_transmit());
    }
}

#[test]
fn a_queue_of_one_works_or_is_refused() {
    let with_queues_of_one = |way: Way, features| {
        let fake = device(way, features);
        fake.state().queues[0].max = 1;
        fake.state().queues[1].max = 1;
        (try_start(fake), fake)
    };
    for (way, features) in [
        (Way::Modern, 0),
        (Way::Modern, EVENT_IDX),
        (Way::Legacy, ANY_LAYOUT),
        (Way::Window, 0),
        (Way::Window, EVENT_IDX),
    ] {
        let (net, fake) = with_queues_of_one(way, features);
        let mut net = net.unwrap();
        for seed in 0..3 {
            deliver(fake, &vec![0; if way.is_modern() { 12 } else { 10 }], &frame(99, seed));
            assert_eq!(received(&mut net), [frame(99, seed)]);
            assert!(net.transmit_with(|_| Some(60)));
            assert!(!net.transmit_with(|_| Some(60)));
            net.flush();
            let head = fake.state().side(1).take().unwrap().head;
            fake.state().side(1).complete(head.into(), 0, features & EVENT_IDX != 0);
        }
    }
    let (net, _) = with_queues_of_one(Way::Legacy, 0);
    assert_eq!(net.err(), Some(StartError::QueueTooSmall { queue: 0, size: 1 }));
}

#[test]
fn a_legacy_queue_has_the_devices_size() {
    let fake = device(false, ANY_LAYOUT);
    fake.state().queues[0].max = 1024;
    let mut net = try_start(fake).unwrap();
    deliver(fake, &[0; 10], &frame(60, 3));
    assert_eq!(received(&mut net), [frame(60, 3)]);
}

#[test]
fn a_modern_queue_larger_than_the_memory_is_made_smaller() {
    let fake = device(true, 0);
    fake.state().queues[0].max = 32768;
    let mut net = try_start(fake).unwrap();
    assert_eq!(fake.state().queues[0].side.size, SIZE_MAX);
    deliver(fake, &[0; 12], &frame(60, 3));
    assert_eq!(received(&mut net), [frame(60, 3)]);
}

#[test]
fn a_lying_device_is_broken_until_it_is_recovered() {
    let (mut net, fake) = start(true, MAC);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    fake.state().side(0).complete(777, 60, false);
    assert!(!net.receive(|_| panic!("there is no frame")));
    let broken = Broken::Receive(QueueFault::UnknownDescriptor { id: 777 });
    assert_eq!((net.is_broken(), net.counters().faults), (Some(broken), 1));
    assert!(!net.transmit_with(|_| panic!("the device is broken")));
    assert!(!net.enable_interrupts() && !net.service_configuration());
    net.flush();

    // It comes back with another address.
    fake.state().configuration[5] = 0x77;
    assert_eq!(net.recover(), Ok(()));
    assert_eq!((net.is_broken(), net.mac()[5], net.counters().recoveries), (None, 0x77, 1));
    deliver(fake, &[0; 12], &frame(60, 9));
    assert_eq!(received(&mut net), [frame(60, 9)]);
    for _ in 0..TX {
        assert!(net.transmit_with(|_| Some(60)));
    }

    fake.state().side(0).complete(777, 60, false);
    assert!(!net.receive(|_| panic!("there is no frame")));
    fake.state().stuck = true;
    assert_eq!(net.recover(), Err(StartError::Transport(TransportError::ResetTimeout)));
    assert!(matches!(net.is_broken(), Some(Broken::NotStarted(_))));
    assert!(!net.receive(|_| ()));
}

#[test]
fn a_lie_about_a_sent_frame_breaks_the_device() {
    let (mut net, fake) = start(true, 0);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    let head = fake.state().side(1).take().unwrap().head;
    fake.state().side(1).complete(head.into(), 1, false);
    net.reclaim();
    let fault = QueueFault::TooLong { claimed: 1, writable: 0 };
    assert_eq!(net.is_broken(), Some(Broken::Transmit(fault)));
}

#[test]
fn the_link_goes_down_and_up() {
    let (mut net, fake) = start(true, STATUS);
    assert!(!net.service_configuration());
    fake.state().configuration[6] = 0;
    assert!(net.link_up());
    assert!(net.service_configuration());
    assert!(!net.link_up());
    fake.state().configuration[6] = 3;
    assert!(net.service_configuration() && net.link_up());
    fake.state().restless = u32::MAX;
    assert!(!net.service_configuration());
    assert_eq!(net.is_broken(), Some(Broken::Configuration(TransportError::BadConfiguration)));
}

#[test]
fn a_device_that_asks_for_a_reset_gets_one() {
    let (mut net, fake) = start(true, 0);
    fake.state().status |= 0x40;
    assert!(!net.service_configuration());
    assert_eq!(net.is_broken(), Some(Broken::NeedsReset));
    assert_eq!(net.recover(), Ok(()));
    assert_eq!(net.is_broken(), None);
}

#[test]
fn interrupts_come_by_messages_or_by_the_pin() {
    let message = Message { address: 0xfee0_0000, data: 0x41 };
    let options = Options { messages: Some(Messages { configuration: message, queues: message }), ..options() };
    let with = |modern| {
        let fake = device(modern, MAC | ANY_LAYOUT);
        let memory = Box::leak(Box::new(NetMemory::<RX, TX, 1514>::new()));
        (outcome(Net::start(fake.transport(), memory, physical, options, 0)).unwrap(), fake)
    };
    for modern in [true, false] {
        let (net, fake) = with(modern);
        assert_eq!((net.interrupts(), net.interrupt_gsi()), (Interrupts::Messages, None));
        assert_eq!(net.mac(), ADDRESS, "where messages move the configuration, too");
        let state = fake.state();
        assert_eq!((state.configuration_vector, state.queues[0].vector, state.queues[1].vector), (0, 1, 1));
    }
    let (mut net, fake) = start(true, 0);
    assert_eq!((net.interrupts(), net.interrupt_gsi()), (Interrupts::Pin, Some(20)));
    fake.state().isr = 2;
    assert_eq!(net.acknowledge_interrupt(), Cause { queues: false, configuration: true });
}
