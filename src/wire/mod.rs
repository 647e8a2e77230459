//! Frames and messages of the protocols: bytes in, messages out. No socket is touched here.
//!
//! Wire types carry no serde attributes that depend on a self-describing format, are not recursive, and only
//! ever grow at the end of an enum: their order is the format.
//!
//! A connection begins with [`hello`], goes on with the frames of [`codec`] or the lines of [`json`], and every
//! request is put to the table of [`access`] before anything else is done with it.

pub mod access;
pub mod codec;
pub mod control;
pub mod hello;
pub mod json;
pub mod manage;
pub mod shim;

pub use codec::{CodecError, FrameBuffer, FrameError};

/// Version of the control and status protocols. A `hello` with another one is refused by name.
pub const PROTOCOL_VERSION: u32 = 1;
