//! The kernel's TCP against carrick's, across a TUN interface.
//!
//! A stall is no progress for a second while there is data to move: each receiver has that limit for each
//! read, and curl ends with an error when a transfer makes no progress for that long. `CARRICK_SOAK=1`
//! moves a gigabyte where otherwise 64 MiB have to do.

mod common;

use carrick::device::{Tun, TunBuilder};
use carrick::{Counters, Stack, TcpListener, TcpStream};
use carrick_examples::meter::Tally;
use carrick_examples::{link, pattern, web};
use common::{inside, is_set};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpStream as KernelStream, UdpSocket};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const MEBIBYTE: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(120);
const STALL: Duration = Duration::from_secs(1);

/// Bytes of a large transfer.
fn large() -> u64 {
    if is_set("CARRICK_SOAK") { 1 << 30 } else { 64 * MEBIBYTE }
}

fn offloading() -> TunBuilder {
    Tun::builder()
}

fn plain() -> TunBuilder {
    Tun::builder().offload(false)
}

/// The web server on a stack across a TUN interface, IPv4 and IPv6.
async fn serve(kind: TunBuilder) -> Stack {
    let stack = link::far(link::tun(kind).expect("a TUN interface")).expect("a stack");
    for address in [link::FAR_V4, link::FAR_V6] {
        let listener = TcpListener::bind(&stack, (address, 80)).await.expect("a free port");
        tokio::spawn(web::serve(listener));
    }
    stack
}

fn url(address: IpAddr, path: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("http://{address}{path}"),
        IpAddr::V6(address) => format!("http://[{address}]{path}"),
    }
}

/// curl that says what went wrong, and takes a second without progress for an error.
fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--globoff", "--speed-limit", "1", "--speed-time", "1"]);
    curl.kill_on_drop(true).stdin(Stdio::null());
    curl
}

fn successful(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Reads to the end, with a limit for each step.
async fn receive(mut from: impl AsyncRead + Unpin) -> Tally {
    let mut received = Tally::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let step = timeout(STALL, from.read(&mut buffer)).await;
        let length =
            step.unwrap_or_else(|_| panic!("stalled after {} bytes", received.bytes())).expect("a read");
        if length == 0 {
            return received;
        }
        received.take(&buffer[..length]);
    }
}

/// Writes `bytes` bytes of the pattern and ends the direction, with a limit for each step.
async fn send(mut to: impl AsyncWrite + Unpin, bytes: u64) {
    let mut sent = 0;
    while sent < bytes {
        let step = timeout(STALL, to.write(pattern::from(sent, bytes - sent))).await;
        sent += step.unwrap_or_else(|_| panic!("stalled after {sent} bytes")).expect("a write") as u64;
    }
    to.shutdown().await.expect("the end of the direction");
}

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("carrick-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for this test");
        Self(path)
    }

    fn file(&self, name: impl std::fmt::Display) -> String {
        self.0.join(name.to_string()).to_str().expect("a readable path").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn both_directions_at_once_on_many_connections() {
    inside("both_directions_at_once_on_many_connections", &[], LIMIT, async {
        const CONNECTIONS: usize = 64;
        let stack = link::far(link::tun(offloading()).expect("a TUN interface")).expect("a stack");
        for address in [link::FAR_V4, link::FAR_V6] {
            let listener = TcpListener::bind(&stack, (address, 7)).await.expect("a free port");
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..CONNECTIONS {
                tasks.spawn(async move {
                    let stream = KernelStream::connect((address, 7)).await.expect("a connection");
                    exchange(stream.into_split()).await;
                });
                let (stream, peer) = listener.accept().await.expect("a connection");
                assert!([link::NEAR_V4, link::NEAR_V6].contains(&peer.ip()));
                tasks.spawn(exchange(stream.into_split()));
            }
            while let Some(done) = tasks.join_next().await {
                done.expect("no stall, no error, no difference");
            }
        }
        stack.shutdown().await;
    });
}

/// Sends and receives a mebibyte of the pattern at once.
async fn exchange((from, to): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin)) {
    let (received, ()) = tokio::join!(receive(from), send(to, MEBIBYTE));
    assert_eq!((received.bytes(), received.digest()), (MEBIBYTE, pattern::digest(MEBIBYTE)));
}

