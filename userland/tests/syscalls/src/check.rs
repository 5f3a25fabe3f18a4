//! Checks that count, and that say what they saw when they fail.

use core::fmt::Debug;

use libslop::abi::Errno;
use libslop::{Error, eprintln};

/// A check failed, and said so.
pub struct Failed;

/// How many checks passed.
#[derive(Default)]
pub struct Checks {
    passed: u32,
}

impl Checks {
    /// How many checks passed.
    pub fn passed(&self) -> u32 {
        self.passed
    }

    /// What should hold does.
    pub fn holds(&mut self, what: &str, condition: bool) -> Result<(), Failed> {
        self.equal(what, condition, true)
    }

    /// Two values are the same.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) -> Result<(), Failed> {
        if found != expected {
            eprintln!("syscalls: {what}: found {found:?}, expected {expected:?}");
            return Err(Failed);
        }
        self.passed += 1;
        Ok(())
    }

    /// A call succeeds; its result.
    pub fn succeeds<T>(&mut self, what: &str, result: Result<T, Error>) -> Result<T, Failed> {
        match result {
            Ok(value) => {
                self.passed += 1;
                Ok(value)
            }
            Err(error) => {
                eprintln!("syscalls: {what}: {} ({error})", error.errno().symbol());
                Err(Failed)
            }
        }
    }

    /// A call fails with this error.
    pub fn fails<T: PartialEq + Debug>(
        &mut self,
        what: &str,
        result: Result<T, Error>,
        errno: Errno,
    ) -> Result<(), Failed> {
        self.equal(what, result, Err(Error::from(errno)))
    }

    /// A call with these raw arguments leaves exactly this in `rax`.
    pub fn raw(&mut self, what: &str, number: u64, arguments: [u64; 4], expected: i64) -> Result<(), Failed> {
        self.equal(what, hazard::call(number, arguments), expected)
    }
}
