//! The meaning of QEMU's exit code.

/// The exit code of a run that was stopped because its time was up; the same as coreutils' `timeout`.
pub const TIMED_OUT: i32 = 124;

/// The exit code of a run in which a signal ended QEMU. It is even, so no guest can have asked for it; 128 and the
/// signal's number, as a shell has it, could be one.
pub const KILLED: i32 = 126;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command `exit` ended it; the status of the last command, 0 to 111.
    Exit(u8),
    /// The kernel panicked.
    Panic,
    /// The time was up.
    TimedOut,
    /// QEMU ended without a word from the guest. That includes code 0, which QEMU gives where nothing booted.
    NoWord,
}

/// Reads an exit code of [`Outcome`](crate::Outcome).
///
/// The debug-exit device turns the guest's value into `2 * value + 1`, and the guest writes 16 and its status, or 1
/// when it panics.
pub fn verdict(code: i32) -> Verdict {
    match code {
        3 => Verdict::Panic,
        TIMED_OUT => Verdict::TimedOut,
        33..=255 if code % 2 == 1 => Verdict::Exit(((code >> 1) - 16) as u8),
        _ => Verdict::NoWord,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exact_code_is_an_exit() {
        assert_eq!(verdict(33), Verdict::Exit(0));
        assert_eq!(verdict(77), Verdict::Exit(22));
        assert_eq!(verdict(255), Verdict::Exit(111));
        assert_eq!(verdict(3), Verdict::Panic);
        assert_eq!(verdict(124), Verdict::TimedOut);
        for code in [0, 1, 2, 31, 34, 254, 257, KILLED] {
            assert_eq!(verdict(code), Verdict::NoWord, "{code}");
        }
    }
}