#[test]
fn carrick_connects_to_the_kernel() {
    inside("carrick_connects_to_the_kernel", &[], LIMIT, async {
        let stack = link::far(link::tun(offloading()).expect("a TUN interface")).expect("a stack");
        for address in [link::NEAR_V4, link::NEAR_V6] {
            let listener = tokio::net::TcpListener::bind((address, 0)).await.expect("a port");
            let to = listener.local_addr().expect("bound");
            let connecting = async { carrick::TcpStream::connect(&stack, to).await.expect("a connection") };
            let (ours, theirs) =
                tokio::join!(connecting, async { listener.accept().await.expect("a connection").0 });
            assert_eq!(ours.local_addr().expect("connected"), theirs.peer_addr().expect("connected"));
            tokio::join!(exchange(ours.into_split()), exchange(theirs.into_split()));
            drop(listener);
            let refused = carrick::TcpStream::connect(&stack, to).await.expect_err("nobody listens");
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        }
        stack.shutdown().await;
    });
}

#[test]
fn curl_downloads() {
    inside("curl_downloads", &["curl"], LIMIT, download(offloading()));
}

#[test]
fn curl_downloads_in_small_packets() {
    inside("curl_downloads_in_small_packets", &["curl"], LIMIT, download(plain()));
}

#[test]
fn curl_downloads_in_large_packets() {
    inside("curl_downloads_in_large_packets", &["curl"], LIMIT, download(plain().mtu(65_535)));
}

async fn download(kind: TunBuilder) {
    let bytes = large();
    let expected = pattern::digest(bytes);
    let _stack = serve(kind).await;
    for address in [link::FAR_V4, link::FAR_V6] {
        let mut curl = curl()
            .arg(url(address, &format!("/bytes/{bytes}")))
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let received = receive(curl.stdout.take().expect("a pipe")).await;
        assert!(curl.wait().await.expect("curl ends").success());
        assert_eq!((received.bytes(), received.digest()), (bytes, expected.clone()), "{address}");
    }
}

#[test]
fn curl_uploads() {
    inside("curl_uploads", &["curl"], LIMIT, async {
        assert_eq!(upload(offloading()).await.merged, 0, "the kernel does it");
    });
}

#[test]
fn curl_uploads_in_small_packets() {
    inside("curl_uploads_in_small_packets", &["curl"], LIMIT, async {
        let counters = upload(plain()).await;
        let packets = counters.endpoint.frames + counters.merged;
        // IPv4 and IPv6, none with more than 1,448 bytes.
        assert!(packets >= 2 * large() / 1448 && counters.merged > packets / 2, "{counters:?}");
    });
}

#[test]
fn curl_uploads_in_large_packets() {
    inside("curl_uploads_in_large_packets", &["curl"], LIMIT, async {
        upload(plain().mtu(65_535)).await;
    });
}

/// What the stack has counted.
async fn upload(kind: TunBuilder) -> Counters {
    let bytes = large();
    let expected = format!("{bytes} {}\n", pattern::digest(bytes));
    let stack = serve(kind).await;
    for address in [link::FAR_V4, link::FAR_V6] {
        let mut curl = curl();
        curl.args(["--upload-file", "-", &url(address, "/upload")]);
        curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut curl = curl.spawn().expect("curl starts");
        send(curl.stdin.take().expect("a pipe"), bytes).await;
        let output = curl.wait_with_output().await.expect("curl ends");
        assert_eq!(successful(&output), expected, "{address}");
    }
    stack.counters()
}

