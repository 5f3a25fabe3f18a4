//! The driver's side of a queue against the device's, well-behaved and not.

use super::*;
use crate::fake::{Side, physical};

const BUFFER: u64 = 0x1_0000;

fn queue(size: u16, event_index: bool) -> (Queue, Side) {
    let mut queue = Queue::new(Box::leak(Box::new(QueueMemory::new())), physical);
    queue.set_up(size, event_index).unwrap();
    let side = Side::new(size, queue.addresses());
    (queue, side)
}

fn readable(length: u32) -> Segment {
    Segment { address: BUFFER, length, writable: false }
}

fn writable(length: u32) -> Segment {
    Segment { address: BUFFER + 0x1000, length, writable: true }
}

#[test]
fn the_layout_is_the_one_a_legacy_device_computes() {
    for (size, available, used, end) in
        [(1, 16, 4096, 4096 + 14), (256, 4096, 8192, 8192 + 2054), (1024, 16384, 20480, 20480 + 8198)]
    {
        let (queue, _) = queue(size, false);
        let places = queue.addresses();
        assert_eq!(places.descriptors % 4096, 0);
        assert_eq!((places.available - places.descriptors, places.used - places.descriptors), (available, used));
        assert!(end <= RING_BYTES);
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let (mut queue, _) = queue(4, false);
    for size in [0, 3, 2048, 0xffff] {
        assert_eq!(queue.set_up(size, false), Err(BadSize));
        assert_eq!(queue.add(0, &[readable(1)]), Err(AddError::Faulty));
        assert_eq!(queue.pop(), None);
        assert!(!queue.publish());
    }
}

#[test]
fn a_chain_goes_there_and_back() {
    let (mut queue, mut side) = queue(4, false);
    assert_eq!(queue.add(7, &[readable(16), writable(512), writable(1)]), Ok(()));
    assert!(side.take().is_none(), "nothing is shown before it is published");
    assert!(queue.publish());
    assert!(!queue.publish(), "there is nothing new");
    let chain = side.take().unwrap();
    assert_eq!(chain.readable, [(BUFFER, 16)]);
    assert_eq!(chain.writable, [(BUFFER + 0x1000, 512), (BUFFER + 0x1000, 1)]);
    assert_eq!((queue.free(), queue.in_flight()), (1, 1));
    assert_eq!(queue.pop(), None);
    side.complete(chain.head.into(), 513, false);
    assert!(queue.has_used());
    assert_eq!(queue.pop(), Some(Ok(Used { token: 7, length: 513 })));
    assert_eq!((queue.free(), queue.in_flight(), queue.pop()), (4, 0, None));
}

#[test]
fn chains_come_back_in_any_order() {
    let (mut queue, mut side) = queue(8, false);
    for token in 0..4 {
        queue.add(token, &[readable(1), writable(9)]).unwrap();
    }
    assert_eq!(queue.add(4, &[readable(1)]), Err(AddError::Full));
    let _ = queue.publish();
    let heads: Vec<_> = std::iter::from_fn(|| side.take()).map(|chain| u32::from(chain.head)).collect();
    for (index, length) in [(2, 3), (0, 1), (3, 4), (1, 2)] {
        side.complete(heads[index], length, false);
    }
    let back: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|used| used.unwrap()).collect();
    assert_eq!(back.iter().map(|used| (used.token, used.length)).collect::<Vec<_>>(), [(2, 3), (0, 1), (3, 4), (1, 2)]);
    assert_eq!(queue.free(), 8);
}

#[test]
fn chains_that_cannot_be_are_not_added() {
    let (mut queue, _) = queue(4, false);
    assert_eq!(queue.add(0, &[]), Err(AddError::BadChain));
    assert_eq!(queue.add(0, &[writable(1), readable(1)]), Err(AddError::BadChain));
    assert_eq!(queue.add(0, &[readable(1); 5]), Err(AddError::Full));
    assert_eq!((queue.free(), queue.in_flight(), queue.publish()), (4, 0, false));
}

#[test]
fn a_queue_of_one_works() {
    for event_index in [false, true] {
        let (mut queue, mut side) = queue(1, event_index);
        for round in 0..3 {
            queue.add(round, &[writable(10)]).unwrap();
            assert_eq!(queue.add(9, &[writable(10)]), Err(AddError::Full));
            let _ = queue.publish();
            let chain = side.take().unwrap();
            assert_eq!(chain.head, 0);
            side.complete(0, 10, event_index);
            assert_eq!(queue.pop(), Some(Ok(Used { token: round, length: 10 })));
        }
    }
}

