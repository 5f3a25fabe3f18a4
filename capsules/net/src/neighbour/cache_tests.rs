use super::*;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

fn at(seconds: u64) -> Instant {
    Instant::BOOT + Duration::from_secs(seconds)
}

fn neighbour(last: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 2, last as u8)
}

/// A cache in which the gateway has answered at second 0.
fn reachable() -> Cache {
    let mut cache = Cache::new(2);
    assert_eq!(cache.lookup(GATEWAY, None, at(0)), Lookup::Resolving);
    assert!(cache.request(at(0)).is_some());
    assert_eq!(cache.learn(GATEWAY, MAC, Evidence::Reply, at(0)), Learnt::Changed);
    cache
}

#[test]
fn a_neighbour_is_asked_for_by_broadcast_and_found() {
    let mut cache = Cache::new(2);
    assert_eq!(cache.lookup(GATEWAY, None, at(0)), Lookup::Resolving);
    let broadcast = Request { address: GATEWAY, station: MacAddress::BROADCAST };
    assert_eq!(cache.request(at(0)), Some(broadcast));
    assert_eq!(cache.learn(GATEWAY, MAC, Evidence::Reply, at(0)), Learnt::Changed);
    assert_eq!(cache.lookup(GATEWAY, None, at(0)), Lookup::Resolved(MAC));
    assert_eq!(cache.next_deadline_after(at(0)), None);
}

#[test]
fn each_neighbour_is_told_with_its_state_at_that_time() {
    let mut cache = reachable();
    cache.pin(GATEWAY, at(0));
    cache.lookup(neighbour(9), None, at(0));
    let told = |cache: &Cache, now| {
        let each = cache.each(now).map(|known| (known.address, known.mac, known.state, known.is_pinned));
        each.collect::<std::vec::Vec<_>>()
    };
    let silent = (neighbour(9), None, "INCOMPLETE", false);
    assert_eq!(told(&cache, at(1)), [(GATEWAY, Some(MAC), "REACHABLE", true), silent]);
    assert_eq!(told(&cache, at(31)), [(GATEWAY, Some(MAC), "STALE", true), silent]);
    cache.lookup(GATEWAY, None, at(31));
    assert_eq!(told(&cache, at(31))[0].2, "DELAY");
    assert_eq!(cache.poll(at(36)), None);
    assert_eq!(told(&cache, at(36))[0].2, "PROBE");
    for second in 36..40 {
        while cache.poll(at(second)).is_some() {}
        while cache.request(at(second)).is_some() {}
    }
    assert_eq!(told(&cache, at(39))[1], (neighbour(9), None, "FAILED", false));
}

#[test]
fn a_silent_neighbour_is_asked_three_times_a_second_apart_and_fails() {
    let mut cache = Cache::new(2);
    cache.lookup(GATEWAY, None, at(0));
    for second in 0..3 {
        assert_eq!(cache.poll(at(second)), None);
        assert!(cache.request(at(second)).is_some(), "second {second}");
        assert_eq!(cache.lookup(GATEWAY, None, at(second)), Lookup::Resolving);
        assert_eq!(cache.request(at(second)), None, "once a second, however many want it");
        assert_eq!(cache.next_deadline_after(at(0)), Some(at(second + 1)));
    }
    assert_eq!(cache.request(at(3)), None, "no fourth request");
    assert_eq!(cache.poll(at(3)), Some(GATEWAY));
    assert_eq!(cache.poll(at(3)), None, "it fails once");
    assert_eq!(cache.next_deadline_after(at(0)), None);
}

#[test]
fn a_failed_neighbour_is_asked_again_when_wanted_but_not_within_the_second() {
    let mut cache = Cache::new(2);
    cache.lookup(GATEWAY, None, at(0));
    for second in 0..3 {
        cache.request(at(second));
    }
    // A probe that failed early must not shorten the interval, so the limit counts from the last request.
    assert_eq!(cache.poll(at(3)), Some(GATEWAY));
    assert_eq!(cache.lookup(GATEWAY, None, at(3)), Lookup::Resolving);
    assert!(cache.request(at(3)).is_some(), "the last request was at second 2");
    assert_eq!(cache.request(at(3)), None);
}

