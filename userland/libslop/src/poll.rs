//! Waiting for several descriptors.

use core::time::Duration;

use slopos_abi::poll::{Entry, FOREVER};

use crate::{Error, call, time};

/// Waits until an entry of `set` is ready and returns how many are: 0 once the timeout has passed. Without a
/// timeout it waits as long as it takes.
///
/// # Errors
/// EINVAL where the set has more entries than a descriptor table.
pub fn poll(set: &mut [Entry], timeout: Option<Duration>) -> Result<usize, Error> {
    call::poll(set, timeout.map_or(FOREVER, time::millis))
}
