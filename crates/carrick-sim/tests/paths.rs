//! Conversations over all that real paths do: exact or an honest error, the same each time.

use carrick_sim::{LinkConfig, Pair, Rng, World};

#[test]
fn random_conversations_over_random_paths() {
    let (mut bytes, mut complete, mut all) = (0, 0, 0);
    for seed in 0..400 {
        let mut world = World::random(seed);
        let mut rng = Rng::new(!seed);
        for side in &mut world.sides {
            side.link = LinkConfig::random_path(&mut rng);
        }
        let report = Pair::run_twice(&world).unwrap_or_else(|failure| panic!("{failure}"));
        bytes += report.bytes;
        complete += report.complete();
        all += report.ends.len();
    }
    assert!(complete > all / 2 && bytes > 1 << 20, "{complete} of {all} complete, {bytes} bytes");
}
