//! slopos-x86-64
#![no_std]
