//! What a clock of known speed gives to those that set other clocks by it.

/// Samples of other clocks at both ends of a known time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement<T> {
    /// The last sample before the start, and the first after it.
    pub start: [T; 2],
    /// The last sample before the end, and the first after it.
    pub end: [T; 2],
    /// Time from the start to the end, in nanoseconds.
    pub elapsed_ns: u64,
}
