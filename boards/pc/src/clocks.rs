//! Sets the clocks: how fast the time-stamp counter and the local APIC's timer run.
//!
//! What the processor or the hypervisor states comes first, then ACPI's timer, then the 8254; under QEMU's emulation
//! the local APIC's timer has a known speed itself. A measurement also checks what is stated: sources that disagree are
//! logged. chips/q35's `reference` says how far a measurement can be believed.

use slopos_q35::pit::Pit;
use slopos_q35::pm_timer::PmTimer;
use slopos_q35::reference::{self, Measurement, Sample};
use slopos_registers::Hardware;
use slopos_x86_64::apic::LocalApic;
use slopos_x86_64::clock::{Clock, time_stamp};
use slopos_x86_64::cpuid::Features;
use slopos_x86_64::frequency::{self, PLAUSIBLE, Statement};

/// How long one comparison of the clocks takes, in microseconds.
const SPAN_US: u32 = 1_000;
/// Sources that differ by more than one part in this many disagree, the uncertainty of a measurement apart.
const AGREEMENT: u64 = 100;
/// Looks at clocks that may stand still.
const LOOKS_MAX: u32 = SPAN_US * 10_000;
/// Ticks of the local APIC's timer per second where QEMU emulates it: nanoseconds, divided by 16.
const EMULATED_APIC_HZ: u64 = 1_000_000_000 / 16;

/// Who says how fast the time-stamp counter runs.
#[derive(Clone, Copy, PartialEq, Eq, defmt::Format)]
enum Source {
    Stated(Statement),
    AcpiTimer,
    IntervalTimer,
    EmulatedApic,
}

/// The counter's frequency by one source.
struct Reading {
    source: Source,
    hertz: u64,
    /// How uncertain that is, in hertz.
    doubt: u64,
}

/// Sets them, and starts the kernel's clock at 0. `timer` is the port of ACPI's timer.
pub fn set(apic: &mut LocalApic, features: &Features, timer: Option<u16>) {
    apic.start_calibration();
    let start = time_stamp();
    let measured = measure(apic, timer);
    let stated = frequency::stated().into_iter();
    let stated = stated.map(|(statement, hertz)| Reading { source: Source::Stated(statement), hertz, doubt: 0 });
    let readings = stated.chain(measured.as_ref().and_then(|(source, span)| reading(*source, span)));
    // Four statements and a measurement at most.
    let readings: heapless::Vec<Reading, 5> = readings.collect();
    let Some(chosen) = readings.first() else {
        panic!("no clock to set the time by: CPUID states no frequency, there is no KVM, no ACPI timer, no 8254");
    };
    for other in readings.iter().filter(|other| disagree(chosen, other)) {
        let (hertz, another) = (chosen.hertz, other.hertz);
        defmt::warn!("clock: {=u64} Hz by {}, {=u64} Hz by {}", hertz, chosen.source, another, other.source);
    }
    Clock::new(start, chosen.hertz).install();
    if features.tsc_deadline {
        // SAFETY: the processor says that it can.
        return unsafe { apic.go_by_time_stamp(chosen.hertz) };
    }
    let Some(span) = measured.map(|(_, span)| span).or_else(|| by_time_stamp(apic, chosen.hertz)) else {
        panic!("the time-stamp counter stands still");
    };
    let ticks = u128::from(span.time_stamp_ticks().max(1));
    apic.set_frequency((u128::from(span.timer_ticks()) * u128::from(chosen.hertz) / ticks) as u64);
}

/// Whether two readings differ by more than one part in [`AGREEMENT`] and their uncertainty.
fn disagree(one: &Reading, other: &Reading) -> bool {
    one.hertz.abs_diff(other.hertz) > one.hertz / AGREEMENT + one.doubt + other.doubt
}

/// The counter's frequency by a span of known length, unless it cannot be.
fn reading(source: Source, span: &Measurement<Sample>) -> Option<Reading> {
    let per_second = |ticks: u64| (u128::from(ticks) * 1_000_000_000 / u128::from(span.elapsed_ns.max(1))) as u64;
    let hertz = per_second(span.time_stamp_ticks());
    PLAUSIBLE.contains(&hertz).then(|| Reading { source, hertz, doubt: per_second(span.doubt()) })
}

/// A span by the best clock that is there.
fn measure(apic: &LocalApic, timer: Option<u16>) -> Option<(Source, Measurement<Sample>)> {
    let sample = || sample(apic);
    if let Some(port) = timer {
        // SAFETY: the FADT says that the port is the timer's; reading it changes nothing.
        let timer = unsafe { PmTimer::new(Hardware, port) };
        if let Some(span) = reference::best(|| timer.measure(SPAN_US, sample).ok()) {
            return Some((Source::AcpiTimer, span));
        }
    }
    // SAFETY: nobody else uses the interval timer.
    let pit = unsafe { Pit::new(Hardware) };
    if let Some(span) = reference::best(|| pit.measure(SPAN_US, sample).ok()) {
        return Some((Source::IntervalTimer, span));
    }
    let emulated = frequency::is_emulated().then(|| reference::best(|| by_emulated_apic(apic))).flatten();
    emulated.map(|span| (Source::EmulatedApic, span))
}

/// A span by the local APIC's timer, whose speed QEMU's emulation fixes.
fn by_emulated_apic(apic: &LocalApic) -> Option<Measurement<Sample>> {
    let ticks = u64::from(SPAN_US) * EMULATED_APIC_HZ / 1_000_000;
    let over = |start: Sample, now: Sample| now.timer.saturating_sub(start.timer) >= ticks;
    let span = reference::until(LOOKS_MAX, || sample(apic), over)?;
    Some(Measurement { elapsed_ns: span.timer_ticks() * 1_000_000_000 / EMULATED_APIC_HZ, ..span })
}

/// A span by the time-stamp counter, whose frequency is stated.
fn by_time_stamp(apic: &LocalApic, hertz: u64) -> Option<Measurement<Sample>> {
    let ticks = u64::from(SPAN_US) * hertz / 1_000_000;
    let over = |start: Sample, now: Sample| now.time_stamp.saturating_sub(start.time_stamp) >= ticks;
    reference::best(|| reference::until(LOOKS_MAX, || sample(apic), over))
}

/// Both clocks, now.
fn sample(apic: &LocalApic) -> Sample {
    let time_stamp = time_stamp();
    Sample { time_stamp, timer: apic.calibration_ticks() }
}
