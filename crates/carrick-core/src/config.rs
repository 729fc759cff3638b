//! Settings of an endpoint, a listener, a connection.

use crate::congestion::Controller;
use alloc::boxed::Box;
use alloc::vec::Vec;
use carrick_wire::{SeqNum, UserTimeout};
use core::net::IpAddr;
use core::num::{NonZeroU8, NonZeroU16};
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

/// An address and the length of its network's prefix, in bits.
///
/// # Examples
/// ```
/// use carrick_core::Cidr;
///
/// let own: Cidr = "192.0.2.2/24".parse()?;
/// assert_eq!(own.address.to_string(), "192.0.2.2");
/// assert_eq!(own.prefix, 24);
/// # Ok::<(), carrick_core::CidrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cidr {
    /// The address itself.
    pub address: IpAddr,
    /// Bits of the prefix: at most 32 for IPv4, 128 for IPv6; longer counts as that.
    pub prefix: u8,
}

impl Cidr {
    /// An address in a network with a prefix of `prefix` bits.
    ///
    /// # Examples
    /// ```
    /// use carrick_core::Cidr;
    /// use std::net::Ipv4Addr;
    ///
    /// let own = Cidr::new(Ipv4Addr::new(192, 0, 2, 2).into(), 24);
    /// assert_eq!(Ok(own), "192.0.2.2/24".parse());
    /// ```
    #[must_use]
    pub const fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix }
    }

    /// How many leading bits `other` shares with this address; 0 for the other family.
    pub(crate) fn common_bits(&self, other: IpAddr) -> u32 {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => 0,
        }
    }

    /// The directed broadcast address of an IPv4 network with room for one (RFC 1122 §3.2.1.3).
    pub(crate) fn broadcast(&self) -> Option<IpAddr> {
        let IpAddr::V4(address) = self.address else { return None };
        if self.prefix >= 31 {
            return None;
        }
        let host_bits = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        Some(IpAddr::V4((address.to_bits() | host_bits).into()))
    }
}

/// `address/prefix`, or an address alone, which stands for itself.
impl FromStr for Cidr {
    type Err = CidrParseError;

    fn from_str(text: &str) -> Result<Self, CidrParseError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrParseError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // `u8` would take a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
            None => Some(most),
        };
        prefix.filter(|bits| *bits <= most).map(|prefix| Self { address, prefix }).ok_or(CidrParseError)
    }
}

/// A text is no address with a prefix length, such as `192.0.2.2/24` or `2001:db8::2/64`.
///
/// # Examples
/// ```
/// use carrick_core::{Cidr, CidrParseError};
///
/// assert_eq!("192.0.2.2/33".parse::<Cidr>(), Err(CidrParseError));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an address with a prefix length, such as 192.0.2.2/24")]
pub struct CidrParseError;

