//! Frames and messages of the protocols: bytes in, messages out.
