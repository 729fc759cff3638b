//! A packet that is due, before anybody knows whether the device takes it.

use crate::connection::{Connection, Plan};
use crate::endpoint::Endpoint;
use bytes::Bytes;
use core::num::NonZeroU16;

/// Most payload slices of one packet. With the header and an offload header they fit a vectored write.
///
/// # Examples
/// ```
/// # use carrick_core::{MAX_PARTS, Taken};
/// # carrick_sim::Scene::established().with("", |connection, cx| {
/// # connection.send(cx, b"hello").expect("there is room");
/// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
/// let mut parts = [&[][..]; MAX_PARTS];
/// assert_eq!(transmit.payload(&mut parts), 1);
/// # });
/// ```
pub const MAX_PARTS: usize = 7;

/// How much of a packet the device took.
///
/// # Examples
/// ```
/// # use carrick_core::{MAX_PARTS, Taken};
/// # carrick_sim::Scene::established().with("", |connection, cx| {
/// # connection.send(cx, b"hello").expect("there is room");
/// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
/// transmit.sent(Taken::All);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// All of it.
    All,
    /// The first so many payload bytes, a multiple of the segment size; FIN and PSH stay.
    Payload(usize),
}

/// IP and TCP (or ICMP) header bytes, at most 120.
#[derive(Clone)]
pub struct HeaderBytes {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl HeaderBytes {
    /// The longest: 60 bytes of IPv4 and 60 of TCP.
    pub const MAX: usize = 120;

    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// As many of the bytes as fit, and the rest.
    pub(crate) fn split(bytes: &[u8]) -> (Self, &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(Self::MAX));
        let mut header = Self::new();
        header.spare().iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        header.advance(head.len());
        (header, rest)
    }

    pub(crate) fn spare(&mut self) -> &mut [u8] {
        self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default()
    }

    pub(crate) fn advance(&mut self, n: usize) {
        let len = usize::from(self.len).saturating_add(n).min(Self::MAX);
        self.len = u8::try_from(len).unwrap_or(u8::MAX);
    }
}

impl core::fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// A packet that is due: header bytes and up to [`MAX_PARTS`] slices of payload, perhaps a super-segment.
///
/// It borrows its connection or endpoint, and nothing has changed yet: [`sent`](Self::sent) commits what the
/// device took, dropping it takes everything back.
///
/// The checksum field of a TCP packet holds the sum of the pseudo-header alone (the *partial* form that
/// offloading devices complete); `carrick_wire::segmentation` completes it, and cuts super-segments, for
/// devices that do neither. ICMP packets are complete.
///
/// # Examples
/// ```
/// # use carrick_core::{MAX_PARTS, Taken};
/// # carrick_sim::Scene::established().with("", |connection, cx| {
/// # connection.send(cx, b"hello").expect("there is room");
/// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
/// let mut parts = [&[][..]; MAX_PARTS];
/// let count = transmit.payload(&mut parts);
/// // The device is given the header and these.
/// assert_eq!((transmit.header().len(), &parts[..count]), (40, &[&b"hello"[..]][..]));
/// transmit.sent(Taken::All);
/// # });
/// ```
#[derive(Debug)]
#[must_use = "nothing has happened until `sent` is called"]
pub struct Transmit<'c> {
    header: HeaderBytes,
    source: Source<'c>,
}

