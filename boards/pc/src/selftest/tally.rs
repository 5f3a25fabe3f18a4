//! The results of the tests.

/// Counts the checks that passed and those that failed.
#[derive(Default)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
}

impl Tally {
    /// Logs and counts one check.
    pub fn check(&mut self, name: &str, held: bool) {
        if held {
            self.passed += 1;
            defmt::info!("test: {=str} ok", name);
        } else {
            self.failed += 1;
            defmt::error!("test: {=str} FAILED", name);
        }
    }
}
