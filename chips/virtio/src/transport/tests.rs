//! Probing, negotiation and registers of both PCI transports against the model of a device.

use super::*;
use crate::fake::{Event, Fake, NOTIFY, VERSION_1, capability, physical};
use crate::queue::{Queue, QueueMemory};

const MESSAGES: Messages = Messages {
    configuration: Message { address: 0xfee0_0000, data: 0x50 },
    queues: Message { address: 0xfee0_0000, data: 0x51 },
};

/// Resets a device that is done at once, and tells it that there is a driver.
fn begin(transport: &Transport<&'static Fake>) -> Result<(), TransportError> {
    transport.start_reset();
    match transport.reset_progress() {
        ResetProgress::Done => transport.announce_driver(),
        ResetProgress::Pending => Err(TransportError::ResetTimeout),
        ResetProgress::Gone => Err(TransportError::Gone),
    }
}

fn queue() -> Queue {
    Queue::new(Box::leak(Box::new(QueueMemory::new())), physical)
}

#[test]
fn devices_are_told_apart() {
    let kind = |device, modern, legacy| Fake::new(device, modern, legacy).probe().map(|probe| probe.map(|p| p.kind()));
    assert_eq!(kind(0x1041, true, false), Ok(Some(Kind::Network)));
    assert_eq!(kind(0x1042, true, false), Ok(Some(Kind::Block)));
    assert_eq!(kind(0x1000, true, true), Ok(Some(Kind::Network)));
    assert_eq!(kind(0x1001, false, true), Ok(Some(Kind::Block)));
    assert_eq!(kind(0x1044, true, false), Ok(Some(Kind::Entropy)));
    assert_eq!(kind(0x1005, false, true), Ok(Some(Kind::Entropy)));
    assert_eq!(kind(0x1045, true, false), Ok(None));
    assert_eq!(kind(0x1041, false, true), Err(ProbeError::NoRegisters));
    assert_eq!(kind(0x1000, false, false), Err(ProbeError::NoRegisters));
    let other = Fake::new(0x1041, true, false);
    other.state().put(0, &[0x86, 0x80]);
    assert!(other.probe().unwrap().is_none());
}

#[test]
fn a_transitional_device_is_modern_where_it_can_be() {
    assert!(Fake::new(0x1000, true, true).transport().is_modern());
    assert!(!Fake::new(0x1000, false, true).transport().is_modern());
    let half = Fake::new(0x1000, true, true);
    half.state().put(capability(3) + 8, &0x4000_u32.to_le_bytes());
    assert!(!half.transport().is_modern());
}

#[test]
fn regions_that_cannot_be_are_refused() {
    for (cfg_type, field, value) in
        [(1, 12, 0x37_u32), (1, 8, 2), (2, 12, 1), (3, 8, 0x4000), (4, 12, 0x2001), (4, 8, 0x2001)]
    {
        let fake = Fake::new(0x1041, true, false);
        fake.state().put(capability(cfg_type) + field, &value.to_le_bytes());
        let refused = fake.probe().err();
        assert_eq!(refused, Some(ProbeError::BadRegion { cfg_type: cfg_type as u8 }), "{field} = {value:#x}");
    }
    let fake = Fake::new(0x1041, true, false);
    fake.state().put(capability(1) + 4, &[7]);
    assert_eq!(fake.probe().err(), Some(ProbeError::BadRegion { cfg_type: 1 }));
}

#[test]
fn the_first_usable_capability_of_a_type_counts() {
    let fake = Fake::new(0x1041, true, false);
    // In front: a notification capability in a BAR that is reserved, and one with another multiplier.
    let mut state = fake.state();
    state.put(0x34, &[0xc4]);
    state.put(0xc4, &[9, 0xe0, 20, 2, 6]);
    drop(state);
    let transport = fake.transport();
    begin(&transport).unwrap();
    let mut queue = queue();
    queue.set_up(256, false).unwrap();
    transport.set_queue(1, 256, queue.addresses()).unwrap().ring();
    assert_eq!(fake.state().notifications(1), 1);
}

#[test]
fn a_region_that_is_not_mapped_is_an_error() {
    let probe = Fake::new(0x1041, true, false).probe().unwrap().unwrap();
    // SAFETY: the bus is a model in this process's memory.
    let outcome =
        unsafe { probe.attach(|address, _| Some(address as usize as *mut u8).filter(|_| address != NOTIFY as u64)) };
    assert_eq!(outcome.err(), Some(ProbeError::NotMapped { address: NOTIFY as u64, length: 0x1000 }));
}

