//! The TUN devices by themselves: datagrams between the kernel and raw packets, settings, failures.

mod common;

use carrick::device::{self, Capabilities, Collected, Device, Packet, Tun, TunBuilder};
use carrick_wire::{Checksum, IpHeader, IpView, Protocol};
use common::inside;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn build(mtu: u16) -> Tun {
    settings(mtu).offload(false).build().expect("a TUN interface")
}

fn settings(mtu: u16) -> TunBuilder {
    let [v4, v6] = ["192.0.2.1/24", "2001:db8::1/64"].map(|host| host.parse().expect("a prefix"));
    Tun::builder().name("carrick0").host(v4).host(v6).mtu(mtu)
}

fn near(family: IpAddr) -> UdpSocket {
    let address = if family.is_ipv4() { "192.0.2.1:5001" } else { "[2001:db8::1]:5001" };
    let socket = UdpSocket::bind(address).expect("the address can be used at once");
    socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
    socket
}

fn far(family: IpAddr) -> SocketAddr {
    if family.is_ipv4() { "192.0.2.2:5002" } else { "[2001:db8::2]:5002" }.parse().expect("an address")
}

fn families() -> [IpAddr; 2] {
    ["192.0.2.2", "2001:db8::2"].map(|address| address.parse().expect("an address"))
}

/// Receives until a UDP packet to port 5002 arrives; the kernel's own chatter (MLD, router solicitations) passes.
async fn receive(tun: &Tun, into: &mut Collected) -> Vec<u8> {
    loop {
        if let Some(at) = into.frames.iter().position(|(frame, ..)| datagram(frame).is_some()) {
            return into.frames.drain(..=at).next_back().expect("the found one").0.to_vec();
        }
        into.frames.clear();
        poll_fn(|cx| into.collect(|inbox| tun.poll_recv(cx, inbox))).await.expect("the device works");
    }
}

/// Receives something, and says whether a UDP packet to port 5002 was there.
async fn arrived(tun: &Tun) -> bool {
    let mut into = Collected::default();
    poll_fn(|cx| into.collect(|inbox| tun.poll_recv(cx, inbox))).await.expect("the device works");
    into.frames.iter().any(|(frame, ..)| unfinished_datagram(frame).is_some())
}

/// Source address, source port and text of a UDP packet to port 5002, its checksum verified.
fn datagram(frame: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
    let ip = IpView::parse(frame).ok()?;
    let udp = ip.payload();
    let datagram = unfinished_datagram(frame)?;
    let mut sum = Checksum::pseudo_header(ip.src(), ip.dst(), Protocol::UDP, udp.len());
    sum.add(udp);
    assert_eq!(sum.finish(), 0, "the kernel hands over finished checksums");
    Some(datagram)
}

/// The same, its checksum not looked at.
fn unfinished_datagram(frame: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
    let ip = IpView::parse(frame).ok()?;
    let udp = ip.payload();
    if ip.protocol() != Protocol::UDP || udp.get(2..4)? != 5002_u16.to_be_bytes() {
        return None;
    }
    let port = u16::from_be_bytes([udp[0], udp[1]]);
    Some((SocketAddr::new(ip.src(), port), udp[8..].to_vec()))
}

/// Sends a datagram from the far end to the near one, in three slices.
fn answer(tun: &Tun, to: SocketAddr, text: &[u8]) -> io::Result<()> {
    let from = far(to.ip());
    let length = 8 + text.len();
    let header = IpHeader {
        src: from.ip(),
        dst: to.ip(),
        protocol: Protocol::UDP,
        hop_limit: 64,
        tos: 0,
        flow_label: 0,
        identification: 0,
        payload_len: length,
    };
    let mut bytes = [0; 48];
    let ip = header.emit(&mut bytes).expect("room for the header");
    let udp =
        [from.port().to_be_bytes(), to.port().to_be_bytes(), (length as u16).to_be_bytes(), [0; 2]].concat();
    let mut sum = Checksum::pseudo_header(from.ip(), to.ip(), Protocol::UDP, length);
    sum.add(&udp);
    sum.add(text);
    bytes[ip..ip + 8].copy_from_slice(&udp);
    bytes[ip + 6..ip + 8].copy_from_slice(&sum.finish().to_be_bytes());
    let (first, second) = text.split_at(text.len() / 2);
    tun.send(&Packet::new(&bytes[..ip + 8], &[first, second], None))
}

