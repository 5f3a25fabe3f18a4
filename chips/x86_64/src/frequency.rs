//! How fast the time-stamp counter runs, by what the processor or the hypervisor says.
//!
//! A statement counts only where it is plausible: hypervisors fill these leaves with zeros, and some with nonsense.

use crate::control::{read_msr, write_msr};
use crate::paging::physical_address;
use core::arch::x86_64::{__cpuid, CpuidResult};
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst, fence};
use heapless::Vec;

/// Frequencies of the counter that can be, in hertz.
pub const PLAUSIBLE: RangeInclusive<u64> = 1_000_000..=100_000_000_000;

/// Who says how fast the counter runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Statement {
    /// CPUID leaf 0x40000010: the hypervisor, in kHz.
    HypervisorLeaf,
    /// CPUID leaf 0x15: the counter by the crystal's frequency, with 0x16 for the latter where it is left out.
    CrystalLeaf,
    /// CPUID leaf 0x16 alone: the processor's base frequency, at which the counter runs.
    BaseLeaf,
    /// KVM's clock.
    KvmClock,
}

/// The leaf by which a hypervisor names itself, and gives its highest leaf.
const HYPERVISOR: u32 = 0x4000_0000;

/// All plausible statements, the most direct first, each with its frequency in hertz.
pub fn stated() -> Vec<(Statement, u64), 4> {
    let mut found = by_leaves(__cpuid);
    if hypervisor(&__cpuid).is_some_and(|name| name == *b"KVMKVMKVM\0\0\0")
        && let Some(hertz) = by_kvm_clock().filter(|hertz| PLAUSIBLE.contains(hertz))
    {
        // There is room for each of the four.
        let _ = found.push((Statement::KvmClock, hertz));
    }
    found
}

/// Whether QEMU emulates the processor: its local APIC's timer then counts nanoseconds.
pub fn is_emulated() -> bool {
    hypervisor(&__cpuid).is_some_and(|name| name == *b"TCGTCGTCGTCG")
}