/// Settings of an endpoint; they hold for its life.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The addresses that are ours. Default: none.
    pub addresses: Vec<Cidr>,
    /// Largest IP packet of the link, in bytes: 576 (1280 with IPv6) to 65,535. Default 1,500.
    pub mtu: u16,
    /// Find out how large packets to each destination may be (RFC 1191, RFC 8201). If not, IPv6 packets are
    /// at most 1,280 bytes, and IPv4 packets to other networks at most 576. Default true.
    pub path_mtu_discovery: bool,
    /// The least path MTU that is believed for IPv4, in bytes: 128 to 576. Smaller ones are taken as this, so
    /// that nobody makes us send much header and little text; a path that really takes less carries no full
    /// segments then, for Don't Fragment is always set. For IPv6 it is 1,280. Default 552, as in Linux.
    pub min_path_mtu: u16,
    /// How much of packets that come in fragments is kept.
    pub reassembly: ReassemblyLimits,
    /// Time to live of what we send, 1 to 255. Default 64.
    pub hop_limit: u8,
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long (RFC 9293 §3.4.2). Default 120 s.
    pub msl: Duration,
    /// Ignore resets in TIME-WAIT, so that an old one does not end the wait (RFC 1337 §3). With false an exact
    /// reset ends it, as RFC 9293 §3.10.7.4 has it. Default true.
    pub rfc1337: bool,
    /// Most half-open records (passive handshakes) of all listeners together, about 130 bytes each. Default
    /// 65,536. A SYN that reopens a TIME-WAIT record takes that record's place instead.
    pub max_half_open: usize,
    /// What happens to SYNs beyond the half-open records that there may be. Default
    /// [`SynCookies::BeyondLimit`].
    pub syn_cookies: SynCookies,
    /// Whether packets to any unicast address are for us, as on a gateway that ends other hosts' connections.
    /// Default false: only those to [`addresses`](Self::addresses).
    ///
    /// Listeners then get SYNs to any address, which is the connection's local address, and may be bound to
    /// any; segments to ports where nobody listens are reset in the name of the address they were for. ICMP
    /// errors about such connections count. Echo requests and unknown protocols to addresses that are not in
    /// the list stay unanswered: nobody is to be told that a host is there that is not. Connections that this
    /// side opens come from an address of the list as ever, and packets *from* an address of the list are
    /// dropped as forged.
    pub any_address: bool,
    /// How long a parked SYN waits for a decision ([`ListenConfig::park`]). Default 60 s.
    pub park_for: Duration,
    /// Most connections, of whoever opened them, with one remote address (for IPv6: network of 64 bits) beyond
    /// which its SYNs are reset and counted. Default none. Costs about 24 bytes for each address.
    pub max_per_source: Option<u32>,
    /// Most connections. Default 1,048,576.
    pub max_connections: usize,
    /// Most TIME-WAIT records; beyond that the oldest goes. Default 262,144.
    pub max_time_wait: usize,
    /// Ports for connections that do not name one, less those of listeners (RFC 6056 §3.2). Default 1,024 to
    /// 65,535.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// Most resets to strangers: segments of connections that do not exist. Default 6,400 a second, bursts of
    /// 100.
    pub resets: Rate,
    /// Most ICMP errors (RFC 1122 §3.2.2, RFC 4443 §2.4). Default 1,600 a second, bursts of 20.
    pub icmp_errors: Rate,
    /// Most answers to echo requests. Default 6,400 a second, bursts of 100.
    pub echo_replies: Rate,
    /// A mistake to be found. Default none.
    #[cfg(carrick_faults)]
    pub fault: Option<crate::Fault>,
}

/// How much of packets that come in fragments is kept until the rest has come, at most 60 s.
///
/// Beyond a limit the oldest packet goes, of the source whose limit it is. A source is an address, or an IPv6 network
/// of 64 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReassemblyLimits {
    /// Most bytes in all, 80 for each fragment and each packet included; 0 switches reassembly off, and
    /// fragments are dropped. Default 1 MiB.
    pub bytes: usize,
    /// Most bytes of one source; a packet can be as long as this allows, and 65,535 bytes. Default 256 KiB.
    pub bytes_per_source: usize,
    /// Most packets in all. Default 512.
    pub packets: u16,
    /// Most packets of one source. Default 64.
    pub packets_per_source: u16,
    /// Most fragments of one packet. Default 128.
    pub parts: u16,
}

impl ReassemblyLimits {
    /// Drops all fragments.
    pub const OFF: Self = Self { bytes: 0, bytes_per_source: 0, packets: 0, packets_per_source: 0, parts: 0 };
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { bytes: 1 << 20, bytes_per_source: 256 << 10, packets: 512, packets_per_source: 64, parts: 128 }
    }
}

/// Whether handshakes may be carried through without a record (RFC 4987 §3.6).
///
/// A cookie handshake costs no memory until it completes. It keeps the window scale and SACK only of a peer with
/// timestamps, rounds the peer's MSS down to one of eight, and repeats no SYN,ACK. If its last ACK is lost, the
/// peer's first data repairs that; a peer that has nothing to say first finds out when it asks again. A cookie is
/// good for 64 to 128 s, and once; to know that costs about 16 bytes for each connection that a cookie opened in
/// that time, of which there may be [`EndpointConfig::max_time_wait`] in 64 s, or 16,384 if that is more; beyond
/// that SYNs are dropped, and come again.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SynCookies {
    /// Never: a SYN beyond the limits is dropped, so that a flood can shut others out.
    Never,
    /// For SYNs beyond the limits.
    #[default]
    BeyondLimit,
    /// Always: no half-open records, for tests and for hosts that are always attacked.
    Always,
}

