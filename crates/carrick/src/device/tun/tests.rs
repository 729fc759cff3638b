//! The device on a descriptor whose other end is the test's: a kernel that grants what the test says, and lies.

use super::*;
use crate::{Stack, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A device, and the kernel's end of it. Each message is one packet, as on a TUN.
fn device(name: &str, offloads: Option<u32>) -> (Tun, tokio::net::UnixDatagram) {
    let (ours, kernels) = UnixDatagram::pair().unwrap();
    for end in [&ours, &kernels] {
        end.set_nonblocking(true).unwrap();
    }
    let tun = Tun::new(ours.into(), name.into(), 1500, offloads).unwrap();
    (tun, tokio::net::UnixDatagram::from_std(kernels).unwrap())
}

#[tokio::test]
async fn what_the_kernel_does_not_know_is_not_asked_for() {
    let whole = "carrick0 (offloading TUN, MTU 1500)";
    let sent_only = "carrick0 (TUN that offloads only what is sent, MTU 1500)";
    // TUNSETOFFLOAD refuses any set with a flag that it does not know, and takes all others.
    for (knows, granted, described) in [
        (u32::MAX, 0b1111, whole),
        (0b1111, 0b1111, whole),
        (0b0111, 0b0111, whole),
        (0b1011, 0b0001, sent_only),
        (0b0011, 0b0001, sent_only),
        (0b0001, 0b0001, sent_only),
        (0b0000, 0b0000, sent_only),
        (0b1110, 0b0000, sent_only),
    ] {
        let mut asked = Vec::new();
        let offloads = granted_offloads(|set| {
            asked.push(*set);
            set & !knows == 0
        });
        assert_eq!(offloads, granted, "{asked:?}");
        let (tun, _kernel) = device("carrick0", Some(offloads));
        assert_eq!((tun.description().as_str(), tun.is_offloading()), (described, true));
        assert!(tun.capabilities().segmentation_v4, "what is sent may be a super-segment in any case");
    }
    let (tun, _kernel) = device("carrick0", None);
    assert_eq!(tun.description(), "carrick0 (plain TUN, MTU 1500)");
    assert!(!tun.is_offloading() && !tun.capabilities().segmentation_v4);
}

/// What a kernel does to the packets between two devices.
struct Lies {
    state: u64,
    /// Frames that a device cannot take for a packet.
    refusable: Arc<AtomicU64>,
}

impl Lies {
    /// A number below `end`.
    fn draw(&mut self, end: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % end
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.draw(256) as u8).collect()
    }

    /// Frames that come before this one, and what becomes of it.
    fn tell(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        match self.draw(8) {
            // Too short for a header, without a packet, or nonsense.
            0 => out.push({
                let len = self.draw(80);
                self.bytes(len)
            }),
            // A packet's first bytes behind its header, or any other.
            1 => out.push({
                let len = offload::LEN + self.draw((frame.len() - offload::LEN) as u64) as usize;
                let mut first = frame[..len].to_vec();
                if self.draw(2) == 0 {
                    first[..offload::LEN].copy_from_slice(&self.bytes(offload::LEN as u64));
                }
                first
            }),
            _ => {}
        }
        let mut frame = frame.to_vec();
        let number = self.draw(1 << 16) as u16;
        let whole = frame[1] & 0x7f != 0;
        match self.draw(60) {
            // What nobody is to look at: hdr_len; how large the segments were.
            0..20 => frame[2..4].copy_from_slice(&number.to_ne_bytes()),
            20..40 if whole => frame[4..6].copy_from_slice(&number.max(1).to_ne_bytes()),
            // What contradicts the packet: segments of nothing, of UDP, a sum beyond the end.
            40 => {
                frame[1] |= 1;
                frame[4..6].fill(0);
            }
            41 => frame[1] = 3,
            42 if frame[0] & 1 != 0 => frame[6..8].fill(0xff),
            _ => {}
        }
        out.push(frame);
        for frame in &out {
            let header = frame.first_chunk();
            if header.and_then(|header| offload::parse(*header, &frame[offload::LEN..])).is_none() {
                self.refusable.fetch_add(1, Ordering::Relaxed);
            }
        }
        out
    }
}

async fn relay(from: &tokio::net::UnixDatagram, to: &tokio::net::UnixDatagram, lies: &mut Lies) {
    let mut buffer = vec![0; 70_000];
    loop {
        let Ok(len) = from.recv(&mut buffer).await else { return };
        for frame in lies.tell(&buffer[..len]) {
            if to.send(&frame).await.is_err() {
                return;
            }
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// Sends and receives as much; what comes is what was sent.
async fn exchange(mut stream: TcpStream, text: &[u8]) {
    let (mut read, mut write) = stream.split();
    let writing = async {
        write.write_all(text).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut seen = Vec::new();
    let (len, ()) = tokio::join!(read.read_to_end(&mut seen), writing);
    assert!(len.is_ok_and(|len| len == text.len()) && seen == text);
}

#[tokio::test(start_paused = true)]
async fn t_mal_18_a_kernel_that_lies_in_its_headers_is_not_believed() {
    let text = pattern(12_000_000);
    for (seed, network) in [(1, ["192.0.2.1/24", "192.0.2.2/24"]), (2, ["2001:db8::1/64", "2001:db8::2/64"])]
    {
        let [(near, to_near), (far, to_far)] = ["near", "far"].map(|name| device(name, Some(0b1111)));
        let stack = |tun, address: &str| {
            Stack::builder().address(address.parse().unwrap()).device(tun).build().unwrap()
        };
        let (near, far) = (stack(near, network[0]), stack(far, network[1]));
        let refusable = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let lies = |state, refusable: &Arc<_>| Lies { state, refusable: Arc::clone(refusable) };
        let (mut inward, mut outward) = (lies(seed, &refusable[0]), lies(seed + 100, &refusable[1]));
        let all_read = || {
            let told = [&near, &far].map(|stack| stack.counters().device_refused);
            told == refusable.each_ref().map(|count| count.load(Ordering::Relaxed))
        };
        let address = network[0].split('/').next().unwrap().parse::<std::net::IpAddr>().unwrap();
        let listener = TcpListener::bind(&near, (address, 80)).await.unwrap();
        let talk = async {
            let (accepted, connected) =
                tokio::join!(listener.accept(), TcpStream::connect(&far, (address, 80)));
            tokio::join!(exchange(accepted.unwrap().0, &text), exchange(connected.unwrap(), &text));
            // What is still on its way is taken too.
            for _ in 0..100_000 {
                if all_read() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = talk => {}
            () = relay(&to_far, &to_near, &mut inward) => panic!("the link has ended"),
            () = relay(&to_near, &to_far, &mut outward) => panic!("the link has ended"),
        }
        assert!(all_read(), "{refusable:?}, {:?}, {:?}", near.counters(), far.counters());
        for stack in [&near, &far] {
            let counters = stack.counters();
            assert!(counters.device_refused > 20, "{counters:?}");
            assert!(counters.endpoint.discarded_by_endpoint() > 0, "{counters:?}");
            assert_eq!(counters.internal_errors, 0);
        }
    }
    carrick_covers::covers!("T-MAL-18");
}
