//! Which of QEMU's accelerators to use.

use std::fs::OpenOptions;

/// An accelerator of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Accelerator {
    /// KVM where the machine really has it, else emulation.
    Auto,
    /// The processor's own virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accelerator {
    /// QEMU's name for it.
    pub(crate) fn qemu_name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
            Accelerator::Auto if kvm_is_real() => "kvm",
            Accelerator::Auto => "tcg",
        }
    }
}

/// Whether KVM can be opened and the processor itself has virtualisation.
///
/// The device alone proves nothing: there are sandboxes that offer it and emulate ring 0 behind it, slower than TCG
/// and with wrong privilege levels. Their processor flags name neither svm nor vmx.
fn kvm_is_real() -> bool {
    let opens = OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    opens && std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| has_virtualisation(&text))
}

/// Whether a processor in the text of /proc/cpuinfo has AMD's or Intel's virtualisation.
fn has_virtualisation(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim() == "flags")
        .any(|(_, flags)| flags.split_whitespace().any(|flag| flag == "svm" || flag == "vmx"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualisation_is_a_processor_flag_of_its_own() {
        assert!(has_virtualisation("processor\t: 0\nflags\t\t: fpu vme vmx sse\n"));
        assert!(has_virtualisation("flags : svm"));
        assert!(!has_virtualisation("flags\t\t: fpu vmx_like svm_lock\n"));
        assert!(!has_virtualisation("vmx flags\t: vnmi\nmodel name\t: vmx\n"));
        assert!(!has_virtualisation(""));
    }
}
