//! Filling with one byte, in words that hold it eight times.

/// A word at any address.
#[repr(C, packed)]
struct Unaligned<T: Copy>(T);

/// Bytes of one round of the loop.
const BLOCK: usize = 64;

/// Writes `value` to `count` bytes.
///
/// # Safety
/// `destination` must be writable for `count` bytes.
#[inline(always)]
pub unsafe fn fill(destination: *mut u8, value: u8, count: usize) {
    let word = u64::from(value) * 0x0101_0101_0101_0101;
    // SAFETY: each write lies below `count`; the last word ends there and may overlap the one before it.
    unsafe {
        if count < 8 {
            if count >= 4 {
                *destination.cast() = Unaligned(word as u32);
                *destination.add(count - 4).cast() = Unaligned(word as u32);
            } else if count >= 2 {
                *destination.cast() = Unaligned(word as u16);
                *destination.add(count - 2).cast() = Unaligned(word as u16);
            } else if count == 1 {
                *destination = value;
            }
            return;
        }
        let last = count - 8;
        let mut done = 0;
        while done + BLOCK <= count {
            let words: *mut Unaligned<u64> = destination.add(done).cast();
            *words = Unaligned(word);
            *words.add(1) = Unaligned(word);
            *words.add(2) = Unaligned(word);
            *words.add(3) = Unaligned(word);
            *words.add(4) = Unaligned(word);
            *words.add(5) = Unaligned(word);
            *words.add(6) = Unaligned(word);
            *words.add(7) = Unaligned(word);
            done += BLOCK;
        }
        while done < last {
            *destination.add(done).cast() = Unaligned(word);
            done += 8;
        }
        *destination.add(last).cast() = Unaligned(word);
    }
}