#[test]
fn curl_transfers_200_in_a_row() {
    inside("curl_transfers_200_in_a_row", &["curl"], LIMIT, async {
        let scratch = Scratch::new();
        let source = scratch.file("source");
        fs::write(&source, stream(MEBIBYTE)).expect("a file to send");
        let _stack = serve(offloading()).await;
        let expected = pattern::digest(MEBIBYTE);
        for address in [link::FAR_V4, link::FAR_V6] {
            // Every one on a connection of its own.
            let mut down = curl();
            down.args(["--header", "Connection: close"]);
            let mut up = curl();
            up.args(["--header", "Connection: close"]);
            for number in 0..100 {
                down.arg(url(address, &format!("/bytes/{MEBIBYTE}?{number}")));
                up.args(["--upload-file", &source, &url(address, &format!("/upload?{number}"))]);
            }
            let down = down.output().await.expect("curl starts");
            successful(&down);
            assert_eq!(down.stdout.len() as u64, 100 * MEBIBYTE);
            for piece in down.stdout.chunks(MEBIBYTE as usize) {
                assert_eq!(digest(piece), expected);
            }
            let up = successful(&up.output().await.expect("curl starts"));
            assert_eq!(up, format!("{MEBIBYTE} {expected}\n").repeat(100));
        }
    });
}

#[test]
fn curl_transfers_64_at_a_time() {
    inside("curl_transfers_64_at_a_time", &["curl"], LIMIT, async {
        const COUNT: usize = 64;
        let scratch = Scratch::new();
        let source = scratch.file("source");
        fs::write(&source, stream(MEBIBYTE)).expect("a file to send");
        let _stack = serve(offloading()).await;
        let expected = pattern::digest(MEBIBYTE);
        for address in [link::FAR_V4, link::FAR_V6] {
            let parallel = ["--parallel", "--parallel-immediate", "--parallel-max", "64"];
            let (mut down, mut up) = (curl(), curl());
            down.args(parallel);
            up.args(parallel);
            for number in 0..COUNT {
                down.args([
                    "--output",
                    &scratch.file(number),
                    &url(address, &format!("/bytes/{MEBIBYTE}?{number}")),
                ]);
                up.args(["--output", &scratch.file(format!("{number}.answer"))]);
                up.args(["--upload-file", &source, &url(address, &format!("/upload?{number}"))]);
            }
            successful(&down.output().await.expect("curl starts"));
            successful(&up.output().await.expect("curl starts"));
            for number in 0..COUNT {
                assert_eq!(digest(&fs::read(scratch.file(number)).expect("a download")), expected);
                let answer = fs::read_to_string(scratch.file(format!("{number}.answer"))).expect("an answer");
                assert_eq!(answer, format!("{MEBIBYTE} {expected}\n"));
            }
        }
    });
}

#[test]
fn tshark_finds_nothing_wrong() {
    inside("tshark_finds_nothing_wrong", &["curl", "dumpcap", "tshark"], LIMIT, watched(plain(), true));
}

#[test]
fn tshark_finds_nothing_wrong_in_super_segments() {
    let test = "tshark_finds_nothing_wrong_in_super_segments";
    inside(test, &["curl", "dumpcap", "tshark"], LIMIT, watched(offloading(), false));
}

