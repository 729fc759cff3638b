//! CUBIC in floating point, written down from RFC 9438's formulas, against ours; and in a closed loop with a link.

use super::*;

/// In segments and seconds.
#[derive(Clone, Debug)]
struct Reference {
    cwnd: f64,
    ssthresh: f64,
    w_max: f64,
    prior: f64,
    est: f64,
    k: f64,
    start: Option<f64>,
}

impl Reference {
    fn new(cwnd: f64) -> Self {
        Self { cwnd, ssthresh: f64::INFINITY, w_max: 0.0, prior: 0.0, est: 0.0, k: 0.0, start: None }
    }

    fn on_ack(&mut self, now: f64, mut segments: f64, srtt: f64) {
        let slow = segments.min((self.ssthresh - self.cwnd).max(0.0));
        self.cwnd += slow;
        segments -= slow;
        if segments <= 0.0 {
            return;
        }
        let start = *self.start.get_or_insert_with(|| {
            self.w_max = self.w_max.max(self.cwnd);
            self.k = ((self.w_max - self.cwnd) / 0.4).cbrt();
            self.est = self.cwnd;
            now
        });
        let w = |t: f64| 0.4 * (t - self.k).powi(3) + self.w_max;
        let (t, alpha) = (now - start, if self.est < self.prior { 9.0 / 17.0 } else { 1.0 });
        self.est += alpha * segments / self.cwnd;
        if w(t) < self.est {
            self.cwnd = self.cwnd.max(self.est);
        } else {
            let target = w(t + srtt).min(1.5 * self.cwnd).max(self.cwnd);
            self.cwnd = (self.cwnd + segments * (target - self.cwnd) / self.cwnd).min(target);
        }
    }

    fn on_loss(&mut self, flight: f64) {
        self.w_max = if self.cwnd < self.w_max { 0.85 * self.cwnd } else { self.cwnd };
        self.prior = self.cwnd;
        self.ssthresh = (0.7 * flight).max(2.0);
        self.cwnd = self.ssthresh;
        self.start = None;
    }

    fn on_timeout(&mut self, flight: f64) {
        (self.w_max, self.prior) = (0.0, 0.0);
        self.ssthresh = (0.7 * flight).max(2.0);
        self.cwnd = 1.0;
        self.start = None;
    }
}

/// The same numbers for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    /// Between 2^`from` and 2^`to`, each order of magnitude as often.
    fn scale(&mut self, from: f64, to: f64) -> f64 {
        (from + (to - from) * self.next(1 << 20) as f64 / (1u64 << 20) as f64).exp2()
    }
}

/// Long histories: round trips of 50 us to 2 s, segments of 100 to 9,000 bytes, ACKs for anything from a byte to the
/// window, losses and timeouts now and then.
#[test]
fn long_histories_stay_within_two_segments_of_the_formulas() {
    let (mut acks, mut losses, mut largest) = (0, 0, 0.0f64);
    for seed in 0..60 {
        let mut random = Random(seed);
        let mss = random.scale(6.7, 13.1) as u32;
        let rtt = random.scale(-14.3, 1.0);
        let segment = f64::from(mss);
        let mut cubic = Cubic::default();
        cubic.on_start(mss);
        let mut exact = Reference::new(f64::from(cubic.window()) / segment);
        let mut nanos = 1_000_000_000u64;
        for _ in 0..6_000 {
            let window = cubic.window();
            let now = Instant::from_nanos(nanos);
            // Where it is open by a hair which side of a comparison holds the two may differ for good.
            let clear = (exact.cwnd - exact.w_max).abs() > 3.0 && (exact.cwnd - exact.prior).abs() > 3.0;
            match random.next(600) {
                0 if clear => {
                    let flight = window / 10 * (7 + random.next(4) as u32);
                    cubic.on_loss(now, flight);
                    exact.on_loss(f64::from(flight) / segment);
                    losses += 1;
                }
                1 if random.next(4) == 0 => {
                    cubic.on_timeout(now, window, true);
                    exact.on_timeout(f64::from(window) / segment);
                    losses += 1;
                }
                _ => {
                    // Beyond, the curve climbs by half of the window for each window.
                    if window > 1 << 29 || f64::from(window) > 700_000.0 * segment {
                        cubic.on_loss(now, window / 64);
                        exact.on_loss(f64::from(window / 64) / segment);
                    }
                    let most = f64::from(cubic.window()).log2();
                    let bytes = random.scale(most - 8.0, most) as u32;
                    nanos += (rtt * 1e9 * f64::from(bytes) / f64::from(cubic.window())) as u64;
                    let (now, srtt) = (Instant::from_nanos(nanos), Some(seconds(rtt)));
                    cubic.on_ack(Acked { srtt, ..ack(now, bytes) });
                    let begun = exact.start.is_some();
                    exact.on_ack(nanos as f64 / 1e9, f64::from(bytes) / segment, rtt);
                    if !begun && exact.start.is_some() {
                        // W(0) is W_est, and a rounding decides which of the two holds for one ACK.
                        exact.cwnd = f64::from(cubic.window()) / segment;
                    }
                    acks += 1;
                }
            }
            let capped = exact.cwnd.min(f64::from(1 << 30) / segment);
            let off = (f64::from(cubic.window()) / segment - capped).abs();
            largest = largest.max(capped);
            assert!(
                off <= 2.0 + capped / 2_000.0,
                "seed {seed}: off by {off} of {capped}, {cubic:?}, {exact:?}"
            );
            exact.cwnd = exact.cwnd.min(f64::from(1 << 30) / segment);
        }
    }
    assert!(
        acks > 300_000 && losses > 500 && largest > 100_000.0,
        "{acks} ACKs, {losses} losses, up to {largest}"
    );
}

