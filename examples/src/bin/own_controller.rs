//! A congestion controller of one's own, in fifty lines, beside those that there are.
//!
//! It goes by delay, as TCP Vegas does: what it has in flight beyond what the path itself holds waits in queues, and it
//! keeps two to four segments waiting, where those that go by losses fill the queue. Each controller sends the same over
//! the same link: 50 Mbit/s, a round trip of 10 ms, and a queue of twice what is under way then.
//!
//! ```text
//! cargo run -p carrick-examples --bin own_controller
//! ```

use carrick::congestion::{Acked, Controller, Cubic, Instant, NewReno};
use carrick::device::impaired::{Bottleneck, LinkConfig, QueueLimit, stacks};
use carrick::{TcpListener, TcpSocket};
use std::hash::{Hash, Hasher};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BYTES: usize = 2 << 20;
/// Bits per second.
const RATE: u64 = 50_000_000;
const ROUND_TRIP: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, Default, Hash)]
struct Vegas {
    mss: u32,
    cwnd: u32,
    /// The threshold of slow start, in which the window doubles with each round trip.
    ssthresh: u32,
    /// Bytes acknowledged in this round trip, and the least that it measured.
    acked: u32,
    least: Option<Duration>,
    /// The least of all: the path without queues.
    base: Option<Duration>,
}

impl Controller for Vegas {
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
    fn window(&self) -> u32 {
        self.cwnd
    }
    fn on_start(&mut self, mss: u32) {
        (self.mss, self.cwnd, self.ssthresh) = (mss, self.cwnd.max(10 * mss), u32::MAX);
    }
    fn on_ack(&mut self, ack: Acked) {
        let Some(rtt) = ack.rtt.or(ack.srtt) else { return };
        self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
        self.acked = self.acked.saturating_add(ack.bytes);
        if self.acked < self.cwnd {
            return;
        }
        // A round trip is over. Of the window rtt - base parts of rtt wait in queues.
        self.acked = 0;
        let rtt = self.least.take().unwrap_or(rtt);
        let base = self.base.map_or(rtt, |base| base.min(rtt));
        self.base = Some(base);
        let waiting = u128::from(self.cwnd) * (rtt - base).as_nanos() / rtt.as_nanos().max(1);
        if waiting > u128::from(4 * self.mss) {
            self.cwnd = (self.cwnd - self.cwnd.min(self.mss)).max(2 * self.mss);
            self.ssthresh = self.cwnd;
        } else if waiting < u128::from(2 * self.mss) && ack.limited {
            let more = if self.cwnd < self.ssthresh { self.cwnd } else { self.mss };
            self.cwnd = self.cwnd.saturating_add(more).min(1 << 30);
        }
    }
    fn on_loss(&mut self, _: Instant, in_flight: u32) {
        self.cwnd = (in_flight / 4 * 3).max(2 * self.mss);
        self.ssthresh = self.cwnd;
    }
    fn on_timeout(&mut self, _: Instant, in_flight: u32, _: bool) {
        (self.cwnd, self.ssthresh) = (self.mss, (in_flight / 2).max(2 * self.mss));
    }
    fn digest(&self, mut state: &mut dyn Hasher) {
        self.hash(&mut state);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let queue = QueueLimit::bdp(RATE, ROUND_TRIP, 2.0);
    let bottleneck = Some(Bottleneck { queue, ..Bottleneck::new(RATE) });
    let link = LinkConfig { bottleneck, ..LinkConfig::delayed(ROUND_TRIP / 2) };
    println!("{:10} {:>10} {:>12} {:>8}", "controller", "seconds", "round trip", "window");
    let all: [(&str, Box<dyn Controller>); 3] = [
        ("CUBIC", Box::<Cubic>::default()),
        ("NewReno", Box::<NewReno>::default()),
        ("our own", Box::<Vegas>::default()),
    ];
    for (name, controller) in all {
        let (server, client, _link) = stacks(&link, 7)?;
        let listener = TcpListener::bind(&server, "192.0.2.1:7").await?;
        let socket = TcpSocket::new_v4(&client)?;
        socket.set_congestion(Some(controller))?;

        let begun = std::time::Instant::now();
        let (accepted, stream) = tokio::join!(listener.accept(), socket.connect(([192, 0, 2, 1], 7).into()));
        let ((mut accepted, _), mut stream) = (accepted?, stream?);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            accepted.read_to_end(&mut all).await.map(|_| all.len())
        });
        stream.write_all(&[7; BYTES]).await?;
        let info = stream.tcp_info()?;
        stream.shutdown().await?;
        assert_eq!(reading.await??, BYTES);

        let rtt = info.rtt.unwrap_or_default();
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name:10} {seconds:>10.2} {rtt:>12.1?} {:>8}", info.congestion_window);
    }
    Ok(())
}