/// How many answers of a kind may be sent.
///
/// There are 64 classes of destinations, drawn anew each minute with a secret of the stack; each has a token
/// bucket of its own, and an answer costs between a half and one and a half tokens. So nobody can count in
/// his own answers what others are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Answers per second in the long run, to all destinations together; 0 means none.
    pub per_second: u32,
    /// Answers that the destinations of one class may get at once, at least 1.
    pub burst: u32,
}

impl Rate {
    /// No limit that anybody will reach.
    pub const UNLIMITED: Self = Self { per_second: u32::MAX, burst: u32::MAX };
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            mtu: 1500,
            path_mtu_discovery: true,
            min_path_mtu: 552,
            reassembly: ReassemblyLimits::default(),
            hop_limit: 64,
            msl: Duration::from_secs(120),
            rfc1337: true,
            max_half_open: 65_536,
            syn_cookies: SynCookies::default(),
            any_address: false,
            park_for: Duration::from_secs(60),
            max_per_source: None,
            max_connections: 1 << 20,
            max_time_wait: 1 << 18,
            ephemeral_ports: 1024..=65_535,
            resets: Rate { per_second: 6400, burst: 100 },
            icmp_errors: Rate { per_second: 1600, burst: 20 },
            echo_replies: Rate { per_second: 6400, burst: 100 },
            #[cfg(carrick_faults)]
            fault: None,
        }
    }
}

/// What a listener listens on. Look-up order: exact, any port of an address, any address, both.
///
/// # Examples
/// ```
/// use carrick_core::ListenAddr;
/// use std::num::NonZeroU16;
///
/// // HTTPS, whichever address it is for.
/// let https = ListenAddr { address: None, port: NonZeroU16::new(443) };
/// // Everything that no other listener wants.
/// let rest = ListenAddr { address: None, port: None };
/// # assert_ne!(https, rest);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ListenAddr {
    /// One of the stack's addresses, or any.
    pub address: Option<IpAddr>,
    /// A port, or any.
    pub port: Option<NonZeroU16>,
}

/// Settings of a listener.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// Most connections that wait to be accepted; at least 1. Default 1,024.
    pub backlog: u32,
    /// Most half-open records of this listener, within [`EndpointConfig::max_half_open`]; beyond it
    /// [`EndpointConfig::syn_cookies`] decides. At least 1. Default 16,384, a quarter of that.
    pub max_half_open: u32,
    /// Whether SYNs are parked: no SYN,ACK is sent until
    /// [`Endpoint::accept_parked`](crate::Endpoint::accept_parked). They count as half-open, wait for
    /// [`EndpointConfig::park_for`], and beyond the limits are dropped. Default false.
    pub park: bool,
    /// Settings of the connections that come of it.
    pub connection: ConnectionConfig,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { backlog: 1024, max_half_open: 16_384, park: false, connection: ConnectionConfig::default() }
    }
}

/// The least that [`ConnectionConfig::max_segment`] can be.
const LEAST_MAX_SEGMENT: u16 = 88;

