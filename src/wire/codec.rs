//! Frames and the binary layout of messages: the only file that knows `bincode`.
//!
//! A frame is a little-endian `u32`, the length of what follows, and then one message in bincode 2's standard
//! layout (little-endian, variable-length integers). The layout is not self-describing: the order of fields and
//! variants is the format, and golden-byte tests hold it. It is never written to a disk.
//!
//! What a peer claims is never believed: a frame's length is checked against the limit before anything is done
//! with it, the buffer grows only by the bytes that came, and a length inside a message is bounded by the size of
//! the message that holds it.

use bincode::config;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a frame's header.
pub const HEADER: usize = 4;

/// The largest payload this build encodes or decodes, whatever limit is configured: 64 MiB.
pub const PAYLOAD_MAX: usize = 64 * 1024 * 1024;

/// Room that is kept when the buffer runs empty; more is given back, so that an idle connection that once had a
/// long message costs little.
const KEEP: usize = 16 * 1024;

/// Why a message cannot be put into bytes or taken out of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The message is longer than the limit.
    #[error("a message of {len} bytes is over the limit of {max} bytes")]
    TooLarge {
        /// Its length in bytes, without the header.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The bytes are not such a message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A message ended before its bytes did.
    #[error("malformed message: {0} bytes after its end")]
    Trailing(usize),
    /// The value cannot be encoded; a fault of this program, never of the peer.
    #[error("cannot encode a message: {0}")]
    Encode(String),
}

/// Why no further frame can be read from a connection. It must be closed: frame borders are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer announces a frame over the limit.
    #[error("the peer announces a frame of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// Announced length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A JSON line has no end within the limit.
    #[error("a line is over the limit of {max} bytes")]
    LineTooLong {
        /// The limit in bytes.
        max: usize,
    },
}

/// One message as a whole frame, header included. `max` is the limit for the payload, in bytes.
///
/// # Errors
/// [`CodecError::TooLarge`] if the payload is over `max` or [`PAYLOAD_MAX`].
pub fn encode<T: Serialize>(message: &T, max: usize) -> Result<Vec<u8>, CodecError> {
    let mut frame = vec![0; HEADER];
    bincode::serde::encode_into_std_write(message, &mut frame, config::standard())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    let len = frame.len() - HEADER;
    let max = max.min(PAYLOAD_MAX);
    let (true, Ok(header)) = (len <= max, u32::try_from(len)) else {
        return Err(CodecError::TooLarge { len, max });
    };
    frame[..HEADER].copy_from_slice(&header.to_le_bytes());
    Ok(frame)
}

/// The message in a frame's payload. Bytes after its end are refused.
///
/// # Errors
/// [`CodecError`] if the payload is too long, or not exactly one message of this type.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    // bincode reserves room for a text before it looks whether its bytes are there, so the limit, which must be
    // a constant, follows the payload's size in steps. It counts an integer as wide as its type, however few
    // bytes it took: hence the factor 8.
    const SMALL: usize = 32 * 1024;
    const MIDDLE: usize = 512 * 1024;
    const LARGE: usize = crate::model::limits::FRAME_MAX;
    let len = payload.len();
    if len <= SMALL {
        decode_limited::<T, { 8 * SMALL }>(payload)
    } else if len <= MIDDLE {
        decode_limited::<T, { 8 * MIDDLE }>(payload)
    } else if len <= LARGE {
        decode_limited::<T, { 8 * LARGE }>(payload)
    } else if len <= PAYLOAD_MAX {
        decode_limited::<T, { 8 * PAYLOAD_MAX }>(payload)
    } else {
        Err(CodecError::TooLarge {
            len,
            max: PAYLOAD_MAX,
        })
    }
}

fn decode_limited<T: DeserializeOwned, const LIMIT: usize>(payload: &[u8]) -> Result<T, CodecError> {
    let config = config::standard().with_limit::<LIMIT>();
    let (message, used) = bincode::serde::decode_from_slice(payload, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    match payload.len() - used {
        0 => Ok(message),
        rest => Err(CodecError::Trailing(rest)),
    }
}

/// What came from a peer and is not yet taken: bytes in, frames (or lines) out.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
    searched: usize,
    max: usize,
}

impl FrameBuffer {
    /// An empty buffer for frames of at most `max` bytes of payload (and never over [`PAYLOAD_MAX`]).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
            searched: 0,
            max: max.min(PAYLOAD_MAX),
        }
    }

    /// Takes in what was read from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What has come and is not yet taken.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Whether nothing is left over. At the end of a connection, false means that it broke inside a frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    /// The next whole frame's payload, or none if more bytes must come first. Call it until it gives none.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] as soon as a header announces more than the limit.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((header, rest)) = self.pending().split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if len > self.max {
            return Err(FrameError::TooLarge { len, max: self.max });
        }
        let Some(payload) = rest.get(..len).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.consume(HEADER + len);
        Ok(Some(payload))
    }

    /// The next whole line without its line feed, or none if more bytes must come first.
    ///
    /// # Errors
    /// [`FrameError::LineTooLong`] as soon as more than the limit has come without a line feed.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let searched = self.searched;
        let found = self.pending().iter().skip(searched).position(|b| *b == b'\n');
        let len = found.map_or(self.pending().len(), |at| at + searched);
        if len > self.max {
            return Err(FrameError::LineTooLong { max: self.max });
        }
        if found.is_none() {
            self.searched = len;
            return Ok(None);
        }
        let line = self.pending().get(..len).unwrap_or_default().to_vec();
        self.consume(len + 1);
        Ok(Some(line))
    }

    /// Takes exactly `N` bytes, or none if fewer have come.
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = *self.pending().first_chunk::<N>()?;
        self.consume(N);
        Some(bytes)
    }

    fn consume(&mut self, len: usize) {
        self.taken += len;
        self.searched = 0;
        if self.taken >= self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests;
