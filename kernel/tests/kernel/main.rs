//! The kernel as a whole, with a processor and objects that tests script.

mod fixture;
mod large_programs;
mod loading;
mod network_calls;
mod processes;
mod scheduler;
mod signatures;
mod support;
mod syscalls;
