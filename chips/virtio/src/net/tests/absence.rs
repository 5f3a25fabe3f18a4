//! Devices that fall silent, vanish and come back, in virtual time: what they cost meanwhile, and that they are used
//! again.

use super::*;
use crate::recovery::{PAUSE_MAX_US, PROBATION_US, RESET_US};

const SECOND: u64 = 1_000_000;

/// Lets time pass as the board's loop does that has nothing else to do: a pass when one is due, and each second. Gives
/// what happened, and the times of the tries.
fn pass(net: &mut Net<&'static Fake>, fake: &Fake, from_us: u64, to_us: u64) -> (Vec<Tended>, Vec<u64>) {
    let (mut news, mut tries) = (Vec::new(), Vec::new());
    let mut now_us = from_us;
    while now_us < to_us {
        let before = fake.state().events.iter().filter(|event| **event == Event::Reset).count();
        let resetting = net.condition(now_us) == Condition::Resetting;
        match net.tend(true, now_us) {
            Tended::Same => {}
            other => news.push(other),
        }
        let after = fake.state().events.iter().filter(|event| **event == Event::Reset).count();
        if after != before || !resetting && net.condition(now_us) == Condition::Resetting {
            tries.push(now_us);
        }
        now_us = net.due_us().map_or(u64::MAX, |due_us| due_us.max(now_us + 1)).min(now_us + SECOND);
    }
    (news, tries)
}

/// A frame in and a frame out.
fn exchange(net: &mut Net<&'static Fake>, fake: &Fake, header: usize) {
    deliver(fake, &vec![0; header], &frame(60, 9));
    assert_eq!(received(net), [frame(60, 9)]);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    let mut state = fake.state();
    let event_index = state.accepted & EVENT_IDX != 0;
    let head = state.side(1).take().expect("a frame").head;
    state.side(1).complete(head.into(), 0, event_index);
    drop(state);
    net.reclaim();
    assert_eq!((net.transmitting(), net.is_broken()), (0, None));
}

#[test]
fn a_device_that_is_gone_is_noticed_in_two_seconds_and_comes_back_in_a_minute() {
    for (way, header) in [(Way::Modern, 12), (Way::Legacy, 10), (Way::Window, 12)] {
        let (mut net, fake) = start(way, MAC | STATUS | ANY_LAYOUT);
        exchange(&mut net, fake, header);
        fake.state().gone = true;
        let (news, _) = pass(&mut net, fake, SECOND, 3 * SECOND);
        assert_eq!((news, net.is_broken()), (vec![Tended::Lost], Some(Broken::Gone)));
        assert!(!net.link_up() && !net.is_hopeless(), "it has worked");
        assert!(matches!(net.condition(3 * SECOND), Condition::Gone { next_try_us } if next_try_us < 4 * SECOND));

        // An hour later it has cost a try a minute, and no frame was asked for.
        assert!(!net.transmit_with(|_| panic!("the device is gone")) && !net.receive(|_| panic!("no frame")));
        let (news, _) = pass(&mut net, fake, 3 * SECOND, 3600 * SECOND);
        assert_eq!((news, net.counters().faults), (vec![], 1));
        assert!(matches!(net.condition(3600 * SECOND), Condition::Gone { next_try_us } if next_try_us <= PAUSE_MAX_US));

        // It comes back with nothing remembered, and with another address.
        fake.state().power_on();
        fake.state().gone = false;
        fake.state().configuration[5] = 0x77;
        let (news, tries) = pass(&mut net, fake, 3600 * SECOND, 3661 * SECOND);
        assert_eq!((news, tries.len()), (vec![Tended::Back], 1));
        assert_eq!((net.mac()[5], net.link_up(), net.condition(0)), (0x77, true, Condition::Working));
        assert_eq!(net.counters().recoveries, 1);
        exchange(&mut net, fake, header);
    }
}

#[test]
fn registers_that_are_silent_are_a_device_that_is_gone() {
    for way in [Way::Modern, Way::Window] {
        let (mut net, fake) = start(way, MAC);
        fake.state().silent = true;
        let (news, tries) = pass(&mut net, fake, SECOND, 100 * SECOND);
        assert_eq!((news, net.is_broken()), (vec![Tended::Lost], Some(Broken::Gone)));
        assert_eq!(tries, [], "what does not answer is not reset");
        fake.state().silent = false;
        let (news, _) = pass(&mut net, fake, 100 * SECOND, 161 * SECOND);
        assert_eq!(news, [Tended::Back]);
        exchange(&mut net, fake, 12);
    }
}

