//! Taking an input apart. Byte 0xFF, which no UTF-8 text has, stands between two parts.

/// The parts of an input, in order.
pub(crate) fn parts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == 0xFF)
}
