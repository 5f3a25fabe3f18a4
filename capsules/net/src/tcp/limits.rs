//! Bounds on what a peer's SYN may ask for.

/// What a peer that does not say can take in one segment, in bytes (RFC 9293 section 3.7.1).
pub const DEFAULT_MAXIMUM_SEGMENT: u16 = 536;
/// No real link is so narrow; a peer that claims less would make us send more headers than data.
pub const SMALLEST_MAXIMUM_SEGMENT: u16 = 88;
/// Windows are shifted by no more (RFC 7323 section 2.3).
pub const LARGEST_SHIFT: u8 = 14;
