//! One run: fresh namespaces, a TUN device, the tool.
//!
//! The runner starts itself anew through `unshare`; that one sets the namespace up from inside, starts the tool, and
//! waits for it. Its standard input is a pipe that the first runner holds: when that ends, however it does, so does the
//! run.
//!
//! There is no PID namespace: scripts of Google's name files in /tmp by their process, which would be those of others.

use crate::script::{Script, Variant};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// The first argument of a runner that is started inside.
const INSIDE: &str = "--inside";
/// A script that nobody fails where all is there that scripts need.
const TRIAL: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n";
/// Where the tool finds it.
const INPUT: &str = "/dev/stdin";
/// The tool keeps all its memory in place; less than this and it cannot start its threads, in bytes.
const MEMORY: u64 = 256 << 20;
/// How often a run is looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// How long one that has left the group of its run may go on talking after that.
const STRAY: Duration = Duration::from_secs(1);

/// What became of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    NotApplicable,
    NotParsable,
}

/// What became of a run, and what there is to say about it.
#[derive(Clone, Debug)]
pub(crate) struct Result {
    pub(crate) outcome: Outcome,
    pub(crate) text: String,
    pub(crate) took: Duration,
}

impl Result {
    pub(crate) fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self { outcome, text: text.into(), took: Duration::ZERO }
    }
}

/// The tool, and what it tests.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) packetdrill: PathBuf,
    /// The library under test; the kernel if none.
    pub(crate) so: Option<PathBuf>,
    pub(crate) congestion: String,
    pub(crate) isolation: Isolation,
    /// Most real time of a run.
    pub(crate) limit: Duration,
}

impl Tool {
    /// Plays a script of one line. If that does not pass, it is not for what is under test.
    ///
    /// # Errors
    /// What was said of it.
    pub(crate) fn try_out(&self) -> std::result::Result<(), String> {
        if let Some(so) = self.so.as_ref().filter(|so| so.to_string_lossy().contains([' ', ':'])) {
            return Err(format!("{}: LD_PRELOAD takes no path with a space or a colon", so.display()));
        }
        let script = Script::new(INPUT.into(), "trial", Variant::Ipv4);
        match self.play(&script, TRIAL)? {
            (true, _) => Ok(()),
            (false, said) => {
                Err(format!("a script that only makes a socket fails, so none was judged:\n{said}"))
            }
        }
    }

    /// Plays a script.
    pub(crate) fn run(&self, script: &Script) -> Result {
        let began = Instant::now();
        let result = match self.play(script, "") {
            Ok((true, _)) => Result::new(Outcome::Passed, ""),
            Ok((false, text)) if self.can_parse(script) => Result::new(Outcome::Failed, text),
            Ok((false, text)) => Result::new(Outcome::NotParsable, text),
            Err(problem) => Result::new(Outcome::Failed, problem),
        };
        Result { took: began.elapsed(), ..result }
    }

    /// Plays a script, the tool's standard input being this text.
    fn play(&self, script: &Script, input: &str) -> std::result::Result<(bool, String), String> {
        let runner = std::env::current_exe().map_err(|error| format!("cannot find the runner: {error}"))?;
        let mut command = self.isolation.command();
        command.arg(runner).args([INSIDE, input]);
        command.arg(self.so.clone().unwrap_or_default()).arg(&self.packetdrill).arg("--send_omit_free");
        command.args(script.variant.options());
        if let Some(so) = &self.so {
            let flags = format!("mtu={} cc={}", script.mtu, self.congestion);
            command.arg(format!("--so_filename={}", so.display())).arg(format!("--so_flags={flags}"));
        }
        let (directory, name) = (script.path.parent(), script.path.file_name());
        command.args(name).current_dir(directory.unwrap_or(&script.path));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().map_err(|error| format!("cannot start unshare (util-linux): {error}"))?;
        let out = child.stdout.take().map(text_of);
        let err = child.stderr.take().map(text_of);
        let status = wait(&mut child, self.limit);
        let end = Instant::now() + STRAY;
        let parts = [err, out].into_iter().flatten().map(|part| {
            let rest = end.saturating_duration_since(Instant::now());
            part.recv_timeout(rest).ok()
        });
        let text = parts.collect::<Option<String>>();
        let text =
            text.unwrap_or_else(|| "something goes on, so that nobody knows what was said\n".to_owned());
        match status {
            Some(status) if status.code() == Some(Inside::NO_RUN.into()) => Err(text),
            Some(status) => Ok((status.success(), text)),
            None => Ok((false, format!("{text}not done within {} s\n", self.limit.as_secs()))),
        }
    }