/// Settings of a connection.
///
/// # Examples
/// ```
/// use carrick_core::{ConnectionConfig, KeepAlive};
/// use std::time::Duration;
///
/// // For a path that is fast and long, and peers that vanish.
/// let config = ConnectionConfig {
///     receive_buffer: 64 << 20,
///     send_buffer: 64 << 20,
///     keep_alive: Some(KeepAlive { idle: Duration::from_secs(60), ..KeepAlive::default() }),
///     ..ConnectionConfig::default()
/// };
/// # assert!(config.timestamps && config.window_scale);
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// Most bytes received and not read yet; the offered window never exceeds it. At least one segment,
    /// at most 2^30 - 1. Default 15 MiB, for which a window scale of 8 is enough. Memory is taken only as bytes
    /// arrive.
    pub receive_buffer: u32,
    /// Begin with 128 KiB of that, and offer more only as the application reads it: twice what it has read in a round
    /// trip, more while that grows. Not while half of the memory is used; where it is scarce, offer less again. If not,
    /// all of `receive_buffer` is offered from the beginning. Default true.
    pub tune_receive_buffer: bool,
    /// Most bytes written and not acknowledged yet. At least one segment. Default 16 MiB.
    pub send_buffer: u32,
    /// Take no more of that than twice what can be under way, which is the smaller of the congestion window and the
    /// largest window that the peer has offered, but 128 KiB at least; where memory is scarce, less. If not, writes are
    /// taken until `send_buffer` is full. Default true.
    pub tune_send_buffer: bool,
    /// Most bytes written and not sent yet, at least 1: writers wait beyond that although the send buffer has room, so
    /// that what is to go out next is decided late (as Linux's `TCP_NOTSENT_LOWAT`). Default none: `send_buffer` alone.
    pub notsent_lowat: Option<u32>,
    /// Most text of a segment, both ways: less is told the peer than the link takes, and no more is sent however much
    /// the peer takes (as Linux's `TCP_MAXSEG`). At least 88. Default none: what the MTU leaves.
    pub max_segment: Option<NonZeroU16>,
    /// Mark the end of every packet that stands for several segments with PSH, as Linux does, and not only the end of
    /// what is written (RFC 9293 §3.9.1.2). Default false.
    pub push_bursts: bool,
    /// Offer window scaling (RFC 7323 §2). Default true.
    pub window_scale: bool,
    /// Offer timestamps (RFC 7323 §3). Default true.
    pub timestamps: bool,
    /// Take segments without the timestamps that were agreed on, as Linux does. Default false: they are dropped
    /// (RFC 7323 §3.2, SHOULD), and a peer whose timestamps get lost on the way, for devices there are that remove
    /// them, is not heard. The price is PAWS (§5): such a segment may be 2^32 bytes old. The ACK that ends a handshake
    /// by cookie needs one all the same, since the options that were agreed on stand in its timestamp
    /// ([`EndpointConfig::syn_cookies`]).
    pub tolerate_missing_timestamps: bool,
    /// Offer selective acknowledgements (RFC 2018). Default true.
    pub sack: bool,
    /// Explicit congestion notification (RFC 3168). Default: where the peer asks for it.
    pub ecn: EcnPolicy,
    /// Send what does not fill a segment at once, even while such a segment is not acknowledged yet (Nagle's rule,
    /// RFC 9293 §3.7.4, off). Default false: small writes wait for up to a round trip, and share packets.
    pub nodelay: bool,
    /// Spread what may be sent over the round trip (RFC 9406 §4.3) rather than send it as soon as the window allows.
    /// Default true. Without it a window leaves in bursts, which shallow queues drop, and controllers that live by
    /// their [`pacing_rate`](Controller::pacing_rate) do not work.
    pub pacing: bool,
    /// Least retransmission timeout beyond the smoothed round trip: the least that four times its variation counts, at
    /// least 1 ms (RFC 6298 §2.3, where the clock's granularity stands; it bounds the timeout before the first
    /// measurement too). Default 200 ms, as in Linux: an acknowledgement that the peer delays is then in time on a path
    /// of any length. With 1 s the timeout is never less than RFC 6298 §2.4 asks for.
    pub min_rto: Duration,
    /// Greatest retransmission timeout, at least 60 s (RFC 6298 §2.5). Default 120 s.
    pub max_rto: Duration,
    /// How often a SYN, or the SYN,ACK of a simultaneous open, is sent again before giving up. Default 7: with
    /// timeouts of 1, 2, 4 .. 64, 120 s the attempt lasts 247 s (RFC 9293 MUST-23 asks for 3 min). A passive opener
    /// repeats its SYN,ACK two times fewer (63 s), since its peer repeats the SYN too; but once at least, unless this
    /// is 0.
    pub syn_retries: u8,
    /// How often data or a FIN is sent again, without any answer, before the connection is given up (R2).
    /// Default 15: at least 100 s (RFC 9293 SHLD-11), about 15 min. 255 means without end (MUST-21).
    pub retries: u8,
    /// After how many repetitions in a row, of text or of a SYN, trouble is reported (R1): an
    /// [`Event::SoftError`](crate::Event::SoftError). Default 3, the least that RFC 9293 §3.8.3 advises.
    pub r1: u8,
    /// Whether soft errors (R1, ICMP) raise [`Event::SoftError`](crate::Event::SoftError). Default true. They can
    /// be asked for either way, and become the reason of a connection that then times out.
    pub report_soft_errors: bool,
    /// How long text, a FIN or a SYN may wait for its acknowledgment, a closed window included, before the
    /// connection is given up (RFC 9293 §3.8.3, the user timeout). Below the retransmission timeout nothing is
    /// sent again before that.
    /// Default none, and zero is none: `retries` and `syn_retries` decide, which this overrides.
    pub user_timeout: Option<Duration>,
    /// Tell the peer how long we are willing to wait, and wait as long as it wishes, within limits (RFC 5482).
    /// Default none.
    pub user_timeout_option: Option<UserTimeoutOption>,
    /// Probe a peer of which nothing has been heard (RFC 9293 §3.8.4). Default none: never.
    pub keep_alive: Option<KeepAlive>,
    /// How long the acknowledgment of text may wait for more text, or for text of our own to ride on
    /// (RFC 9293 §3.8.6.3): 0 (never) to 499 ms; more counts as that. Default 40 ms. Every second segment is
    /// acknowledged at once.
    pub delayed_ack: Duration,
    /// What [`close`](crate::Connection::close) does with text that is not acknowledged. Default none: it is
    /// delivered meanwhile, see `orphan_timeout`. Zero: it is lost, and the peer gets a reset. Else it is
    /// delivered if that takes no longer, and lost after that.
    pub linger: Option<Duration>,
    /// How long a connection that the application has let go of may go without its peer acknowledging anything,
    /// a closed window included. Default 5 min.
    pub orphan_timeout: Duration,
    /// The differentiated services code point of what we send, 0 to 63 (RFC 2474). Default 0.
    pub dscp: u8,
    /// Time to live of what we send, 1 to 255. Default: the endpoint's. It holds, as `dscp` does, from the handshake to
    /// the end of TIME-WAIT; nobody remembers it for the resets that a connection's peer may get after that.
    pub hop_limit: Option<NonZeroU8>,
    /// How long FIN-WAIT-2 may last once the application has let go of the stream. Default 60 s.
    pub fin_wait_2: Duration,
    /// The congestion controller that connections start from, each with a copy. Default none:
    /// [`Cubic`](crate::congestion::Cubic).
    pub congestion: Option<Box<dyn Controller>>,
    /// Fixes the initial sequence number, for tests and teaching. Default none: RFC 6528.
    pub initial_sequence: Option<SeqNum>,
    /// A mistake to be found. Default none.
    #[cfg(carrick_faults)]
    pub fault: Option<crate::Fault>,
}

