//! Runs a command in a user and network namespace of its own, where it may make TUN interfaces.
//!
//! ```text
//! cargo run -p carrick-examples --bin namespace -- ip addr
//! ```
//!
//! Like `unshare --user --map-root-user --net`, with the loopback interface up and reasons for a refusal.

use carrick_examples::namespace;
use clap::Parser;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Runs a command in a user and network namespace of its own.
#[derive(Parser)]
struct Arguments {
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

/// The exit code that says that this machine does not permit it.
const MISSING: u8 = 3;

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    if let Err(missing) = namespace::enter() {
        eprintln!("{missing}");
        return ExitCode::from(MISSING);
    }
    let (program, arguments) = command.split_first().expect("clap requires at least one");
    let error = Command::new(program).args(arguments).exec();
    eprintln!("{}: {error}", program.display());
    ExitCode::FAILURE
}
