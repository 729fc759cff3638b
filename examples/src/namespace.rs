//! A network of one's own without being root: a fresh user and network namespace (Linux only).
//!
//! Inside, there is a loopback interface and whatever this process adds; nothing it does can reach the host's
//! network. The process is root there, and an ordinary user everywhere else. Everything started afterwards,
//! threads, sockets and child processes, is inside too.
//!
//! A process that has threads cannot do this, so it belongs at the start of a plain `fn main`, before a
//! runtime is built: `#[tokio::main]` is too late.

use crate::netlink;
use rustix::io::Errno;
use rustix::thread::UnshareFlags;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;

/// The node through which TUN interfaces are made.
const TUN: &str = "/dev/net/tun";

/// What this machine does not let us have.
#[derive(Debug)]
pub struct Missing {
    step: Step,
    error: io::Error,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    OpenTun,
    Unshare,
    MapUser,
    Loopback,
}

/// Enters a user and network namespace of its own, where `/dev/net/tun` can be used.
///
/// # Errors
/// Says which step was refused and how to mend it. The process may be in the new namespaces already, so
/// what remains possible is what needs no network.
pub fn enter() -> Result<(), Missing> {
    let failed = |step| move |error| Missing { step, error };
    OpenOptions::new().read(true).write(true).open(TUN).map_err(failed(Step::OpenTun))?;
    let uid = rustix::process::getuid();
    let gid = rustix::process::getgid();
    match unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) {
        Ok(()) => map_to_root(uid.as_raw(), gid.as_raw()).map_err(failed(Step::MapUser))?,
        // Where user namespaces are switched off, root can still have a network namespace.
        Err(_) if uid.is_root() => unshare(UnshareFlags::NEWNET).map_err(failed(Step::Unshare))?,
        Err(error) => return Err(failed(Step::Unshare)(error)),
    }
    bring_loopback_up().map_err(failed(Step::Loopback))
}

#[allow(unsafe_code, reason = "the one call that has no safe form; sound as said at it")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the call is unsafe for `FILES`, which would part threads from their descriptors. Never asked here.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Makes this user root inside the new user namespace.
fn map_to_root(uid: u32, gid: u32) -> io::Result<()> {
    // Without this a process could shed a group that denies it something (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Interface 1 in a new namespace is `lo`.
fn bring_loopback_up() -> io::Result<()> {
    netlink::request(netlink::NEW_LINK, 0, &netlink::link(1, netlink::UP))
}

impl Missing {
    /// What to do about it.
    fn remedy(&self) -> String {
        let errno = Errno::from_io_error(&self.error);
        match (self.step, errno) {
            (Step::OpenTun, Some(Errno::NOENT | Errno::NODEV | Errno::NXIO)) => {
                "load the module (`modprobe tun`); for a container, start it with `--device /dev/net/tun`".into()
            }
            (Step::OpenTun, Some(Errno::ACCESS)) => {
                "`chmod 0666 /dev/net/tun` as root, as udev would: making an interface still needs the right to \
                 configure the network it appears in"
                    .into()
            }
            (Step::OpenTun, Some(Errno::PERM)) => {
                "the container's device rules forbid it: start it with `--device /dev/net/tun`".into()
            }
            (Step::Unshare, Some(Errno::INVAL)) => {
                "this must happen before the process starts its first thread, and the kernel needs CONFIG_USER_NS".into()
            }
            (Step::Unshare, Some(Errno::NOSPC)) => {
                "raise the limit: `sysctl user.max_user_namespaces=10000` as root".into()
            }
            (Step::Unshare, _) => "allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1` on older Debian; a \
                 container needs a seccomp profile that permits `unshare`; or run as root"
                .into(),
            (Step::MapUser | Step::Loopback, _) if apparmor_restricts() => {
                "AppArmor takes the rights inside new user namespaces away: \
                 `sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root, or run as root"
                    .into()
            }
            (Step::MapUser | Step::Loopback, _) => "a security module takes the rights inside new user namespaces away: \
                 permit them for this program, or run as root"
                .into(),
            (Step::OpenTun, _) => "see whether the kernel has TUN support (CONFIG_TUN)".into(),
        }
    }
}

/// Ubuntu 23.10 and later let an unprivileged process make a user namespace, without any rights inside.
fn apparmor_restricts() -> bool {
    fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        .is_ok_and(|value| value.trim() == "1")
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.step {
            Step::OpenTun => "/dev/net/tun cannot be opened",
            Step::Unshare => "no user and network namespace can be made",
            Step::MapUser => "the new user namespace refuses its user map",
            Step::Loopback => "the new network namespace refuses to be configured",
        };
        write!(f, "{what} ({}); to mend it: {}", self.error, self.remedy())
    }
}

impl std::error::Error for Missing {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(step: Step, errno: Errno) -> String {
        Missing { step, error: errno.into() }.to_string()
    }

    #[test]
    fn says_what_is_missing_and_how_to_mend_it() {
        for (step, errno, words) in [
            (Step::OpenTun, Errno::NOENT, ["/dev/net/tun", "--device /dev/net/tun"]),
            (Step::OpenTun, Errno::ACCESS, ["/dev/net/tun", "chmod 0666"]),
            (Step::Unshare, Errno::PERM, ["namespace", "unprivileged_userns_clone"]),
            (Step::Unshare, Errno::NOSPC, ["namespace", "max_user_namespaces"]),
            (Step::Unshare, Errno::INVAL, ["namespace", "first thread"]),
            (Step::MapUser, Errno::PERM, ["user map", "run as root"]),
        ] {
            let text = missing(step, errno);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }
}
