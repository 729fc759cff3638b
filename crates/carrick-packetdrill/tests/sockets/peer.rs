//! A machine, and the peer at the other end of its wire, who says what the test tells it.

use carrick_core::Instant;
use carrick_packetdrill::errno::Result;
use carrick_packetdrill::flags::Flags;
use carrick_packetdrill::machine::Machine;
use carrick_packetdrill::sockets::{Family, Fd, Progress, Received, Sockets, Waiting};
use carrick_packetdrill::sysctl::Source;
use carrick_sim::{Packet, SegmentView};
use carrick_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions, WireWindow};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

pub(crate) const LOCAL: &str = "192.168.0.1:8080";
pub(crate) const REMOTE: &str = "192.0.2.1:50000";
const PEER_ISN: SeqNum = SeqNum::new(1000);

/// Flags, sequence number, acknowledgment and length, numbers counted from the SYNs.
pub(crate) type Line = (TcpFlags, u32, u32, usize);

pub(crate) const ACK: TcpFlags = TcpFlags::ACK;
pub(crate) const SYN: TcpFlags = TcpFlags::SYN;
pub(crate) const RST: TcpFlags = TcpFlags::RST;
pub(crate) const SYN_ACK: TcpFlags = TcpFlags::from_bits(0x12);
pub(crate) const FIN_ACK: TcpFlags = TcpFlags::from_bits(0x11);
pub(crate) const PSH_ACK: TcpFlags = TcpFlags::from_bits(0x18);

pub(crate) struct World {
    pub(crate) machine: Arc<Machine>,
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    our_isn: Option<SeqNum>,
    next_fd: Fd,
}

impl World {
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let source = Source::Given(settings.iter().map(owned).collect());
        let start = Instant::from_nanos(1_000_000_000);
        let sockets = Sockets::new(source, Flags::default(), [7; 32], start);
        Self {
            machine: Arc::new(Machine::new(sockets)),
            remote: REMOTE.parse().unwrap(),
            local: LOCAL.parse().unwrap(),
            our_isn: None,
            next_fd: 3,
        }
    }

    pub(crate) fn fd(&mut self) -> Fd {
        self.next_fd += 1;
        self.next_fd - 1
    }

    pub(crate) fn socket(&mut self) -> Fd {
        let (fd, v6) = (self.fd(), self.local.is_ipv6());
        let family = if v6 { Family::V6 } else { Family::V4 };
        self.machine.with(|sockets| sockets.socket(fd, family, false));
        fd
    }

    /// The peer sends a segment.
    pub(crate) fn inject(&mut self, (flags, seq, ack, len): Line, window: u16, options: TcpOptions) {
        let ack = self.our_isn.map_or(SeqNum::new(0), |isn| isn + ack);
        let tcp = TcpHeader {
            src_port: self.remote.port(),
            dst_port: self.local.port(),
            seq: PEER_ISN + seq,
            ack: if flags.contains(TcpFlags::ACK) { ack } else { SeqNum::new(0) },
            flags,
            window: WireWindow::new(window),
            options,
            ..TcpHeader::default()
        };
        let packet = Packet::tcp(self.remote.ip(), self.local.ip(), 0, &tcp, &vec![0; len]);
        self.machine.inject(&packet.bytes);
    }

    /// The peer sends a segment without options, its window being 20,000.
    pub(crate) fn send(&mut self, line: Line) {
        self.inject(line, 20_000, TcpOptions::default());
    }

    /// The next segment that leaves, and how long after `since`.
    pub(crate) fn next(&mut self) -> Option<(Instant, Line, TcpHeader)> {
        let (at, bytes) = self.machine.emitted()?;
        let view = SegmentView::parse(&bytes).unwrap().expect("a TCP segment");
        if view.tcp.flags.contains(TcpFlags::SYN) {
            self.our_isn = Some(view.tcp.seq);
        }
        let seq = view.tcp.seq.distance_from(self.our_isn.unwrap_or(view.tcp.seq));
        let has_ack = view.tcp.flags.contains(TcpFlags::ACK);
        let ack = if has_ack { view.tcp.ack.distance_from(PEER_ISN) } else { 0 };
        Some((at, (view.tcp.flags, seq, ack, view.payload.len()), view.tcp))
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, line: Line) -> TcpHeader {
        let (_, found, tcp) = self.next().expect("a segment");
        assert_eq!(found, line);
        tcp
    }

    /// Nothing has been sent that nobody has looked at.
    #[track_caller]
    pub(crate) fn expect_quiet(&self) {
        assert!(!self.machine.with(|sockets| sockets.has_packets()), "something was sent");
    }

    pub(crate) fn listener(&mut self) -> Fd {
        let (fd, local) = (self.socket(), self.local);
        self.machine.with(|sockets| sockets.bind(fd, local)).unwrap();
        self.machine.with(|sockets| sockets.listen(fd, 1)).unwrap();
        fd
    }

    /// A connection that the peer has opened, with an MSS of 1,000 and no other option.
    pub(crate) fn accepted(&mut self) -> Fd {
        let listener = self.listener();
        let options = TcpOptions { mss: Some(1000), ..TcpOptions::default() };
        self.inject((SYN, 0, 0, 0), 20_000, options);
        self.expect((SYN_ACK, 0, 1, 0));
        self.send((ACK, 1, 1, 0));
        self.accept(listener).unwrap()
    }

    pub(crate) fn accept(&mut self, listener: Fd) -> Result<Fd> {
        let new = self.fd();
        self.machine.call(|_| None, move |sockets, _| sockets.may_accept(listener))?;
        let peer = self.machine.with(|sockets| sockets.accept(listener, new, false))?;
        assert_eq!(peer, self.remote);
        Ok(new)
    }

    pub(crate) fn connect(&self, fd: Fd) -> Result<()> {
        connect(&self.machine, fd, self.remote)
    }

    pub(crate) fn read(&self, fd: Fd, len: usize) -> Result<Received> {
        read(&self.machine, fd, len, Waiting::default())
    }

    pub(crate) fn write(&self, fd: Fd, len: usize) -> Result<usize> {
        write(&self.machine, fd, len, Waiting::default())
    }

    pub(crate) fn close(&self, fd: Fd) {
        let lingering = self.machine.with(|sockets| sockets.close(fd)).unwrap();
        if let Some((id, deadline)) = lingering {
            self.machine.call(
                |_| Some(deadline),
                move |sockets, late| {
                    if late || !sockets.lingers(id) { Poll::Ready(()) } else { Poll::Pending }
                },
            );
        }
    }

    pub(crate) fn nonblocking(&self, fd: Fd) {
        self.machine.with(|sockets| sockets.set_nonblocking(fd, true)).unwrap();
    }

    pub(crate) fn set(&self, fd: Fd, level: i32, name: i32, value: i32) -> Result<()> {
        self.machine.with(|sockets| sockets.set_option(fd, level, name, &value.to_ne_bytes()))
    }

    pub(crate) fn get(&self, fd: Fd, level: i32, name: i32) -> Result<i32> {
        let bytes = self.machine.with(|sockets| sockets.option(fd, level, name))?;
        Ok(i32::from_ne_bytes(bytes[..4].try_into().unwrap()))
    }

    pub(crate) fn sleep(&self, millis: u64) {
        self.machine.sleep(Duration::from_millis(millis));
    }

    pub(crate) fn now(&self) -> Instant {
        self.machine.with(|sockets| sockets.now())
    }
}

