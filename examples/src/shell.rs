//! What a server example does besides serving: run a command next to itself, or wait for Ctrl-C.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use tokio::process::Command;

/// Runs the command and gives its exit code; without one, waits for Ctrl-C.
///
/// # Errors
/// The command cannot be started, or the signal cannot be waited for.
pub async fn run_or_wait(command: &[OsString]) -> io::Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else {
        let process = std::process::id();
        println!(
            "to join from another shell: nsenter --preserve-credentials -U -n -t {process}; to end: Ctrl-C"
        );
        tokio::signal::ctrl_c().await?;
        return Ok(ExitCode::SUCCESS);
    };
    let status = Command::new(program)
        .args(arguments)
        .status()
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    // A command that a signal ended has no code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