#[test]
fn the_device_reaches_memory_only_after_its_reset() {
    let fake = Fake::new(0x1041, true, false);
    let transport = fake.transport();
    // Memory and I/O space on, bus master and pin off.
    assert_eq!(fake.state().command(), 0x403);
    begin(&transport).unwrap();
    assert_eq!(fake.state().command(), 0x407);
    assert_eq!(fake.state().events, [Event::Reset, Event::Status(1), Event::Status(3)]);
    transport.run();
    assert_eq!(fake.state().status, 7);
    fake.state().stuck = true;
    transport.start_reset();
    assert_eq!(transport.reset_progress(), ResetProgress::Pending);
    transport.cut_off();
    assert_eq!(fake.state().command(), 0x403);
}

#[test]
fn features_are_agreed_or_refused() {
    let fake = Fake::new(0x1041, true, false);
    fake.state().offered = VERSION_1 | 0x20;
    let transport = fake.transport();
    begin(&transport).unwrap();
    assert_eq!(transport.offered(), VERSION_1 | 0x20);
    assert_eq!(transport.accept(VERSION_1 | 0x20), Ok(()));
    assert_eq!(fake.state().accepted, VERSION_1 | 0x20);
    assert_eq!(fake.state().status, 0xb);
    fake.state().refuses_features = true;
    begin(&transport).unwrap();
    assert_eq!(transport.accept(VERSION_1), Err(TransportError::FeaturesRefused));

    let fake = Fake::new(0x1000, false, true);
    fake.state().offered = 0x20;
    let transport = fake.transport();
    begin(&transport).unwrap();
    assert_eq!(transport.accept(0x20), Ok(()));
    // A legacy device knows no FEATURES_OK.
    assert_eq!(fake.state().accepted, 0x20);
    assert_eq!(fake.state().status, 3);
    assert_eq!(transport.accept(VERSION_1), Err(TransportError::FeaturesRefused));
}

#[test]
fn messages_are_set_and_their_vectors_read_back() {
    for (device, modern, legacy) in [(0x1041, true, false), (0x1000, false, true)] {
        let fake = Fake::new(device, modern, legacy);
        let mut transport = fake.transport();
        transport.choose_interrupts(Some(MESSAGES));
        assert_eq!(transport.interrupts(), Interrupts::Messages);
        assert_eq!(transport.interrupt_gsi(), None);
        assert!(fake.state().msix_enabled());
        assert_eq!(fake.state().messages[..8], [0xfee0_0000, 0, 0x50, 0, 0xfee0_0000, 0, 0x51, 0]);
        assert_eq!(fake.state().messages[11], 1, "the entries that are not used stay masked");
        begin(&transport).unwrap();
        let mut queue = queue();
        queue.set_up(256, false).unwrap();
        assert!(transport.set_queue(1, 256, queue.addresses()).is_ok());
        assert_eq!(fake.state().configuration_vector, 0);
        assert_eq!(fake.state().queues[1].vector, 1);
        assert_eq!(transport.acknowledge_interrupt(), Cause { queues: true, configuration: false });

        fake.state().refuses_vectors = true;
        assert_eq!(transport.set_queue(1, 256, queue.addresses()).err(), Some(TransportError::VectorRefused));
        assert_eq!(begin(&transport), Err(TransportError::VectorRefused));
    }
}

#[test]
fn without_vectors_enough_the_pin_is_used() {
    let fake = Fake::new(0x1041, true, false);
    fake.state().put(0xe2, &[0, 0]);
    let mut transport = fake.transport();
    transport.choose_interrupts(Some(MESSAGES));
    assert_eq!((transport.interrupts(), transport.interrupt_gsi()), (Interrupts::Pin, Some(20)));
    assert!(!fake.state().msix_enabled());
    assert_eq!(fake.state().command() & 0x400, 0);
    fake.state().isr = 3;
    assert_eq!(transport.acknowledge_interrupt(), Cause { queues: true, configuration: true });
    assert_eq!(transport.acknowledge_interrupt(), Cause { queues: false, configuration: false });

    let fake = Fake::new(0x1041, true, false);
    fake.state().put(0x3d, &[0]);
    let mut transport = fake.transport();
    transport.choose_interrupts(None);
    assert_eq!(transport.interrupts(), Interrupts::Off);
}

