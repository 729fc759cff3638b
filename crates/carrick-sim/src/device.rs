//! The device of a host: takes packets whole, cut or in part, and may change its mind (T-DEV-1).

use crate::oracles::Oracle;
use crate::packet::{self, Offload, Packet};
use crate::rng::Rng;
use carrick_core::{Connection, Cx, MAX_PARTS, Taken, Transmit};
use std::num::NonZeroUsize;

/// The device of a host, for the length of one drain.
pub(crate) struct Device<'a> {
    pub(crate) offload: Offload,
    pub(crate) moody: u32,
    pub(crate) rng: &'a mut Rng,
    pub(crate) restless: bool,
    pub(crate) taken: Vec<Packet>,
}

impl Device<'_> {
    pub(crate) fn changes_its_mind(&mut self) -> bool {
        self.moody > 0 && self.rng.chance(self.moody)
    }

    /// Takes a packet, or the first segments of one.
    pub(crate) fn take(&mut self, transmit: Transmit<'_>) -> Option<(Oracle, String)> {
        let mut packets = Vec::new();
        if let Err(error) = packet::put(&transmit, self.offload, &mut packets) {
            return Some((Oracle::O8, format!("a header that does not fit its payload: {error}")));
        }
        let mut taken = Taken::All;
        if let Some(size) = transmit.segment_size().filter(|_| self.offload == Offload::Cut)
            && packets.len() > 1
            && self.changes_its_mind()
        {
            let count = self.rng.size(1, packets.len() - 1);
            packets.truncate(count);
            taken = Taken::Payload(count * usize::from(size.get()));
        }
        self.taken.append(&mut packets);
        if !self.restless {
            transmit.sent(taken);
        }
        None
    }
}

/// A transmit that was dropped is as if nobody had asked: the next one is the same (O-3).
pub(crate) fn ask_twice(connection: &mut Connection, cx: &Cx, max: NonZeroUsize) -> Option<(Oracle, String)> {
    let mut look = || connection.poll_transmit(cx, max).map(|transmit| bytes_of(&transmit));
    let (first, second) = (look(), look());
    (first != second).then(|| (Oracle::O3, format!("asked twice, got {first:?} and then {second:?}")))
}

fn bytes_of(transmit: &Transmit<'_>) -> Vec<u8> {
    let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
    let count = transmit.payload(&mut parts);
    [&[transmit.header()], &parts[..count]].concat().concat()
}
