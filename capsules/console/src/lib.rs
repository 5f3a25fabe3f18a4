//! slopos-console
#![no_std]
