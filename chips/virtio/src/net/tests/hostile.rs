//! Each lie that a device can tell, on every kind of device and with queues of every size: it ends in a fault that is
//! counted, and after a recovery traffic flows again. Nothing outside the driver's memory is ever touched.

use super::sizes::{Bench, each};
use super::*;
use crate::fake::{LIES, Lie, Subject, Way};

/// Whether the lie can be told: that a chain is one which does not begin there needs a second descriptor.
fn can_be_told(lie: Lie, bench: &Bench) -> bool {
    !matches!(lie, Lie::NotOutstanding) || bench.usable() > 1
}

/// Tells a lie about the next chain of a queue.
fn tell(lie: Lie, bench: &Bench, queue: u16) {
    let chain = bench.take(queue).unwrap();
    let outstanding = if queue == 0 { &bench.net.receive } else { &bench.net.transmit }.queue.in_flight();
    let usable = bench.usable();
    let mut state = bench.fake.state();
    let side = state.side(queue);
    let other = if bench.net.framing.descriptors() == 2 {
        // The second of two begins no chain.
        side.descriptor(chain.head).3
    } else if queue == 1 {
        // Only this chain is out.
        (chain.head + 1) % usable
    } else if outstanding < usable {
        // The driver takes the free descriptor that came back last, so it never needed the last one.
        usable - 1
    } else {
        // All are out. This one is no longer, when it is said a second time.
        if matches!(lie, Lie::NotOutstanding) {
            side.complete(chain.head.into(), 0, false);
        }
        chain.head
    };
    lie.tell(side, &Subject { chain: &chain, honest: 0, other, outstanding });
}

/// The device is of no use, hands nothing out and takes nothing, until it is recovered; then traffic flows.
fn recover(bench: &mut Bench) {
    bench.check();
    let before = *bench.net.counters();
    assert!(!bench.net.receive(|_| panic!("a frame of a broken device")));
    assert!(!bench.net.transmit_with(|_| panic!("a buffer of a broken device")));
    assert!(!bench.net.enable_interrupts());
    bench.net.flush();
    assert_eq!(*bench.net.counters(), before, "a fault is counted once, and nothing goes on");
    assert_eq!(bench.net.recover(), Ok(()));
    assert_eq!((bench.net.is_broken(), bench.net.transmitting()), (None, 0));
    assert_eq!(bench.net.counters().recoveries, before.faults, "each fault has its recovery");
    for batch in 1..4 {
        bench.exchange(batch);
    }
    bench.check();
}

#[test]
fn each_lie_about_a_received_frame_is_a_fault_and_the_device_comes_back() {
    each(|size, kind, mut bench| {
        bench.exchange(3);
        let mut faults = 0;
        for lie in LIES {
            if !can_be_told(lie, &bench) {
                continue;
            }
            tell(lie, &bench, 0);
            while bench.net.receive(|_| panic!("{lie:?} is no frame")) {}
            let Some(Broken::Receive(fault)) = bench.net.is_broken() else {
                panic!("{lie:?} with {size} {kind:?}: {:?}", bench.net.is_broken());
            };
            assert!(lie.is_found_as(fault), "{lie:?} with {size} {kind:?}: {fault:?}");
            faults += 1;
            assert_eq!(bench.net.counters().faults, faults);
            recover(&mut bench);
        }
        assert!(faults >= LIES.len() as u64 - 1);
    });
}

#[test]
fn each_lie_about_a_sent_frame_is_a_fault_and_the_device_comes_back() {
    each(|size, kind, mut bench| {
        bench.exchange(3);
        let mut faults = 0;
        for lie in LIES {
            if !can_be_told(lie, &bench) {
                continue;
            }
            bench.net.reclaim();
            assert!(bench.net.transmit_with(|_| Some(60)));
            bench.net.flush();
            tell(lie, &bench, 1);
            bench.net.reclaim();
            let Some(Broken::Transmit(fault)) = bench.net.is_broken() else {
                panic!("{lie:?} with {size} {kind:?}: {:?}", bench.net.is_broken());
            };
            assert!(lie.is_found_as(fault), "{lie:?} with {size} {kind:?}: {fault:?}");
            faults += 1;
            assert_eq!(bench.net.counters().faults, faults);
            recover(&mut bench);
        }
        assert!(faults >= LIES.len() as u64 - 1);
    });
}

