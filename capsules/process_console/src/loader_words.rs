//! Tells our commands from the words that loaders and virtual machine monitors put on a kernel's command line.
//!
//! They are meant for Linux, and stand before or behind what somebody gave: `console=ttyS0 reboot=k ... root=/dev/vda ro
//! virtio_mmio.device=4K@0xd0000000:5`. A run of such words at the beginning or the end of the line is left out, never
//! carried out. What stands between is ours, even where a word of it looks the same. A word `--` behind the first run
//! says that all that follows is ours, to the end.

/// Words that begin so: a parameter with a value, or a module's.
const PREFIXES: [&str; 58] = [
    "8250.",
    "acpi=",
    "acpi_",
    "amd_iommu=",
    "apparmor=",
    "audit=",
    "biosdevname=",
    "BOOT_IMAGE=",
    "cgroup_",
    "clocksource=",
    "console=",
    "crashkernel=",
    "cryptomgr.",
    "earlycon=",
    "earlyprintk=",
    "elevator=",
    "fsck.",
    "hugepages=",
    "i8042.",
    "init=",
    "initcall_",
    "initrd=",
    "intel_iommu=",
    "iommu=",
    "ip=",
    "libata.",
    "loglevel=",
    "lpj=",
    "maxcpus=",
    "mem=",
    "memmap=",
    "mitigations=",
    "net.ifnames=",
    "netcfg.",
    "nr_cpus=",
    "panic=",
    "pci=",
    "pcie_",
    "pnpacpi=",
    "printk.",
    "random.",
    "rd.",
    "reboot=",
    "root=",
    "rootdelay=",
    "rootflags=",
    "rootfstype=",
    "scsi_mod.",
    "security=",
    "selinux=",
    "swiotlb=",
    "systemd.",
    "transparent_hugepage=",
    "tsc=",
    "virtio_mmio.",
    "vsyscall=",
    "x2apic_",
    "xen_",
];

/// Words that are whole.
const WORDS: [&str; 22] = [
    "debug",
    "earlycon",
    "earlyprintk",
    "kvm-clock",
    "no-kvmclock",
    "no_timer_check",
    "noapic",
    "nodefaults",
    "nokaslr",
    "nolapic",
    "nomodule",
    "nomodules",
    "nopti",
    "noreplace-smp",
    "nosmp",
    "quiet",
    "ro",
    "rootwait",
    "rw",
    "single",
    "splash",
    "text",
];

/// What begins our part where somebody wants to be sure.
const MARK: &str = "--";

/// Whether a word is a loader's. Quotes do not make it another one: `root="/dev/vda"`.
fn is_loaders(word: &str) -> bool {
    WORDS.contains(&word) || PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

/// Our part of a kernel command line, and how many words of loaders were left out.
pub fn leave_out(line: &str) -> (&str, usize) {
    let mut ours = line.trim();
    let mut count = 0;
    while let Some((_, rest)) = first_word(ours).filter(|(word, _)| is_loaders(word)) {
        (ours, count) = (rest, count + 1);
    }
    if let Some((MARK, rest)) = first_word(ours) {
        return (rest, count);
    }
    while let Some((rest, _)) = ours.rsplit_once(char::is_whitespace).filter(|(_, word)| is_loaders(word)) {
        (ours, count) = (rest.trim_end(), count + 1);
    }
    (ours, count)
}

/// The words that [`leave_out`] leaves out, for whoever has a use for one of them.
pub fn left_out(line: &str) -> impl Iterator<Item = &str> {
    let (ours, _) = leave_out(line);
    // Ours is a part of the line, but for an empty one.
    let start = ours.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
    let (before, behind) = match (line.get(..start), line.get(start.saturating_add(ours.len())..)) {
        (Some(before), Some(behind)) if !ours.is_empty() => (before, behind),
        _ => (line, ""),
    };
    before.split_whitespace().chain(behind.split_whitespace())
}

/// The first word and what follows it. A word may hold quotes, but ends at white space all the same: no loader quotes it.
fn first_word(line: &str) -> Option<(&str, &str)> {
    if line.is_empty() {
        return None;
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some((word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{leave_out, left_out};

    #[test]
    fn words_before_and_behind_are_left_out() {
        let firecracker = "reboot=k panic=1 pci=off webget http://10.0.2.2/; exit root=/dev/vda ro \
                           virtio_mmio.device=4K@0xd0000000:5";
        assert_eq!(leave_out(firecracker), ("webget http://10.0.2.2/; exit", 6));
        assert_eq!(leave_out("console=ttyS0 root=/dev/vda rw"), ("", 3));
        assert_eq!(leave_out("  quiet\t i8042.noaux  "), ("", 2));
        assert_eq!(leave_out(""), ("", 0));
    }

    #[test]
    fn the_words_left_out_can_be_read_and_ours_are_not_among_them() {
        let words = |line| left_out(line).collect::<Vec<_>>();
        let line =
            "quiet virtio_mmio.device=4K@0xd0000000:5 echo virtio_mmio.device=1@1:1 ; exit  ro virtio_mmio.device=a";
        assert_eq!(words(line), ["quiet", "virtio_mmio.device=4K@0xd0000000:5", "ro", "virtio_mmio.device=a"]);
        assert_eq!(words("quiet -- exit ro"), ["quiet", "--"]);
        assert_eq!(words("exit"), Vec::<&str>::new());
        assert_eq!(words(" rw  virtio_mmio.device=a "), ["rw", "virtio_mmio.device=a"]);
        assert_eq!(words(""), Vec::<&str>::new());
    }

    #[test]
    fn what_stands_between_is_ours() {
        for line in ["store ro now; exit", "webget -- http://10.0.2.2/?console=tty; exit", "exit;quiet", "a; b ; exit"]
        {
            assert_eq!(leave_out(line), (line, 0));
        }
        // Not a loader's word, so it is run, and answered.
        assert_eq!(leave_out("frobnicate=1 exit"), ("frobnicate=1 exit", 0));
    }

    #[test]
    fn behind_the_mark_everything_is_ours() {
        assert_eq!(leave_out("console=ttyS0 -- start store ro"), ("start store ro", 1));
        assert_eq!(leave_out("-- exit"), ("exit", 0));
        assert_eq!(leave_out("quiet --"), ("", 1));
        // Only behind loaders' words.
        assert_eq!(leave_out("webget -- http://10.0.2.2/"), ("webget -- http://10.0.2.2/", 0));
    }
}