/// Transfers both ways under tshark's eyes; `finished` packets have their checksums, and are small.
async fn watched(kind: TunBuilder, finished: bool) {
    const BYTES: u64 = 16 * MEBIBYTE;
    let scratch = Scratch::new();
    let (source, capture) = (scratch.file("source"), scratch.file("capture.pcapng"));
    fs::write(&source, stream(BYTES)).expect("a file to send");
    let stack = serve(kind).await;
    let own_file = scratch.file("own.pcapng");
    let own = io::BufWriter::new(fs::File::create(&own_file).expect("a file for the capture"));
    let own = stack.capture(own).expect("it can be written to");
    let kernel = KernelCapture::start(capture.clone().into()).await;
    for address in [link::FAR_V4, link::FAR_V6] {
        let down = url(address, &format!("/bytes/{BYTES}"));
        let up = url(address, "/upload");
        let done = curl().args(["--output", "/dev/null", &down]).output().await.expect("curl starts");
        successful(&done);
        let done = curl().args(["--upload-file", &source, &up]).output().await.expect("curl starts");
        assert_eq!(successful(&done), format!("{BYTES} {}\n", pattern::digest(BYTES)));
    }
    kernel.stop().await;

    let count = own.finish().expect("all of it was written");
    let packets = dissect(&capture, finished).await;
    let own_packets = dissect(&own_file, finished).await;
    // The kernel looks for routers now and then.
    assert!((1..=count).contains(&(own_packets.len() as u64)), "{} of {count} are TCP", own_packets.len());
    let least = 4 * BYTES / 1460;
    for packets in [&packets, &own_packets] {
        assert_eq!(packets.len() as u64 > least, finished, "{} packets, {least} of full size", packets.len());
    }
    let from_carrick = |packet: &&Packet| ["192.0.2.2", "2001:db8::2"].contains(&packet.from.as_str());
    for packet in packets.iter().chain(&own_packets) {
        let Packet { checksum, tcp_checksum, ip_checksum, malformed, severity, .. } = packet;
        // The kernel writes a sum of 0 as 0xffff, as UDP must and TCP need not; tshark calls that bad.
        let written_otherwise = checksum == "0xffff" && !from_carrick(&packet);
        assert!(tcp_checksum == GOOD || written_otherwise || !finished, "{packet:?}");
        // IPv6 has none.
        assert!(matches!(ip_checksum.as_str(), GOOD | ""), "{packet:?}");
        assert!(malformed.is_empty() && !severity.split(',').any(|severity| severity == ERROR), "{packet:?}");
    }
    let again: Vec<_> =
        packets.iter().filter(from_carrick).filter(|packet| !packet.again.is_empty()).collect();
    // Nothing is lost; but where the machine is busy a tail may be asked for that was only late (RFC 8985 §7).
    assert!(again.len() <= 4, "carrick sent something twice: {again:?}");
}

#[test]
fn the_kernel_counts_the_same() {
    inside("the_kernel_counts_the_same", &[], LIMIT, count_with_the_kernel(plain()));
}

#[test]
fn the_kernel_counts_the_same_where_it_segments() {
    inside("the_kernel_counts_the_same_where_it_segments", &[], LIMIT, count_with_the_kernel(offloading()));
}

/// The numbers of the tcp group, for this namespace.
fn counted_by_the_kernel() -> HashMap<String, u64> {
    let text = fs::read_to_string("/proc/net/snmp").expect("the kernel's counters");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let values = values.split(' ').map(|value| value.parse().unwrap_or(0));
    names.split(' ').map(str::to_owned).zip(values).collect()
}