#[test]
fn a_device_whose_memory_was_switched_off_is_switched_on_again() {
    let (mut net, fake) = start(true, MAC);
    fake.state().put(4, &[4, 0]);
    let (news, _) = pass(&mut net, fake, SECOND, 4 * SECOND);
    assert_eq!(news, [Tended::Lost, Tended::Back]);
    let command = fake.state().command();
    assert_eq!(command & 7, 7);
    exchange(&mut net, fake, 12);
}

#[test]
fn a_device_that_something_else_has_reset_is_started_again() {
    let (mut net, fake) = start(true, MAC);
    fake.state().status = 0;
    let (news, _) = pass(&mut net, fake, SECOND, 4 * SECOND);
    assert_eq!(news, [Tended::Lost, Tended::Back]);
    exchange(&mut net, fake, 12);
}

#[test]
fn a_reset_that_hangs_is_not_waited_for_and_costs_less_and_less() {
    let (mut net, fake) = start(true, MAC);
    fake.state().stuck = true;
    fake.state().status |= 0x40;
    let (news, tries) = pass(&mut net, fake, SECOND, 600 * SECOND);
    assert_eq!(news, [Tended::Lost]);
    assert_eq!(net.is_broken(), Some(Broken::NotStarted(StartError::Transport(TransportError::ResetTimeout))));
    assert!((10..22).contains(&tries.len()), "{tries:?}");
    for (index, pair) in tries.windows(2).enumerate() {
        let pause = PAUSE_MAX_US.min(200_000 << index);
        assert_eq!(pair[1] - pair[0], RESET_US + pause, "{tries:?}");
    }
    // One call looks once or twice: nothing waits in it.
    let mut now_us = 600 * SECOND;
    for _ in 0..500 {
        now_us = net.due_us().unwrap().max(now_us + 1);
        let before = fake.state().status_reads;
        assert_eq!(net.tend(true, now_us), Tended::Same);
        assert!(fake.state().status_reads - before <= 3);
    }
    assert_eq!(fake.state().command() & 4, 0, "it is cut off from memory");

    fake.state().stuck = false;
    let (news, _) = pass(&mut net, fake, now_us, now_us + 64 * SECOND);
    assert_eq!(news, [Tended::Back]);
    exchange(&mut net, fake, 12);
}

#[test]
fn a_device_that_breaks_whenever_it_is_started_is_not_started_often() {
    let (mut net, fake) = start(true, MAC);
    let mut starts = 0;
    let mut now_us = SECOND;
    while now_us < 600 * SECOND {
        if net.is_broken().is_none() {
            starts += 1;
            // It even brings a frame before it lies.
            deliver(fake, &[0; 12], &frame(60, 1));
            fake.state().side(0).complete(777, 60, false);
            assert_eq!(received(&mut net).len(), 1);
        }
        let _ = net.tend(true, now_us);
        now_us = net.due_us().map_or(now_us + 1, |due_us| due_us.max(now_us + 1));
    }
    assert!((10..22).contains(&starts), "{starts}");

    // After it has worked for a while the pause is short again.
    while net.is_broken().is_some() {
        let _ = net.tend(true, now_us);
        now_us = net.due_us().unwrap_or(now_us).max(now_us + 1);
    }
    exchange(&mut net, fake, 12);
    assert_eq!(net.tend(true, now_us + PROBATION_US + SECOND), Tended::Same);
    fake.state().status |= 0x40;
    assert!(!net.service_configuration());
    now_us += PROBATION_US + SECOND;
    assert_eq!(net.tend(true, now_us), Tended::Lost);
    assert_eq!(net.condition(now_us), Condition::Failed { next_try_us: 100_000 });
}