impl ConnectionConfig {
    /// `mss`, or less where that was asked for.
    pub(crate) fn limit_segment(&self, mss: u16) -> u16 {
        self.max_segment.map_or(mss, |most| mss.min(most.get().max(LEAST_MAX_SEGMENT)))
    }

    /// How often a passive opener sends its SYN,ACK again.
    pub(crate) fn syn_ack_retries(&self) -> u8 {
        self.syn_retries.saturating_sub(2).max(self.syn_retries.min(1))
    }
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            receive_buffer: 15 << 20,
            tune_receive_buffer: true,
            send_buffer: 16 << 20,
            tune_send_buffer: true,
            notsent_lowat: None,
            max_segment: None,
            push_bursts: false,
            window_scale: true,
            timestamps: true,
            tolerate_missing_timestamps: false,
            sack: true,
            ecn: EcnPolicy::default(),
            nodelay: false,
            pacing: true,
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(120),
            syn_retries: 7,
            retries: 15,
            r1: 3,
            report_soft_errors: true,
            user_timeout: None,
            user_timeout_option: None,
            keep_alive: None,
            delayed_ack: Duration::from_millis(40),
            linger: None,
            orphan_timeout: Duration::from_secs(300),
            dscp: 0,
            hop_limit: None,
            fin_wait_2: Duration::from_secs(60),
            congestion: None,
            initial_sequence: None,
            #[cfg(carrick_faults)]
            fault: None,
        }
    }
}

