//! Sets the clocks: how fast the time-stamp counter and the local APIC's timer run.
//!
//! What the processor or the hypervisor states comes first, then ACPI's timer, then the 8254; under QEMU's emulation the
//! local APIC's timer has a known speed itself. A measurement also checks what is stated: sources that disagree are
//! logged. On a busy host the whole machine may stop for a while between two instructions. So each end of a span is
//! taken between two samples, and the span whose ends are known best is used.

use slopos_q35::pit::Pit;
use slopos_q35::pm_timer::PmTimer;
use slopos_q35::reference::Measurement;
use slopos_registers::Hardware;
use slopos_x86_64::apic::LocalApic;
use slopos_x86_64::clock::{Clock, time_stamp};
use slopos_x86_64::cpuid::Features;
use slopos_x86_64::frequency::{self, PLAUSIBLE, Statement};

/// How long one comparison of the clocks takes, in microseconds.
const SPAN_US: u32 = 1_000;
/// A comparison is good enough if the uncertainty of its ends is less than one part in this many.
const GOOD_ENOUGH: u64 = 50;
/// The most comparisons that are made.
const COMPARISONS_MAX: usize = 20;
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

/// Both clocks at one moment: time-stamp counter, ticks of the local APIC's timer.
type Sample = (u64, u64);

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
    let (ticks, apic_ticks) = counted(&span);
    apic.set_frequency((u128::from(apic_ticks) * u128::from(chosen.hertz) / u128::from(ticks.max(1))) as u64);
}

/// Whether two readings differ by more than one part in [`AGREEMENT`] and their uncertainty.
fn disagree(one: &Reading, other: &Reading) -> bool {
    one.hertz.abs_diff(other.hertz) > one.hertz / AGREEMENT + one.doubt + other.doubt
}

/// The counter's frequency by a span of known length, unless it cannot be.
fn reading(source: Source, span: &Measurement<Sample>) -> Option<Reading> {
    let per_second = |ticks: u64| (u128::from(ticks) * 1_000_000_000 / u128::from(span.elapsed_ns.max(1))) as u64;
    let hertz = per_second(counted(span).0);
    PLAUSIBLE.contains(&hertz).then(|| Reading { source, hertz, doubt: per_second(doubt(span)) })
}

/// A span by the best clock that is there.
fn measure(apic: &LocalApic, timer: Option<u16>) -> Option<(Source, Measurement<Sample>)> {
    let sample = || (time_stamp(), apic.calibration_ticks());
    if let Some(port) = timer {
        // SAFETY: the FADT says that the port is the timer's; reading it changes nothing.
        let timer = unsafe { PmTimer::new(Hardware, port) };
        if let Some(span) = best(|| timer.measure(SPAN_US, sample).ok()) {
            return Some((Source::AcpiTimer, span));
        }
    }
    // SAFETY: nobody else uses the interval timer.
    let pit = unsafe { Pit::new(Hardware) };
    if let Some(span) = best(|| pit.measure(SPAN_US, sample).ok()) {
        return Some((Source::IntervalTimer, span));
    }
    let emulated = frequency::is_emulated().then(|| best(|| by_emulated_apic(apic))).flatten();
    emulated.map(|span| (Source::EmulatedApic, span))
}

/// The span whose ends are known best, of as many as it takes.
fn best(mut measure: impl FnMut() -> Option<Measurement<Sample>>) -> Option<Measurement<Sample>> {
    let mut best: Option<Measurement<Sample>> = None;
    for _ in 0..COMPARISONS_MAX {
        let Some(span) = measure() else { continue };
        if best.as_ref().is_none_or(|best| doubt(&span) < doubt(best)) {
            best = Some(span);
        }
        if doubt(&span) < (span.end[0].0 - span.start[1].0) / GOOD_ENOUGH {
            break;
        }
    }
    best
}

/// How many ticks of the counter the ends of a span are apart from their samples.
fn doubt(span: &Measurement<Sample>) -> u64 {
    (span.start[1].0 - span.start[0].0) + (span.end[1].0 - span.end[0].0)
}

/// A span by the local APIC's timer, whose speed QEMU's emulation fixes.
fn by_emulated_apic(apic: &LocalApic) -> Option<Measurement<Sample>> {
    let ticks = u64::from(SPAN_US) * EMULATED_APIC_HZ / 1_000_000;
    let span = until(apic, |start, now| now.1.saturating_sub(start.1) >= ticks)?;
    Some(Measurement { elapsed_ns: counted(&span).1 * 1_000_000_000 / EMULATED_APIC_HZ, ..span })
}

/// A span by the time-stamp counter, whose frequency is stated.
fn by_time_stamp(apic: &LocalApic, hertz: u64) -> Option<Measurement<Sample>> {
    let ticks = u64::from(SPAN_US) * hertz / 1_000_000;
    until(apic, |start, now| now.0.saturating_sub(start.0) >= ticks)
}

/// A span that is over when both clocks say so, unless they do not move.
fn until(apic: &LocalApic, over: impl Fn(Sample, Sample) -> bool) -> Option<Measurement<Sample>> {
    let sample = || (time_stamp(), apic.calibration_ticks());
    let start = [sample(), sample()];
    let mut running = start[1];
    (0..LOOKS_MAX).find_map(|_| {
        let now = sample();
        let last = core::mem::replace(&mut running, now);
        over(start[0], now).then_some(Measurement { start, end: [last, now], elapsed_ns: 0 })
    })
}

/// What both clocks counted in a span, from the middle between the samples at one end to that at the other, twice.
fn counted(span: &Measurement<Sample>) -> (u64, u64) {
    let of = |clock: fn(Sample) -> u64| {
        let middle = |samples: [Sample; 2]| clock(samples[0]) + clock(samples[1]);
        middle(span.end).saturating_sub(middle(span.start)) / 2
    };
    (of(|sample| sample.0), of(|sample| sample.1))
}
