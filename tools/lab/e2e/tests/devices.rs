//! Network and block devices that are not the usual one.

use slopos_e2e::{Report, board, built, fetch, run, test_board};
use slopos_lab::servers::programs::Python;
use slopos_run::{Builder, Transport};

/// Fetches a mebibyte with this board and compares the hashes.
#[track_caller]
fn fetches(board: Builder) {
    let server = Python::new();
    let sha256 = server.file("file", 1 << 20);
    let report = fetch(board, &format!("--sha256 {}", server.url("file")));
    report.exits(0).shows(&format!("{sha256}  1048576"));
    assert!(report.outcome.qemu.is_empty(), "{}", report.all());
}

#[test]
fn a_device_without_interrupt_vectors_works() {
    fetches(board().network_properties("vectors=0"));
}

#[test]
fn a_legacy_device_without_interrupt_vectors_works() {
    fetches(board().network(Transport::Legacy).network_properties("vectors=0"));
}

#[test]
fn a_device_with_long_queues_works() {
    fetches(board().network_properties("rx_queue_size=1024"));
}

#[test]
fn a_legacy_device_with_long_queues_works() {
    fetches(board().network(Transport::Legacy).network_properties("rx_queue_size=1024"));
}

#[test]
fn a_device_with_a_small_mtu_works_within_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("frames.pcap");
    fetches(board().network_properties("host_mtu=1400").capture(&capture));
    let frames = frames(&std::fs::read(&capture).expect("a capture"));
    assert!(frames.len() > 20, "{} frames are too few for a mebibyte", frames.len());
    // Our station's frames: 1400 bytes of IP and the 14-byte Ethernet header are the most.
    let ours = |frame: &&Vec<u8>| frame.get(6..12) == Some(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    let largest = frames.iter().filter(ours).map(Vec::len).max();
    assert!(largest.is_some_and(|length| length <= 1414), "{largest:?}");
    // The peer keeps to it because the segment size that we offer is the MTU less 40 bytes of headers.
    let offers: Vec<u16> = frames.iter().filter(ours).filter_map(|frame| segment_size(frame)).collect();
    assert!(!offers.is_empty() && offers.iter().all(|&size| size == 1360), "{offers:?}");
}

#[test]
fn devices_whose_addresses_are_the_platforms_work() {
    // VIRTIO_F_ACCESS_PLATFORM: a device that offers it works with no driver that does not accept it.
    let disk = ["-global", "virtio-blk-pci.iommu_platform=on"];
    fetches(board().disk(Transport::Modern).network_properties("iommu_platform=on").arguments(disk));
}

#[test]
fn a_device_whose_mtu_carries_no_dhcp_message_is_used_without_it() {
    for mtu in [68, 327] {
        let report = fetch(board().network_properties(format!("host_mtu={mtu}")), "http://10.0.2.2:1/");
        report.exits(7).logs(&format!("virtio-net: mtu {mtu} of the device declined, DHCP needs 328"));
        report.logs("dhcp: lease 10.0.2.15/24");
    }
    fetches(board().network_properties("host_mtu=328"));
}

#[test]
fn a_board_without_a_network_device_says_so() {
    let report = fetch(board().network(Transport::None), "http://10.0.2.2:8000/");
    report.exits(28).shows("webget: 10.0.2.2:8000: no network device").lacks("timed out");
}

#[test]
fn a_device_behind_a_root_port_works() {
    fetches(board().root_port(true));
}

#[test]
fn a_device_behind_a_root_port_without_interrupt_vectors_works() {
    fetches(board().root_port(true).network_properties("vectors=0"));
}

#[test]
fn a_board_without_a_flash_device_still_boots() {
    let report = fetch(board().disk(Transport::None), "http://10.0.2.2:1/");
    report.logs("virtio-net: ready ").lacks("panic: ");
    assert_ne!(report.outcome.code, 33, "a program ran without a flash\n{}", report.all());
    assert_eq!(report.outcome.code % 2, 1, "the board did not exit by itself\n{}", report.all());
}

#[test]
fn each_kind_of_flash_device_works() {
    fetches(board().disk(Transport::Modern));
    fetches(board().disk(Transport::Legacy));
}

/// The frames of a capture in pcap format, little-endian: a header of 24 bytes, then 16 bytes before each frame.
fn frames(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = &capture[24..];
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        frames.push(rest[16..16 + length].to_vec());
        rest = &rest[16 + length..];
    }
    frames
}

/// The maximum segment size option of a TCP segment with SYN (RFC 9293 section 3.7.1), where it is one.
fn segment_size(frame: &[u8]) -> Option<u16> {
    let ip = frame.get(14..)?;
    let is_tcp = frame.get(12..14)? == [8, 0] && *ip.get(9)? == 6;
    let tcp = ip.get(usize::from(ip.first()? & 15) * 4..)?;
    let header = usize::from(*tcp.get(12)? >> 4) * 4;
    if !is_tcp || tcp.get(13)? & 2 == 0 {
        return None;
    }
    let mut options = tcp.get(20..header)?;
    loop {
        match *options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([high, low])),
            [1, ref rest @ ..] => options = rest,
            [_, length, ..] if length >= 2 => options = options.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

/// Has a board's block device tested by the board's own tests, which read and write parts of its regions.
#[track_caller]
fn passes_its_tests_with(properties: &[&str]) -> Report {
    let global = |property: &&str| ["-global".to_owned(), format!("virtio-blk-pci.{property}")];
    let report = run(test_board().arguments(properties.iter().flat_map(global)).append("test; exit"));
    report.exits(0).logs("Interrupt tests passed.");
    report
}

#[test]
fn a_disk_with_blocks_of_4096_bytes_is_read_and_written_a_sector_at_a_time() {
    let report = passes_its_tests_with(&["logical_block_size=4096", "physical_block_size=4096"]);
    report.logs("virtio-blk: blocks of 4096 bytes");
}

#[test]
fn of_a_disk_with_several_queues_one_is_used() {
    passes_its_tests_with(&["num-queues=4"]).logs("virtio-blk: one of 4 queues is used");
}

#[test]
fn a_disk_that_is_read_only_is_read_and_a_write_is_refused_by_name() {
    let image = built("qemu_q35-test.img");
    let drive = format!("if=none,id=ro,format=raw,readonly=on,file.locking=off,file={}", image.display());
    let disk = ["-drive", &drive, "-device", "virtio-blk-pci,drive=ro"];
    let report = run(test_board().disk(Transport::None).arguments(disk).append("syscalls; exit"));
    report.logs("flash: the whole disk").shows("EROFS");
}
