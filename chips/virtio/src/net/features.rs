//! What is agreed with a network device (sections 5.1.3, 5.1.4 and 6): nothing that offloads.

use bitfield::bitfield;
use slopos_registers::Bus;

use super::StartError;
use super::buffers::Framing;
use crate::transport::{Transport, TransportError};

/// Largest payload of an Ethernet frame, where the device names none.
const MTU_USUAL: u16 = 1500;
/// Smallest MTU of a device that is used. A device may name 68 (section 5.1.4.1), but on such a link nobody gets an
/// address: a DHCP message is 300 bytes long (RFC 1542 section 2.1), 328 with its headers, and is not cut up. One that
/// is too small is declined, and frames are as large as where the device names none.
pub const MTU_LEAST: u16 = 328;
/// Bytes of an Ethernet header.
pub const ETHERNET_HEADER: usize = 14;

bitfield! {
    /// Feature bits of a network device.
    #[derive(Clone, Copy, Default)]
    pub struct Features(u64);
    /// VIRTIO_NET_F_MTU: the configuration has an MTU.
    pub mtu, set_mtu: 3;
    /// VIRTIO_NET_F_MAC: the configuration has a hardware address.
    pub mac, set_mac: 5;
    /// VIRTIO_NET_F_STATUS: the configuration has the link's state.
    pub status, set_status: 16;
    /// VIRTIO_F_ANY_LAYOUT, of a legacy device: header and frame may share a descriptor.
    pub any_layout, set_any_layout: 27;
    /// VIRTIO_F_RING_EVENT_IDX: each side says at which index it wants to be told.
    pub ring_event_idx, set_ring_event_idx: 29;
    /// VIRTIO_F_VERSION_1.
    pub version_1, set_version_1: 32;
}

bitfield! {
    /// Field `status` of the configuration (section 5.1.4).
    struct LinkStatus(u16);
    /// VIRTIO_NET_S_LINK_UP.
    link_up, _: 0;
}

/// Offsets in the device's configuration (section 5.1.4).
mod offset {
    pub const MAC: usize = 0;
    pub const STATUS: usize = 6;
    pub const MTU: usize = 10;
}

/// What was agreed.
pub struct Agreed {
    /// The accepted features.
    pub features: Features,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Largest payload of a frame.
    pub mtu: u16,
    /// How headers go with frames.
    pub framing: Framing,
}

/// Chooses among the offered features, and accepts. `frame` is the size of the frame buffers.
pub fn agree<B: Bus>(transport: &Transport<B>, frame: u16, fallback_mac: [u8; 6]) -> Result<Agreed, StartError> {
    let offered = Features(transport.offered());
    let mut features = Features(0);
    if transport.is_modern() {
        if !offered.version_1() {
            return Err(StartError::NotVersion1);
        }
        features.set_version_1(true);
    } else {
        features.set_any_layout(offered.any_layout());
    }
    features.set_mac(offered.mac());
    features.set_status(offered.status());
    features.set_ring_event_idx(offered.ring_event_idx());

    let room = frame.saturating_sub(ETHERNET_HEADER as u16);
    let mut mtu = MTU_USUAL.min(room);
    if offered.mtu() {
        let named = transport.read_stable(|transport| transport.configuration::<u16>(offset::MTU))?;
        if (MTU_LEAST..=room).contains(&named) {
            features.set_mtu(true);
            mtu = named;
        } else {
            defmt::warn!(
                "virtio-net: mtu {=u16} of the device declined, DHCP needs {=u16} and the buffers are for {=u16}",
                named,
                MTU_LEAST,
                room
            );
        }
    }
    let mac = if features.mac() { read_mac(transport)? } else { fallback_mac };
    // The lowest bit of the first byte marks a group; a host's address is not one.
    if mac[0] & 1 != 0 || mac == [0; 6] {
        return Err(StartError::BadMac { mac });
    }
    transport.accept(features.0)?;
    let framing = match (transport.is_modern(), features.any_layout()) {
        (true, _) => Framing::Modern,
        (false, true) => Framing::AnyLayout,
        (false, false) => Framing::Separate,
    };
    Ok(Agreed { features, mac, mtu, framing })
}

fn read_mac<B: Bus>(transport: &Transport<B>) -> Result<[u8; 6], TransportError> {
    transport.read_stable(|transport| {
        let mut mac = [0; 6];
        for (index, byte) in mac.iter_mut().enumerate() {
            *byte = transport.configuration(offset::MAC + index)?;
        }
        Ok(mac)
    })
}

/// Whether the link is up; without VIRTIO_NET_F_STATUS it counts as always up (section 5.1.4.2).
pub fn link_up<B: Bus>(transport: &Transport<B>, features: Features) -> Result<bool, TransportError> {
    if !features.status() {
        return Ok(true);
    }
    let status = transport.read_stable(|transport| transport.configuration::<u16>(offset::STATUS))?;
    Ok(LinkStatus(status).link_up())
}