/// Segments over a link of `rate` segments per second with a queue of `queue` segments, a round trip of `rtt` seconds
/// without it, for `time` seconds. What overflows is lost, and so is one in `random`. Gives the share of the link that
/// was used, and the mean window, in the second half.
fn loop_over(
    mut controller: Box<dyn Controller>,
    rate: f64,
    rtt: f64,
    queue: f64,
    random: u64,
    time: f64,
) -> (f64, f64) {
    controller.on_start(MSS);
    let mut dice = Random(random);
    let (mut now, mut delivered, mut windows, mut counted) = (0.0, 0.0, 0.0, 0.0);
    let mut until = -1.0;
    while now < time {
        // What one round trip carries; the queue holds what the link does not.
        let window = controller.window() / MSS;
        let held = (f64::from(window) - rate * rtt).max(0.0);
        let round = (rtt + held.min(queue) / rate).max(f64::from(window) / rate);
        let mut lost = held > queue;
        for n in 0..window {
            lost |= random > 0 && dice.next(random) == 0;
            if now <= until {
                continue;
            }
            let then = at(now + round * f64::from(n) / f64::from(window));
            let (rtt, srtt) = (Some(seconds(round)), Some(seconds(round)));
            let in_flight = window * MSS;
            controller.on_ack(Acked { rtt, srtt, in_flight, round: n == 0, ..ack(then, MSS) });
        }
        if lost && now > until {
            controller.on_loss(at(now + round), window * MSS);
            until = now + round;
        }
        now += round;
        if now > time / 2.0 {
            delivered += f64::from(window).min(rate * round);
            windows += f64::from(window) * round;
            counted += round;
        }
    }
    (delivered / (rate * counted), windows / counted)
}

#[test]
fn a_link_with_a_queue_of_its_own_size_stays_full() {
    for rtt in [0.001f64, 0.01, 0.05, 0.1] {
        for product in [20.0f64, 100.0, 800.0, 5_000.0] {
            let rate = product / rtt;
            // Some ten million segments at most.
            let time = (1e6 / rate).clamp(20.0, 60.0);
            if rate * time > 4e6 {
                continue;
            }
            let (used, _) = loop_over(Box::new(Cubic::default()), rate, rtt, product, 0, time);
            assert!(used >= 0.97, "{used} of {product} segments over {rtt} s");
        }
    }
}

/// RFC 9438 §5.1, §5.2: the mean window for a rate of losses is the larger of CUBIC's and Reno's.
#[test]
fn the_mean_window_under_random_loss_is_the_one_of_the_standard() {
    for (rtt, one_in) in [(0.01f64, 1_000u64), (0.01, 10_000), (0.1, 1_000), (0.1, 10_000), (0.2, 2_000)] {
        let p = 1.0 / one_in as f64;
        let reno = (1.5 / p).sqrt();
        let cubic = (0.4f64 * 3.7 / (4.0 * 0.3)).powf(0.25) * rtt.powf(0.75) / p.powf(0.75);
        let expected = reno.max(cubic);
        let means: Vec<f64> = (0..5)
            .map(|seed| {
                let time = 3000.0 * rtt.max(0.03) + 40.0 * (one_in as f64 / expected) * rtt;
                loop_over(Box::new(Cubic::default()), 1e7, rtt, 1e7, one_in + seed - 2, time).1
            })
            .collect();
        let mean = means.iter().sum::<f64>() / 5.0;
        assert!(
            (0.85..=1.3).contains(&(mean / expected)),
            "{mean} of {expected}: {rtt} s, one in {one_in}: {means:?}"
        );
    }
}