#[test]
fn a_stale_neighbour_is_used_then_probed_by_unicast_then_fails() {
    let mut cache = reachable();
    assert_eq!(cache.lookup(GATEWAY, None, at(29)), Lookup::Resolved(MAC));
    assert_eq!(cache.next_deadline_after(at(0)), None, "reachable until second 30");
    assert_eq!(cache.lookup(GATEWAY, None, at(31)), Lookup::Resolved(MAC), "stale, still used");
    assert_eq!(cache.next_deadline_after(at(0)), Some(at(36)), "five seconds of delay");
    assert_eq!(cache.request(at(35)), None);
    assert_eq!(cache.poll(at(36)), None);
    for second in 36..39 {
        assert_eq!(cache.request(at(second)), Some(Request { address: GATEWAY, station: MAC }));
        assert_eq!(cache.lookup(GATEWAY, None, at(second)), Lookup::Resolved(MAC), "used while probed");
    }
    assert_eq!(cache.poll(at(39)), Some(GATEWAY));
    assert_eq!(cache.peek(GATEWAY), None);
}

#[test]
fn a_probe_that_is_answered_makes_the_neighbour_reachable_again() {
    let mut cache = reachable();
    cache.lookup(GATEWAY, None, at(31));
    cache.poll(at(36));
    assert!(cache.request(at(36)).is_some());
    assert_eq!(cache.learn(GATEWAY, MAC, Evidence::Reply, at(36)), Learnt::Same);
    assert_eq!(cache.next_deadline_after(at(0)), None);
    assert_eq!(cache.lookup(GATEWAY, None, at(65)), Lookup::Resolved(MAC));
    assert_eq!(cache.next_deadline_after(at(0)), None, "still reachable at second 65");
}

#[test]
fn an_unused_stale_neighbour_is_left_alone() {
    let mut cache = reachable();
    assert_eq!(cache.poll(at(1_000)), None);
    assert_eq!(cache.request(at(1_000)), None);
    assert_eq!(cache.peek(GATEWAY), Some(MAC));
}

#[test]
fn what_passes_by_updates_an_entry_but_makes_none() {
    let mut cache = reachable();
    assert_eq!(cache.learn(neighbour(9), OTHER, Evidence::Overheard, at(1)), Learnt::Ignored);
    assert_eq!(cache.peek(neighbour(9)), None);
    assert_eq!(cache.learn(neighbour(9), OTHER, Evidence::Reply, at(1)), Learnt::Ignored, "nobody asked");
    assert_eq!(cache.learn(GATEWAY, OTHER, Evidence::Overheard, at(2)), Learnt::Changed);
    assert_eq!(cache.lookup(GATEWAY, None, at(2)), Lookup::Resolved(OTHER));
    assert_eq!(cache.next_deadline_after(at(0)), Some(at(7)), "not certain: probed after the delay");
}

#[test]
fn a_fresh_answer_is_locked_for_a_second() {
    let mut cache = reachable();
    let half = Instant::from_millis(500);
    assert_eq!(cache.learn(GATEWAY, OTHER, Evidence::Reply, half), Learnt::Locked);
    assert_eq!(cache.lookup(GATEWAY, None, half), Lookup::Resolved(MAC));
    assert_eq!(cache.learn(GATEWAY, OTHER, Evidence::Reply, at(1)), Learnt::Changed);
}

#[test]
fn whoever_asks_for_us_is_learnt() {
    let mut cache = Cache::new(2);
    assert_eq!(cache.learn(neighbour(9), MAC, Evidence::RequestForUs, at(0)), Learnt::Changed);
    assert_eq!(cache.lookup(neighbour(9), None, at(0)), Lookup::Resolved(MAC));
}

#[test]
fn a_flood_of_askers_replaces_neither_the_gateway_nor_what_we_asked_for() {
    let mut cache = reachable();
    cache.pin(GATEWAY, at(0));
    cache.lookup(neighbour(200), None, at(0));
    cache.request(at(0));
    cache.learn(neighbour(200), OTHER, Evidence::Reply, at(0));
    for step in 0..10_000_u32 {
        let address = Ipv4Addr::from_bits(0x0a01_0000 + step);
        cache.learn(address, MAC, Evidence::RequestForUs, at(10));
    }
    assert_eq!(cache.peek(GATEWAY), Some(MAC));
    assert_eq!(cache.peek(neighbour(200)), Some(OTHER));
    assert_eq!(cache.entries.len(), CAPACITY);
    assert_eq!(cache.lookup(neighbour(201), None, at(11)), Lookup::Resolving, "strangers make room for us");
}

