//! Mistakes planted in the core, one at a time, and the checks that find them. Only with `--cfg carrick_faults`:
//!
//! ```text
//! RUSTFLAGS="--cfg carrick_faults" cargo test -p carrick-core --test faults
//! ```
//!
//! Each check passes without the mistake and fails with it; every kind of mistake has at least one. The list, in
//! words, is in `docs/testing.md`.
#![cfg(carrick_faults)]

#[path = "faults/repair.rs"]
mod repair;
#[path = "model/search.rs"]
#[allow(dead_code, reason = "the model's own test uses all of it")]
mod search;
#[path = "model/side.rs"]
#[allow(dead_code, reason = "the model's own test uses all of it")]
mod side;
#[path = "model/worlds.rs"]
#[allow(dead_code, reason = "the model's own test uses all of it")]
mod worlds;

use carrick_core::{ConnectionConfig, Fault, KeepAlive, Rate, SynCookies, TcpState};
use carrick_sim::{Builder, LinkConfig, Pair, Plan, Scene, Span, World, seg};
use carrick_wire::icmp::{self, Envelope};
use search::Search;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What finds a mistake.
#[derive(Clone, Copy)]
enum Check {
    /// A world of the model checker.
    Model(fn() -> search::World),
    /// A script, given how every scene begins.
    Script(fn(Builder)),
    /// A whole conversation over a link that loses and reorders.
    Conversation,
}

use Check::{Conversation, Model, Script};
use Fault::*;

