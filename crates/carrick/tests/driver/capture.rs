//! Captures: what is in the file, and whose.

use crate::common::{connected, pattern, read_pattern, write_pattern};
use carrick::device::memory::MemoryConfig;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A file in memory that others can look at.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A packet of a capture: when it was, whether it was sent, and its bytes.
struct Captured {
    time: u64,
    sent: bool,
    bytes: Vec<u8>,
}

impl File {
    fn packets(&self) -> Vec<Captured> {
        let file = self.0.lock().unwrap();
        let word = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
        let mut at = 28 + 32;
        let mut packets = Vec::new();
        while at < file.len() {
            let (kind, len, captured) = (word(at), word(at + 4) as usize, word(at + 20) as usize);
            assert_eq!(kind, 6);
            let time = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
            let bytes = file[at + 28..at + 28 + captured].to_vec();
            packets.push(Captured { time, sent: word(at + len - 12) == 2, bytes });
            at += len;
        }
        packets
    }
}

#[tokio::test(start_paused = true)]
async fn a_capture_holds_every_byte_both_ways_and_no_other_connection() {
    const LEN: u64 = 300_000;
    for config in [MemoryConfig::plain(1500), MemoryConfig::default()] {
        let mut pair = connected(config).await;
        let (all, one) = (File::default(), File::default());
        let of_all = pair.client.capture(all.clone()).unwrap();
        let of_one = pair.connected.capture(one.clone()).unwrap();
        let other =
            carrick::TcpStream::connect(&pair.client, pair.listener.local_addr().unwrap()).await.unwrap();
        let writes = async {
            write_pattern(&mut pair.accepted, LEN).await.unwrap();
            pair.accepted.shutdown().await.unwrap();
        };
        let ((), read) = tokio::join!(writes, read_pattern(&mut pair.connected));
        assert_eq!(read.unwrap(), LEN);
        pair.connected.shutdown().await.unwrap();
        pair.connected.closed().await.unwrap();
        drop(other);

        let packets = one.packets();
        assert_eq!(of_one.finish().unwrap(), packets.len() as u64);
        let of_one_port: Vec<_> =
            all.packets().into_iter().filter(|packet| ports(packet) == ports(&packets[0])).collect();
        assert!(
            all.packets().len() > of_one_port.len(),
            "the other connection is in the stack's capture alone"
        );
        let bytes =
            |packets: &[Captured]| packets.iter().map(|packet| packet.bytes.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&of_one_port), bytes(&packets));
        assert!(packets.is_sorted_by_key(|packet| packet.time));
        assert!(packets.iter().any(|packet| packet.sent));

        let text: Vec<u8> = packets
            .iter()
            .filter(|packet| !packet.sent)
            .flat_map(|packet| payload(&packet.bytes).to_vec())
            .collect();
        assert_eq!(text.len() as u64, LEN);
        assert!(text.iter().zip(0..).all(|(byte, at)| *byte == pattern(at)));

        // Dropped, it ends as well; and nothing is written any more.
        let before = all.packets().len();
        drop(of_all);
        let _another =
            carrick::TcpStream::connect(&pair.client, pair.listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(all.packets().len(), before);
    }
}

/// The ports, whichever way the packet goes.
fn ports(packet: &Captured) -> [u8; 4] {
    let [a, b, c, d] = *packet.bytes[20..].first_chunk().unwrap();
    if packet.sent { [a, b, c, d] } else { [c, d, a, b] }
}

fn payload(packet: &[u8]) -> &[u8] {
    &packet[20 + usize::from(packet[32] >> 4) * 4..]
}

/// Takes the file's beginning and so many bytes more.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_the_capture_and_nothing_else() {
    let mut pair = connected(MemoryConfig::default()).await;
    assert_eq!(pair.client.capture(Disk(0)).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let capture = pair.client.capture(Disk(100)).unwrap();
    let writes = async {
        write_pattern(&mut pair.connected, 100_000).await.unwrap();
        pair.connected.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(writes, read_pattern(&mut pair.accepted));
    assert_eq!(read.unwrap(), 100_000);
    assert_eq!(capture.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// Takes the file's beginning and so many bytes more, and panics.
struct Fragile(usize);

impl Write for Fragile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).expect("a writer that panics");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        panic!("a writer that panics");
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_panics_ends_the_capture_and_nothing_else() {
    for config in [MemoryConfig::plain(1500), MemoryConfig::default()] {
        let mut pair = connected(config).await;
        // One panics in a task that writes or in the device task, one only at the end.
        let captures =
            [pair.client.capture(Fragile(5000)).unwrap(), pair.server.capture(Fragile(100)).unwrap()];
        let patient = pair.client.capture(Fragile(usize::MAX)).unwrap();
        let all = File::default();
        let whole = pair.client.capture(all.clone()).unwrap();
        let writes = async {
            write_pattern(&mut pair.connected, 100_000).await.unwrap();
            pair.connected.shutdown().await.unwrap();
        };
        let ((), read) = tokio::join!(writes, read_pattern(&mut pair.accepted));
        assert_eq!(read.unwrap(), 100_000);
        for capture in captures.into_iter().chain([patient]) {
            let error = capture.finish().unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (io::ErrorKind::Other, "the writer panicked")
            );
        }
        drop(pair.client.capture(Fragile(100)).unwrap());
        assert_eq!(whole.finish().unwrap(), all.packets().len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_within_one_stack_is_captured_both_ways() {
    const LEN: usize = 10_000;
    let pair = connected(MemoryConfig::default()).await;
    let connecting = carrick::TcpStream::connect(&pair.server, pair.listener.local_addr().unwrap());
    let (connected, accepted) = tokio::join!(connecting, pair.listener.accept());
    let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap().0);
    for swapped in [false, true] {
        let file = File::default();
        let capture = if swapped { &accepted } else { &connected }.capture(file.clone()).unwrap();
        let mut buf = [0; LEN];
        connected.write_all(&[1; LEN]).await.unwrap();
        accepted.read_exact(&mut buf).await.unwrap();
        accepted.write_all(&buf).await.unwrap();
        connected.read_exact(&mut buf).await.unwrap();
        let packets = file.packets();
        assert_eq!(capture.finish().unwrap(), packets.len() as u64);
        for from in [connected.local_addr().unwrap().port(), accepted.local_addr().unwrap().port()] {
            let of_one = packets.iter().filter(|packet| packet.bytes[20..22] == from.to_be_bytes());
            assert_eq!(of_one.map(|packet| payload(&packet.bytes).len()).sum::<usize>(), LEN);
        }
    }
}
