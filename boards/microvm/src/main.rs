//! SlopOS on machines without PCI: QEMU's microvm, Firecracker. This file only composes the system; the work is done
//! elsewhere.
#![no_std]
#![no_main]

use slopos_board_pc::{machine, mmio, system};

/// Where the processor's boot code arrives, with the physical address of what the loader says, and the loader's kind.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u32, loader: u32) -> ! {
    let command_line = system::command_line();
    // SAFETY: called once, by the boot code, with what the loader passed.
    let (mut machine, windows) = unsafe { machine::bring_up(loader, start_info, command_line, mmio::find) };
    let devices = mmio::start(windows, &mut machine);
    // SAFETY: this is the board's composition, and runs once.
    unsafe { system::run(machine, command_line, devices) }
}