#[test]
fn datagrams_go_both_ways_at_every_mtu() {
    inside("datagrams_go_both_ways_at_every_mtu", &[], LIMIT, async {
        for mtu in [1280, 1500, 9000, 65_535] {
            let tun = build(mtu);
            assert_eq!(tun.description(), format!("carrick0 (plain TUN, MTU {mtu})"));
            assert_eq!(tun.capabilities().mtu, mtu);
            for family in families() {
                let socket = near(family);
                // The largest datagram that fits: one packet, not fragments.
                let headers = if family.is_ipv4() { 28 } else { 48 };
                let text: Vec<u8> = (0..usize::from(mtu) - headers).map(|n| (n % 251) as u8).collect();
                socket.send_to(&text, far(family)).expect("the kernel sends");
                let frame = receive(&tun, &mut Collected::default()).await;
                assert_eq!(frame.len(), usize::from(mtu));
                let (from, received) = datagram(&frame).expect("a datagram");
                assert_eq!((from, received), (socket.local_addr().expect("bound"), text));

                let reply: Vec<u8> = (0..usize::from(mtu) - headers).map(|n| (n % 241) as u8).collect();
                answer(&tun, from, &reply).expect("the device takes it");
                let mut buffer = vec![0; 65_536];
                let (length, by) = socket.recv_from(&mut buffer).expect("the kernel receives");
                assert_eq!((by, &buffer[..length]), (far(family), &reply[..]));
            }
        }
        // In here, so that it is not said where the test is skipped.
        carrick_covers::covers!("TUN-2");
    });
}

#[test]
fn an_offloading_interface_leaves_checksums_to_whoever_needs_them() {
    inside("an_offloading_interface_leaves_checksums_to_whoever_needs_them", &[], LIMIT, async {
        let tun = settings(1500).build().expect("a TUN interface");
        assert_eq!(tun.description(), "carrick0 (offloading TUN, MTU 1500)");
        assert!(tun.is_offloading());
        let Capabilities {
            mtu, largest_frame, completes_checksums, segmentation_v4, segmentation_v6, ..
        } = tun.capabilities();
        assert_eq!((mtu, largest_frame), (1500, 65_535));
        assert!(completes_checksums && segmentation_v4 && segmentation_v6);
        for family in families() {
            let socket = near(family);
            socket.send_to(b"unfinished", far(family)).expect("the kernel sends");
            let (from, checksum) = loop {
                let mut into = Collected::default();
                poll_fn(|cx| into.collect(|inbox| tun.poll_recv(cx, inbox))).await.expect("the device works");
                let found = into.frames.iter().find_map(|(frame, checksum, size)| {
                    Some((unfinished_datagram(frame)?, *checksum, *size))
                });
                if let Some(((from, text), checksum, size)) = found {
                    assert_eq!((&text[..], size, into.refused), (&b"unfinished"[..], None, 0));
                    break (from, checksum);
                }
            };
            assert_eq!(checksum, device::Checksum::Verified, "it never left this host");
            // Nothing but TCP is left for the kernel to finish.
            answer(&tun, from, b"finished").expect("the device takes it");
            let mut buffer = [0; 100];
            assert_eq!(socket.recv(&mut buffer).expect("the kernel receives"), 8);
        }
    });
}

#[test]
fn a_plain_interface_that_was_an_offloading_one_hands_over_what_is_finished() {
    let test = "a_plain_interface_that_was_an_offloading_one_hands_over_what_is_finished";
    inside(test, &["ip"], LIMIT, async {
        ip("tuntap add dev carrick0 mode tun");
        let offloading = settings(1500).build().expect("a TUN interface");
        assert!(offloading.is_offloading());
        drop(offloading);
        // It is still there, with its addresses.
        let plain = Tun::builder().name("carrick0").offload(false).build().expect("a TUN interface");
        assert!(!plain.is_offloading());
        for family in families() {
            near(family).send_to(b"finished", far(family)).expect("the kernel sends");
            let frame = receive(&plain, &mut Collected::default()).await;
            assert_eq!(datagram(&frame).expect("a datagram").1, b"finished");
        }
    });
}

#[test]
fn the_kernel_queues_more_than_its_default() {
    inside("the_kernel_queues_more_than_its_default", &[], LIMIT, async {
        const COUNT: u32 = 4000;
        let tun = build(1500);
        let socket = near(families()[0]);
        for number in 0..COUNT {
            socket.send_to(&number.to_be_bytes(), far(families()[0])).expect("the kernel sends");
        }
        let mut into = Collected::default();
        into.limit = 7;
        for number in 0..COUNT {
            let (_, text) = datagram(&receive(&tun, &mut into).await).expect("a datagram");
            assert_eq!(text, number.to_be_bytes(), "none lost, order kept");
        }
    });
}

