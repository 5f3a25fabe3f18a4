//! Every length up to 300 bytes, at every alignment and overlap that a word can have, against the host's own copies.

use crate::{bcmp, memcmp, memcpy, memmove, memset};
use core::cmp::Ordering;

/// Longest range: several rounds of each loop and every remainder.
const LENGTH: usize = 300;
/// Bytes before and after a range, which must stay as they are.
const MARGIN: usize = 16;

/// Bytes of which no two near each other are equal.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 167 + index / 256 * 31 + 11) as u8).collect()
}

/// Copies by `memmove` inside one buffer and compares all of it with what the host's copy makes of it.
fn moves_like_the_host(from: usize, to: usize, length: usize) {
    let mut ours = pattern(from.max(to) + length + MARGIN);
    let mut expected = ours.clone();
    expected.copy_within(from..from + length, to);
    let start = ours.as_mut_ptr();
    // SAFETY: both ranges lie inside the buffer.
    let returned = unsafe { memmove(start.add(to).cast(), start.add(from).cast(), length) };
    assert_eq!(returned, start.wrapping_add(to).cast());
    assert!(ours == expected, "{length} bytes from {from} to {to}");
}

#[test]
fn a_copy_is_the_same_for_every_length_and_alignment_and_touches_nothing_else() {
    let source = pattern(LENGTH + 8);
    for length in 0..=LENGTH {
        for from in 0..8 {
            for to in 0..8 {
                let mut ours = vec![0xaa; MARGIN + LENGTH + MARGIN];
                let mut expected = ours.clone();
                expected[MARGIN + to..][..length].copy_from_slice(&source[from..][..length]);
                let destination = ours[MARGIN + to..].as_mut_ptr();
                // SAFETY: both ranges lie inside their buffers.
                let returned = unsafe { memcpy(destination.cast(), source[from..].as_ptr().cast(), length) };
                assert_eq!(returned, destination.cast());
                assert!(ours == expected, "{length} bytes from {from} to {to}");
            }
        }
    }
}

#[test]
fn an_overlap_of_any_distance_is_copied_as_if_by_way_of_another_buffer() {
    for length in 0..=LENGTH {
        for distance in (0..=80).chain([127, 128, 129, 200, 255, 299, 300]) {
            moves_like_the_host(MARGIN, MARGIN + distance, length);
            moves_like_the_host(MARGIN + distance, MARGIN, length);
        }
    }
    for alignment in 0..8 {
        for length in [31, 32, 33, 63, 64, 65, 95, 96, 97, 130, 1460, 4097] {
            for distance in 1..72 {
                moves_like_the_host(alignment, alignment + distance, length);
                moves_like_the_host(alignment + distance, alignment, length);
            }
        }
    }
}

#[test]
fn a_fill_is_the_same_for_every_length_and_alignment_and_touches_nothing_else() {
    for length in 0..=LENGTH {
        for to in 0..8 {
            let mut ours = pattern(MARGIN + LENGTH + MARGIN);
            let mut expected = ours.clone();
            expected[MARGIN + to..][..length].fill(0xc3);
            let destination = ours[MARGIN + to..].as_mut_ptr();
            // SAFETY: the range lies inside the buffer. C passes the byte as an int of which only it counts.
            let returned = unsafe { memset(destination.cast(), 0x7700_00c3, length) };
            assert_eq!(returned, destination.cast());
            assert!(ours == expected, "{length} bytes to {to}");
        }
    }
}

/// The order that `memcmp` answers, checked to be equality exactly where `bcmp` says so.
fn compared(left: &[u8], right: &[u8]) -> Ordering {
    assert_eq!(left.len(), right.len());
    // SAFETY: both slices have this length.
    let (order, differ) = unsafe {
        let (left_bytes, right_bytes) = (left.as_ptr().cast(), right.as_ptr().cast());
        (memcmp(left_bytes, right_bytes, left.len()), bcmp(left_bytes, right_bytes, left.len()))
    };
    assert_eq!(order == 0, differ == 0);
    order.cmp(&0)
}

#[test]
fn the_first_difference_decides_a_comparison_wherever_it_lies() {
    for length in 0..=LENGTH {
        let base = pattern(length + 3);
        for alignment in 0..3 {
            // What lies after the range differs, and must not count.
            let mut other = base[alignment..alignment + length].to_vec();
            other.push(!base[(alignment + length) % base.len()]);
            let left = &base[alignment..alignment + length];
            assert_eq!(compared(left, &other[..length]), Ordering::Equal);
            for place in 0..length {
                let kept = other[place];
                for changed in [0, 0x7f, 0x80, 0xff, kept ^ 1] {
                    other[place] = changed;
                    assert_eq!(compared(left, &other[..length]), left.cmp(&other[..length]), "{length} at {place}");
                }
                // A later difference the other way round does not outweigh it.
                if place + 1 < length {
                    let later = other[place + 1];
                    (other[place], other[place + 1]) = (kept.wrapping_add(1), later.wrapping_sub(1));
                    assert_eq!(compared(left, &other[..length]), left.cmp(&other[..length]), "{length} at {place}");
                    other[place + 1] = later;
                }
                other[place] = kept;
            }
        }
    }
}
