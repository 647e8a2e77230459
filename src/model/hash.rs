//! SHA-256 of texts, and bytes in hexadecimal.

use sha2::{Digest, Sha256};

/// Bytes in hexadecimal, two small digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of texts one after another. With its length before it no text can run into the next one.
#[derive(Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds a text.
    pub fn add(&mut self, part: &str) {
        self.0.update(part.len().to_be_bytes());
        self.0.update(part);
    }

    /// The first `bytes` bytes of the hash (32 at most), in hexadecimal.
    #[must_use]
    pub fn finish(self, bytes: usize) -> String {
        let hash = self.0.finalize();
        hex(hash.get(..bytes).unwrap_or(&hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&str]| {
            let mut hasher = Hasher::default();
            parts.iter().for_each(|part| hasher.add(part));
            hasher.finish(4)
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_eq!((of(&["a"]).len(), of(&["a"])), (8, of(&["a"])));
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
