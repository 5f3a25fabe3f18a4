//! libslop
#![no_std]
