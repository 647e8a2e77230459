//! Frames and messages of the protocols: bytes in, messages out. No socket is touched here.
//!
//! Wire types carry no serde attributes that depend on a self-describing format, are not recursive, and only
//! ever grow at the end of an enum: their order is the format.

pub mod control;
pub mod shim;

/// Version of the control and status protocols. A `hello` with another one is refused by name.
pub const PROTOCOL_VERSION: u32 = 1;