#[test]
fn a_large_queue_uses_no_more_descriptors_than_there_is_memory_for() {
    let (mut queue, mut side) = queue(1024, false);
    for token in 0..=255 {
        queue.add(token, &[readable(1)]).unwrap();
    }
    assert_eq!(queue.add(0, &[readable(1)]), Err(AddError::Full));
    let _ = queue.publish();
    // Once round the ring of 1024, so that entries beyond the descriptors are used.
    for round in 0..1500_u16 {
        let chain = side.take().unwrap();
        assert!(chain.head < 256);
        side.complete(chain.head.into(), 0, false);
        let token = queue.pop().unwrap().unwrap().token;
        assert_eq!(u16::from(token), round % 256);
        queue.add(token, &[readable(1)]).unwrap();
        let _ = queue.publish();
    }
}

#[test]
fn queues_of_every_size_go_through_the_wrap_at_65536_in_any_order() {
    for (shift, event_index) in (0..=10).zip([false, true].into_iter().cycle()) {
        let size = 1 << shift;
        let (mut queue, mut side) = queue(size, event_index);
        let usable = size.min(DESCRIPTORS_MAX as u16);
        assert_eq!(queue.free(), usable);
        let mut names: std::vec::Vec<u8> = (0..usable).map(|name| name as u8).collect();
        let mut with_device = std::vec::Vec::new();
        for round in 0..66_000_usize {
            // As many as there is room for, but not always.
            while let Some(name) = names.pop_if(|_| with_device.is_empty() || round % 3 != 0) {
                queue.add(name, &[writable(100)]).unwrap();
                let _notify = queue.publish();
                with_device.push((side.take().unwrap().head, name));
            }
            let (head, name) = with_device.swap_remove(round * 7 % with_device.len());
            side.complete(head.into(), (round % 101) as u32, event_index);
            assert_eq!(queue.pop(), Some(Ok(Used { token: name, length: (round % 101) as u32 })), "round {round}");
            names.push(name);
        }
        assert_eq!(usize::from(queue.in_flight()), with_device.len());
        assert_eq!(side.used_index, 66_000_u32 as u16, "through the wrap");
    }
}

#[test]
fn notifications_are_suppressed_by_the_flag() {
    let (mut queue, side) = queue(4, false);
    side.set_used_flags(1);
    queue.add(0, &[readable(1)]).unwrap();
    assert!(!queue.publish());
    side.set_used_flags(0);
    queue.add(1, &[readable(1)]).unwrap();
    assert!(queue.publish());
}

#[test]
fn notifications_follow_the_event_through_the_wrap_at_65536() {
    let (mut queue, mut side) = queue(4, true);
    let mut index = 0_u16;
    for round in 0..70_000_u32 {
        // The device wants to hear of every third chain.
        let wanted = round % 3 == 2;
        side.set_available_event(if wanted { index } else { index.wrapping_add(1) });
        queue.add(3, &[readable(1)]).unwrap();
        assert_eq!(queue.publish(), wanted, "round {round}");
        index = index.wrapping_add(1);
        assert_eq!(side.available_index(), index);
        let chain = side.take().unwrap();
        side.complete(chain.head.into(), 0, true);
        assert_eq!(queue.pop(), Some(Ok(Used { token: 3, length: 0 })));
    }
}

#[test]
fn a_batch_that_passes_the_event_notifies_once() {
    let (mut queue, side) = queue(8, true);
    side.set_available_event(1);
    for token in 0..3 {
        queue.add(token, &[readable(1)]).unwrap();
    }
    assert!(queue.publish());
    queue.add(3, &[readable(1)]).unwrap();
    assert!(!queue.publish());
}

#[test]
fn an_event_that_was_passed_just_before_notifies_no_more() {
    let (mut queue, side) = queue(8, true);
    for (index, token) in (0..4_u16).zip(0..) {
        side.set_available_event(index.wrapping_sub(1));
        queue.add(token, &[readable(1)]).unwrap();
        assert!(!queue.publish(), "from index {index}");
    }
}

#[test]
fn interrupts_follow_the_event_through_the_wrap_at_65536() {
    let (mut queue, mut side) = queue(4, true);
    for round in 0..70_000_u32 {
        queue.add(0, &[writable(4)]).unwrap();
        queue.add(1, &[writable(4)]).unwrap();
        let _ = queue.publish();
        let heads = [side.take().unwrap().head, side.take().unwrap().head];
        let enabled = round % 2 == 0;
        if enabled {
            assert!(!queue.enable_interrupts(2));
        } else {
            queue.disable_interrupts();
        }
        assert!(!side.complete(heads[0].into(), 4, true), "round {round}: too early or not wanted");
        assert_eq!(side.complete(heads[1].into(), 4, true), enabled, "round {round}");
        assert!(queue.pop().is_some() && queue.pop().is_some() && queue.pop().is_none());
        assert_eq!(side.available_flags(), 0, "the flag stays 0 with the event index");
    }
}