#[test]
fn a_stranger_finds_no_place_where_all_are_wanted() {
    let mut cache = Cache::new(2);
    for last in 100..100 + CAPACITY {
        cache.lookup(neighbour(last), None, at(0));
        cache.request(at(0));
        cache.learn(neighbour(last), OTHER, Evidence::Reply, at(0));
    }
    assert_eq!(cache.learn(neighbour(9), MAC, Evidence::RequestForUs, at(10)), Learnt::Ignored);
    assert!((100..100 + CAPACITY).all(|last| cache.peek(neighbour(last)) == Some(OTHER)));
}

#[test]
fn our_own_lookups_replace_the_least_recently_used_but_never_the_gateway() {
    let mut cache = reachable();
    cache.pin(GATEWAY, at(0));
    for last in 100..100 + 2 * CAPACITY {
        let now = at(last as u64);
        assert_eq!(cache.lookup(neighbour(last), None, now), Lookup::Resolving);
        assert!(cache.request(now).is_some());
        cache.learn(neighbour(last), OTHER, Evidence::Reply, now);
    }
    assert_eq!(cache.peek(GATEWAY), Some(MAC));
    assert_eq!(cache.peek(neighbour(99 + 2 * CAPACITY)), Some(OTHER));
    assert_eq!(cache.peek(neighbour(100)), None);
}

#[test]
fn a_table_full_of_fresh_questions_takes_no_more() {
    let mut cache = Cache::new(2);
    for last in 100..100 + CAPACITY {
        cache.lookup(neighbour(last), None, at(0));
        assert!(cache.request(at(0)).is_some());
    }
    assert_eq!(cache.lookup(neighbour(200), None, at(0)), Lookup::Full);
    cache.pin(GATEWAY, at(0));
    assert_eq!(cache.request(at(0)).map(|request| request.address), Some(GATEWAY), "but the gateway");
}

#[test]
fn a_pinned_gateway_that_fails_is_asked_for_ever_more() {
    let mut cache = Cache::new(2);
    cache.pin(GATEWAY, at(0));
    let mut asked = 0;
    for second in 0..60 {
        while cache.poll(at(second)).is_some() {}
        asked += u32::from(cache.request(at(second)).is_some());
        assert!(cache.next_deadline_after(at(second)).is_some());
    }
    assert!((45..=60).contains(&asked), "asked {asked} times in a minute");
}

#[test]
fn an_announcement_moves_a_neighbour_even_right_after_a_confirmation() {
    let mut cache = reachable();
    assert_eq!(cache.learn(GATEWAY, OTHER, Evidence::Overheard, at(0)), Learnt::Locked);
    assert_eq!(cache.learn(GATEWAY, OTHER, Evidence::Announcement, at(0)), Learnt::Changed);
    assert_eq!(cache.peek(GATEWAY), Some(OTHER));
}

#[test]
fn an_announcement_of_a_stranger_makes_no_entry() {
    let mut cache = Cache::new(2);
    assert_eq!(cache.learn(neighbour(9), MAC, Evidence::Announcement, at(0)), Learnt::Ignored);
    assert_eq!(cache.peek(neighbour(9)), None);
}

#[test]
fn a_doubted_neighbour_is_probed_at_once_and_used_meanwhile() {
    let mut cache = reachable();
    cache.doubt(GATEWAY, at(10));
    assert_eq!(cache.request(at(10)), Some(Request { address: GATEWAY, station: MAC }));
    assert_eq!(cache.lookup(GATEWAY, None, at(10)), Lookup::Resolved(MAC));
    cache.doubt(GATEWAY, at(10));
    assert_eq!(cache.request(at(10)), None, "once a second, however much it is doubted");
    assert_eq!(cache.learn(GATEWAY, MAC, Evidence::Reply, at(10)), Learnt::Same);
    assert_eq!(cache.next_deadline_after(at(10)), None);
    cache.doubt(neighbour(77), at(10));
    assert_eq!(cache.peek(neighbour(77)), None, "who is not known cannot be doubted");
}

