//! SYN cookies: a handshake whose record is its own sequence number (RFC 4987 §3.6).
//!
//! Beyond the half-open budget nothing is kept of a SYN. Our ISN is then a message authentication code over
//! the tuple, the peer's ISN, the time and what was agreed on; the ACK that completes the handshake brings it
//! back:
//!
//! ```text
//!  31                                            4   3    2      0
//! +-----------------------------------------------+------+--------+
//! |        SipHash-2-4 under the slot's key       | slot | MSS    |
//! +-----------------------------------------------+------+--------+
//! ```
//!
//! Window scale and SACK ride in the low bits of the timestamp's value, if the SYN had timestamps; without them
//! neither is agreed on. A cookie is good in the slot of 64 s in which it was made and in the next. Each slot
//! has its own key, derived from a secret of 128 bits, so a key is in use for two slots.
//!
//! A segment that is no cookie costs one hash and leaves nothing behind. One guess in 2^28 is right.
//!
//! A cookie opens one connection. Those that have are remembered as long as they would be good, eight bytes each:
//! otherwise the network's copy of a peer's first text would open a second connection after the end of the
//! first, and be delivered twice. Where no more can be remembered no more are made.

use super::keys::Keys;
use crate::connection::handshake::Peer;
use crate::{EndpointConfig, Instant, Segment, Tuple};
use carrick_wire::{Mss, SeqNum, Timestamps, WindowScale};
use core::hash::{BuildHasher, Hash, Hasher};
use core::time::Duration;
use hashbrown::HashSet;
use siphasher::sip::SipHasher24;

/// How long a slot is.
const SLOT: Duration = Duration::from_secs(64);

/// What the peer's MSS is rounded down to. Ethernet and what tunnels leave of it, jumbo frames, and links of
/// 64 KiB.
const MSS: [u16; 8] = [Mss::FLOOR, 536, 1220, 1360, 1440, 1460, 8940, 65_475];

/// Bits of the timestamp's value: four for the shift, one for SACK.
const OPTION_BITS: u32 = 5;
const OPTIONS: u32 = (1 << OPTION_BITS) - 1;
/// The shift of a peer that does not scale.
const NO_SCALE: u32 = 15;

/// So many cookies of a slot can be spent at least, however few TIME-WAIT records there may be.
const LEAST_SPENT: usize = 16_384;

/// A slot's number and key, and the cookies of it that have opened a connection.
#[derive(Clone)]
struct Slot {
    number: u64,
    key: (u64, u64),
    spent: HashSet<u64, Keys>,
}

/// Makes and checks cookies.
#[derive(Clone)]
pub(super) struct Cookies {
    keys: Keys,
    /// The last slots that were asked for, even and odd.
    slots: [Option<Slot>; 2],
    /// Most cookies of a slot that can be spent.
    most: usize,
    /// When the last cookie was made.
    last: Option<Instant>,
    #[cfg(carrick_faults)]
    fault: Option<crate::Fault>,
}

impl core::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The keys of slots are not to be read in a log.
        f.debug_struct("Cookies").field("last", &self.last).finish_non_exhaustive()
    }
}

/// What a SYN,ACK that is a cookie says.
pub(super) struct Cookie {
    pub(super) iss: SeqNum,
    pub(super) ts_val: u32,
    /// The peer as the cookie remembers it.
    pub(super) peer: Peer,
}

impl Cookies {
    /// Remembers as many spent cookies of a slot as there may be TIME-WAIT records: both keep old duplicates of a
    /// connection that is over from being taken for new ones.
    pub(super) fn new(keys: Keys, config: &EndpointConfig) -> Self {
        Self {
            keys,
            slots: [None, None],
            most: config.max_time_wait.max(LEAST_SPENT),
            last: None,
            #[cfg(carrick_faults)]
            fault: config.fault,
        }
    }

