//! Long conversations: sequence numbers go round, more than once.

use carrick_covers::covers;
use carrick_sim::{LinkConfig, Offload, Pair, Plan, Span, World};

#[test]
fn t_seq_3_ten_gibibytes_both_ways() {
    let bytes: u64 = 5 << 30;
    let link = LinkConfig { verified: true, ..LinkConfig::delayed(1.ms()) };
    let plan = Plan { chunk: 1 << 20, read_chunk: 1 << 20, ..Plan::patient(bytes) };
    let mut world = World::new(1).link(&link).talk(plan.clone(), plan);
    for side in &mut world.sides {
        side.offload = Offload::Whole;
    }
    let report = Pair::new(world).run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((report.complete(), report.bytes), (1, 2 * bytes));
    assert!(report.progress.iter().flatten().all(|progress| progress.sent > 1 << 32));
    covers!("T-SEQ-3");
}
