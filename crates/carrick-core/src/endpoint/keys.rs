//! Keyed functions: initial sequence numbers, timestamp offsets, ports, table hashes.
//!
//! All keys are derived from the endpoint's seed, the only randomness in the core, and stay for its life
//! (RFC 6528 §3, RFC 6056 §3.3, RFC 7323 §5.4).

use crate::{Instant, Tuple};
use carrick_wire::SeqNum;
use core::hash::{BuildHasher, Hash, Hasher};
use core::net::IpAddr;
use siphasher::sip::{SipHasher13, SipHasher24};

/// One tick of the ISN clock (RFC 9293 §3.4.1).
const ISN_TICK_NANOS: u64 = 4_000;

#[derive(Clone)]
pub(crate) struct Keys {
    table: (u64, u64),
    /// The secret of everything that an outsider sees results of.
    secret: (u64, u64),
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

#[derive(Clone, Copy, Hash)]
enum Purpose {
    Isn,
    Timestamp,
    Port,
    PortCounter,
    FlowLabel,
    Class,
    Noise,
    Cookie,
    BoundPort,
}

impl Keys {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut words = seed.chunks_exact(8).map(|word| word.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
        let mut word = || words.next().unwrap_or(0);
        Self { table: (word(), word()), secret: (word(), word()) }
    }

    fn keyed_wide(&self, purpose: Purpose, what: impl Hash) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.secret.0, self.secret.1);
        (purpose, what).hash(&mut hasher);
        hasher.finish()
    }

    fn keyed(&self, purpose: Purpose, what: impl Hash) -> u32 {
        // Half of the 64 bits; which half is all one.
        u32::try_from(self.keyed_wide(purpose, what) >> 32).unwrap_or(0)
    }

    /// The key of the SYN cookies of a slot, of 128 bits as the secret that it comes from.
    pub(super) fn cookie_key(&self, slot: u64) -> (u64, u64) {
        let half = |upper: bool| self.keyed_wide(Purpose::Cookie, (upper, slot));
        (half(false), half(true))
    }

    /// ISN = M + F(tuple, secret), M ticking every 4 us (RFC 6528 §3).
    pub(crate) fn isn(&self, tuple: &Tuple, now: Instant) -> SeqNum {
        let ticks = (now.as_nanos() / ISN_TICK_NANOS) & u64::from(u32::MAX);
        SeqNum::new(self.keyed(Purpose::Isn, tuple)) + u32::try_from(ticks).unwrap_or(0)
    }

    pub(crate) fn ts_offset(&self, tuple: &Tuple) -> u32 {
        self.keyed(Purpose::Timestamp, tuple)
    }

    /// 20 bits, constant for a tuple (RFC 6437).
    pub(crate) fn flow_label(&self, tuple: &Tuple) -> u32 {
        self.keyed(Purpose::FlowLabel, tuple) & 0xf_ffff
    }

    /// Where a tuple stands in a table.
    pub(super) fn place(&self, tuple: &Tuple) -> u64 {
        let ports = u32::from(tuple.local_port) << 16 | u32::from(tuple.remote_port);
        let sip = self.build_hasher();
        match (tuple.local, tuple.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                let addresses = u128::from(local.to_bits()) << 64 | u128::from(remote.to_bits()) << 32;
                sip.hash(&(addresses | u128::from(ports)).to_le_bytes())
            }
            _ => self.hash_one(tuple),
        }
    }

    /// With whom an address shares its limits; of IPv6 the network counts, of which a host may use all.
    pub(super) fn class(&self, of: IpAddr, slot: u64) -> u32 {
        let of = match of {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(0),
        };
        self.keyed(Purpose::Class, (of, slot))
    }

    /// A number that nobody can foresee.
    pub(super) fn noise(&self, of: impl Hash) -> u32 {
        self.keyed(Purpose::Noise, of)
    }

    /// Which counter the ports to that destination step on (RFC 6056 §3.3.4).
    pub(super) fn port_counter(&self, local: IpAddr, remote: IpAddr, remote_port: u16) -> u32 {
        self.keyed(Purpose::PortCounter, (local, remote, remote_port))
    }

    /// Where the search for a port to that destination starts (RFC 6056 §3.3.3).
    pub(crate) fn port_offset(&self, local: IpAddr, remote: IpAddr, remote_port: u16) -> u32 {
        self.keyed(Purpose::Port, (local, remote, remote_port))
    }

    /// Where the search for the `n`th port without a destination starts: one says nothing of the next.
    pub(super) fn bound_port(&self, n: u64) -> u32 {
        self.keyed(Purpose::BoundPort, n)
    }
}

impl BuildHasher for Keys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.table.0, self.table.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shld_1_the_number_is_the_clock_plus_a_keyed_hash_of_the_tuple() {
        let mut seed = [0; 32];
        seed[16..24].copy_from_slice(&0x0102_0304_0506_0708u64.to_be_bytes());
        seed[24..].copy_from_slice(&0x1112_1314_1516_1718u64.to_be_bytes());
        let keys = Keys::new(seed);
        let tuple = |local_port| Tuple {
            local: [192, 0, 2, 2].into(),
            remote: [203, 0, 113, 1].into(),
            local_port,
            remote_port: 80,
        };
        let f = |tuple: &Tuple| {
            let mut hasher = SipHasher24::new_with_keys(0x0102_0304_0506_0708, 0x1112_1314_1516_1718);
            Purpose::Isn.hash(&mut hasher);
            tuple.hash(&mut hasher);
            (hasher.finish() >> 32) as u32
        };
        for (nanos, ticks) in [(0, 0), (4_000, 1), (1_000_000_000, 250_000), (4_000 << 32, 0)] {
            let now = Instant::from_nanos(nanos);
            assert_eq!(keys.isn(&tuple(5000), now).get(), f(&tuple(5000)).wrapping_add(ticks));
        }
        let step = |port| f(&tuple(port + 1)).wrapping_sub(f(&tuple(port)));
        assert_ne!(step(5000), step(5001), "another tuple's number is unrelated");
        carrick_covers::covers!("SHLD-1");
    }

    #[test]
    fn cookie_keys_are_of_their_slot_alone() {
        let (one, other) = (Keys::new([1; 32]), Keys::new([2; 32]));
        let keys = [one.cookie_key(1), one.cookie_key(2), other.cookie_key(1)];
        assert!(keys.iter().enumerate().all(|(i, key)| key.0 != key.1 && !keys[..i].contains(key)));
        assert_eq!(one.cookie_key(1), keys[0]);
    }
}