const CHECKS: [(Fault, Check); 80] = [
    (AnyAckOpens, Model(worlds::next_life)),
    (NoSimultaneousOpen, Model(worlds::simultaneous_open)),
    (SynWindowScaled, Script(the_window_of_a_syn_is_not_scaled)),
    (IsnConstant, Model(worlds::abort)),
    (SynAckNotRepeated, Script(a_lost_syn_ack_is_sent_again)),
    (HalfOpenResetIgnored, Script(a_reset_ends_a_passive_handshake)),
    (BacklogUnbounded, Script(the_backlog_is_a_limit)),
    (CookieUnchecked, Script(a_cookie_is_told_from_a_guess)),
    (CookieNeverOld, Script(an_old_cookie_is_worth_nothing)),
    (CookieMssIgnored, Script(a_cookie_remembers_the_mss)),
    (HalfOpenUnlimited, Script(half_open_records_are_limited)),
    (ParkedForgotten, Script(a_parked_syn_is_answered_in_the_end)),
    (SourceUnlimited, Script(a_source_has_a_limit)),
    (RateUnlimited, Script(strangers_hear_little)),
    (ReopenedLow, Script(a_new_life_has_greater_numbers)),
    (ResetAnswered, Model(worlds::opening)),
    (PawsOff, Script(old_timestamps_are_refused)),
    (ResetInWindow, Model(worlds::forgery)),
    (ResetIgnored, Script(the_exact_reset_is_believed)),
    (SynEnds, Model(worlds::forgery)),
    (ChallengesUnlimited, Script(ten_challenges_in_five_seconds)),
    (OldAckRefused, Model(worlds::closing)),
    (FutureAckTaken, Model(worlds::forgery)),
    (FinAckedByText, Model(worlds::opening)),
    (WindowUpdateIgnored, Script(a_window_update_is_used)),
    (StaleWindowTaken, Script(an_overtaken_window_is_not_used)),
    (AckForAck, Model(worlds::closing)),
    (DelayedAckForgotten, Script(every_byte_is_acknowledged_in_time)),
    (SecondSegmentWaits, Script(two_segments_are_acknowledged_at_once)),
    (OrderIgnored, Model(worlds::opening)),
    (DuplicateUntrue, Script(what_came_twice_is_reported_exactly)),
    (MemoryIgnored, Script(the_budget_is_kept)),
    (FinBeforeText, Model(worlds::opening)),
    (FinNotCounted, Model(worlds::closing)),
    (FinNotRepeated, Model(worlds::closing)),
    (NothingRepeated, Model(worlds::closing)),
    (NoFastRetransmit, Script(three_duplicates_tell_of_a_loss)),
    (TextShifted, Conversation),
    (UrgentShifted, Script(the_pointer_names_the_byte_after)),
    (CorkIgnored, Script(a_cork_holds_back)),
    (CorkEndless, Script(a_cork_holds_back_for_a_while)),
    (NoBackoff, Script(the_timeout_doubles)),
    (NeverGivesUp, Script(a_silent_peer_is_given_up)),
    (UserTimeoutIgnored, Script(the_application_says_how_long_to_wait)),
    (KeepAliveSilent, Script(a_silent_peer_is_asked)),
    (KeepAliveEndless, Script(a_peer_that_answers_no_probe_is_gone)),
    (NoPersist, Model(worlds::zero_window)),
    (SillySender, Script(a_sliver_of_window_is_not_used)),
    (NoWindowUpdate, Script(reading_opens_the_window)),
    (SillyReceiver, Script(a_few_bytes_read_are_not_worth_a_word)),
    (WindowTakenBack, Model(worlds::opening)),
    (MssIgnored, Conversation),
    (SackUninvited, Model(worlds::half_close)),
    (UnreadLost, Script(unread_text_is_reset)),
    (LateTextTaken, Script(text_for_nobody_is_reset)),
    (LingerEndless, Script(linger_has_an_end)),
    (OrphanEndless, Script(an_orphan_has_an_end)),
    (TimeWaitSkipped, Model(worlds::closing)),
    (TimeWaitSilent, Model(worlds::closing)),
    (TimeWaitNotRestarted, Script(a_fin_begins_time_wait_anew)),
    (TimeWaitAssassinated, Script(no_reset_ends_time_wait)),
    (TimeWaitReopened, Script(an_old_syn_opens_nothing)),
    (UnreachableEnds, Script(an_unreachable_is_a_hint)),
    (QuoteUnchecked, Script(a_quote_must_be_in_flight)),
    (LostAgainUnseen, Script(repair::a_lost_repetition_is_found)),
    (ReorderingIgnored, Script(repair::what_is_overtaken_is_waited_for)),
    (ProbesEndless, Script(repair::one_probe_and_then_the_timer)),
    (UndoNever, Script(repair::a_needless_repair_is_taken_back)),
    (UndoAlways, Script(repair::a_repair_that_was_needed_is_not)),
    (ReductionUnlimited, Script(repair::a_repair_sends_in_proportion)),
    (KarnIgnored, Script(repair::a_repetition_measures_nothing)),
    (PaceWrong, Script(repair::the_window_is_spread)),
    (MarksKept, Script(repair::a_peer_may_drop_what_it_reported)),
    (FrtoGullible, Script(repair::a_timeout_that_was_one_stays_one)),
    (ForeignDuplicates, Script(repair::a_report_must_be_of_what_was_repeated)),
    (RecoveryEndless, Script(repair::a_repair_ends)),
    (DuplicatesUnbounded, Script(repair::forged_duplicates_release_little)),
    (ProbeBeyondWindow, Script(repair::a_probe_heeds_the_window)),
    (LossUntold, Script(repair::a_loss_lowers_the_window)),
    (TailForgotten, Script(repair::a_lost_tail_is_asked_for)),
];

/// What the check says of a core with that mistake, or with none.
fn look(check: Check, fault: Option<Fault>) -> Result<(), String> {
    match check {
        Model(world) => {
            let mut world = world();
            for side in &mut world.sides {
                side.connection.fault = fault;
                side.endpoint.fault = fault;
            }
            Search::run(world).map(|_| ()).map_err(|found| found.to_string())
        }
        Script(play) => {
            let builder = Scene::builder().config(|config| config.fault = fault);
            let builder = builder.endpoint(|config| config.fault = fault);
            let done = catch_unwind(AssertUnwindSafe(|| play(builder)));
            done.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
        }
        Conversation => {
            let link = LinkConfig { loss: 50_000, ..LinkConfig::delayed(10.ms()) };
            let mut world = World::new(3).link(&link).talk(Plan::patient(60_000), Plan::patient(60_000));
            world.sides[1].mtu = 576;
            for side in &mut world.sides {
                side.connection = ConnectionConfig { fault, ..ConnectionConfig::default() };
            }
            Pair::new(world).run().map(|_| ()).map_err(|failure| failure.to_string())
        }
    }
}

