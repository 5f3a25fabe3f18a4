//! The target `partitions` of `slopos_sim::targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| slopos_sim::targets::partitions(data));
