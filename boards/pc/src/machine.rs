//! Brings the machine up to the point where drivers can work: page tables, traps, interrupt controllers and clocks.

use crate::copies::Generation;
use crate::interrupts::Interrupts;
use crate::log;
use crate::modules::{self, Modules};
use crate::power::Button;
use crate::{claims, clocks, image, power};
use slopos_kernel::time::{Duration, Instant};
use slopos_q35::acpi::{self, IoApicEntry, Lost, Tables};
use slopos_q35::claims::Claims;
use slopos_q35::ioapic::{self, IoApic};
use slopos_q35::pic::Pic;
use slopos_q35::rtc::Rtc;
use slopos_registers::Hardware;
use slopos_x86_64::apic::{self, LocalApic, Place};
use slopos_x86_64::clock::now_micros;
use slopos_x86_64::control;
use slopos_x86_64::cpuid::Features;
use slopos_x86_64::entropy::{self, Gathered};
use slopos_x86_64::loader;
use slopos_x86_64::paging::KernelSpace;
use slopos_x86_64::start_info::{CommandLine, physical_slice};
use slopos_x86_64::trap::{self, SPURIOUS_VECTOR, TIMER_VECTOR};

/// The 8259s' sixteen vectors; masked, they can still raise spurious interrupts.
const PIC_VECTOR: u8 = 48;

/// Where the I/O APIC is unless ACPI says otherwise (82093AA data sheet, section 3.0).
const IO_APIC: IoApicEntry = IoApicEntry { address: 0xfec0_0000, first_gsi: 0 };
/// The longest time between two looks at the devices, in case an interrupt is lost.
const ALARM_LIMIT: Duration = Duration::from_millis(1_000);

/// The machine, ready for drivers.
pub struct Machine {
    /// The kernel's page tables, to map devices in.
    pub space: KernelSpace,
    /// Who owns which memory and ports.
    pub claims: &'static mut Claims,
    /// The interrupt lines.
    pub interrupts: Interrupts,
    /// What the firmware's tables say.
    pub tables: Tables,
    /// The identifier of the machine's generation, where it has one.
    pub generation: Option<Generation>,
    /// The modules that the loader has put into memory.
    pub modules: Modules,
    /// The entropy that was there at once, without waiting for a device.
    pub gathered: Gathered,
    /// The processor's interrupt controller and timer.
    pub alarm: Alarm,
    /// The power button.
    pub button: Button,
}

/// What is known of the machine before anything of it is touched.
pub struct Ground<'a> {
    /// The kernel's page tables.
    pub space: &'a mut KernelSpace,
    /// Who owns which memory and ports.
    pub claims: &'a mut Claims,
    /// What the firmware's tables say.
    pub tables: &'a Tables,
    /// The firmware's DSDT; empty where there is none.
    pub dsdt: &'static [u8],
    /// The kernel's command line.
    pub command_line: &'a str,
}

