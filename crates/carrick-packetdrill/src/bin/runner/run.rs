//! One run: fresh namespaces, a TUN device, the tool.
//!
//! The runner starts itself anew through `unshare`, sets the namespace up from inside, and becomes the tool.

use crate::script::Script;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The first argument of a runner that is to become the tool.
const INSIDE: &str = "--become-the-tool";
/// The tool keeps all its memory in place; less than this and it cannot start its threads, in bytes.
const MEMORY: u64 = 256 << 20;
/// How often a run is looked at.
const GLANCE: Duration = Duration::from_millis(5);

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
    pub(crate) limit: Duration,
}

impl Tool {
    /// Plays a script.
    pub(crate) fn run(&self, script: &Script) -> Result {
        let began = Instant::now();
        let result = match self.play(script) {
            Ok((true, _)) => Result::new(Outcome::Passed, ""),
            Ok((false, text)) if self.can_parse(script) => Result::new(Outcome::Failed, text),
            Ok((false, text)) => Result::new(Outcome::NotParsable, text),
            Err(problem) => Result::new(Outcome::Failed, problem),
        };
        Result { took: began.elapsed(), ..result }
    }

    fn play(&self, script: &Script) -> std::result::Result<(bool, String), String> {
        let runner = std::env::current_exe().map_err(|error| format!("cannot find the runner: {error}"))?;
        let mut command = Command::new("unshare");
        if self.isolation == Isolation::Full {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg("--net").arg(runner).arg(INSIDE);
        command.arg(self.so.clone().unwrap_or_default()).arg(&self.packetdrill).arg("--send_omit_free");
        command.args(script.variant.options());
        if let Some(so) = &self.so {
            let flags = format!("mtu={} cc={}", script.mtu, self.congestion);
            command.arg(format!("--so_filename={}", so.display())).arg(format!("--so_flags={flags}"));
        }
        let (directory, name) = (script.path.parent(), script.path.file_name());
        command.args(name).current_dir(directory.unwrap_or(&script.path));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().map_err(|error| format!("cannot start unshare (util-linux): {error}"))?;
        let out = child.stdout.take().map(|out| std::thread::spawn(move || text_of(out)));
        let err = child.stderr.take().map(|err| std::thread::spawn(move || text_of(err)));
        let status = wait(&mut child, self.limit);
        let mut text = String::new();
        for part in [err, out].into_iter().flatten() {
            text += &part.join().unwrap_or_default();
        }
        match status {
            Some(status) if status.code() == Some(2) && text.contains("runner: ") => Err(text),
            Some(status) => Ok((status.success(), text)),
            None => Ok((false, format!("{text}not done within {} s\n", self.limit.as_secs()))),
        }
    }

    fn can_parse(&self, script: &Script) -> bool {
        let mut command = Command::new(&self.packetdrill);
        command.arg("--dry_run").args(script.variant.options()).args(script.path.file_name());
        command.current_dir(script.path.parent().unwrap_or(&script.path));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

fn text_of(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was said before an error is said.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a run, and ends it with all that it started when its time is over.
fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(GLANCE),
            Ok(None) | Err(_) => break,
        }
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
    None
}

/// Which namespaces a run gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Isolation {
    /// A user namespace and a network namespace: nothing outside can be changed.
    Full,
    /// A network namespace alone: root outside is root inside.
    NetworkOnly,
}

/// Lets the tool keep all its memory in place, and says what runs must have for that.
///
/// # Errors
/// Says what is missing.
pub(crate) fn allow_locked_memory() -> std::result::Result<Isolation, String> {
    let limit = rustix::process::getrlimit(Resource::Memlock);
    let highest = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let raised = [Rlimit { current: None, maximum: None }, highest]
        .into_iter()
        .any(|limit| rustix::process::setrlimit(Resource::Memlock, limit).is_ok());
    match rustix::process::getrlimit(Resource::Memlock).current {
        None => Ok(Isolation::Full),
        Some(most) if raised && most >= MEMORY => Ok(Isolation::Full),
        // Root needs no limit, but only outside of user namespaces.
        Some(_) if rustix::process::geteuid().is_root() => Ok(Isolation::NetworkOnly),
        Some(most) => Err(format!(
            "packetdrill keeps its memory locked, and this user may lock {most} bytes: raise the limit to {MEMORY} or \
             more (`ulimit -Hl`, or `memlock` in /etc/security/limits.conf), or run as root"
        )),
    }
}

/// What to become inside the namespaces.
#[derive(Debug)]
pub(crate) struct Inside {
    so: OsString,
    tool: OsString,
    args: Vec<OsString>,
}

impl Inside {
    pub(crate) fn from_args(args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut args = args.skip(1);
        args.next().filter(|first| first == INSIDE)?;
        Some(Self { so: args.next()?, tool: args.next()?, args: args.collect() })
    }

    /// Sets the namespace up, and becomes the tool; gives why that did not work.
    pub(crate) fn become_tool(&self) -> String {
        let mut steps = vec!["link set lo up"];
        if !self.so.is_empty() {
            // The kernel's own TUN device the tool makes itself.
            steps.extend(["tuntap add dev tun0 mode tun", "link set tun0 up"]);
        }
        for step in steps {
            let done = Command::new("ip").args(step.split(' ')).stdin(Stdio::null()).status();
            match done {
                Ok(status) if status.success() => {}
                Ok(status) => return format!("ip {step}: {status}"),
                Err(error) => return format!("ip (iproute2) cannot be started: {error}"),
            }
        }
        let mut command = Command::new(&self.tool);
        command.args(&self.args);
        if !self.so.is_empty() {
            command.env("LD_PRELOAD", &self.so);
        }
        format!("{}: {}", self.tool.to_string_lossy(), command.exec())
    }
}