    /// Whether a cookie made now could not be honoured.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        let current = slot_at(now);
        self.slots.iter().flatten().any(|slot| slot.number == current && slot.spent.len() >= self.most)
    }

    /// Whether there may be cookies that are still good.
    pub(super) fn outstanding(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.since(last) < SLOT.saturating_mul(2))
    }

    /// A cookie for a SYN. `ts_now` is the timestamp clock of the connection that may come of it; the value in
    /// the SYN,ACK is up to 31 ticks behind it, so that the connection's own are never smaller.
    pub(super) fn make(&mut self, tuple: &Tuple, peer: Peer, ts_now: u32, now: Instant) -> Cookie {
        self.last = Some(now);
        let mss = MSS.iter().rposition(|mss| *mss <= peer.mss.get()).unwrap_or(0);
        let mss = u32::try_from(mss).unwrap_or(0);
        let slot = self.slot(now);
        let low = mss | parity(slot) << 3;
        // Nobody would remember that ECN was agreed on.
        let peer = Peer { ecn: false, ..peer };
        let (options, peer) = match peer.ts_recent {
            Some(_) => (Some(pack(&peer)), peer),
            None => (None, Peer { scale: None, sack: false, ..peer }),
        };
        let iss = SeqNum::new(self.code(slot, tuple, peer.irs, low, options) | low);
        Cookie { iss, ts_val: options.map_or(ts_now, |options| behind(ts_now, options)), peer }
    }

    /// What was agreed on with the sender of `segment`, and our ISS, if it acknowledges a cookie.
    pub(super) fn check(
        &mut self,
        tuple: &Tuple,
        segment: &Segment<'_>,
        now: Instant,
    ) -> Option<(SeqNum, Peer)> {
        let (iss, irs) = ((segment.ack - 1).get(), segment.seq - 1);
        let low = iss & 0xf;
        let slot = self.slot(now);
        // Which of the two slots it would be stands in it, so one hash decides.
        let slot = if parity(slot) == low >> 3 { slot } else { slot.checked_sub(1)? };
        let timestamps = segment.options.timestamps;
        let options = timestamps.map(|timestamps| timestamps.ecr & OPTIONS);
        let wrong = self.code(slot, tuple, irs, low, options) ^ (iss & !0xf);
        // One word: the comparison takes as long for any value.
        if wrong != 0 && !fault!(self, CookieUnchecked) {
            return None;
        }
        let mss = MSS.get((low & 7) as usize).copied().unwrap_or(Mss::FLOOR);
        let mss = if fault!(self, CookieMssIgnored) { u16::MAX } else { mss };
        let (scale, sack) = options.map_or((None, false), unpack);
        let ts_recent = timestamps.map(|Timestamps { val, .. }| val);
        let peer =
            Peer { irs, ts_recent, mss: Mss::clamped(mss), window: segment.window, scale, sack, ecn: false };
        Some((SeqNum::new(iss), peer))
    }

    /// Uses a cookie that is good; false if it was used before, or there is no room to remember it.
    pub(super) fn spend(&mut self, tuple: &Tuple, iss: SeqNum, irs: SeqNum) -> bool {
        let name = self.keys.hash_one((tuple, iss.get(), irs.get()));
        let most = self.most;
        // Which slot's it is stands in it.
        let slot = self.slots.get_mut((iss.get() >> 3 & 1) as usize).and_then(Option::as_mut);
        slot.is_some_and(|slot| slot.spent.len() < most && slot.spent.insert(name))
    }

    /// When the first of the cookies that are remembered is good no more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ends = self.slots.iter().flatten().filter(|slot| !slot.spent.is_empty()).map(|slot| {
            let end = slot.number.saturating_add(2).saturating_mul(crate::time::nanos(SLOT));
            Instant::from_nanos(end)
        });
        ends.min()
    }

    /// Forgets slots whose cookies are good no more.
    pub(super) fn expire(&mut self, now: Instant) {
        let current = slot_at(now);
        for slot in &mut self.slots {
            slot.take_if(|slot| slot.number.saturating_add(2) <= current);
        }
    }

    /// What is outstanding, and how much of it is spent: that names neither keys nor cookies.
    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let age = self.last.filter(|_| self.outstanding(now)).map(|last| now.since(last));
        let spent = self.slots.each_ref().map(|slot| slot.as_ref().map_or(0, |slot| slot.spent.len()));
        (age, spent).hash(state);
    }

    /// The slot whose key is in use.
    fn slot(&self, now: Instant) -> u64 {
        let slot = slot_at(now);
        if fault!(self, CookieNeverOld) { slot & 1 } else { slot }
    }

    /// Bytes of what is remembered.
    pub(super) fn memory(&self) -> usize {
        let slots = self.slots.iter().flatten();
        slots.fold(0, |sum: usize, slot| sum.saturating_add(slot.spent.allocation_size()))
    }

    /// The upper 28 bits of a cookie.
    fn code(&mut self, slot: u64, tuple: &Tuple, irs: SeqNum, low: u32, options: Option<u32>) -> u32 {
        let key = self.key(slot);
        let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
        (tuple, irs.get(), low, options).hash(&mut hasher);
        u32::try_from(hasher.finish() >> 32).unwrap_or(0) & !0xf
    }

    fn key(&mut self, number: u64) -> (u64, u64) {
        let Some(place) = self.slots.get_mut(parity(number) as usize) else { return (0, 0) };
        if let Some(slot) = place.as_ref().filter(|slot| slot.number == number) {
            return slot.key;
        }
        let key = self.keys.cookie_key(number);
        *place = Some(Slot { number, key, spent: HashSet::with_hasher(self.keys.clone()) });
        key
    }
}

fn slot_at(now: Instant) -> u64 {
    now.as_nanos().checked_div(crate::time::nanos(SLOT)).unwrap_or(0)
}

fn parity(slot: u64) -> u32 {
    u32::from(slot & 1 == 1)
}

fn pack(peer: &Peer) -> u32 {
    let scale = peer.scale.map_or(NO_SCALE, |scale| u32::from(scale.get()));
    scale | u32::from(peer.sack) << 4
}

fn unpack(options: u32) -> (Option<WindowScale>, bool) {
    let scale = u8::try_from(options & 0xf).ok().and_then(WindowScale::new);
    (scale, options >> 4 == 1)
}

/// The latest value up to `clock` that ends in those bits.
const fn behind(clock: u32, options: u32) -> u32 {
    let value = clock & !OPTIONS | options;
    if options > clock & OPTIONS { value.wrapping_sub(1 << OPTION_BITS) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_with_options_is_just_behind_the_clock() {
        for clock in [0, 1, 30, 31, 32, 12_345, u32::MAX - 1, u32::MAX] {
            for options in 0..32 {
                let value = behind(clock, options);
                assert_eq!(value & OPTIONS, options);
                assert!(clock.wrapping_sub(value) < 32, "{clock} {options} {value}");
            }
        }
    }

    #[test]
    fn every_option_comes_back() {
        for scale in (0..=14).map(Some).chain([None]) {
            for sack in [false, true] {
                let scale = scale.map(WindowScale::clamped);
                let peer = Peer {
                    irs: SeqNum::new(0),
                    ts_recent: Some(0),
                    mss: Mss::DEFAULT_V4,
                    window: carrick_wire::WireWindow::new(0),
                    scale,
                    sack,
                    ecn: false,
                };
                assert_eq!(unpack(pack(&peer)), (scale, sack));
            }
        }
    }
}