#[derive(Debug)]
enum Source<'c> {
    Connection { connection: &'c mut Connection, plan: Plan },
    Endpoint { endpoint: &'c mut Endpoint, payload: Bytes, tcp: bool, again: bool },
}

impl<'c> Transmit<'c> {
    pub(crate) fn from_connection(header: HeaderBytes, connection: &'c mut Connection, plan: Plan) -> Self {
        Self { header, source: Source::Connection { connection, plan } }
    }

    pub(crate) fn from_endpoint(
        header: HeaderBytes,
        endpoint: &'c mut Endpoint,
        payload: Bytes,
        tcp: bool,
        again: bool,
    ) -> Self {
        Self { header, source: Source::Endpoint { endpoint, payload, tcp, again } }
    }

    /// The IP header and the TCP or ICMP header.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// assert_eq!(transmit.header()[9], 6, "the protocol is TCP");
    /// # });
    /// ```
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.header.as_slice()
    }

    /// How many payload bytes follow the header.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// assert_eq!(transmit.payload_len(), 5);
    /// # });
    /// ```
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match &self.source {
            Source::Connection { plan, .. } => plan.len,
            Source::Endpoint { payload, .. } => payload.len(),
        }
    }

    /// Puts the payload's slices, in order, into `parts` and says how many there are.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// let mut parts = [&[][..]; MAX_PARTS];
    /// assert_eq!(transmit.payload(&mut parts), 1);
    /// assert_eq!(parts[0], b"hello");
    /// # });
    /// ```
    pub fn payload<'a>(&'a self, parts: &mut [&'a [u8]; MAX_PARTS]) -> usize {
        match &self.source {
            Source::Connection { connection, plan } => connection.payload_parts(plan, parts),
            Source::Endpoint { payload, .. } => {
                parts[0] = payload;
                usize::from(!payload.is_empty())
            }
        }
    }

    /// Prepares a payload of at least 4 KiB to be kept without a copy, for devices that keep frames: to be called
    /// before [`payload`](Self::payload), whose bytes stay the same. For a packet that then is not sent it is wasted,
    /// and makes the buffers of later ones smaller.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// transmit.share(); // worth it from 4 KiB on
    /// assert_eq!(transmit.shared().next().as_deref(), Some(&b"hello"[..]));
    /// # });
    /// ```
    pub fn share(&mut self) {
        if let Source::Connection { connection, plan } = &mut self.source {
            connection.share_payload(plan);
        }
    }

    /// The payload as buffers that may be kept: no copy of what [`share`](Self::share) has prepared, or an earlier
    /// packet's, a copy of the rest.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// let kept: Vec<bytes::Bytes> = transmit.shared().collect();
    /// assert_eq!(kept, ["hello"]);
    /// # });
    /// ```
    pub fn shared(&self) -> impl Iterator<Item = Bytes> {
        let mut parts: [Bytes; MAX_PARTS] = Default::default();
        let n = match &self.source {
            Source::Connection { connection, plan } => connection.payload_shared(plan, &mut parts),
            Source::Endpoint { payload, .. } => {
                parts[0] = payload.clone();
                usize::from(!payload.is_empty())
            }
        };
        parts.into_iter().take(n)
    }

    /// How much payload each wire segment is to carry, if the packet stands for several.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// assert_eq!(transmit.segment_size(), None, "it is a single segment");
    /// # });
    /// ```
    #[must_use]
    pub fn segment_size(&self) -> Option<NonZeroU16> {
        match &self.source {
            Source::Connection { plan, .. } => plan.segment_size,
            Source::Endpoint { .. } => None,
        }
    }

    /// How many of its sequence numbers, SYN and FIN included, have been sent before: those that it begins with.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// assert_eq!(transmit.sent_before(), 0, "all of it is new");
    /// # });
    /// ```
    #[must_use]
    pub fn sent_before(&self) -> usize {
        match &self.source {
            Source::Connection { connection, plan } => connection.sent_before(plan),
            Source::Endpoint { again, .. } => usize::from(*again),
        }
    }

    /// Whether the packet is TCP, and its checksum field in the partial form.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// assert!(transmit.checksum_is_partial());
    /// # });
    /// ```
    #[must_use]
    pub const fn checksum_is_partial(&self) -> bool {
        match self.source {
            Source::Connection { .. } => true,
            Source::Endpoint { tcp, .. } => tcp,
        }
    }

    /// Commits: the device has taken all, or the first bytes, of the packet.
    ///
    /// # Examples
    /// ```
    /// # use carrick_core::{MAX_PARTS, Taken};
    /// # carrick_sim::Scene::established().with("", |connection, cx| {
    /// # connection.send(cx, b"hello").expect("there is room");
    /// # let mut transmit = connection.poll_transmit(cx, std::num::NonZeroUsize::MAX).expect("text is due");
    /// transmit.sent(Taken::All);
    /// assert_eq!(connection.unsent(), 0);
    /// # });
    /// ```
    pub fn sent(self, taken: Taken) {
        match self.source {
            Source::Connection { connection, plan } => connection.commit(&plan, taken),
            Source::Endpoint { endpoint, .. } => endpoint.commit_reply(),
        }
    }
}