#[test]
fn a_transmit_queue_that_stands_still_is_noticed_while_a_used_buffer_waits() {
    let (mut net, fake) = start(true, MAC);
    assert!(net.transmit_with(|_| Some(60)) && net.transmit_with(|_| Some(60)));
    net.flush();
    let head = fake.state().side(1).take().unwrap().head;
    fake.state().side(1).complete(head.into(), 0, false);
    let (news, _) = pass(&mut net, fake, SECOND, 8 * SECOND);
    assert_eq!(news, [Tended::Lost, Tended::Back], "the second frame never left");
    assert_eq!(net.counters().faults, 1);
    exchange(&mut net, fake, 12);
}

#[test]
fn a_notification_that_was_lost_is_sent_again_before_the_device_is_given_up() {
    let (mut net, fake) = start(true, MAC);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    assert_eq!(fake.state().notifications(1), 1);
    let (news, _) = pass(&mut net, fake, SECOND, 4 * SECOND);
    assert_eq!(news, []);
    assert!((2..=4).contains(&fake.state().notifications(1)));
    let head = fake.state().side(1).take().unwrap().head;
    fake.state().side(1).complete(head.into(), 0, false);
    let (news, _) = pass(&mut net, fake, 4 * SECOND, 20 * SECOND);
    assert_eq!((news, net.is_broken()), (vec![], None));
}

#[test]
fn a_device_that_keeps_a_frame_is_notified_once_a_second() {
    let (mut net, fake) = start(true, MAC);
    assert!(net.transmit_with(|_| Some(60)));
    net.flush();
    let before = net.counters().notifications;
    for halves in 0..=9 {
        net.watch_transmission(SECOND + halves * SECOND / 2);
        assert_eq!(fake.state().notifications(1) as u64, 1 + halves / 2, "after {halves} half seconds");
        assert_eq!(net.counters().notifications - before, halves / 2);
    }
}

#[test]
fn a_device_from_which_frames_come_is_not_looked_at() {
    let (mut net, fake) = start(true, MAC);
    fake.state().gone = true;
    for second in 1..10 {
        assert_eq!(net.tend(false, second * SECOND), Tended::Same);
    }
    assert_eq!(net.is_broken(), None);
    assert_eq!(net.tend(true, 10 * SECOND), Tended::Lost);
    assert_eq!(net.is_broken(), Some(Broken::Gone));
}

#[test]
fn a_device_is_looked_at_once_a_second_and_its_end_is_said_once() {
    let (mut net, fake) = start(true, MAC);
    assert_eq!(net.tend(true, SECOND), Tended::Same);
    fake.state().gone = true;
    let lines = slopos_host_log::lines();
    assert_eq!(net.tend(true, 2 * SECOND - 1), Tended::Same);
    assert_eq!(slopos_host_log::lines(), lines);
    assert_eq!(net.tend(true, 2 * SECOND), Tended::Lost);
    assert_eq!(slopos_host_log::lines(), lines + 1);
    pass(&mut net, fake, 2 * SECOND, 600 * SECOND);
    assert_eq!(slopos_host_log::lines(), lines + 1, "tries that end as the one before are not told");
}

#[test]
fn a_device_that_does_not_answer_at_boot_is_used_when_it_does() {
    let fake = device(true, MAC);
    let transport = fake.transport();
    fake.state().gone = true;
    let memory = Box::leak(Box::new(NetMemory::<RX, TX, 1514>::new()));
    let mut net = Net::start(transport, memory, physical, options(), 5);
    assert_eq!((net.is_broken(), net.is_hopeless()), (Some(Broken::Gone), true));
    fake.state().gone = false;
    let (news, _) = pass(&mut net, fake, SECOND, 3 * SECOND);
    assert_eq!((news, net.is_hopeless(), net.counters().recoveries), (vec![Tended::Back], false, 0));
    exchange(&mut net, fake, 12);

    // One whose first reset takes a while is not given up.
    let fake = device(true, MAC);
    fake.state().stuck = true;
    let memory = Box::leak(Box::new(NetMemory::<RX, TX, 1514>::new()));
    let mut net = Net::start(fake.transport(), memory, physical, options(), 5);
    assert_eq!((net.condition(5), net.is_hopeless()), (Condition::Resetting, false));
    fake.state().status = 0;
    assert_eq!(net.tend(true, SECOND), Tended::Back);
    exchange(&mut net, fake, 12);
}
