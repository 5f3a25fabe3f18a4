//! slopos-process-console
#![no_std]
