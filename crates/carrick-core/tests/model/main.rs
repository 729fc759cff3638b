//! Every interleaving of small worlds: two real endpoints and all that a network, a clock, two applications and a
//! forger can do to them, within bounds.
//!
//! Each world is looked at completely: every state that its bounds allow. `CARRICK_MODEL=4` loosens every bound by
//! one and looks at up to four million states of each, the shallow ones first. How it is done, and why so, is in
//! `docs/decisions/model-checking.md`.

mod search;
mod side;
mod worlds;

use carrick_covers::covers;
use search::{Bounds, Search, Tally, World};

/// Explores a world, which has at least so many states.
fn explore(mut world: World, least: usize) -> Tally {
    let factor: usize = std::env::var("CARRICK_MODEL").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    if factor > 1 {
        let Bounds { lose, repeat, forge, timers } = world.bounds;
        let forge = if forge > 0 { forge + 1 } else { 0 };
        world.bounds = Bounds { lose: lose + 1, repeat: repeat + 1, forge, timers: timers + 1 };
        world.most = factor * 1_000_000;
    }
    let start = std::time::Instant::now();
    let tally = match Search::run(world.clone()) {
        Ok(tally) => tally,
        Err(counterexample) => panic!("{counterexample}"),
    };
    println!("{}, {:?}: {tally}, {:.1?}", world.name, world.bounds, start.elapsed());
    if factor == 1 {
        assert!(!tally.cut && tally.crowded == 0, "not complete: {tally}");
    }
    assert!(tally.states >= least, "not what it was: {tally}");
    tally
}

#[test]
fn opening() {
    explore(worlds::opening(), 100_000);
}

#[test]
fn t_lif_8_simultaneous_open() {
    explore(worlds::simultaneous_open(), 500_000);
    covers!("T-LIF-8");
}

#[test]
fn transfer() {
    explore(worlds::transfer(), 100_000);
}

#[test]
fn three_segments() {
    explore(worlds::three_segments(), 500_000);
}

#[test]
fn t_lif_8_closing_at_once_and_one_after_the_other() {
    explore(worlds::closing(), 70_000);
    covers!("T-LIF-8");
}

#[test]
fn half_close() {
    explore(worlds::half_close(), 250_000);
}

#[test]
fn t_per_4_zero_window() {
    explore(worlds::zero_window(), 50_000);
    covers!("T-PER-4");
}

#[test]
fn abort() {
    explore(worlds::abort(), 200_000);
}

#[test]
fn forgery() {
    explore(worlds::forgery(), 600_000);
}

#[test]
fn t_lif_9_next_life() {
    explore(worlds::next_life(), 300_000);
    covers!("T-LIF-9");
}

#[test]
fn t_lif_9_time_wait() {
    explore(worlds::time_wait(), 50_000);
    covers!("T-LIF-9");
}

#[test]
fn unlisten() {
    explore(worlds::unlisten(), 150_000);
}

#[test]
fn giving_up() {
    explore(worlds::giving_up(), 30_000);
}
