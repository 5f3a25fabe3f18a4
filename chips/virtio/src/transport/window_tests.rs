//! Windows of memory: how they are written, what a window says of itself, and its registers, against the model of a device.

use super::*;
use crate::fake::{Event, Fake, VERSION_1, physical};
use crate::queue::{Queue, QueueMemory};

fn kind(fake: &'static Fake) -> Result<Option<Kind>, WindowProbeError> {
    fake.probe_window().map(|probe| probe.map(|probe| probe.kind()))
}

fn begin(transport: &Transport<&'static Fake>) -> Result<(), TransportError> {
    transport.start_reset();
    assert_eq!(transport.reset_progress(), ResetProgress::Done);
    transport.announce_driver()
}

fn queue() -> Queue {
    let mut queue = Queue::new(Box::leak(Box::new(QueueMemory::new())), physical);
    queue.set_up(256, false).unwrap();
    queue
}

#[test]
fn windows_are_written_as_linux_has_them() {
    let window = |address, length, gsi| Ok(Window { address, length, gsi });
    assert_eq!(Window::parse("4K@0xd0000000:5"), window(0xd000_0000, 4096, 5));
    assert_eq!(Window::parse("512@0xfeb02e00:12"), window(0xfeb0_2e00, 512, 12));
    assert_eq!(Window::parse("1M@0x1001E000:74:3"), window(0x1001_e000, 1 << 20, 74));
    assert_eq!(Window::parse("0x200@3G:0x10"), window(3 << 30, 512, 16));
    let form = [
        "",
        "4K",
        "4K@",
        "4K@0xd0000000",
        "4K@0xd0000000:",
        "@0xd0000000:5",
        "4K@:5",
        "4K@0xd0000000:5:",
        "4K:0xd0000000@5",
        "4K@0xd0000000:5:1:2",
        "4T@0xd0000000:5",
        "K@0xd0000000:5",
        "-1@0xd0000000:5",
        "+512@0xd0000000:5",
        "4K@0x+d0000000:5",
        "4K@0xd0000000:4294967296",
        "4K@0xd0000000:-1",
        "4K@0xd0000000:5:x",
        "4K@0x:5",
        "\u{e9}@1:5",
        "18446744073709551616@0xd0000000:5",
        "17179869184G@0xd0000000:5",
        "4K@17179869184G:5",
    ];
    for text in form {
        assert_eq!(Window::parse(text), Err(WindowError::Form), "{text}");
    }
    for text in ["0@0xd0000000:5", "255@0xd0000000:5", "4K@0xd0000001:5", "4K@0xfffffffffffff004:5"] {
        assert_eq!(Window::parse(text), Err(WindowError::Place), "{text}");
    }
}

#[test]
fn a_window_says_what_is_behind_it() {
    assert_eq!(kind(Fake::window(1)), Ok(Some(Kind::Network)));
    assert_eq!(kind(Fake::window(2)), Ok(Some(Kind::Block)));
    assert_eq!(kind(Fake::window(4)), Ok(Some(Kind::Entropy)));
    // A console, and what is no device at all.
    for none in [3, 0, u32::MAX] {
        assert_eq!(kind(Fake::window(none)), Ok(None));
    }
}

#[test]
fn what_is_no_window_of_version_2_is_refused() {
    let with = |words| {
        let fake = Fake::window(1);
        fake.state().window = Some(words);
        kind(fake)
    };
    for found in [0, u32::MAX, 0x7669_7274] {
        assert_eq!(with([found, 2, 1]), Err(WindowProbeError::NoMagic { found }));
    }
    assert_eq!(with([0x7472_6976, 1, 1]), Err(WindowProbeError::Version1));
    for version in [0, 3, u32::MAX] {
        assert_eq!(with([0x7472_6976, version, 1]), Err(WindowProbeError::UnknownVersion { version }));
    }
    // No device is behind it, whatever its version (section 4.2.2.2).
    assert_eq!(with([0x7472_6976, 1, 0]), Ok(None));
    let gone = Fake::window(1);
    gone.state().gone = true;
    assert_eq!(kind(gone), Err(WindowProbeError::NoMagic { found: u32::MAX }));
}

#[test]
fn nothing_is_told_to_a_device_before_its_driver_resets_it() {
    let fake = Fake::window(1);
    let transport = fake.transport();
    assert_eq!(fake.state().events, []);
    assert!(transport.is_modern());
    assert_eq!(transport.name(), "mmio");
    begin(&transport).unwrap();
    assert_eq!(fake.state().events, [Event::Reset, Event::Status(1), Event::Status(3)]);
}

#[test]
fn features_are_agreed_in_two_halves_or_refused() {
    let fake = Fake::window(1);
    fake.state().offered = VERSION_1 | 1 << 33 | 1 << 40 | 0x20;
    let transport = fake.transport();
    begin(&transport).unwrap();
    assert_eq!(transport.offered(), VERSION_1 | 1 << 33 | 1 << 40 | 0x20);
    assert_eq!(transport.accept(VERSION_1 | 0x20), Ok(()));
    assert_eq!(fake.state().accepted, VERSION_1 | 1 << 33 | 0x20);
    assert_eq!(fake.state().status, 0xb);
    fake.state().refuses_features = true;
    begin(&transport).unwrap();
    assert_eq!(transport.accept(VERSION_1), Err(TransportError::FeaturesRefused));
}