#[test]
fn enabling_interrupts_tells_what_came_before() {
    for event_index in [false, true] {
        let (mut queue, mut side) = queue(4, event_index);
        queue.add(0, &[writable(4)]).unwrap();
        queue.add(1, &[writable(4)]).unwrap();
        let _ = queue.publish();
        let head = side.take().unwrap().head;
        assert!(!side.complete(head.into(), 4, event_index), "suppressed from the start");
        assert!(queue.enable_interrupts(1));
        // With the event index the driver can wait for two; without it the first interrupts.
        assert_eq!(queue.enable_interrupts(2), !event_index);
        queue.pop().unwrap().unwrap();
        assert!(!queue.enable_interrupts(1));
        let head = side.take().unwrap().head;
        assert!(side.complete(head.into(), 4, event_index));
    }
}

/// A queue with one chain at the device, and the descriptor that it begins at.
fn one_in_flight() -> (Queue, Side, u32) {
    let (mut queue, mut side) = queue(4, false);
    queue.add(5, &[readable(8), writable(100)]).unwrap();
    let _ = queue.publish();
    let head = side.take().unwrap().head.into();
    (queue, side, head)
}

/// The fault is reported once; then the queue is dead until it is set up again.
fn assert_faulty(mut queue: Queue, fault: QueueFault) {
    assert_eq!(queue.pop(), Some(Err(fault)));
    assert_eq!(queue.fault(), Some(fault));
    assert_eq!((queue.pop(), queue.has_used()), (None, false));
    assert_eq!(queue.add(1, &[readable(1)]), Err(AddError::Faulty));
    assert!(!queue.enable_interrupts(1));
    queue.set_up(4, false).unwrap();
    assert_eq!((queue.fault(), queue.free()), (None, 4));
    assert_eq!(queue.add(1, &[readable(1)]), Ok(()));
}

#[test]
fn an_unknown_descriptor_is_a_fault() {
    for id in [4, 256, 0x1_0000, u32::MAX] {
        let (queue, mut side, _) = one_in_flight();
        side.complete(id, 0, false);
        assert_faulty(queue, QueueFault::UnknownDescriptor { id });
    }
}

#[test]
fn a_descriptor_where_no_chain_begins_is_a_fault() {
    let (queue, mut side, head) = one_in_flight();
    side.complete(head + 1, 0, false);
    assert_faulty(queue, QueueFault::NotOutstanding { id: head + 1 });
}

#[test]
fn a_chain_that_comes_back_twice_is_a_fault() {
    let (mut queue, mut side, head) = one_in_flight();
    queue.add(6, &[writable(1)]).unwrap();
    let _ = queue.publish();
    side.complete(head, 0, false);
    side.complete(head, 0, false);
    assert_eq!(queue.pop(), Some(Ok(Used { token: 5, length: 0 })));
    assert_faulty(queue, QueueFault::NotOutstanding { id: head });
}

#[test]
fn a_chain_that_was_never_shown_is_a_fault() {
    let (mut queue, mut side, _) = one_in_flight();
    queue.add(6, &[writable(1)]).unwrap();
    side.complete(2, 0, false);
    assert_faulty(queue, QueueFault::NotOutstanding { id: 2 });

    let (mut queue, mut side) = self::queue(4, false);
    queue.add(6, &[writable(1)]).unwrap();
    side.complete(0, 0, false);
    assert_faulty(queue, QueueFault::IndexJump { claimed: 1, in_flight: 0 });
}

#[test]
fn an_index_that_jumps_is_a_fault() {
    for claimed in [2, 5, 0x8000, 0xffff] {
        let (queue, mut side, _) = one_in_flight();
        side.used_index = claimed;
        side.show_used();
        assert_faulty(queue, QueueFault::IndexJump { claimed, in_flight: 1 });
    }
}

#[test]
fn more_bytes_than_there_is_room_for_are_a_fault() {
    let (mut queue, mut side, head) = one_in_flight();
    side.complete(head, 100, false);
    assert_eq!(queue.pop(), Some(Ok(Used { token: 5, length: 100 })));
    for claimed in [101, u32::MAX] {
        let (queue, mut side, head) = one_in_flight();
        side.complete(head, claimed, false);
        assert_faulty(queue, QueueFault::TooLong { claimed, writable: 100 });
    }
}

#[test]
fn a_scribbled_descriptor_table_leads_nowhere() {
    let (mut queue, mut side, head) = one_in_flight();
    queue.add(6, &[readable(1), writable(1)]).unwrap();
    let _ = queue.publish();
    let second = side.take().unwrap().head;
    side.scribble(0xff);
    side.complete(second.into(), 1, false);
    side.complete(head, 1, false);
    assert_eq!(queue.pop(), Some(Ok(Used { token: 6, length: 1 })));
    assert_eq!(queue.pop(), Some(Ok(Used { token: 5, length: 1 })));
    assert_eq!(queue.free(), 4);
    queue.add(1, &[readable(1); 4]).unwrap();
    let _ = queue.publish();
    assert_eq!(side.take().unwrap().readable.len(), 4);
}