/// When a connection uses explicit congestion notification (RFC 3168): routers then mark packets rather than drop
/// them, and the sender slows down without having lost anything. Both sides must agree to it.
///
/// # Examples
/// ```
/// use carrick_core::{ConnectionConfig, EcnPolicy};
///
/// let config = ConnectionConfig { ecn: EcnPolicy::Ask, ..ConnectionConfig::default() };
/// # assert_ne!(config.ecn, EcnPolicy::default());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum EcnPolicy {
    /// Never.
    Off,
    /// If the peer's SYN asks for it; ours does not.
    #[default]
    Accept,
    /// Our SYN asks for it too. A third SYN no longer does, in case something on the path drops those that ask
    /// (RFC 3168 §6.1.1.1).
    Ask,
}

/// When a silent peer is probed, and given up (RFC 9293 §3.8.4).
///
/// Probes carry no text, and are sent only while nothing of ours waits for an acknowledgment.
///
/// # Examples
/// ```
/// use carrick_core::KeepAlive;
/// use std::time::Duration;
///
/// // Half a minute of silence, then three probes in fifteen seconds.
/// let impatient =
///     KeepAlive { idle: Duration::from_secs(30), interval: Duration::from_secs(5), retries: 3 };
/// # assert!(impatient.idle < KeepAlive::default().idle);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeepAlive {
    /// Silence before the first probe: at least 1 s, less counts as that. Default 2 h, the least default that RFC 9293
    /// allows. Counts as the user timeout where that is longer (RFC 5482 §4.2).
    pub idle: Duration,
    /// Time between probes: at least 1 s, less counts as that, for the answers of a healthy peer need time. Default
    /// 75 s.
    pub interval: Duration,
    /// How many unanswered probes end the connection; at least 2, since one may be lost. Default 9.
    pub retries: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), retries: 9 }
    }
}

/// The user timeout option (RFC 5482). A user timeout that the application has set itself stays as it is,
/// whatever the peer asks for.
///
/// # Examples
/// ```
/// use carrick_core::{ConnectionConfig, UserTimeoutOption};
/// use std::time::Duration;
///
/// // The peer is asked to keep the connection while this host is out of reach for up to half an hour.
/// let patience = UserTimeoutOption { advertise: Duration::from_secs(1800), ..UserTimeoutOption::default() };
/// let config = ConnectionConfig { user_timeout_option: Some(patience), ..ConnectionConfig::default() };
/// # assert!(config.user_timeout.is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UserTimeoutOption {
    /// What the peer is told (ADV_UTO): 1 s to 32,767 min. Default 5 min.
    pub advertise: Duration,
    /// The longest that the peer can make us wait (U_LIMIT), at least 100 s. Default 1 h.
    pub limit: Duration,
}

impl Default for UserTimeoutOption {
    fn default() -> Self {
        Self { advertise: Duration::from_secs(300), limit: Duration::from_secs(3600) }
    }
}

impl UserTimeoutOption {
    /// The shortest that the peer can make us wait (L_LIMIT).
    const LEAST: Duration = Duration::from_secs(100);

    /// USER_TIMEOUT of RFC 5482 §3.1, above the current retransmission timeout.
    pub(crate) fn adopt(&self, remote: UserTimeout, rto: Duration) -> Duration {
        let remote = Duration::from_secs(remote.seconds().into());
        let least = Self::LEAST.max(rto);
        self.advertise.max(remote).max(least).min(self.limit.max(least))
    }

    /// What is sent.
    pub(crate) fn advertised(&self) -> Option<UserTimeout> {
        UserTimeout::from_seconds(u32::try_from(self.advertise.as_secs()).unwrap_or(u32::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidr_texts() {
        let v4 = Cidr::new([192, 0, 2, 2].into(), 24);
        assert_eq!("192.0.2.2/24".parse(), Ok(v4));
        assert_eq!("192.0.2.2".parse(), Ok(Cidr { prefix: 32, ..v4 }));
        assert_eq!("::1/0".parse(), Ok(Cidr::new(core::net::Ipv6Addr::LOCALHOST.into(), 0)));
        assert_eq!("::1".parse::<Cidr>().map(|cidr| cidr.prefix), Ok(128));
        for wrong in
            ["", "/", "192.0.2.2/", "192.0.2.2/33", "::1/129", "192.0.2.2/+8", "192.0.2/24", "::1/8/8"]
        {
            assert_eq!(wrong.parse::<Cidr>(), Err(CidrParseError), "{wrong}");
        }
    }
}
