//! SlopOS on QEMU's q35 board, and on other machines with PCI. This file only composes the system; the work is done
//! elsewhere.
#![no_std]
#![no_main]

use slopos_board_pc::{machine, pci, system};

/// Where the processor's boot code arrives, with the physical address of what the loader says, and the loader's kind.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u32, loader: u32) -> ! {
    let command_line = system::command_line();
    // SAFETY: called once, by the boot code, with what the loader passed.
    let (mut machine, pci) = unsafe { machine::bring_up(loader, start_info, command_line, pci::find) };
    let devices = pci::start(&pci, &mut machine);
    // SAFETY: this is the board's composition, and runs once.
    unsafe { system::run(machine, command_line, devices) }
}
