//! slopos-virtio
#![no_std]