/// Each side's counters against the other's, after conversations that either began and attempts that either refused.
async fn count_with_the_kernel(kind: TunBuilder) {
    const BYTES: u64 = 2 * MEBIBYTE;
    let stack = link::far(link::tun(kind).expect("a TUN interface")).expect("a stack");
    let ours = TcpListener::bind(&stack, (link::FAR_V4, 7)).await.expect("a free port");
    let kernels = tokio::net::TcpListener::bind((link::NEAR_V4, 7)).await.expect("a free port");
    let begun_by_kernel = async {
        let (accepted, connected) = tokio::join!(ours.accept(), KernelStream::connect((link::FAR_V4, 7)));
        (accepted.expect("a connection").0, connected.expect("a connection"))
    };
    let begun_by_us = async {
        let (accepted, connected) =
            tokio::join!(kernels.accept(), TcpStream::connect(&stack, (link::NEAR_V4, 7)));
        (connected.expect("a connection"), accepted.expect("a connection").0)
    };
    let (one, other) = tokio::join!(begun_by_kernel, begun_by_us);
    for (near, far) in [one, other] {
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        let all = async {
            tokio::join!(
                receive(near_read),
                send(near_write, BYTES),
                receive(far_read),
                send(far_write, BYTES)
            )
        };
        let (there, (), back, ()) = all.await;
        assert_eq!((there.bytes(), back.bytes()), (BYTES, BYTES));
    }
    TcpStream::connect(&stack, (link::NEAR_V4, 9)).await.expect_err("nobody listens");
    KernelStream::connect((link::FAR_V4, 9)).await.expect_err("nobody listens");
    drop(ours);
    stack.shutdown().await;

    let (carrick, kernel) = (stack.counters(), counted_by_the_kernel());
    let of = |name: &str| *kernel.get(name).unwrap_or_else(|| panic!("no {name}"));
    let tcp = &carrick.tcp;
    println!("{carrick}{kernel:?}");
    assert_eq!((tcp.active_opens, tcp.passive_opens), (2, 1));
    assert_eq!((of("ActiveOpens"), of("PassiveOpens")), (2, 1));
    assert_eq!((tcp.attempt_fails, of("AttemptFails")), (1, 1));
    assert_eq!((tcp.estab_resets, of("EstabResets"), tcp.curr_estab, of("CurrEstab")), (0, 0, 0, 0));
    assert_eq!((tcp.out_rsts, of("OutRsts"), tcp.in_errs, of("InErrs")), (1, 1, 0, 0));
    assert_eq!((carrick.device_lost, carrick.device_refused), (0, 0));
    // The kernel counts what it sends by segments, a super-segment as many.
    assert_eq!(tcp.in_segs, of("OutSegs") + of("RetransSegs"));
    // What it receives it counts by packets: as many, where there are no super-segments.
    let sent = tcp.out_segs + tcp.retrans_segs;
    let segments = 2 * BYTES / 1460;
    assert!(sent > segments && tcp.in_segs > segments);
    let super_segments = stack.device_description().contains("offloading");
    assert_eq!(of("InSegs") < sent, super_segments, "{} of {sent}", of("InSegs"));
    assert!(super_segments || of("InSegs") == sent, "{} of {sent}", of("InSegs"));
}

/// What tshark says of one TCP packet; a field that does not apply is empty.
#[derive(Debug)]
#[allow(dead_code, reason = "number and remarks are for whoever reads a failure")]
struct Packet {
    number: String,
    from: String,
    checksum: String,
    tcp_checksum: String,
    ip_checksum: String,
    malformed: String,
    severity: String,
    /// It is a retransmission.
    again: String,
    remarks: String,
}

/// tshark's word for a verified checksum.
const GOOD: &str = "1";
/// Its number for the severity "error".
const ERROR: &str = "8388608";

/// Lets tshark look at every TCP packet of a capture; checksums are verified where they are `finished`.
async fn dissect(capture: &str, finished: bool) -> Vec<Packet> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r", capture, "-Y", "tcp", "-T", "fields"]);
    // What is carried looks to one dissector or another like something of its own, and malformed.
    tshark.args(["-d", "tcp.port==80,data"]);
    let check_tcp = if finished { "tcp.check_checksum:TRUE" } else { "tcp.check_checksum:FALSE" };
    tshark.args(["-o", "ip.check_checksum:TRUE", "-o", check_tcp]);
    for field in
        ["frame.number", "ip.src", "ipv6.src", "tcp.checksum", "tcp.checksum.status", "ip.checksum.status"]
    {
        tshark.args(["-e", field]);
    }
    for field in ["_ws.malformed", "_ws.expert.severity", "tcp.analysis.retransmission", "_ws.expert.message"]
    {
        tshark.args(["-e", field]);
    }
    let packet = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let mut next = || fields.next().expect("a field");
        Packet {
            number: next(),
            from: next() + &next(),
            checksum: next(),
            tcp_checksum: next(),
            ip_checksum: next(),
            malformed: next(),
            severity: next(),
            again: next(),
            remarks: next(),
        }
    };
    successful(&tshark.output().await.expect("tshark starts")).lines().map(packet).collect()
}

