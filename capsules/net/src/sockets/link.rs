//! What a socket keeps for the table of connections.

use slopos_kernel::objects::SocketId;

/// A socket's part in the table's chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The port whose chain it is in, if it is in one.
    pub(super) port: Option<u16>,
    /// The next of the chain.
    pub(super) next: Option<SocketId>,
}