    fn can_parse(&self, script: &Script) -> bool {
        let mut command = Command::new(&self.packetdrill);
        command.arg("--dry_run").args(script.variant.options()).args(script.path.file_name());
        command.current_dir(script.path.parent().unwrap_or(&script.path));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let status = command.spawn().ok().and_then(|mut child| wait(&mut child, self.limit));
        status.is_some_and(|status| status.success())
    }
}

/// All that is said there, once everybody has ended who could say more.
fn text_of(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (to, text) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was said before an error is said.
        let _ = from.read_to_end(&mut bytes);
        // Nobody may wait for it any more.
        let _ = to.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

/// Waits for a run until its time is over, and ends all that it started; none if it was not done.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    // It is left as it is when it has ended, so that its number, which is that of its group, stays its own.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let done = loop {
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(Some(_)) => break true,
            Ok(None) if Instant::now() < end => std::thread::sleep(GLANCE),
            Ok(None) | Err(_) => break false,
        }
    };
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    child.wait().ok().filter(|_| done)
}

/// Which namespaces a run gets beside that of the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Isolation {
    /// A user namespace: nothing outside can be changed. Without it root outside is root inside.
    users: bool,
}

impl Isolation {
    /// Finds out what there may be, and lets the tool keep all its memory in place.
    ///
    /// # Errors
    /// Says what is missing.
    pub(crate) fn find() -> std::result::Result<Self, String> {
        Ok(Self { users: may_lock_as_user()? })
    }

    /// `unshare`, less what it is to start.
    fn command(self) -> Command {
        let mut command = Command::new("unshare");
        if self.users {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg("--net");
        command
    }
}

/// Lets the tool keep all its memory in place, and says whether it may do so in a user namespace.
fn may_lock_as_user() -> std::result::Result<bool, String> {
    let limit = rustix::process::getrlimit(Resource::Memlock);
    let highest = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let raised = [Rlimit { current: None, maximum: None }, highest]
        .into_iter()
        .any(|limit| rustix::process::setrlimit(Resource::Memlock, limit).is_ok());
    match rustix::process::getrlimit(Resource::Memlock).current {
        None => Ok(true),
        Some(most) if raised && most >= MEMORY => Ok(true),
        // Root needs no limit, but only outside of user namespaces.
        Some(_) if rustix::process::geteuid().is_root() => Ok(false),
        Some(most) => Err(format!(
            "packetdrill keeps its memory locked, and this user may lock {most} bytes: raise the limit to {MEMORY} or \
             more (`ulimit -Hl`, or `memlock` in /etc/security/limits.conf), or run as root"
        )),
    }
}

/// What to do inside the namespaces.
#[derive(Debug)]
pub(crate) struct Inside {
    /// What the tool finds in its standard input.
    input: OsString,
    so: OsString,
    tool: OsString,
    args: Vec<OsString>,
}

impl Inside {
    /// The exit status that says that the tool was not started.
    pub(crate) const NO_RUN: u8 = 2;

    pub(crate) fn from_args(args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut args = args.skip(1);
        args.next().filter(|first| first == INSIDE)?;
        Some(Self { input: args.next()?, so: args.next()?, tool: args.next()?, args: args.collect() })
    }

    /// Sets the namespace up and plays the tool; whether it was content, or why it was not started.
    pub(crate) fn play(&self) -> std::result::Result<bool, String> {
        std::thread::spawn(end_with_the_runner);
        let mut steps = vec!["link set lo up"];
        if !self.so.is_empty() {
            // The kernel's own TUN device the tool makes itself.
            steps.extend(["tuntap add dev tun0 mode tun", "link set tun0 up"]);
        }
        for step in steps {
            let done = Command::new("ip").args(step.split(' ')).stdin(Stdio::null()).status();
            match done {
                Ok(status) if status.success() => {}
                Ok(status) => return Err(format!("ip {step}: {status}")),
                Err(error) => return Err(format!("ip (iproute2) cannot be started: {error}")),
            }
        }
        let mut command = Command::new(&self.tool);
        command.args(&self.args).stdin(self.input().map_err(|error| format!("memfd_create: {error}"))?);
        if !self.so.is_empty() {
            command.env("LD_PRELOAD", &self.so);
        }
        let status = command.status().map_err(|error| format!("{}: {error}", self.tool.to_string_lossy()))?;
        if status.code().is_none() {
            eprintln!("the tool has ended by {status}");
        }
        Ok(status.success())
    }
}

impl Inside {
    /// A file without a name, for the tool opens its scripts by name and asks for their length.
    fn input(&self) -> std::io::Result<Stdio> {
        let mut file = File::from(rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?);
        file.write_all(self.input.as_bytes())?;
        file.rewind()?;
        Ok(file.into())
    }
}

/// Ends the whole group of this process when nobody holds the other end of its standard input any more.
fn end_with_the_runner() {
    // An end is an end, with an error or without.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = rustix::process::kill_process_group(rustix::process::getpgrp(), Signal::KILL);
}
