//! The files of doc/fleet for engines that cannot be had here, against the shape that these publish: an unknown key, a
//! missing one, a command line that is too long or says what the board does not know fails.

use crate::{PLACE, file};
use serde::Deserialize;
use slopos_abi::CommandName;
use slopos_audit::read;
use slopos_e2e::built;
use std::path::Path;

/// Bytes that Firecracker takes at most: the least of those engines.
const COMMAND_LINE_MAX: usize = 2_048;

/// Checks the command line of a kernel in build/: its length, its characters, and that the board knows each command.
#[track_caller]
fn is_command_line(line: &str, kernel: &str) {
    assert!(line.len() <= COMMAND_LINE_MAX && line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
    let (_, manifest) = read(&built(kernel)).expect("the kernel");
    for command in line.split(';') {
        let word = command.split_whitespace().next().unwrap_or_else(|| panic!("an empty command in {line:?}"));
        let is_command = CommandName::find(word).is_some_and(|name| !name.is_for_tests());
        let is_process = manifest.processes.iter().any(|process| process.name == word);
        assert!(is_command || is_process, "{word:?} is no command, in {line:?}");
    }
}

/// Checks that a path names a file of the build, at the place that doc/fleet.md says.
#[track_caller]
fn is_built(path: &str) {
    let name = Path::new(path).file_name().expect("a file").to_string_lossy();
    assert_eq!(path, format!("{PLACE}/{name}"));
    built(&name);
}

/// Checks six bytes in hexadecimal digits, of a station that is one of its own and administered locally.
#[track_caller]
fn is_station(mac: &str) {
    let bytes: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect();
    assert!(bytes.len() == 6 && bytes[0] & 0b11 == 0b10, "{mac}");
}

mod firecracker {
    //! The file that `firecracker --config-file` reads: the bodies of its API, whose keys these are.

    use super::{Deserialize, file, is_built, is_command_line, is_station};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Configuration {
        boot_source: BootSource,
        machine_config: MachineConfig,
        drives: Vec<Drive>,
        network_interfaces: Vec<NetworkInterface>,
        entropy: Entropy,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct BootSource {
        kernel_image_path: String,
        boot_args: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct MachineConfig {
        vcpu_count: u8,
        mem_size_mib: usize,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Drive {
        drive_id: String,
        path_on_host: String,
        is_root_device: bool,
        is_read_only: bool,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NetworkInterface {
        iface_id: String,
        host_dev_name: String,
        guest_mac: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entropy {}

    #[test]
    fn a_configuration_of_firecracker_has_its_keys() {
        let found: Configuration = serde_json::from_str(&file("firecracker.json")).expect("Firecracker's keys");
        // Its devices are on MMIO.
        assert!(found.boot_source.kernel_image_path.ends_with("/microvm.elf"));
        is_built(&found.boot_source.kernel_image_path);
        is_command_line(&found.boot_source.boot_args, "microvm.elf");
        assert!(found.machine_config.vcpu_count == 1 && found.machine_config.mem_size_mib >= 16);
        let [drive] = &found.drives[..] else { panic!("one drive") };
        is_built(&drive.path_on_host);
        // A root device would have words of its own put on the command line.
        assert!(!drive.is_root_device && !drive.is_read_only && drive.drive_id == "flash");
        let [network] = &found.network_interfaces[..] else { panic!("one network interface") };
        is_station(&network.guest_mac);
        assert!(!network.iface_id.is_empty() && network.host_dev_name.len() < 16);
        let Entropy {} = found.entropy;
    }
}

/// The words of a shell's only command, whose lines end in backslashes; quotes are single ones.
fn words(script: &str) -> Vec<String> {
    let command = script.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let command = command.replace("\\\n", " ");
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 0 {
            words.extend(part.split_whitespace().map(str::to_owned));
        } else {
            words.push(part.to_owned());
        }
    }
    words
}

#[test]
fn a_call_of_cloud_hypervisor_has_its_options() {
    let words = words(&file("cloud-hypervisor.sh"));
    let [exec, program, options @ ..] = &words[..] else { panic!("{words:?}") };
    assert_eq!((exec.as_str(), program.as_str()), ("exec", "cloud-hypervisor"));
    let value = |option: &str| {
        let mut pairs = options.chunks_exact(2).filter(|pair| pair[0] == option);
        let value = pairs.next().unwrap_or_else(|| panic!("no {option} in {options:?}"))[1].clone();
        assert!(pairs.next().is_none(), "{option} twice");
        value
    };
    let known = ["--cpus", "--memory", "--kernel", "--cmdline", "--disk", "--net", "--rng", "--serial", "--console"];
    assert_eq!(options.len(), 2 * known.len(), "{options:?}");
    assert_eq!((value("--cpus"), value("--memory")), ("boot=1".to_owned(), "size=64M".to_owned()));
    is_built(&value("--kernel"));
    is_command_line(&value("--cmdline"), "qemu_q35.elf");
    is_built(value("--disk").strip_prefix("path=").expect("a path"));
    let network = value("--net");
    let (tap, mac) = network.split_once(",mac=").expect("a station");
    assert!(tap.starts_with("tap=") && tap.len() < 20, "{tap}");
    is_station(mac);
    assert_eq!((value("--rng"), value("--serial")), ("src=/dev/urandom".to_owned(), "tty".to_owned()));
    // A console of virtio would be one more device, which the board does not know.
    assert_eq!(value("--console"), "off");
}

mod kubevirt {
    //! `VirtualMachine` of KubeVirt's API v1, as far as the file uses it.

    use super::{Deserialize, file, is_command_line};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct VirtualMachine {
        api_version: String,
        kind: String,
        metadata: Name,
        spec: Spec,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Name {
        name: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Spec {
        run_strategy: String,
        template: Template,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Template {
        metadata: Labels,
        spec: Instance,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Labels {
        labels: std::collections::BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Instance {
        termination_grace_period_seconds: u32,
        domain: Domain,
        networks: Vec<Network>,
        volumes: Vec<Volume>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Domain {
        machine: Machine,
        cpu: Cpu,
        memory: Memory,
        firmware: Firmware,
        devices: Devices,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Machine {
        r#type: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Cpu {
        cores: u32,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Memory {
        guest: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Firmware {
        kernel_boot: KernelBoot,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct KernelBoot {
        kernel_args: String,
        container: KernelBootContainer,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct KernelBootContainer {
        image: String,
        kernel_path: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Devices {
        autoattach_graphics_device: bool,
        rng: Empty,
        disks: Vec<Disk>,
        interfaces: Vec<Interface>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Empty {}

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Disk {
        name: String,
        disk: DiskTarget,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct DiskTarget {
        bus: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Interface {
        name: String,
        model: String,
        masquerade: Empty,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Network {
        name: String,
        pod: Empty,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Volume {
        name: String,
        container_disk: ContainerDisk,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ContainerDisk {
        image: String,
        path: String,
    }

    #[test]
    fn a_virtual_machine_of_kubevirt_has_its_keys_and_names_what_the_container_holds() {
        let found: VirtualMachine = serde_saphyr::from_str(&file("kubevirt.yaml")).expect("KubeVirt's keys");
        assert_eq!((found.api_version.as_str(), found.kind.as_str()), ("kubevirt.io/v1", "VirtualMachine"));
        assert_eq!((found.metadata.name.as_str(), found.spec.run_strategy.as_str()), ("slopos", "Always"));
        let Template { metadata, spec } = found.spec.template;
        assert_eq!(metadata.labels.get("kubevirt.io/domain"), Some(&found.metadata.name));
        // A look at the power button takes a second.
        assert!(spec.termination_grace_period_seconds > 2);
        let Domain { machine, cpu, memory, firmware, devices } = spec.domain;
        assert_eq!((machine.r#type.as_str(), cpu.cores, memory.guest.as_str()), ("q35", 1, "64Mi"));
        let KernelBoot { kernel_args, container } = firmware.kernel_boot;
        is_command_line(&kernel_args, "qemu_q35.elf");
        let (Empty {}, false) = (devices.rng, devices.autoattach_graphics_device) else {
            panic!("no screen is needed")
        };
        let ([disk], [volume]) = (&devices.disks[..], &spec.volumes[..]) else { panic!("one disk") };
        assert_eq!((disk.name.as_str(), disk.disk.bus.as_str()), (volume.name.as_str(), "virtio"));
        assert_eq!(volume.container_disk.image, container.image);
        let ([interface], [network]) = (&devices.interfaces[..], &spec.networks[..]) else { panic!("one network") };
        assert_eq!((interface.name.as_str(), interface.model.as_str()), (network.name.as_str(), "virtio"));
        let (Empty {}, Empty {}) = (&interface.masquerade, &network.pod);
        // What `./just disk --format oci` puts into an image.
        assert_eq!(container.kernel_path, format!("/{}", slopos_disk::oci::KERNEL));
        assert_eq!(volume.container_disk.path, format!("/{}", slopos_disk::oci::DISK));
    }
}
