//! Bytes that look random, cost nothing to make and tell where they are.

use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A prime, so that a piece that went astray by any usual distance (a segment, a page, a buffer) does not fit
/// where it lands; and small, so that the source stays in the processor's cache.
const PERIOD: usize = 131_071;

/// The bytes of one period, from a xorshift generator with a fixed start.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[7]
    })
    .take(PERIOD)
    .collect()
});

/// The pattern's bytes from `offset` on, at least one and at most `limit` (which is not 0).
#[must_use]
pub fn from(offset: u64, limit: u64) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    let rest = &BLOCK[start..];
    &rest[..rest.len().min(usize::try_from(limit).unwrap_or(usize::MAX))]
}

/// The pattern's `len` bytes from `offset` on.
#[must_use]
pub fn piece(offset: u64, len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        let done = bytes.len() as u64;
        bytes.extend_from_slice(from(offset + done, len - done));
    }
    bytes
}

/// SHA-256 of the first `len` bytes, in hexadecimal.
#[must_use]
pub fn digest(len: u64) -> String {
    let mut digest = Sha256::new();
    let mut offset = 0;
    while offset < len {
        let piece = from(offset, len - offset);
        digest.update(piece);
        offset += piece.len() as u64;
    }
    hex(digest)
}

/// The digest's value in hexadecimal.
#[must_use]
pub fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_parts_of_one_stream() {
        let len = 300_000;
        let whole = piece(0, len);
        assert_eq!(whole.len() as u64, len);
        assert_eq!(whole[..1000], whole[PERIOD..PERIOD + 1000]);
        assert_eq!(piece(131_000, 1000), whole[131_000..132_000]);
        assert_eq!(from(200_000, 50), &whole[200_000..200_050]);
        for distance in [1, 1448, 1460, 4096, 65_536] {
            assert_ne!(whole[..1000], whole[distance..distance + 1000]);
        }
        assert_eq!(digest(len), hex(Sha256::new_with_prefix(&whole)));
    }
}
