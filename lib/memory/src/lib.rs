//! The five functions that compiled code calls to copy, fill and compare memory, in plain 64-bit words.
//!
//! The compiler calls `memcpy`, `memmove`, `memset`, `memcmp` and `bcmp` by these names wherever a program moves
//! more than a few bytes. Its own versions for this target use the processor's string instructions, which are slow
//! under emulation; the README has the measurements. A program takes the ones here instead by linking this crate:
//!
//! ```text
//! use slopos_memory as _;
//! ```
//!
//! On any other target than the bare machine they are ordinary functions, to be tested against the host's own.
#![cfg_attr(not(test), no_std)]
// Otherwise the compiler may see that a loop copies memory and replace it by a call to the very function it is in.
#![cfg_attr(target_os = "none", no_builtins)]

mod compare;
mod copy;
mod fill;
#[cfg(test)]
mod tests;

use core::ffi::{c_int, c_void};

/// Copies `count` bytes from `source` to `destination` and returns `destination` (C17 section 7.24.2.1).
///
/// # Safety
/// `source` must be readable and `destination` writable for `count` bytes, and the two may not overlap.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(destination: *mut c_void, source: *const c_void, count: usize) -> *mut c_void {
    // SAFETY: the caller's promise; that the ranges do not overlap is more than is needed.
    unsafe { copy::forward(destination.cast(), source.cast(), count) };
    destination
}

/// Copies `count` bytes from `source` to `destination`, which may overlap, and returns `destination`
/// (C17 section 7.24.2.2).
///
/// # Safety
/// `source` must be readable and `destination` writable for `count` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(destination: *mut c_void, source: *const c_void, count: usize) -> *mut c_void {
    // Only a destination that begins inside the source must be filled from its end. Where it begins before the
    // source, the difference wraps and is larger than any count.
    let distance = destination.addr().wrapping_sub(source.addr());
    // SAFETY: the caller's promise, and the direction was chosen by where the ranges lie.
    unsafe {
        if distance >= count {
            copy::forward(destination.cast(), source.cast(), count);
        } else {
            copy::backward(destination.cast(), source.cast(), count);
        }
    }
    destination
}

/// Sets `count` bytes at `destination` to the low eight bits of `value` and returns `destination`
/// (C17 section 7.24.6.1).
///
/// # Safety
/// `destination` must be writable for `count` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memset(destination: *mut c_void, value: c_int, count: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { fill::fill(destination.cast(), value as u8, count) };
    destination
}

/// Compares `count` bytes as unsigned numbers, the first difference deciding: negative where `left` is smaller,
/// positive where it is larger, 0 where all are equal (C17 section 7.24.4.1).
///
/// # Safety
/// Both must be readable for `count` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, count: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { compare::compare(left.cast(), right.cast(), count) as c_int }
}

/// Tells by a value other than 0 that `count` bytes are not all equal. The compiler calls it where the order does
/// not matter; the answer of [`memcmp`] serves as well.
///
/// # Safety
/// Both must be readable for `count` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(left: *const c_void, right: *const c_void, count: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { compare::compare(left.cast(), right.cast(), count) as c_int }
}
