//! The board's own tests.