#[test]
fn junk_in_a_header_costs_at_most_its_frame() {
    each(|_, _, mut bench| {
        let frame = bench.frame();
        // Flags, lengths and offsets of offloads that were not agreed say nothing; nor does the number of buffers, the
        // last two bytes of a header of 12 (section 5.1.6.4.2).
        for junk in [1, 0x7f, 0xff] {
            let mut header = vec![junk; bench.header];
            header[1] = 0;
            bench.deliver(&header, &frame);
            let mut arrived = 0;
            assert!(bench.net.receive(|bytes| {
                assert!(bytes == frame);
                arrived += 1;
            }));
            assert!(!bench.net.receive(|_| panic!("one buffer is one frame")));
            assert_eq!(arrived, 1);
            bench.net.flush();
        }
        // A segmentation that was not agreed makes it no frame.
        for kind in [1, 3, 4, 5, 0x80, 0xff] {
            let mut header = vec![0; bench.header];
            header[1] = kind;
            bench.deliver(&header, &frame);
            assert!(bench.net.receive(|_| panic!("not a frame")));
            bench.net.flush();
        }
        // Nor is what is shorter than the two headers.
        let lengths = [0, 1, bench.header, bench.header + 13];
        for length in lengths {
            let head = bench.take(0).unwrap().head;
            bench.complete(0, head.into(), length as u32);
            assert!(bench.net.receive(|_| panic!("not a frame")));
            bench.net.flush();
        }
        let Counters { received, received_offloaded, received_short, faults, .. } = *bench.net.counters();
        assert_eq!((received, received_offloaded, received_short, faults), (3, 6, 4, 0));
        bench.exchange(5);
        bench.check();
    });
}

#[test]
fn a_lost_interrupt_loses_no_frame() {
    each(|_, _, mut bench| {
        for round in 0..20 {
            assert!(!bench.net.enable_interrupts(), "round {round}");
            let frame = bench.frame();
            let chain = bench.take(0).unwrap();
            let length = chain.write(&[&vec![0; bench.header], &frame[..]].concat());
            assert!(bench.complete(0, chain.head.into(), length), "the driver wants to hear of it");
            // Nobody tells the driver. It finds the frame whenever it looks, and asks no second time in vain.
            assert!(bench.net.enable_interrupts(), "it does not sleep over work that is there");
            assert!(bench.net.receive(|bytes| assert!(bytes == frame)));
            bench.net.flush();
        }
        assert_eq!((bench.net.counters().received, bench.net.is_broken()), (20, None));
    });
}

#[test]
fn a_storm_of_interrupts_changes_nothing() {
    each(|_, _, mut bench| {
        let before = *bench.net.counters();
        for isr in (0..=255).cycle().take(2_000) {
            bench.fake.state().isr = isr;
            let cause = bench.net.acknowledge_interrupt();
            assert_eq!((cause.queues, cause.configuration), (isr & 1 != 0, isr & 2 != 0));
            assert_eq!(bench.fake.state().isr, 0, "the pin is let go");
            assert!(!bench.net.enable_interrupts() && !bench.net.service_configuration());
        }
        assert_eq!(*bench.net.counters(), before);
        bench.exchange(2);
    });
}