/// The hypervisor's name, where the processor says that there is one (Intel SDM volume 2A, CPUID, leaf 1, ECX bit 31).
fn hypervisor(cpuid: &impl Fn(u32) -> CpuidResult) -> Option<[u8; 12]> {
    if cpuid(1).ecx >> 31 == 0 {
        return None;
    }
    let leaf = cpuid(HYPERVISOR);
    let mut name = [0; 12];
    for (bytes, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Some(name)
}

fn by_leaves(cpuid: impl Fn(u32) -> CpuidResult) -> Vec<(Statement, u64), 4> {
    let mut statements = [(Statement::HypervisorLeaf, 0), (Statement::CrystalLeaf, 0), (Statement::BaseLeaf, 0)];
    if hypervisor(&cpuid).is_some() && cpuid(HYPERVISOR).eax >= 0x4000_0010 {
        statements[0].1 = u64::from(cpuid(0x4000_0010).eax) * 1_000;
    }
    let highest = cpuid(0).eax;
    let base = if highest >= 0x16 { u64::from(cpuid(0x16).eax & 0xffff) * 1_000_000 } else { 0 };
    if highest >= 0x15 {
        let CpuidResult { eax: denominator, ebx: numerator, ecx: crystal, .. } = cpuid(0x15);
        if denominator != 0 && numerator != 0 {
            // Where the crystal's frequency is left out, it follows from the base frequency (SDM volume 3, 18.7.3).
            let counted = u64::from(crystal) * u64::from(numerator) / u64::from(denominator);
            statements[1].1 = if crystal == 0 { base } else { counted };
        }
    }
    // Rounded to MHz, so it counts only for want of a better one.
    if statements.iter().all(|(_, hertz)| !PLAUSIBLE.contains(hertz)) {
        statements[2].1 = base;
    }
    statements.into_iter().filter(|(_, hertz)| PLAUSIBLE.contains(hertz)).collect()
}

/// What KVM writes about its clock (Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW).
#[repr(C, align(32))]
#[derive(Default)]
struct TimeInfo {
    /// Odd while it is written.
    version: AtomicU32,
    _pad: AtomicU32,
    _time_stamp: [AtomicU32; 2],
    _system_time: [AtomicU32; 2],
    /// Nanoseconds for 2^32 shifted ticks.
    multiplier: AtomicU32,
    /// Lowest byte: how far the ticks are shifted to the left before; negative to the right.
    shift_and_flags: AtomicU32,
}

/// MSR_KVM_SYSTEM_TIME_NEW: the structure's physical address; bit 0 has it written.
const KVM_SYSTEM_TIME: u32 = 0x4b56_4d01;
/// KVM's features, and the bit for that register (Linux, Documentation/virt/kvm/x86/cpuid.rst).
const KVM_FEATURES: u32 = HYPERVISOR + 1;
const KVM_CLOCK: u32 = 1 << 3;
/// Looks at the structure before it counts as unwritten.
const LOOKS: u32 = 1_000;

fn by_kvm_clock() -> Option<u64> {
    if __cpuid(HYPERVISOR).eax < KVM_FEATURES || __cpuid(KVM_FEATURES).eax & KVM_CLOCK == 0 {
        return None;
    }
    let info = TimeInfo::default();
    // SAFETY: KVM says that it has the register. It writes the structure, which lies on the kernel's stack in the
    // image and whose words are atomic, until the second write takes its address away again.
    unsafe { write_msr(KVM_SYSTEM_TIME, physical_address((&raw const info).cast()) | 1) };
    let written = (0..LOOKS).find_map(|_| {
        let version = info.version.load(SeqCst);
        let words = (info.multiplier.load(SeqCst), info.shift_and_flags.load(SeqCst));
        (version != 0 && version % 2 == 0 && info.version.load(SeqCst) == version).then_some(words)
    });
    // SAFETY: as above.
    unsafe { write_msr(KVM_SYSTEM_TIME, 0) };
    // Reading it back makes sure that the write has taken effect before the structure goes away.
    // SAFETY: as above.
    let _ = unsafe { read_msr(KVM_SYSTEM_TIME) };
    fence(SeqCst);
    let (multiplier, shift) = written?;
    kvm_hertz(multiplier, shift as i8)
}

/// The counter's frequency from KVM's scale: nanoseconds are `(ticks << shift) * multiplier >> 32`.
fn kvm_hertz(multiplier: u32, shift: i8) -> Option<u64> {
    let shifted = (1_000_000_000_u64 << 32).checked_div(multiplier.into())?;
    if shift >= 0 {
        Some(shifted.checked_shr(shift as u32)?)
    } else {
        shifted.checked_mul(1 << (-i32::from(shift)).min(63))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statements of a processor with these leaves: number, then EAX, EBX, ECX.
    fn statements(leaves: &[(u32, [u32; 3])]) -> std::vec::Vec<(Statement, u64)> {
        let cpuid = |leaf: u32| {
            let [eax, ebx, ecx] = leaves.iter().find(|entry| entry.0 == leaf).map_or([0; 3], |entry| entry.1);
            CpuidResult { eax, ebx, ecx, edx: 0 }
        };
        by_leaves(cpuid).to_vec()
    }

    const GUEST: (u32, [u32; 3]) = (1, [0, 0, 1 << 31]);

    #[test]
    fn the_hypervisors_leaf_comes_first() {
        let leaves = [
            GUEST,
            (HYPERVISOR, [0x4000_0010, 0, 0]),
            (0x4000_0010, [2_600_000, 1_000_000, 0]),
            (0, [0x16, 0, 0]),
            (0x15, [2, 216, 24_000_000]),
            (0x16, [2_600, 0, 0]),
        ];
        let expected = [(Statement::HypervisorLeaf, 2_600_000_000), (Statement::CrystalLeaf, 2_592_000_000)];
        assert_eq!(statements(&leaves), expected);
        // On a machine without a hypervisor, the leaf belongs to nobody.
        assert_eq!(statements(&leaves[1..]), expected[1..]);
    }

    #[test]
    fn a_crystal_without_a_frequency_takes_it_from_the_base() {
        let leaves = [(0, [0x16, 0, 0]), (0x15, [2, 216, 0]), (0x16, [2_600, 0, 0])];
        assert_eq!(statements(&leaves), [(Statement::CrystalLeaf, 2_600_000_000)]);
        assert_eq!(statements(&[(0, [0x16, 0, 0]), (0x16, [2_600, 0, 0])]), [(Statement::BaseLeaf, 2_600_000_000)]);
    }

    #[test]
    fn what_cannot_be_does_not_count() {
        // Leaves of zeros, leaves that are not there, a frequency of a kilohertz, one of 4 THz.
        assert_eq!(statements(&[(0, [0x16, 0, 0])]), []);
        assert_eq!(statements(&[(0, [0x14, 0, 0]), (0x15, [2, 216, 24_000_000])]), []);
        assert_eq!(statements(&[GUEST, (HYPERVISOR, [0x4000_0010, 0, 0]), (0x4000_0010, [1, 0, 0])]), []);
        assert_eq!(statements(&[GUEST, (HYPERVISOR, [0x4000_0010, 0, 0]), (0x4000_0010, [u32::MAX, 0, 0])]), []);
        assert_eq!(statements(&[(0, [0x15, 0, 0]), (0x15, [1, u32::MAX, u32::MAX])]), []);
    }

    #[test]
    fn kvms_scale_gives_the_frequency() {
        // 2.6 GHz: half as many ticks after a shift to the right, each 10^9 / 1.3 * 10^9 of 2^32.
        let multiplier = ((1_000_000_000_u64 << 32) / 1_300_000_000) as u32;
        let hertz = kvm_hertz(multiplier, -1).unwrap();
        assert!((2_599_999_990..=2_600_000_010).contains(&hertz), "{hertz}");
        let slow = kvm_hertz(((1_000_000_000_u64 << 32) / 1_600_000_000) as u32, 1).unwrap();
        assert!((799_999_990..=800_000_010).contains(&slow), "{slow}");
        assert_eq!(kvm_hertz(0, 0), None);
        assert_eq!(kvm_hertz(1, -64), None);
        assert_eq!(kvm_hertz(1, 127), None);
    }
}