#[test]
fn it_interrupts_by_its_line_and_is_told_that_it_was_heard() {
    let fake = Fake::window(1);
    let mut transport = fake.transport();
    let message = Message { address: 0xfee0_0000, data: 0x50 };
    transport.choose_interrupts(Some(Messages { configuration: message, queues: message }));
    assert_eq!((transport.interrupts(), transport.interrupt_gsi()), (Interrupts::Pin, Some(7)));
    for (isr, queues, configuration) in [(0, false, false), (1, true, false), (2, false, true), (3, true, true)] {
        fake.state().isr = isr;
        assert_eq!(transport.acknowledge_interrupt(), Cause { queues, configuration });
        assert_eq!(fake.state().isr, 0, "the line is low, so that the next reason raises it");
    }
    // What is not in the specification is acknowledged too, or the line would stay high for ever.
    fake.state().isr = 0xfc;
    assert_eq!(transport.acknowledge_interrupt(), Cause { queues: false, configuration: false });
    assert_eq!(fake.state().isr, 0);
}

#[test]
fn queues_that_cannot_be_are_refused() {
    let fake = Fake::window(1);
    let transport = fake.transport();
    begin(&transport).unwrap();
    assert_eq!((transport.queue_size(0), transport.queue_size(2)), (Ok(256), Ok(256)));
    assert_eq!(transport.queue_size(7), Err(TransportError::NoSuchQueue { queue: 7 }));
    fake.state().queues[0].max = u16::MAX;
    assert_eq!(transport.queue_size(0), Ok(SIZE_MAX));
    let queue = queue();
    transport.set_queue(1, 256, queue.addresses()).unwrap().ring();
    assert_eq!(fake.state().notifications(1), 1);
    assert_eq!(fake.state().queues[1].side.size, 256);
    // A device that says it uses the queue already.
    let refused = transport.set_queue(1, 256, queue.addresses()).err();
    assert_eq!(refused, Some(TransportError::QueueInUse { queue: 1 }));
}

#[test]
fn addresses_are_told_whole() {
    let fake = Fake::window(1);
    let transport = fake.transport();
    let addresses = Addresses { descriptors: 0x1_2345_6000, available: 0x2_3456_7000, used: 0x3_4567_8000 };
    assert!(transport.set_queue(0, 128, addresses).is_ok());
    let side = fake.state().queues[0].side;
    assert_eq!((side.descriptors, side.available, side.used), (0x1_2345_6000, 0x2_3456_7000, 0x3_4567_8000));
}

#[test]
fn configuration_lies_behind_the_registers_and_ends_with_the_window() {
    let fake = Fake::window(1);
    fake.state().configuration[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let transport = fake.transport();
    assert_eq!(transport.configuration::<u32>(0), Ok(0x0403_0201));
    assert_eq!(transport.configuration::<u16>(6), Ok(0x0807));
    assert_eq!(transport.configuration::<u8>(0x3f), Ok(0));
    for offset in [0x40, 0x3e, 2, usize::MAX, usize::MAX - 0xff] {
        assert_eq!(transport.configuration::<u32>(offset), Err(TransportError::BadConfiguration), "{offset:#x}");
    }
    fake.state().restless = 4;
    assert_eq!(transport.read_stable(|transport| transport.configuration::<u8>(0)), Ok(1));
    fake.state().restless = u32::MAX;
    let never = transport.read_stable(|transport| transport.configuration::<u8>(0));
    assert_eq!(never, Err(TransportError::BadConfiguration));
}

#[test]
fn a_device_that_is_cut_off_is_reset_because_nothing_else_keeps_it_from_memory() {
    let fake = Fake::window(1);
    let transport = fake.transport();
    begin(&transport).unwrap();
    transport.run();
    assert_eq!(transport.health(), Health::Running);
    transport.cut_off();
    assert_eq!(fake.state().events.last(), Some(&Event::Reset));
    assert_eq!(transport.health(), Health::Stopped);
    fake.state().stuck = true;
    fake.state().status = 7;
    transport.start_reset();
    assert_eq!(transport.reset_progress(), ResetProgress::Pending);
    fake.state().gone = true;
    assert_eq!((transport.reset_progress(), transport.health()), (ResetProgress::Gone, Health::Gone));
}

#[test]
fn a_window_whose_device_is_gone_is_not_waited_for() {
    let fake = Fake::window(1);
    let transport = fake.transport();
    // Another word than the first one of a window: what answers there is no virtio device any more.
    fake.state().window = Some([0; 3]);
    fake.state().status = 0;
    transport.start_reset();
    assert_eq!(transport.reset_progress(), ResetProgress::Gone);
    assert_eq!(fake.state().events, []);
}
