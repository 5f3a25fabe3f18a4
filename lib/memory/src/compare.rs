//! Comparing in words. Read with its first byte as the highest, a word orders as its bytes do.

use core::cmp::Ordering;

/// A word at any address.
#[repr(C, packed)]
struct Unaligned<T: Copy>(T);

/// Compares `count` bytes as unsigned numbers, the first difference deciding.
///
/// # Safety
/// Both must be readable for `count` bytes.
#[inline(always)]
pub unsafe fn compare(left: *const u8, right: *const u8, count: usize) -> Ordering {
    // SAFETY: each read lies below `count`. The last word ends there; what it repeats was equal.
    unsafe {
        if count >= 8 {
            let last = count - 8;
            let mut done = 0;
            while done < last {
                let (a, b) = (word(left.add(done)), word(right.add(done)));
                if a != b {
                    return order(a, b);
                }
                done += 8;
            }
            return order(word(left.add(last)), word(right.add(last)));
        }
        if count >= 4 {
            let last = count - 4;
            return order(two_halves(left, last), two_halves(right, last));
        }
        let mut done = 0;
        while done < count {
            let (a, b) = (*left.add(done), *right.add(done));
            if a != b {
                return a.cmp(&b);
            }
            done += 1;
        }
        Ordering::Equal
    }
}

/// The order of two words' bytes in memory.
#[inline(always)]
fn order(left: u64, right: u64) -> Ordering {
    left.swap_bytes().cmp(&right.swap_bytes())
}

/// Eight bytes as they lie in memory, on a processor that has the lowest byte first.
///
/// # Safety
/// `bytes` must be readable for 8 bytes.
#[inline(always)]
unsafe fn word(bytes: *const u8) -> u64 {
    // SAFETY: the caller's promise; the word needs no alignment.
    unsafe { (*bytes.cast::<Unaligned<u64>>()).0 }
}

/// The four bytes at the start and the four at `last`, as if they lay side by side.
///
/// # Safety
/// `bytes` must be readable for `last + 4` bytes.
#[inline(always)]
unsafe fn two_halves(bytes: *const u8, last: usize) -> u64 {
    // SAFETY: the caller's promise; the words need no alignment.
    let (low, high) = unsafe { ((*bytes.cast::<Unaligned<u32>>()).0, (*bytes.add(last).cast::<Unaligned<u32>>()).0) };
    u64::from(low) | u64::from(high) << 32
}