#[test]
fn a_receiver_that_waits_is_woken() {
    inside("a_receiver_that_waits_is_woken", &[], LIMIT, async {
        let tun = build(1500);
        let (seen, mut last_seen) = tokio::sync::mpsc::channel(1);
        let receiver = tokio::spawn(async move {
            let mut into = Collected::default();
            while seen.send(receive(&tun, &mut into).await).await.is_ok() {}
        });
        let socket = near(families()[0]);
        for number in 0..2000_u32 {
            // The last one was received, so the receiver waits or is about to.
            socket.send_to(&number.to_be_bytes(), far(families()[0])).expect("the kernel sends");
            let frame = last_seen.recv().await.expect("the receiver lives");
            assert_eq!(datagram(&frame).expect("a datagram").1, number.to_be_bytes());
        }
        receiver.abort();
    });
}

#[test]
fn an_outage_loses_packets_and_a_deletion_ends_the_device() {
    let test = "an_outage_loses_packets_and_a_deletion_ends_the_device";
    inside(test, &["ip"], LIMIT, outage(settings(1500).offload(false)));
}

#[test]
fn an_outage_loses_packets_and_a_deletion_ends_the_offloading_device() {
    let test = "an_outage_loses_packets_and_a_deletion_ends_the_offloading_device";
    inside(test, &["ip"], LIMIT, outage(settings(1500)));
}

async fn outage(settings: TunBuilder) {
    let tun = settings.build().expect("a TUN interface");
    let v4 = families()[0];
    let socket = near(v4);
    let near = socket.local_addr().expect("bound");
    ip("link set carrick0 down");
    let error = answer(&tun, near, b"into the void").expect_err("the interface is down");
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
    ip("link set carrick0 up");
    answer(&tun, near, b"back").expect("the interface is up");
    let mut buffer = [0; 100];
    assert_eq!(socket.recv(&mut buffer).expect("the kernel receives"), 4);
    socket.send_to(b"to us", far(v4)).expect("the kernel sends");
    while !arrived(&tun).await {}

    let deleted = tokio::task::spawn_blocking(|| ip("link delete carrick0"));
    let error = loop {
        let mut into = Collected::default();
        if let Err(error) = poll_fn(|cx| into.collect(|inbox| tun.poll_recv(cx, inbox))).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(error.to_string().contains("carrick0"), "{error}");
    let again = poll_fn(|cx| Collected::default().collect(|inbox| tun.poll_recv(cx, inbox))).await;
    assert_eq!(again.expect_err("it stays deleted").kind(), ErrorKind::NotConnected);
    deleted.await.expect("the command ran");
    let error = answer(&tun, near, b"gone").expect_err("the interface is gone");
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn names_are_given_checked_and_taken_once() {
    inside("names_are_given_checked_and_taken_once", &[], LIMIT, async {
        let first = Tun::builder().build().expect("the first");
        let second = Tun::builder().build().expect("the second");
        assert_eq!([first.name(), second.name()], ["carrick0", "carrick1"]);
        let busy = Tun::builder().name("carrick1").build().expect_err("taken");
        assert_eq!(busy.kind(), ErrorKind::ResourceBusy, "{busy}");
        drop(first);
        assert_eq!(Tun::builder().build().expect("the name is free again").name(), "carrick0");
    });
}

#[test]
fn an_interface_opened_elsewhere_is_taken_over_if_it_carries_bare_packets() {
    inside("an_interface_opened_elsewhere_is_taken_over_if_it_carries_bare_packets", &[], LIMIT, async {
        let open = |builder: tokio_tun::TunBuilder| builder.build().expect("an interface").remove(0);
        let plain =
            Tun::try_from(open(tokio_tun::Tun::builder().name("theirs").mtu(1400))).expect("bare packets");
        assert_eq!((plain.name(), plain.mtu()), ("theirs", 1400));
        let error = Tun::try_from(open(tokio_tun::Tun::builder().tap())).expect_err("Ethernet frames");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    });
}

#[test]
fn bad_settings_are_errors() {
    for name in ["", "sixteen-letters-", "a/b", "a b", "a:b", "..", "nul\0"] {
        let error = Tun::builder().name(name).build().expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let v6 = "2001:db8::1/64".parse().expect("a prefix");
    for builder in [Tun::builder().mtu(575), Tun::builder().host(v6).mtu(1279), Tun::builder().queue_len(0)] {
        assert_eq!(builder.build().expect_err("out of range").kind(), ErrorKind::InvalidInput);
    }
    assert!(Tun::builder().build().is_err(), "no runtime here: an error, not a panic");
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("the `ip` command (iproute2)");
    assert!(status.success(), "ip {arguments}");
}
