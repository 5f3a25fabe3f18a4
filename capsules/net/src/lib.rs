//! slopos-net
#![no_std]
