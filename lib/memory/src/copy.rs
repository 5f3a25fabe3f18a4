//! Copies: forward, which also suits a destination that begins before its source, and backward for the rest.
//!
//! A length that is not a multiple of the block needs no loop over bytes: the block that ends at the last byte overlaps
//! the one before it. That block is read before anything is written, so that an overlap of the ranges cannot have
//! changed it.

use core::mem::MaybeUninit;

/// A word at any address. The bytes copied may be padding, which has no value as a number.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<T: Copy>(MaybeUninit<T>);

/// Four words, what one round of a loop moves: enough to hide the loop's own cost, and two of them fit in registers.
#[derive(Clone, Copy)]
struct Block(Unaligned<u64>, Unaligned<u64>, Unaligned<u64>, Unaligned<u64>);

/// Bytes of a [`Block`].
const BLOCK: usize = 32;

impl Block {
    /// # Safety
    /// `source` must be readable for [`BLOCK`] bytes.
    #[inline(always)]
    unsafe fn read(source: *const u8) -> Block {
        let words: *const Unaligned<u64> = source.cast();
        // SAFETY: the caller's promise; the words need no alignment.
        unsafe { Block(*words, *words.add(1), *words.add(2), *words.add(3)) }
    }

    /// # Safety
    /// `destination` must be writable for [`BLOCK`] bytes.
    #[inline(always)]
    unsafe fn write(self, destination: *mut u8) {
        let words: *mut Unaligned<u64> = destination.cast();
        // SAFETY: the caller's promise; the words need no alignment.
        unsafe {
            *words = self.0;
            *words.add(1) = self.1;
            *words.add(2) = self.2;
            *words.add(3) = self.3;
        }
    }
}

/// Copies from the first byte to the last.
///
/// # Safety
/// `source` must be readable and `destination` writable for `count` bytes; `destination` may not lie inside the
/// source, except at its very beginning.
#[inline(always)]
pub unsafe fn forward(destination: *mut u8, source: *const u8, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if count <= BLOCK {
            at_most_a_block(destination, source, count);
        } else {
            blocks_forward(destination, source, count);
        }
    }
}

/// Copies from the last byte to the first.
///
/// # Safety
/// `source` must be readable and `destination` writable for `count` bytes; `source` may not lie inside the
/// destination, except at its very beginning.
#[inline(always)]
pub unsafe fn backward(destination: *mut u8, source: *const u8, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if count <= BLOCK {
            at_most_a_block(destination, source, count);
        } else {
            blocks_backward(destination, source, count);
        }
    }
}

/// [`forward`] for more than [`BLOCK`] bytes. Apart from it, so that a short copy saves no registers for the loop.
///
/// # Safety
/// As for [`forward`].
#[inline(never)]
unsafe fn blocks_forward(destination: *mut u8, source: *const u8, count: usize) {
    // SAFETY: more than a block is left to copy whenever one is read or written at `done`, and the last block ends
    // at the last byte. What is written at `done` lies before the source's unread bytes.
    unsafe {
        let last = count - BLOCK;
        let tail = Block::read(source.add(last));
        let mut done = 0;
        while done + BLOCK < last {
            Block::read(source.add(done)).write(destination.add(done));
            Block::read(source.add(done + BLOCK)).write(destination.add(done + BLOCK));
            done += 2 * BLOCK;
        }
        if done < last {
            Block::read(source.add(done)).write(destination.add(done));
        }
        tail.write(destination.add(last));
    }
}

/// [`backward`] for more than [`BLOCK`] bytes.
///
/// # Safety
/// As for [`backward`].
#[inline(never)]
unsafe fn blocks_backward(destination: *mut u8, source: *const u8, count: usize) {
    // SAFETY: more than a block is left to copy whenever one is read or written below `left`, and the first block
    // begins at the first byte. What is written below `left` lies after the source's unread bytes.
    unsafe {
        let head = Block::read(source);
        let mut left = count;
        while left > 2 * BLOCK {
            Block::read(source.add(left - BLOCK)).write(destination.add(left - BLOCK));
            Block::read(source.add(left - 2 * BLOCK)).write(destination.add(left - 2 * BLOCK));
            left -= 2 * BLOCK;
        }
        if left > BLOCK {
            Block::read(source.add(left - BLOCK)).write(destination.add(left - BLOCK));
        }
        head.write(destination);
    }
}

/// Copies up to [`BLOCK`] bytes, all of them read before the first is written, so the ranges may overlap anyhow.
///
/// # Safety
/// `source` must be readable and `destination` writable for `count` bytes, at most [`BLOCK`].
#[inline(always)]
unsafe fn at_most_a_block(destination: *mut u8, source: *const u8, count: usize) {
    // SAFETY: each branch covers from its own size to twice that, and the branches take care of the lengths.
    unsafe {
        if count >= 16 {
            let last = count - 16;
            let (first_source, last_source): (*const Unaligned<u64>, *const Unaligned<u64>) =
                (source.cast(), source.add(last).cast());
            let (a, b, c, d) = (*first_source, *first_source.add(1), *last_source, *last_source.add(1));
            let (first, second): (*mut Unaligned<u64>, *mut Unaligned<u64>) =
                (destination.cast(), destination.add(last).cast());
            *first = a;
            *first.add(1) = b;
            *second = c;
            *second.add(1) = d;
        } else if count >= 8 {
            pair::<u64>(destination, source, count);
        } else if count >= 4 {
            pair::<u32>(destination, source, count);
        } else if count >= 2 {
            pair::<u16>(destination, source, count);
        } else if count == 1 {
            *destination.cast::<Unaligned<u8>>() = *source.cast();
        }
    }
}

/// Copies the first `T` and the last `T` of `count` bytes, which may overlap.
///
/// # Safety
/// `source` must be readable and `destination` writable for `count` bytes, at least `size_of::<T>()`; the copy is
/// whole where that is at least half of `count`.
#[inline(always)]
unsafe fn pair<T: Copy>(destination: *mut u8, source: *const u8, count: usize) {
    let last = count - size_of::<T>();
    // SAFETY: the caller's promise; the words need no alignment.
    unsafe {
        let (first_word, last_word): (Unaligned<T>, Unaligned<T>) = (*source.cast(), *source.add(last).cast());
        *destination.cast() = first_word;
        *destination.add(last).cast() = last_word;
    }
}
