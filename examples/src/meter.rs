//! What a transfer moved and what it cost.

use crate::pattern;
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// CPU time that the calling thread has used, in user space and in the kernel on its behalf.
#[must_use]
pub fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Counts and hashes what a receiver gets, and knows what the hashing cost, so that it can be left out.
#[derive(Debug, Default)]
pub struct Tally {
    bytes: u64,
    digest: Sha256,
    hashing: Duration,
}

impl Tally {
    /// Takes the next bytes of the stream.
    pub fn take(&mut self, bytes: &[u8]) {
        let before = thread_cpu();
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.hashing += thread_cpu().saturating_sub(before);
    }

    /// How many bytes it took.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// CPU time that went into hashing.
    #[must_use]
    pub const fn hashing(&self) -> Duration {
        self.hashing
    }

    /// SHA-256 of the stream, in hexadecimal.
    #[must_use]
    pub fn digest(self) -> String {
        pattern::hex(self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_bytes_digest_and_what_the_hashing_cost() {
        let before = thread_cpu();
        let mut tally = Tally::default();
        let mut offset = 0;
        while offset < 10_000_000 {
            let piece = pattern::from(offset, 10_000_000 - offset);
            tally.take(piece);
            offset += piece.len() as u64;
        }
        let whole = thread_cpu() - before;
        assert_eq!(tally.bytes(), 10_000_000);
        assert!(tally.hashing() > Duration::ZERO && tally.hashing() <= whole);
        assert_eq!(tally.digest(), pattern::digest(10_000_000));
    }
}
