//! webget
#![no_std]