fn each_is_found(wanted: impl Fn(&Check) -> bool) {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for (fault, check) in CHECKS.into_iter().filter(|(_, check)| wanted(check)) {
        match look(check, Some(fault)) {
            Ok(()) => missed.push(format!("{fault:?} is not found")),
            Err(how) => println!("{fault:?}: {}", how.lines().next().unwrap_or_default()),
        }
        if !matches!(check, Model(_))
            && let Err(how) = look(check, None)
        {
            missed.push(format!("{fault:?} is found where it is not: {how}"));
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_kind_of_mistake_has_a_check() {
    for (fault, (checked, _)) in Fault::ALL.into_iter().zip(CHECKS) {
        assert_eq!(fault, checked);
    }
}

/// That the worlds hold without a mistake is shown by the model's own test.
#[test]
fn mistakes_that_the_model_finds_alone() {
    let count = CHECKS.iter().filter(|(_, check)| matches!(check, Model(_))).count();
    assert!(count >= 8, "{count}");
    each_is_found(|check| matches!(check, Model(_)));
}

#[test]
fn mistakes_that_scripts_find() {
    each_is_found(|check| matches!(check, Script(_)));
}

#[test]
fn mistakes_that_conversations_find() {
    each_is_found(|check| matches!(check, Conversation));
}

/// What we sent so far, thrown away.
fn drain(s: &mut Scene) {
    while s.take().is_some() {}
}

fn the_window_of_a_syn_is_not_scaled(builder: Builder) {
    let mut s = builder.window(100).window_scale(7).established();
    s.send([1; 1000]);
    s.expect(seg().seq(1).ack(1).len(100));
    s.expect_nothing();
}

fn a_lost_syn_ack_is_sent_again(builder: Builder) {
    let mut s = builder.listening();
    s.inject(seg().syn().seq(0));
    s.expect(seg().syn().seq(0).ack(1));
    s.advance(1.secs());
    s.expect(seg().syn().seq(0).ack(1));
}

fn a_reset_ends_a_passive_handshake(builder: Builder) {
    let mut s = builder.listening();
    s.inject(seg().syn().seq(0));
    s.inject(seg().rst().seq(1));
    assert_eq!(s.host().endpoint().half_open(), 0);
}

fn the_backlog_is_a_limit(builder: Builder) {
    let mut s = builder.backlog(1).listening();
    s.inject(seg().syn().seq(0));
    s.inject(seg().seq(1).ack(1));
    drain(&mut s);
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    s.expect_nothing();
}

/// A scene whose endpoint answers with cookies.
fn cookies(builder: Builder) -> Scene {
    builder.endpoint(|config| config.syn_cookies = SynCookies::Always).listening()
}

/// What acknowledges the cookie that answers the peer's SYN.
fn acknowledges_a_cookie(s: &mut Scene) -> u32 {
    s.inject(seg().syn().seq(0));
    let cookie = s.take().expect("a cookie");
    // The script counts from a number that no cookie has.
    cookie.segment().expect("a segment").tcp.seq.get().wrapping_sub(999_999)
}

fn a_cookie_is_told_from_a_guess(builder: Builder) {
    let mut s = cookies(builder);
    let ack = acknowledges_a_cookie(&mut s);
    s.inject(seg().seq(1).ack(ack ^ 0x1000));
    assert!(!s.accept());
    drain(&mut s);
    s.inject(seg().seq(1).ack(ack));
    assert!(s.accept());
}

fn an_old_cookie_is_worth_nothing(builder: Builder) {
    let mut s = cookies(builder);
    let ack = acknowledges_a_cookie(&mut s);
    s.advance(128.secs());
    // Somebody else has one that is fresh.
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    s.inject(seg().seq(1).ack(ack));
    assert!(!s.accept());
}

fn a_cookie_remembers_the_mss(builder: Builder) {
    let mut s = cookies(builder.mss(536));
    let ack = acknowledges_a_cookie(&mut s);
    s.inject(seg().seq(1).ack(ack));
    assert!(s.accept());
    s.send([1; 5000]);
    let sizes: Vec<_> = std::iter::from_fn(|| s.take()).map(|packet| packet.bytes.len()).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= 576), "{sizes:?}");
}

fn half_open_records_are_limited(builder: Builder) {
    let builder = builder.endpoint(|config| config.syn_cookies = SynCookies::Never);
    let mut s = builder.listener(|listen| listen.max_half_open = 1).listening();
    s.inject(seg().syn().seq(0));
    drain(&mut s);
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    s.expect_nothing();
}

fn a_parked_syn_is_answered_in_the_end(builder: Builder) {
    let mut s = builder.listener(|listen| listen.park = true).listening();
    s.inject(seg().syn().seq(0));
    s.expect_nothing();
    let now = s.now();
    let parked = s.host_mut().poll_parked().expect("somebody asks");
    assert!(s.host_mut().accept_parked(now, parked.id));
    s.check();
    s.expect(seg().syn().seq(0).ack(1));
}

fn a_source_has_a_limit(builder: Builder) {
    let mut s = builder.endpoint(|config| config.max_per_source = Some(1)).accepted();
    s.inject(seg().syn().seq(0).ports(40_001, 80));
    let refused = s.take().expect("a refusal");
    assert!(refused.segment().is_some_and(|segment| segment.has(carrick_wire::TcpFlags::RST)));
}

fn strangers_hear_little(builder: Builder) {
    let resets = Rate { per_second: 64, burst: 2 };
    let mut s = builder.endpoint(|config| config.resets = resets).build();
    for place in 0..20 {
        s.inject(seg().seq(place).ack(1));
    }
    let heard = std::iter::from_fn(|| s.take()).count();
    assert!((1..=5).contains(&heard), "{heard}");
}

fn a_new_life_has_greater_numbers(builder: Builder) {
    let mut s = builder.accepted();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
    s.close();
    s.inject(seg().syn().seq(2));
    let answer = s.take().expect("an answer");
    let beyond = answer.segment().expect("a segment").tcp.seq.get().wrapping_sub(1_000_002);
    assert!(beyond > 0 && beyond < 1 << 31, "{beyond}");
}

fn old_timestamps_are_refused(builder: Builder) {
    let mut s = builder.timestamps(true).established();
    s.advance(10.secs());
    s.inject(seg().seq(1).ack(1).len(1));
    drain(&mut s);
    s.inject(seg().seq(2).ack(1).len(1).ts(1, 0));
    s.advance(1.secs());
    assert_eq!(s.read().len(), 1);
}

fn the_exact_reset_is_believed(builder: Builder) {
    let mut s = builder.established();
    s.inject(seg().rst().seq(1));
    assert_eq!(s.state(), TcpState::Closed);
}

fn ten_challenges_in_five_seconds(builder: Builder) {
    let mut s = builder.established();
    for _ in 0..11 {
        s.inject(seg().rst().seq(100));
    }
    for _ in 0..10 {
        s.expect(seg().seq(1).ack(1));
    }
    s.expect_nothing();
}

fn a_window_update_is_used(builder: Builder) {
    let mut s = builder.window(0).established();
    s.send([1; 10]);
    s.expect_nothing();
    s.inject(seg().seq(1).ack(1).window(1000));
    s.expect(seg().seq(1).ack(1).len(10));
}

fn an_overtaken_window_is_not_used(builder: Builder) {
    let mut s = builder.established();
    s.inject(seg().seq(1).ack(1).len(10).window(1000));
    s.inject(seg().seq(11).ack(1).len(10).window(1000));
    // The first comes once more, with a window from before.
    s.inject(seg().seq(11).ack(1).len(0).window(1000));
    s.inject(seg().seq(1).ack(1).len(20).window(0));
    drain(&mut s);
    s.send([1; 10]);
    s.expect(seg().seq(1).ack(21).len(10));
}

fn every_byte_is_acknowledged_in_time(builder: Builder) {
    let mut s = builder.established();
    for place in 1..=41 {
        s.inject(seg().seq(place).ack(1).len(1));
    }
    s.advance(1.secs());
    let last = std::iter::from_fn(|| s.take()).last().expect("an ACK");
    let acknowledged = last.segment().map(|segment| segment.tcp.ack.get() - 2_000_000);
    assert_eq!(acknowledged, Some(42));
}

fn a_silent_peer_is_asked(builder: Builder) {
    let keep_alive = KeepAlive { idle: 10.secs(), ..KeepAlive::default() };
    let mut s = builder.config(|config| config.keep_alive = Some(keep_alive)).established();
    s.advance(11.secs());
    s.expect(seg().seq(0).ack(1));
}

fn two_segments_are_acknowledged_at_once(builder: Builder) {
    let mut s = builder.established();
    for place in 1..=17 {
        s.inject(seg().seq(place).ack(1).len(1));
    }
    // The seventeenth waits for its ACK; longer, and the first segments would count anew.
    s.advance(100.ms());
    drain(&mut s);
    s.inject(seg().seq(18).ack(1).len(1));
    s.expect_nothing();
    s.inject(seg().seq(19).ack(1).len(1));
    s.expect(seg().seq(1).ack(20));
}

fn what_came_twice_is_reported_exactly(builder: Builder) {
    let mut s = builder.sack(true).established();
    s.inject(seg().seq(1).ack(1).len(300));
    drain(&mut s);
    s.inject(seg().seq(101).ack(1).len(100));
    s.expect(seg().seq(1).ack(301).sack(&[(101, 201)]));
}

fn the_pointer_names_the_byte_after(builder: Builder) {
    let mut s = builder.established();
    s.send_urgent([1; 10]);
    s.expect(seg().urg(10).seq(1).ack(1).len(10));
}

fn a_cork_holds_back(builder: Builder) {
    let mut s = builder.established();
    s.set_cork(true);
    s.send([1; 10]);
    s.expect_nothing();
}

fn a_cork_holds_back_for_a_while(builder: Builder) {
    let mut s = builder.established();
    s.set_cork(true);
    s.send([1; 10]);
    s.advance(200.ms());
    s.expect(seg().seq(1).ack(1).len(10));
}

fn the_application_says_how_long_to_wait(builder: Builder) {
    let mut s = builder.config(|config| config.user_timeout = Some(10.secs())).established();
    s.send([1; 10]);
    s.advance(11.secs());
    assert_eq!(s.state(), TcpState::Closed);
}

fn a_peer_that_answers_no_probe_is_gone(builder: Builder) {
    let keep_alive = KeepAlive { idle: 10.secs(), interval: 1.secs(), retries: 3 };
    let mut s = builder.config(|config| config.keep_alive = Some(keep_alive)).established();
    s.advance(14.secs());
    assert_eq!(s.state(), TcpState::Closed);
}

fn linger_has_an_end(builder: Builder) {
    let mut s = builder.config(|config| config.linger = Some(30.secs())).established();
    s.send([1; 10]);
    s.close();
    s.advance(31.secs());
    assert_eq!(s.state(), TcpState::Closed);
}

fn an_orphan_has_an_end(builder: Builder) {
    let mut s = builder.established();
    s.send([1; 10]);
    s.close();
    s.advance(301.secs());
    assert_eq!(s.state(), TcpState::Closed);
}

fn the_budget_is_kept(builder: Builder) {
    let mut s = builder.budget(20 << 10).established();
    for place in 0..40 {
        s.inject(seg().seq(1 + place * 1460).ack(1).len(1460));
    }
    assert!(s.host().used() <= 20 << 10);
}

fn three_duplicates_tell_of_a_loss(builder: Builder) {
    let mut s = builder.established();
    s.send(vec![1; 5 * 1460]);
    drain(&mut s);
    for _ in 0..3 {
        s.inject(seg().seq(1).ack(1));
    }
    s.expect(seg().seq(1).ack(1).len(1460));
}

fn the_timeout_doubles(builder: Builder) {
    let mut s = builder.established();
    s.send([1; 10]);
    let waits: Vec<_> = (0..4).filter_map(|_| s.advance_to_next_timer()).collect();
    assert!(waits[2] >= waits[1] * 3 / 2 && waits[3] >= waits[2] * 3 / 2, "{waits:?}");
}

fn a_silent_peer_is_given_up(builder: Builder) {
    let mut s = builder.established();
    s.send([1; 10]);
    s.advance(3600.secs());
    assert_eq!(s.state(), TcpState::Closed);
}

fn a_sliver_of_window_is_not_used(builder: Builder) {
    let mut s = builder.window(1500).established();
    s.send(vec![1; 3000]);
    s.expect(seg().seq(1).ack(1).len(1460));
    s.expect_nothing();
}

fn reading_opens_the_window(builder: Builder) {
    let mut s = builder.config(|config| config.receive_buffer = 2920).established();
    s.inject(seg().seq(1).ack(1).len(1460));
    s.inject(seg().seq(1461).ack(1).len(1460));
    s.advance(1.secs());
    drain(&mut s);
    s.read();
    s.expect(seg().seq(1).ack(2921).window(2920));
}

fn a_few_bytes_read_are_not_worth_a_word(builder: Builder) {
    let mut s = builder.established();
    s.inject(seg().seq(1).ack(1).len(100));
    s.advance(1.secs());
    drain(&mut s);
    s.read();
    s.expect_nothing();
}

fn unread_text_is_reset(builder: Builder) {
    let mut s = builder.established();
    s.inject(seg().seq(1).ack(1).len(100));
    s.advance(1.secs());
    drain(&mut s);
    s.close();
    s.expect(seg().rst().seq(1).ack(101));
}

fn text_for_nobody_is_reset(builder: Builder) {
    let mut s = builder.established();
    s.close();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().seq(1).ack(2).len(100));
    s.expect(seg().rst().seq(2).ack(1));
}