/// Brings it up. `find` says where the devices may be, and claims their registers: before anything else is touched, for
/// theirs may overlap those that the kernel needs.
///
/// # Safety
/// To be called once, first of all, with what the boot code passed and the boot page tables in use.
/// The command line is copied to where it is to stay.
pub unsafe fn bring_up<P>(
    kind: u32,
    start_info: u32,
    command_line: &mut CommandLine,
    find: impl FnOnce(Ground<'_>) -> P,
) -> (Machine, P) {
    let log_present = log::initialise();
    // SAFETY: the boot page tables map the first 4 GiB at their own addresses, and nothing else runs.
    let info = match unsafe { loader::read(kind, start_info.into(), command_line) } {
        Ok(info) => info,
        Err(error) => panic!("the loader's start info cannot be used: {error:?}"),
    };
    let need = image::physical_end();
    if info.memory_end < need {
        panic!("the image needs RAM up to {need:#x}, and there is only RAM up to {:#x}", info.memory_end);
    }
    if let Some(kept) = info.sleep_state.filter(|kept| *kept < need) {
        defmt::warn!("boot: the image lies over what the firmware keeps for sleep states at {=u64:#x}", kept);
    }
    // SAFETY: as above; the tables are copied out before the mapping goes away.
    let memory = |address, length| unsafe { physical_slice(address, length as u64) };
    let tables = acpi::search(info.rsdp, memory, |lost, address, error| match lost {
        Lost::Root => defmt::warn!("boot: no ACPI tables by the root pointer at {=u64:#x}: {}", address, error),
        Lost::Table => defmt::warn!("boot: the ACPI table at {=u64:#x} is passed over: {}", address, error),
    });
    // Told above, where it is wrong.
    let dsdt_length = tables.as_ref().and_then(|tables| acpi::dsdt_length(tables.power.dsdt?, memory).ok());
    let mut space = image::map();
    let features = Features::detect();
    // SAFETY: the whole image is compiled for soft float; process memory is reached by the kernel's own mapping.
    let missing = unsafe { control::protect(&features) };
    // SAFETY: called once, with stacks that the linker script sets aside.
    unsafe { trap::initialise(image::interrupt_stacks()) };
    let mut tables = tables.unwrap_or_else(|| {
        defmt::warn!("boot: no ACPI tables");
        Tables::default()
    });
    if tables.local_apic.is_none() {
        defmt::warn!("boot: no table of interrupt controllers, so they are taken to be where every PC has them");
        tables.io_apics.extend([IO_APIC]);
    }
    let claims = claims::platform(&info, &tables, &features);
    // SAFETY: called once, with the tables just read.
    let dsdt = unsafe { power::map_dsdt(&tables, dsdt_length, &mut space) };
    // SAFETY: likewise.
    let button = unsafe { power::prepare(&tables, dsdt, &mut space) };
    let generation = tables.generation.and_then(|address| Generation::find(address, &info, &mut space));
    let base = map_local_apic(&tables, claims, &mut space);
    let io_apics = tables.io_apics.iter().filter_map(|entry| {
        let base = claims::map(claims, &mut space, "an I/O APIC", entry.address, ioapic::MEMORY_BYTES)?;
        // SAFETY: just mapped, for ever.
        Some(unsafe { IoApic::new(Hardware, base, entry.first_gsi) })
    });
    let io_apics = io_apics.collect();
    let places = find(Ground { space: &mut space, claims, tables: &tables, dsdt, command_line });
    // SAFETY: nobody else uses the controllers.
    unsafe { Pic::new(Hardware) }.disable(PIC_VECTOR);
    // SAFETY: where the processor says, and mapped for ever if that is memory.
    let mut local_apic = unsafe { LocalApic::start(base, TIMER_VECTOR, SPURIOUS_VECTOR) };
    trap::expect(TIMER_VECTOR);
    clocks::set(&mut local_apic, &features, tables.power.timer);

    defmt::info!("boot: log={=bool} memory={=u64:#x} image_end={=u64:#x}", log_present, info.memory_end, need);
    if tables.processors > 1 {
        defmt::info!("boot: one processor is used, of {=u32}; the others stay asleep", tables.processors);
    }
    if !missing.is_empty() {
        defmt::warn!("boot: the processor has no {}", missing.as_slice());
    }
    if info.command_line_broken {
        defmt::warn!("boot: the command line is too long or not UTF-8, and was cut");
    }
    let modules = modules::map(&info, &mut space);
    let interrupts = Interrupts::new(io_apics, local_apic.destination());
    if local_apic.destination().is_none() {
        defmt::warn!(
            "interrupt: no device can name the processor, whose id is {=u32}; devices are looked at by the clock",
            local_apic.id()
        );
    }
    let alarm = Alarm { apic: local_apic, armed: None };
    let gathered = gather(&features, command_line);
    (Machine { space, claims, interrupts, tables, modules, generation, gathered, alarm, button }, places)
}

/// Maps the local APIC's registers, where they are in memory. The processor knows; a table that says otherwise is told.
fn map_local_apic(tables: &Tables, claims: &mut Claims, space: &mut KernelSpace) -> Option<*mut u8> {
    // SAFETY: this is ring 0.
    let address = match unsafe { apic::place() } {
        Place::Memory(address) => address,
        Place::ModelSpecific => {
            defmt::info!("boot: the local APIC is in x2APIC mode");
            return None;
        }
    };
    if let Some(other) = tables.local_apic.filter(|other| *other != address) {
        defmt::warn!("boot: the local APIC is at {=u64:#x}, not at {=u64:#x} as ACPI says", address, other);
    }
    let base = claims::map(claims, space, "the local APIC", address, apic::LENGTH);
    if base.is_none() {
        panic!("the local APIC cannot be mapped at {address:#x}");
    }
    base
}

/// Gathers entropy from the processor and from values that differ from one boot or board to the next.
fn gather(features: &Features, line: &CommandLine) -> Gathered {
    // SAFETY: nobody else uses the clock.
    let clock = unsafe { Rtc::new(Hardware) }.registers();
    let gathered = entropy::gather(features, &[&clock, line.as_bytes(), &now_micros().to_le_bytes()]);
    if !features.rdrand && !features.rdseed {
        defmt::warn!("boot: the processor has no RDRAND and no RDSEED");
    } else if !gathered.processor {
        defmt::warn!("boot: the processor's RDRAND gives no chance");
    }
    gathered
}

/// Monotonic time since the clocks were set.
pub fn now() -> Instant {
    Instant::from_micros(now_micros())
}

/// The timer. Setting it costs an exit from the virtual machine, so one that is set too early is left as it is.
pub struct Alarm {
    apic: LocalApic,
    armed: Option<Instant>,
}

impl Alarm {
    /// To be called when the timer's interrupt has arrived: the timer is no longer set.
    pub fn fired(&mut self) {
        self.armed = None;
    }

    /// Makes sure that the timer interrupts no later than at `deadline`.
    pub fn set(&mut self, deadline: Option<Instant>, now: Instant) {
        let limit = now + ALARM_LIMIT;
        let deadline = deadline.map_or(limit, |deadline| deadline.min(limit));
        if self.armed.is_some_and(|armed| armed <= deadline && now < armed) {
            return;
        }
        self.armed = Some(deadline);
        self.apic.set_alarm(deadline.since(now).as_micros());
    }

    /// The address and data of a message that interrupts this processor by `vector`, which is expected from now on.
    pub fn message(&self, vector: u8) -> (u64, u32) {
        trap::expect(vector);
        self.apic.message(vector)
    }

    /// The processor's interrupt controller.
    pub fn apic(&self) -> &LocalApic {
        &self.apic
    }
}