fn process(number: u8) -> Option<ProcessId> {
    Some(ProcessId::new(number))
}

#[test]
fn who_asks_for_absent_neighbours_uses_up_its_own_share_and_nobody_elses() {
    for processes in [1, 2, 3, 7, 18, 64_u8] {
        let mut cache = Cache::new(usize::from(processes));
        cache.pin(GATEWAY, at(0));
        let share = (64 / usize::from(processes)).min(SHARE_MAX);
        let mut next = 1;
        for owner in 0..processes {
            for number in 0..share + 5 {
                next += 1;
                let found = cache.lookup(Ipv4Addr::from_bits(0x0a01_0000 + next), process(owner), at(0));
                let expected = if number < share { Lookup::Resolving } else { Lookup::Full };
                assert_eq!(found, expected, "{owner} of {processes}, {number}");
                cache.request(at(0));
            }
        }
        assert_eq!(cache.lookup(neighbour(9), None, at(0)), Lookup::Resolving, "the system itself finds room");
    }
}

#[test]
fn a_share_is_free_again_when_its_neighbours_have_answered_or_failed() {
    let mut cache = Cache::new(2);
    for last in 100..100 + SHARE_MAX {
        cache.lookup(neighbour(last), process(0), at(0));
    }
    while cache.request(at(0)).is_some() {}
    assert_eq!(cache.lookup(neighbour(50), process(0), at(0)), Lookup::Full);
    cache.learn(neighbour(100), MAC, Evidence::Reply, at(0));
    assert_eq!(cache.lookup(neighbour(50), process(0), at(0)), Lookup::Full, "it was asked this very second");
    assert_eq!(cache.lookup(neighbour(50), process(0), at(1)), Lookup::Resolving);
    for second in 1..3 {
        while cache.request(at(second)).is_some() {}
    }
    while cache.poll(at(3)).is_some() {}
    assert_eq!(cache.lookup(neighbour(51), process(0), at(3)), Lookup::Resolving);
}

#[test]
fn asking_again_for_one_that_failed_takes_a_share_too() {
    let mut cache = Cache::new(2);
    cache.lookup(neighbour(9), process(1), at(0));
    for second in 0..3 {
        cache.request(at(second));
    }
    assert_eq!(cache.poll(at(3)), Some(neighbour(9)));
    for last in 100..100 + SHARE_MAX {
        assert_eq!(cache.lookup(neighbour(last), process(0), at(9)), Lookup::Resolving);
    }
    assert_eq!(cache.lookup(neighbour(9), process(0), at(9)), Lookup::Full);
    assert_eq!(cache.lookup(neighbour(9), process(1), at(9)), Lookup::Resolving);
}

#[test]
fn whose_many_neighbours_are_all_probed_at_once_keeps_nobody_out() {
    let mut cache = Cache::new(2);
    for step in 0..CAPACITY as u64 {
        let (address, now) = (Ipv4Addr::from_bits(0x0a01_0000 + step as u32), at(2 * step));
        cache.lookup(address, process(0), now);
        cache.request(now);
        cache.learn(address, MAC, Evidence::Reply, now);
    }
    // All of them are stale and used, so all are probed in the same second.
    let late = 2 * CAPACITY as u64 + 60;
    for step in 0..CAPACITY as u32 {
        cache.lookup(Ipv4Addr::from_bits(0x0a01_0000 + step), process(0), at(late));
    }
    while cache.poll(at(late + 5)).is_some() {}
    while cache.request(at(late + 5)).is_some() {}
    for last in 100..110 {
        assert_eq!(cache.lookup(neighbour(last), process(1), at(late + 5)), Lookup::Resolving);
    }
}

#[test]
fn a_link_that_comes_and_goes_does_not_make_us_ask_more_often() {
    let mut cache = reachable();
    for _ in 0..10 {
        cache.forget(at(0));
        assert_eq!(cache.peek(GATEWAY), None);
        cache.pin(GATEWAY, at(0));
        assert_eq!(cache.request(at(0)), None);
    }
    assert!(cache.request(at(1)).is_some());
    cache.forget(at(9));
    assert_eq!(cache.entries.len(), 0);
}
