//! carrick's TCP for [packetdrill](https://github.com/google/packetdrill), Google's tester of TCP stacks.
//!
//! packetdrill plays scripts: packets in, packets out, system calls, and when. With `--so_filename` it makes those
//! calls on a shared library instead of the kernel, and this crate, built as such, is one:
//!
//! ```text
//!  packetdrill ──── abi ──── machine ──── sockets ──── net ──── carrick-core
//!   scripts       C table    threads      POSIX       packets     TCP
//!                            and time
//! ```
//!
//! Time is virtual: it passes when the tool sleeps, or waits for a packet, and then jumps from timer to timer. So a
//! script of minutes takes milliseconds, and the same script always goes the same way.
//!
//! Everything above [`abi`] is safe and works without the tool; the tests of this crate use it as a harness. How to run
//! public suites, and what came of it, is in `docs/conformance.md`.

pub mod abi;
pub mod controller;
pub mod errno;
pub mod flags;
pub mod info;
pub mod machine;
pub mod net;
pub mod sockets;
pub mod sysctl;
