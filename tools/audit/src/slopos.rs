//! What the audit knows of SlopOS by name: the board's statics, and the types whose bytes have a row of their own.
//!
//! Everything else is found by following the types. A name that no longer exists is an error, never a missing row.

use slopos_elf::types::{Shape, TypeId, Types};

/// The static with a process's control blocks.
pub const CONTROL: &str = "CONTROL";
/// The static with a process's set of sockets.
pub const SET: &str = "SET";
/// The static with a process's receive buffers.
pub const RECEIVE: &str = "RECEIVE";
/// The static with a process's send buffers.
pub const SEND: &str = "SEND";
/// The static with a process's random bytes.
pub const RANDOM: &str = "RANDOM";
/// The static with what the entropy capsule knows of a process.
pub const REGION: &str = "REGION";
/// The static with the command that a process asks for.
pub const LINE: &str = "LINE";
/// The static with what the process console knows of a process that asks for commands.
pub const REQUEST: &str = "REQUEST";
/// The static with a process's code, constants and data.
pub const RAM: &str = "RAM";
/// The static with a process's stack.
pub const STACK: &str = "STACK";

/// What the bytes of a socket's control block are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All that is not below.
    Control,
    /// Which bytes behind a gap are there.
    Reassembly,
    /// What was sent and not acknowledged, and when it is sent again.
    Retransmission,
    /// What a connection in TIME-WAIT needs beyond its addresses.
    TimeWait,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Control, Part::Reassembly, Part::Retransmission, Part::TimeWait];

    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Part::Control => "control blocks",
            Part::Reassembly => "reassembly maps",
            Part::Retransmission => "retransmission state",
            Part::TimeWait => "TIME-WAIT records",
        }
    }

    /// The part that a type belongs to whole.
    fn of_type(name: &str) -> Option<Part> {
        match name {
            "slopos_net::tcp::receiver::assembler::Assembler" => Some(Part::Reassembly),
            "slopos_net::tcp::loss::scoreboard::Scoreboard"
            | "slopos_net::tcp::rtt::RoundTrip"
            | "slopos_net::tcp::timers::Timers" => Some(Part::Retransmission),
            _ => None,
        }
    }

    /// The part that the data of an enum's variant belongs to.
    fn of_variant(name: &str) -> Option<Part> {
        // While a connection is in TIME-WAIT its control block is kept for the addresses and sequence numbers; this is
        // what it needs for nothing else.
        (name == "TimeWait").then_some(Part::TimeWait)
    }
}

/// How many bytes of a type belong to each part, in the order of [`Part::ALL`]. They sum up to the type's size.
pub fn parts(types: &Types, kind: TypeId) -> [u64; 4] {
    let mut sums = [0; 4];
    let Some(found) = types.get(kind) else { return sums };
    add_parts(types, kind, &mut sums);
    let others: u64 = sums[1..].iter().sum();
    sums[Part::Control as usize] = found.size.saturating_sub(others);
    sums
}

/// Adds what belongs to a part other than the control block.
fn add_parts(types: &Types, kind: TypeId, sums: &mut [u64; 4]) {
    let Some(found) = types.get(kind) else { return };
    if let Some(part) = Part::of_type(&found.name) {
        sums[part as usize] += found.size;
        return;
    }
    match &found.shape {
        Shape::Structure(fields) => fields.iter().for_each(|field| add_parts(types, field.kind, sums)),
        Shape::Variants { variants, .. } => {
            for variant in variants {
                if let Some(part) = Part::of_variant(&variant.field.name)
                    && let Some(Shape::Structure(fields)) = types.get(variant.field.kind).map(|kind| &kind.shape)
                {
                    let bytes = fields.iter().filter_map(|field| types.get(field.kind)).map(|kind| kind.size);
                    sums[part as usize] += bytes.sum::<u64>();
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slopos_elf::types::{Field, Type, Variant};

    #[test]
    fn the_parts_of_a_control_block_sum_up() {
        let mut types = Types::default();
        let mut add = |id: usize, name: &str, size, fields: &[(&str, usize, u64)]| {
            let field =
                |&(name, kind, offset): &(&str, usize, u64)| Field { name: name.into(), kind: TypeId(kind), offset };
            let shape = Shape::Structure(fields.iter().map(field).collect());
            types.insert(TypeId(id), Type { name: name.into(), size, shape });
        };
        add(1, "slopos_net::tcp::receiver::assembler::Assembler", 100, &[]);
        add(2, "slopos_net::tcp::timers::Timers", 40, &[]);
        add(3, "slopos_kernel::time::Instant", 8, &[]);
        add(4, "Connection", 180, &[("assembler", 1, 0), ("timers", 2, 100), ("life", 7, 140)]);
        // 20 bytes of the socket are its own, and padding counts as the control block's.
        add(5, "Socket", 200, &[("tcp", 4, 0)]);
        add(6, "TimeWait", 16, &[("since", 3, 8)]);
        let field = Field { name: "TimeWait".into(), kind: TypeId(6), offset: 0 };
        let shape = Shape::Variants { tag: None, variants: vec![Variant { value: Some(9), field }] };
        types.insert(TypeId(7), Type { name: "Life".into(), size: 16, shape });
        assert_eq!(parts(&types, TypeId(5)), [52, 100, 40, 8]);
        assert_eq!(parts(&types, TypeId(9)), [0; 4]);
    }
}