/// In TIME-WAIT, the stream still held.
fn time_wait(builder: Builder) -> Scene {
    let mut s = builder.established();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    s
}

fn a_fin_begins_time_wait_anew(builder: Builder) {
    let mut s = time_wait(builder);
    s.advance(200.secs());
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
    s.advance(200.secs());
    assert_eq!(s.state(), TcpState::TimeWait);
}

fn no_reset_ends_time_wait(builder: Builder) {
    let mut s = time_wait(builder.clone());
    s.inject(seg().rst().seq(2));
    assert_eq!(s.state(), TcpState::TimeWait);
    let mut s = time_wait(builder);
    s.close();
    s.inject(seg().rst().seq(2));
    assert_eq!(s.host().endpoint().time_wait(), 1);
}

fn an_old_syn_opens_nothing(builder: Builder) {
    let mut s = builder.accepted();
    s.finish();
    s.expect(seg().fin().seq(1).ack(1));
    s.inject(seg().fin().seq(1).ack(2));
    s.expect(seg().seq(2).ack(2));
    s.close();
    s.inject(seg().syn().seq(0));
    s.expect_nothing();
}

/// The peer's router says that our packet did not get through.
fn unreachable(s: &mut Scene, packet: &carrick_sim::Packet) {
    let to = Envelope { src: s.remote().ip(), dst: s.local().ip(), hop_limit: 64 };
    let mut bytes = vec![0; 576];
    let len = icmp::emit_unreachable(&mut bytes, to, 3, &packet.bytes).expect("room for it");
    bytes.truncate(len);
    s.inject_bytes(bytes);
}

fn an_unreachable_is_a_hint(builder: Builder) {
    let mut s = builder.established();
    s.send([1; 10]);
    let packet = s.take().expect("the text");
    unreachable(&mut s, &packet);
    assert_eq!(s.state(), TcpState::Established);
}

fn a_quote_must_be_in_flight(builder: Builder) {
    let mut s = builder.established();
    s.send([1; 10]);
    let packet = s.take().expect("the text");
    s.inject(seg().seq(1).ack(11));
    unreachable(&mut s, &packet);
    assert_eq!(s.connection().and_then(|connection| connection.soft_error()), None);
}
