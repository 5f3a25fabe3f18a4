//! slopos-board-qemu-q35
#![no_std]