/// A capture of the TUN interface by the kernel.
struct KernelCapture {
    dumpcap: tokio::process::Child,
    said: Lines<BufReader<ChildStderr>>,
    /// Copies what it captures into the file.
    copies: JoinHandle<()>,
    /// That copy has met the mark.
    met: oneshot::Receiver<()>,
}

/// What a datagram carries that is the last one to be captured.
const MARK: &[u8] = b"the last one of this capture";

impl KernelCapture {
    /// Starts one into a file; it runs when this returns.
    async fn start(file: PathBuf) -> Self {
        let mut dumpcap = Command::new("dumpcap");
        dumpcap.args(["-q", "-i", "carrick0", "-B", "256", "-w", "-"]);
        dumpcap.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut dumpcap = dumpcap.spawn().expect("dumpcap starts");
        let mut said = BufReader::new(dumpcap.stderr.take().expect("a pipe")).lines();
        let captured = dumpcap.stdout.take().expect("a pipe");
        let (meets, met) = oneshot::channel();
        let copies = tokio::spawn(copy(captured, fs::File::create(file).expect("a file"), meets));
        loop {
            let line =
                said.next_line().await.expect("a line").expect("dumpcap names its file before it ends");
            if line.starts_with("File: ") {
                return Self { dumpcap, said, copies, met };
            }
        }
    }

    /// Ends it as Ctrl-C would, once it has all that was sent before, and makes sure that it missed nothing.
    ///
    /// What waits in the kernel when dumpcap is told to end it neither reads nor counts as dropped.
    async fn stop(mut self) {
        let socket = UdpSocket::bind((link::NEAR_V4, 0)).await.expect("a free port");
        socket.send_to(MARK, (link::FAR_V4, 9)).await.expect("a datagram");
        self.met.await.expect("dumpcap runs until it is told to end");
        let id = self.dumpcap.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        rustix::process::kill_process(id.expect("it runs"), rustix::process::Signal::INT)
            .expect("it can be stopped");
        let mut summary = String::new();
        while let Some(line) = self.said.next_line().await.expect("a line") {
            summary.push_str(&line);
            summary.push('\n');
        }
        assert!(self.dumpcap.wait().await.expect("dumpcap ends").success(), "{summary}");
        assert!(summary.contains("dropped on interface 'carrick0'") && summary.contains("/0 ("), "{summary}");
        self.copies.await.expect("the whole capture");
    }
}

/// Copies to the end, and tells when it meets the mark.
async fn copy(mut from: ChildStdout, mut to: fs::File, meets: oneshot::Sender<()>) {
    let mut meets = Some(meets);
    // As much of the end of what was read before as may hold the beginning of the mark.
    let mut recent = Vec::new();
    let mut part = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut part).await.expect("dumpcap's output");
        if read == 0 {
            return;
        }
        to.write_all(&part[..read]).expect("room for the capture");
        recent.extend_from_slice(&part[..read]);
        if recent.windows(MARK.len()).any(|part| part == MARK)
            && let Some(meets) = meets.take()
        {
            let _ended = meets.send(());
        }
        recent.drain(..recent.len().saturating_sub(MARK.len() - 1));
    }
}

fn stream(bytes: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    while (stream.len() as u64) < bytes {
        stream.extend_from_slice(pattern::from(stream.len() as u64, bytes - stream.len() as u64));
    }
    stream
}

fn digest(bytes: &[u8]) -> String {
    let mut tally = Tally::default();
    tally.take(bytes);
    tally.digest()
}