#[test]
fn a_legacy_devices_configuration_moves_when_messages_are_on() {
    for messages in [None, Some(MESSAGES)] {
        let fake = Fake::new(0x1000, false, true);
        fake.state().configuration[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let mut transport = fake.transport();
        transport.choose_interrupts(messages);
        assert_eq!(transport.configuration::<u32>(0), Ok(0x0403_0201));
        assert_eq!(transport.configuration::<u16>(6), Ok(0x0807));
        assert_eq!(transport.configuration::<u32>(0x40), Err(TransportError::BadConfiguration));
    }
}

#[test]
fn configuration_is_read_again_while_it_changes() {
    let fake = Fake::new(0x1041, true, false);
    let transport = fake.transport();
    fake.state().restless = 4;
    assert_eq!(transport.read_stable(|transport| transport.configuration::<u8>(0)), Ok(0));
    assert_eq!(fake.state().configuration_reads.len(), 3);
    fake.state().restless = u32::MAX;
    let never = transport.read_stable(|transport| transport.configuration::<u8>(0));
    assert_eq!(never, Err(TransportError::BadConfiguration));
    assert_eq!(transport.configuration::<u16>(0xfff), Err(TransportError::BadConfiguration));
    assert_eq!(transport.configuration::<u16>(0x1000), Err(TransportError::BadConfiguration));
}

#[test]
fn queues_that_cannot_be_are_refused() {
    let fake = Fake::new(0x1041, true, false);
    let transport = fake.transport();
    begin(&transport).unwrap();
    assert_eq!(transport.queue_size(0), Ok(256));
    assert_eq!(transport.queue_size(7), Err(TransportError::NoSuchQueue { queue: 7 }));
    let mut queue = queue();
    queue.set_up(256, false).unwrap();

    // A multiplier that puts the second queue's register beyond the region, and one that puts it at an odd place.
    for multiplier in [0x1000_u32, 1, u32::MAX] {
        let fake = Fake::new(0x1041, true, false);
        fake.state().put(capability(2) + 16, &multiplier.to_le_bytes());
        let transport = fake.transport();
        begin(&transport).unwrap();
        let outcome = transport.set_queue(1, 256, queue.addresses());
        assert_eq!(outcome.err(), Some(TransportError::BadNotifyOffset { queue: 1 }));
        assert!(!fake.state().queues[1].enabled);
    }

    let fake = Fake::new(0x1000, false, true);
    let transport = fake.transport();
    let mut high = queue.addresses();
    high.descriptors = 1 << 44;
    assert_eq!(transport.set_queue(2, 256, high).err(), Some(TransportError::AddressTooHigh { queue: 2 }));
}

#[test]
fn the_status_tells_how_a_device_is() {
    let fake = Fake::new(0x1041, true, false);
    let transport = fake.transport();
    begin(&transport).unwrap();
    assert_eq!(transport.health(), Health::Stopped);
    transport.run();
    assert_eq!(transport.health(), Health::Running);
    fake.state().status |= 0x40;
    assert_eq!(transport.health(), Health::NeedsReset);
    fake.state().gone = true;
    assert_eq!(transport.health(), Health::Gone);
}

#[test]
fn a_device_that_is_gone_is_not_waited_for() {
    for (device, modern, legacy) in [(0x1041, true, false), (0x1000, false, true)] {
        let fake = Fake::new(device, modern, legacy);
        let transport = fake.transport();
        fake.state().gone = true;
        assert_eq!(begin(&transport), Err(TransportError::Gone));
        // Its registers alone are silent, as behind a bridge that is switched off.
        fake.state().gone = false;
        fake.state().silent = true;
        assert_eq!(begin(&transport), Err(TransportError::Gone));
        assert_eq!(fake.state().events, []);
    }
}

#[test]
fn a_device_that_forgot_where_it_was_is_told_again() {
    for (device, modern, legacy) in [(0x1041, true, false), (0x1000, false, true)] {
        let fake = Fake::new(device, modern, legacy);
        let mut transport = fake.transport();
        transport.choose_interrupts(Some(MESSAGES));
        begin(&transport).unwrap();
        let before = fake.state().bars();
        // Pulled out and put back: the registers of its function are as at power-on.
        fake.state().power_on();
        assert_ne!(fake.state().bars(), before);
        assert_eq!(begin(&transport), Ok(()));
        let state = fake.state();
        assert_eq!((state.bars(), state.command() & 7, state.msix_enabled()), (before, 7, true));
        assert_eq!(state.messages[..8], [0xfee0_0000, 0, 0x50, 0, 0xfee0_0000, 0, 0x51, 0]);
    }
}

#[test]
fn what_a_device_says_of_how_it_reaches_memory_is_accepted() {
    for offered in [1 << 33, 1 << 36, 1 << 33 | 1 << 36] {
        let fake = Fake::new(0x1041, true, false);
        fake.state().offered = VERSION_1 | offered | 1 << 34 | 1 << 35 | 1 << 37;
        let transport = fake.transport();
        begin(&transport).unwrap();
        assert_eq!(transport.accept(VERSION_1), Ok(()));
        assert_eq!(fake.state().accepted, VERSION_1 | offered);
    }
}
