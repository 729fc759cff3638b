//! What all of it came to.

use crate::bulk::Transfer;
use crate::crowd::Crowd;
use crate::{Link, Near};
use carrick::Stack;
use carrick_core::DiscardReason;
use std::process::ExitCode;
use std::time::Duration;

/// Prints the table, and says whether all was as it should be.
pub(crate) fn print(link: &Link, transfers: &[Transfer], crowd: &Crowd, took: Duration) -> ExitCode {
    let [near, far] = link.names();
    let mut wrong: Vec<_> =
        transfers.iter().filter(|transfer| !transfer.right).map(|t| t.route.clone()).collect();
    println!("\nsummary");
    for transfer in transfers {
        let cost: Vec<_> = transfer.cost().map(|(who, cost)| format!("{who} {cost:.3}")).collect();
        row(
            &transfer.route,
            &format!("{:.2} Gbit/s; CPU seconds per GB: {}", transfer.rate(), cost.join(", ")),
        );
    }
    let moved: u64 = transfers.iter().map(|transfer| transfer.bytes).sum();
    row("moved in bulk", &format!("{} MiB, by SHA-256 what was sent", grouped(moved >> 20)));
    let [idle, asked] = crowd.held.map(|held| held as u64);
    row(
        "at once",
        &format!(
            "{} connections; their buffers: {} bytes while idle, {} each while a question waits",
            grouped(crowd.count),
            grouped(idle),
            grouped(asked / crowd.count.max(1))
        ),
    );
    let mut stacks = vec![(far, &link.far)];
    if let Near::Stack(stack, _) = &link.near {
        stacks.push((near, stack));
    }
    for (name, stack) in &stacks {
        counted(name, stack);
    }
    let sent = link.tap.sent();
    let [packets, calls, again] = [sent.packets, sent.calls, sent.again].map(grouped);
    row(
        &format!("{far} sent"),
        &format!("{packets} packets in {calls} calls of the device; {again} segments twice"),
    );
    row("zero, as it must be", "malformed, bad checksums, no memory, refused or lost by the device,");
    row("", "internal errors, packets without an outcome, connections left, bytes held");
    for (name, stack) in &stacks {
        let zeros = zeros(stack).into_iter().filter(|(_, count)| *count > 0);
        wrong.extend(zeros.map(|(what, count)| format!("{name}'s {what}: {count}")));
    }
    if idle > 0 {
        wrong.push("idle connections hold buffers".into());
    }
    row("time", &format!("{:.1} s", took.as_secs_f64()));
    let right = wrong.is_empty();
    row(
        "verdict",
        &if right { "all as it should be".into() } else { format!("WRONG: {}", wrong.join("; ")) },
    );
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(what: &str, text: &str) {
    println!("  {what:<24} {text}");
}

/// What a stack has received.
fn counted(name: &str, stack: &Stack) {
    let counters = stack.counters();
    let endpoint = &counters.endpoint;
    let [accepted, opened] = [endpoint.passive_opens, endpoint.active_opens].map(grouped);
    row(&format!("{name}'s connections"), &format!("{accepted} accepted, {opened} opened"));
    let discarded =
        endpoint.iter().filter_map(|(name, count)| Some((name.strip_prefix("discarded_")?, count)));
    let discarded: Vec<_> = discarded
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{} {}", grouped(count), reason.replace('_', " ")))
        .collect();
    let discarded = if discarded.is_empty() { "none".into() } else { discarded.join(", ") };
    let [frames, used, answered] =
        [endpoint.frames + counters.merged, endpoint.accepted + counters.merged, endpoint.answered]
            .map(grouped);
    row(
        &format!("{name} received"),
        &format!("{frames} packets: {used} used, {answered} answered, discarded: {discarded}"),
    );
}

/// What must be 0 of a stack that has been shut down.
fn zeros(stack: &Stack) -> [(&'static str, u64); 9] {
    let counters = stack.counters();
    let endpoint = &counters.endpoint;
    let malformed = endpoint.iter().filter(|(name, _)| name.starts_with("malformed_"));
    [
        ("malformed packets", malformed.map(|(_, count)| count).sum()),
        ("bad checksums", endpoint.discarded(DiscardReason::BadChecksum)),
        ("packets without memory", endpoint.discarded(DiscardReason::NoMemory)),
        ("packets refused by the device", counters.device_refused),
        ("packets lost by the device", counters.device_lost),
        ("internal errors", counters.internal_errors),
        ("packets without an outcome", endpoint.frames.abs_diff(outcomes(endpoint))),
        ("connections left", stack.connections() as u64),
        ("bytes held", stack.memory_used() as u64),
    ]
}

/// Every frame has one outcome, and every frame for a connection one of its own.
fn outcomes(counters: &carrick_core::Counters) -> u64 {
    counters.accepted
        + counters.discarded_by_connections()
        + counters.answered
        + counters.held
        + counters.discarded_by_endpoint()
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick::device::memory::{self, MemoryConfig};
    use carrick::device::{Device, Packet};

    #[tokio::test]
    async fn a_malformed_packet_is_found() -> std::io::Result<()> {
        let (near, far) = memory::pair(MemoryConfig::default());
        let stack = carrick_examples::link::far(far)?;
        assert!(zeros(&stack).iter().all(|(_, count)| *count == 0));
        near.send(&Packet::new(b"no packet", &[], None))?;
        while stack.counters().endpoint.frames == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(zeros(&stack).map(|(_, count)| count), [1, 0, 0, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 12, 999, 1000, 12_345, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }
}
