//! Every state and every step between two, and state sectors that are damaged in every bit.

use super::*;
use crate::flash::{MAP_SECTORS, SLOTS_BEGIN};
use std::collections::BTreeSet;

/// A digest that any changed bit changes, for tests: 32 sums with turns.
fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut sums = [0_u64; 4];
    for (index, byte) in bytes.iter().enumerate() {
        let sum = &mut sums[index % 4];
        *sum = (sum.rotate_left(9) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    let mut digest = [0; 32];
    digest.chunks_exact_mut(8).zip(sums).for_each(|(to, sum)| to.copy_from_slice(&sum.to_le_bytes()));
    digest
}

/// All states there are.
fn all() -> Vec<AppState> {
    (0..1 << 12).filter_map(AppState::from_word).collect()
}

/// The state that both sectors of a medium come to, and what is wrong with each.
fn choose(sectors: &[[u8; SECTOR]; 2]) -> (Option<FlashState>, Vec<(Slot, StateFault)>) {
    let mut faults = Vec::new();
    let tell = |slot, fault| faults.push((slot, fault));
    (FlashState::choose([Some(&sectors[0]), Some(&sectors[1])], digest, tell), faults)
}

/// Writes a state to its sector; the state afterwards.
fn write(state: &FlashState, sectors: &mut [[u8; SECTOR]; 2]) -> FlashState {
    let (at, sector) = state.encode(digest);
    let index = STATE_SECTORS.iter().position(|&place| place == at).unwrap();
    sectors[index] = sector;
    state.written()
}

/// A medium to which three states were written, and the last of them.
fn medium() -> ([[u8; SECTOR]; 2], FlashState) {
    let mut sectors = [[0; SECTOR]; 2];
    let mut state = FlashState::NEW;
    for round in 0..3 {
        state.apps[round] = state.apps[round].activate();
        state.apps[61] = AppState::confirmed_in(Slot::Second).activate().revert(Reason::ALL[round]);
        state = write(&state, &mut sectors);
    }
    (sectors, state)
}

#[test]
fn a_trial_is_confirmed_once_it_was_started() {
    for slot in Slot::ALL {
        let state = AppState::confirmed_in(slot);
        assert_eq!((state.confirmed(), state.spare(), state.trial()), (slot, slot.other(), Trial::None));
        assert_eq!(state.next_start(), NextStart::Confirmed);
        let waiting = state.activate();
        assert_eq!((waiting.confirmed(), waiting.trial()), (slot, Trial::Waiting));
        assert_eq!(waiting.confirm(), waiting, "what was not started has shown nothing");
        let NextStart::Trial(begun) = waiting.next_start() else { panic!("no trial") };
        assert_eq!((begun.confirmed(), begun.trial()), (slot, Trial::Begun { starts: 1 }));
        assert_eq!(begun.confirm(), AppState::confirmed_in(slot.other()));
    }
}

#[test]
fn a_trial_has_three_starts_and_then_the_confirmed_version_is_back_with_the_reason() {
    let mut state = AppState::confirmed_in(Slot::Second).activate();
    for starts in 1..=TRIAL_STARTS {
        let NextStart::Trial(next) = state.next_start() else { panic!("start {starts}") };
        state = next;
        assert_eq!(state.trial(), Trial::Begun { starts });
    }
    let NextStart::UsedUp(over) = state.next_start() else { panic!("a fourth start") };
    assert_eq!((over.confirmed(), over.trial()), (Slot::Second, Trial::None));
    assert_eq!((over.reverted(), over.next_start()), (Some(Reason::Unconfirmed), NextStart::Confirmed));
    assert_eq!(state.confirm(), AppState::confirmed_in(Slot::First), "the third start may still confirm");
}

#[test]
fn no_step_but_confirming_moves_the_confirmed_version_and_each_leads_to_a_state() {
    assert_eq!(all().len(), 2 * (1 + Reason::ALL.len() + 1 + 3));
    for state in all() {
        let mut steps = vec![state.activate()];
        steps.extend(Reason::ALL.map(|reason| state.revert(reason)));
        match state.next_start() {
            NextStart::Confirmed => assert!(!state.is_on_trial()),
            NextStart::Trial(next) | NextStart::UsedUp(next) => steps.push(next),
        }
        for next in &steps {
            assert_eq!(next.confirmed(), state.confirmed(), "{state:?} -> {next:?}");
        }
        steps.push(state.confirm());
        for next in steps {
            assert_eq!(AppState::from_word(next.word()), Some(next), "{state:?}");
        }
    }
}

#[test]
fn reverting_keeps_its_reason_until_the_next_trial_and_means_nothing_without_one() {
    for reason in Reason::ALL {
        let reverted = AppState::confirmed_in(Slot::First).activate().revert(reason);
        assert_eq!((reverted.reverted(), reverted.trial()), (Some(reason), Trial::None));
        assert_eq!(reverted.revert(Reason::ByHand), reverted);
        assert_eq!(reverted.activate(), AppState::confirmed_in(Slot::First).activate());
        assert_eq!(reverted.confirm(), reverted);
    }
    let texts: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.text()).collect();
    assert_eq!(texts.len(), Reason::ALL.len());
}