#[test]
fn a_transmit_queue_that_stalls_is_reset() {
    each(|size, kind, mut bench| {
        bench.exchange(2);
        let mut frames = 0;
        while bench.net.transmit_with(|_| Some(60)) {
            frames += 1;
        }
        bench.net.flush();
        // Frames still come in meanwhile, and nothing waits for the ones that do not leave.
        let frame = bench.frame();
        bench.deliver(&vec![0; bench.header], &frame);
        assert!(bench.net.receive(|bytes| assert!(bytes == frame)));
        assert_eq!(bench.net.due_us(), None);
        for now_us in (7_000_000..=7_000_000 + STALL_US).step_by(500_000) {
            bench.net.watch_transmission(now_us);
            assert_eq!(bench.net.due_us(), Some(now_us + 1_000_000), "though nothing happens");
            assert_eq!(bench.net.is_broken(), None, "{now_us} us, {size} {kind:?}");
            assert!(!bench.net.transmit_with(|_| panic!("no buffer is free")));
        }
        bench.net.watch_transmission(7_000_001 + STALL_US);
        assert_eq!(bench.net.is_broken(), Some(Broken::TransmitStalled { frames }));
        assert_eq!((bench.net.counters().faults, bench.net.due_us()), (1, None));
        recover(&mut bench);
        bench.net.watch_transmission(u64::MAX);
        assert_eq!((bench.net.is_broken(), bench.net.due_us()), (None, None), "nothing is waiting");
    });
}

#[test]
fn a_slow_device_is_not_a_stalled_one() {
    let mut bench = Bench::new(4, (Way::Modern, EVENT_IDX)).unwrap();
    for round in 0..20 {
        while bench.net.transmit_with(|_| Some(60)) {}
        bench.net.flush();
        // One frame every 4 s, of four that it always has.
        let now_us = round * 4_000_000;
        bench.net.watch_transmission(now_us);
        bench.net.watch_transmission(now_us + 3_999_999);
        let head = bench.take(1).unwrap().head;
        bench.complete(1, head.into(), 0);
        assert_eq!(bench.net.is_broken(), None, "round {round}");
    }
}

#[test]
fn time_in_which_nobody_looked_is_not_held_against_the_device() {
    let mut bench = Bench::new(4, (Way::Modern, EVENT_IDX)).unwrap();
    assert!(bench.net.transmit_with(|_| Some(60)));
    bench.net.flush();
    bench.net.watch_transmission(1_000);
    // The machine stood still for an hour.
    bench.net.watch_transmission(3_600_000_000);
    assert_eq!(bench.net.is_broken(), None);
    assert_eq!(bench.carry().len(), 1);
    bench.exchange(4);
}

#[test]
fn a_device_that_needs_a_reset_in_the_middle_of_traffic_gets_it() {
    each(|_, _, mut bench| {
        let frame = bench.frame();
        bench.deliver(&vec![0; bench.header], &frame);
        assert!(bench.net.transmit_with(|_| Some(60)));
        bench.net.flush();
        bench.fake.state().status |= 0x40;
        assert!(!bench.net.service_configuration());
        assert_eq!(bench.net.is_broken(), Some(Broken::NeedsReset));
        recover(&mut bench);
    });
}

/// Numbers that follow from a seed (splitmix64).
fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[test]
fn a_device_that_writes_anything_into_its_rings_leads_nowhere() {
    each(|size, kind, mut bench| {
        let mut draw = numbers(u64::from(size) << 8 | kind.0 as u64);
        let mut faults = 0;
        for _ in 0..12 {
            for queue in [0, 1] {
                // Small numbers are nearly right, which is worse than quite wrong.
                let mask = [0x0101, 0xff, 0xffff][draw() as usize % 3];
                let junk: Vec<u8> = (0..256).flat_map(|_| ((draw() & mask) as u16).to_le_bytes()).collect();
                bench.fake.state().side(queue).scribble_all(&junk);
            }
            for _ in 0..40 {
                bench.net.receive(|bytes| assert!((14..=1514).contains(&bytes.len())));
                bench.net.transmit_with(|buffer| {
                    buffer.fill(7);
                    Some(60)
                });
                bench.net.flush();
                bench.net.reclaim();
                if bench.net.enable_interrupts() {
                    bench.net.disable_interrupts();
                }
            }
            bench.check();
            faults += u64::from(bench.net.is_broken().is_some());
            assert_eq!(bench.net.counters().faults, faults);
            if bench.net.is_broken().is_some() {
                recover(&mut bench);
            }
        }
        assert!(faults > 0, "{size} {kind:?}");
    });
}
