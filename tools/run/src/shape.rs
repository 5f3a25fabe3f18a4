//! The machines that kernels are for, as QEMU has them.

/// The machine that a kernel is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// QEMU's q35: devices are on PCI.
    #[default]
    Q35,
    /// QEMU's microvm: devices are in windows of memory.
    MicroVm,
}

/// QEMU's microvm with the least firmware that there is, and without the parts that the kernel does without. Its devices
/// would have registers of version 1 unless told otherwise.
const MICROVM: [&str; 6] = [
    "-M",
    "microvm,pit=off,pic=off,x-option-roms=off",
    "-bios",
    "qboot.rom",
    "-global",
    "virtio-mmio.force-legacy=false",
];

impl Shape {
    /// QEMU's machine.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Shape::Q35 => &["-M", "q35"],
            Shape::MicroVm => &MICROVM,
        }
    }

    /// The name of QEMU's device of this kind.
    pub(crate) fn device(self, kind: &str) -> String {
        match self {
            Shape::Q35 => format!("virtio-{kind}-pci"),
            Shape::MicroVm => format!("virtio-{kind}-device"),
        }
    }
}