#[test]
fn a_word_that_no_step_leads_to_is_no_state() {
    for bad in [0b110, 0b100, 0b1000, 0b1010, 6 << 5, 15 << 5, 1 << 5 | 0b10, 1 << 9, 1 << 31, u32::MAX] {
        assert_eq!(AppState::from_word(bad), None, "{bad:#b}");
    }
}

#[test]
fn the_last_state_that_was_written_is_the_one_that_counts() {
    let (mut sectors, mut state) = medium();
    for _ in 0..5 {
        assert_eq!(choose(&sectors), (Some(state), vec![]));
        state.apps[7] = state.apps[7].activate();
        state = write(&state, &mut sectors);
    }
    assert_eq!(state.sequence(), 8);
}

#[test]
fn a_write_goes_to_the_sector_that_does_not_count_also_when_it_is_tried_again() {
    let (sectors, state) = medium();
    for damaged in [0, 1] {
        let mut sectors = sectors;
        sectors[damaged] = [0xff; SECTOR];
        let (chosen, faults) = choose(&sectors);
        assert_eq!(faults.len(), 1);
        let (at, _) = chosen.unwrap().encode(digest);
        assert_eq!(at, STATE_SECTORS[damaged], "the broken one is written");
        assert_eq!(chosen.unwrap().encode(digest).0, at);
    }
    assert_eq!(choose(&sectors).0, Some(state));
}

#[test]
fn each_flipped_bit_of_a_state_sector_is_noticed_and_the_other_sector_counts() {
    let (sectors, newest) = medium();
    let mut before = sectors;
    before[0] = [0; SECTOR];
    let older = choose(&before).0.unwrap();
    assert_eq!((newest.sector, older.sequence + 1), (Slot::First, newest.sequence));
    for (index, slot) in Slot::ALL.into_iter().enumerate() {
        for bit in 0..SECTOR * 8 {
            let mut sectors = sectors;
            sectors[index][bit / 8] ^= 1 << (bit % 8);
            let (chosen, faults) = choose(&sectors);
            let [(at, fault)] = faults[..] else { panic!("bit {bit} of sector {index}: {faults:?}") };
            assert_eq!(at, slot);
            assert_eq!(chosen, Some(if slot == Slot::First { older } else { newest }), "bit {bit}: {fault:?}");
        }
    }
}

#[test]
fn a_sector_that_was_cut_short_anywhere_is_noticed() {
    let (sectors, state) = medium();
    let mut changed = state;
    for app in &mut changed.apps {
        *app = app.activate();
    }
    let (at, written) = changed.encode(digest);
    assert_eq!(at, STATE_SECTORS[1]);
    for length in 0..=SECTOR {
        let mut torn = sectors;
        torn[1][..length].copy_from_slice(&written[..length]);
        let (chosen, _) = choose(&torn);
        let whole = torn[1] == written;
        assert_eq!(chosen, Some(if whole { changed.written() } else { state }), "{length} bytes");
    }
    let short = FlashState::choose([Some(&sectors[0][..SECTOR - 1]), None], digest, |_, _| ());
    assert_eq!(short, None);
}

#[test]
fn both_sectors_broken_are_told_apart_by_what_is_wrong() {
    let (sectors, _) = medium();
    let mut bad = sectors;
    bad[0][8] = 9;
    bad[1][20] ^= 1;
    let (chosen, faults) = choose(&bad);
    assert_eq!(chosen, None);
    assert_eq!(faults, [(Slot::First, StateFault::Version(9)), (Slot::Second, StateFault::Digest)]);
    let mut sector = StateSector::read_from_bytes(&medium().1.encode(digest).1).unwrap();
    sector.apps[3] = u32::MAX;
    sector.sha256 = digest(&sector.as_bytes()[..COVERED]);
    let unreadable = FlashState::choose([None, Some(sector.as_bytes())], digest, |slot, fault| match slot {
        Slot::First => assert_eq!(fault, StateFault::Unreadable),
        Slot::Second => assert_eq!(fault, StateFault::Value, "a digest does not make it a state"),
    });
    assert_eq!(unreadable, None);
    assert_eq!(choose(&[[0; SECTOR]; 2]).1[1], (Slot::Second, StateFault::Magic));
    let faults =
        [StateFault::Unreadable, StateFault::Magic, StateFault::Version(1), StateFault::Digest, StateFault::Value];
    assert_eq!(faults.iter().map(|fault| fault.text()).collect::<BTreeSet<_>>().len(), faults.len());
}

#[test]
fn two_sectors_of_one_number_are_one_state() {
    let (mut sectors, state) = medium();
    sectors[1] = sectors[0];
    let (chosen, faults) = choose(&sectors);
    assert_eq!((chosen, faults), (Some(state), vec![]));
}

#[test]
fn the_sectors_lie_in_blocks_of_their_own() {
    let blocks: BTreeSet<_> =
        [0, MAP_SECTORS as u64 - 1, STATE_SECTORS[0], STATE_SECTORS[1], SLOTS_BEGIN].map(|s| s / 8).into();
    assert_eq!(blocks.len(), 4, "the map's sectors share one");
}
