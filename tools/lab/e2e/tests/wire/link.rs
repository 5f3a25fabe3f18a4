//! The cable is pulled and put back.

use crate::{Scene, ms};
use serde_json::json;
use slopos_e2e::{board, has_pci};
use slopos_lab::files;
use slopos_lab::servers::response;
use slopos_lab::wire::dhcp::{code, kind};
use slopos_lab::wire::{BROADCAST, Dhcp};
use slopos_netlab::lab::{BOARD, ROUTER, SOON};
use slopos_netlab::server::url;
use slopos_netlab::{Lab, Offer};
use slopos_run::qmp::Qmp;

/// A lease is confirmed when the link comes back, and connections live on. How the device interrupts matters: it tells
/// of its configuration by another message than of its queues, or by the same pin. Without PCI there are no messages.
#[track_caller]
fn survives_a_pulled_cable(properties: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = folder.path().join("monitor");
    let machine = board().arguments(["-qmp".to_owned(), format!("unix:{},server=on,wait=off", monitor.display())]);
    let machine = machine.network_properties(if has_pci() { properties } else { "" });
    let mut scene = Scene::of(machine, Lab::new(), &format!("webget --sha256 {}; exit", url()));
    let mut server = scene.accept(Offer::default());
    let body = files::bytes(40_000);
    let bytes = response(&body);
    server.reply(&mut scene.lab, &bytes[..10_000]);
    let lease = scene.lab.lease.take().expect("a lease");
    scene.lab.during(ms(100));

    let mut qmp = Qmp::connect(&monitor).expect("QEMU's monitor");
    let mut set_link = |up: bool| qmp.execute("set_link", Some(json!({ "name": "net0", "up": up }))).expect("a link");
    set_link(false);
    let silence = scene.lab.during(ms(1_500));
    assert!(silence.is_empty(), "nothing leaves a board whose link is down: {silence:?}");
    set_link(true);

    // RFC 2131 section 3.2: the address is asked for by name, and no server in particular.
    let (_, frame, request) = scene.lab.wait_dhcp(kind::REQUEST, SOON);
    assert_eq!((request.address(code::REQUESTED), request.option(code::SERVER)), (Some(BOARD), None));
    assert_eq!((request.client.is_unspecified(), frame.destination), (true, BROADCAST));
    let confirmation: Dhcp = request.answer(BOARD, lease.options(kind::ACK));
    scene.lab.send_dhcp(ROUTER, confirmation, false);
    server.reply(&mut scene.lab, &bytes[10_000..]);
    let report = scene.received(&body);
    report.logs("net: link down").logs("net: link up");
}

#[test]
fn a_device_that_interrupts_by_messages_loses_its_link_and_finds_it_again() {
    survives_a_pulled_cable("vectors=4");
}

#[test]
fn a_device_that_interrupts_by_its_pin_loses_its_link_and_finds_it_again() {
    survives_a_pulled_cable("vectors=0");
}

#[test]
fn where_the_link_is_down_webget_says_so_when_its_limit_has_passed() {
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = folder.path().join("monitor");
    let machine = board().arguments(["-qmp".to_owned(), format!("unix:{},server=on,wait=off", monitor.display())]);
    let script = format!("sleep 4; webget --timeout 2 {}; exit", url());
    let mut scene = Scene::of(machine, Lab::new(), &script);
    scene.lab.wait_arp("a probe", SOON, |arp| arp.is_probe_for(BOARD));
    scene.lab.during(ms(200));
    let mut qmp = Qmp::connect(&monitor).expect("QEMU's monitor");
    qmp.execute("set_link", Some(json!({ "name": "net0", "up": false }))).expect("a link");
    scene.ends(28).shows("the network link is down").lacks("timed out");
}
