//! What metadata decides without the kernel: its options, what a server's answer means, and what user data may say.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod answer;
pub mod options;
pub mod user_data;
