//! Who asks, as the kernel names them.

use serde::{Deserialize, Serialize};

/// The process at the other end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Process id at the time it connected; for the log only, never for a decision.
    pub pid: u32,
    /// Effective user id at the time it connected.
    pub uid: u32,
    /// Effective group id at the time it connected.
    pub gid: u32,
}
