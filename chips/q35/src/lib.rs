//! slopos-q35
#![no_std]
