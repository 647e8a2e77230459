//! The opening of a connection: who speaks which version of the protocol.
//!
//! The client sends 12 bytes, a magic text and its version as a little-endian `u32`; the server answers with its
//! own 12 bytes, also when it then refuses, so that each side can tell a wrong peer from a wrong version. A
//! connection whose first byte is `{` has no hello and speaks JSON lines ([`super::json`]).

use super::{FrameBuffer, PROTOCOL_VERSION};

/// Length of a hello in bytes.
pub const HELLO_LEN: usize = 12;

/// What the control socket's hello begins with.
pub const CONTROL_MAGIC: [u8; 8] = *b"PROCTOR\0";

/// What a status socket's hello begins with.
pub const STATUS_MAGIC: [u8; 8] = *b"PROCSHM\0";

/// The opening of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Which protocol: [`CONTROL_MAGIC`] or [`STATUS_MAGIC`].
    pub magic: [u8; 8],
    /// Its version.
    pub version: u32,
}

/// Why the other side cannot be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The first bytes are not those of this protocol.
    #[error("the peer does not speak this protocol")]
    Magic,
    /// The peer speaks another version.
    #[error(
        "the peer speaks protocol version {theirs}, this side version {ours}; use binaries of the same release"
    )]
    Version {
        /// Version of the peer.
        theirs: u32,
        /// Version of this side.
        ours: u32,
    },
}

/// How a client opened its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// With a hello of the right protocol and version: frames follow.
    Frames,
    /// With `{`: lines of JSON, of which nothing is taken yet.
    Json,
}

impl Hello {
    /// The hello of this build for a protocol.
    #[must_use]
    pub const fn new(magic: [u8; 8]) -> Self {
        Self {
            magic,
            version: PROTOCOL_VERSION,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        let (magic, version) = bytes.split_at_mut(self.magic.len());
        magic.copy_from_slice(&self.magic);
        version.copy_from_slice(&self.version.to_le_bytes());
        bytes
    }

    /// The hello that these bytes are; any bytes are one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; HELLO_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, v0, v1, v2, v3] = bytes;
        Self {
            magic: [a, b, c, d, e, f, g, h],
            version: u32::from_le_bytes([v0, v1, v2, v3]),
        }
    }

    /// Whether a peer with this hello can be talked to by one whose hello is `ours`.
    ///
    /// # Errors
    /// [`HelloError`] names what differs.
    pub fn accept(self, ours: Self) -> Result<(), HelloError> {
        if self.magic != ours.magic {
            return Err(HelloError::Magic);
        }
        if self.version != ours.version {
            return Err(HelloError::Version {
                theirs: self.version,
                ours: ours.version,
            });
        }
        Ok(())
    }
}

/// Server's side: takes the opening of a connection out of its buffer; none if more bytes must come first. A
/// wrong magic is noticed at its first wrong byte, so that a peer of another protocol is not waited for.
///
/// # Errors
/// [`HelloError`] names what differs; the answer is then this side's own hello, and the connection is closed.
pub fn open(buffer: &mut FrameBuffer, ours: Hello) -> Result<Option<Opening>, HelloError> {
    if buffer.pending().first() == Some(&b'{') {
        return Ok(Some(Opening::Json));
    }
    if receive(buffer, ours)? {
        return Ok(Some(Opening::Frames));
    }
    Ok(None)
}

/// Client's side: takes the server's hello out of the buffer; false if more bytes must come first.
///
/// # Errors
/// [`HelloError`] names what differs.
pub fn receive(buffer: &mut FrameBuffer, ours: Hello) -> Result<bool, HelloError> {
    if buffer.pending().iter().zip(ours.magic).any(|(a, b)| *a != b) {
        return Err(HelloError::Magic);
    }
    match buffer.take::<HELLO_LEN>() {
        Some(bytes) => Hello::from_bytes(bytes).accept(ours).map(|()| true),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests;