pub(crate) fn connect(machine: &Machine, fd: Fd, remote: SocketAddr) -> Result<()> {
    let mut first = true;
    machine.call(
        |_| None,
        move |sockets, late| match sockets.connect(fd, remote, std::mem::take(&mut first)) {
            Poll::Pending if late => Poll::Ready(Err(carrick_packetdrill::errno::Errno::EINPROGRESS)),
            ready => ready,
        },
    )
}

pub(crate) fn read(machine: &Machine, fd: Fd, len: usize, how: Waiting) -> Result<Received> {
    let mut sofar = Vec::new();
    machine.call(
        |sockets| sockets.read_deadline(fd),
        move |sockets, late| sockets.read(fd, len, Waiting { never: how.never || late, ..how }, &mut sofar),
    )
}

pub(crate) fn write(machine: &Machine, fd: Fd, len: usize, how: Waiting) -> Result<usize> {
    let (data, mut progress) = (vec![0; len], Progress::default());
    machine.call(
        |sockets| sockets.write_deadline(fd),
        move |sockets, late| {
            sockets.write(fd, &data, Waiting { never: how.never || late, ..how }, &mut progress)
        },
    )
}

/// Both families, and IPv4 through an IPv6 socket.
pub(crate) fn families() -> [World; 3] {
    let [v4, mut v6, mut mapped] = [(); 3].map(|()| World::new(&[]));
    let place = |address: &str, port| SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    (v6.local, v6.remote) = (place("fd3d:a0b:17d6::1", 8080), place("fd3d:fa7b:d17d::1", 50_000));
    (mapped.local, mapped.remote) = (place("192.168.0.1", 8080), place("192.0.2.1", 50_000));
    [v4, v6, mapped]
}
