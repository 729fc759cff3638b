//! CPU time by thread, of the whole process, from outside the threads.
//!
//! What a thread spends in the kernel includes the receiving end of what it writes to a TUN or to the loopback, since
//! that runs within the call.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::AddAssign;

/// CPU time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// All of it, to the nanosecond up to the thread's last scheduling tick.
    pub total: f64,
    /// The part in user space. The kernel tells how it divides in steps of 10 ms.
    pub user: f64,
}

impl Cpu {
    /// The part in the kernel.
    #[must_use]
    pub fn system(self) -> f64 {
        self.total - self.user
    }
}

impl AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.user += other.user;
    }
}

/// What every thread of the process has used up to some moment.
#[derive(Debug, Default)]
pub struct Snapshot(HashMap<u32, Thread>);

#[derive(Debug, Default)]
struct Thread {
    name: String,
    nanoseconds: u64,
    user_ticks: u64,
    system_ticks: u64,
}

impl Snapshot {
    /// Looks at every thread.
    ///
    /// # Errors
    /// `/proc` cannot be read, or the kernel does not count there (CONFIG_SCHED_INFO).
    pub fn take() -> io::Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir("/proc/self/task")? {
            let path = entry?.path();
            let read = |file: &str| fs::read_to_string(path.join(file));
            let id = path.file_name().and_then(|id| id.to_str()?.parse().ok());
            // A thread that has ended meanwhile has no files any more.
            let (Some(id), Ok(stat), Ok(schedstat)) = (id, read("stat"), read("schedstat")) else { continue };
            let thread = parse(&stat, &schedstat);
            threads.insert(id, thread.ok_or_else(|| io::Error::other("/proc says nothing of CPU time"))?);
        }
        Ok(Self(threads))
    }

    /// What threads of this name have used since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self, name: &str) -> Cpu {
        let none = Thread::default();
        let mut sum = Cpu::default();
        for (id, now) in self.0.iter().filter(|(_, thread)| thread.name == name) {
            let before = earlier.0.get(id).unwrap_or(&none);
            let total = now.nanoseconds.saturating_sub(before.nanoseconds) as f64 / 1e9;
            let user = now.user_ticks.saturating_sub(before.user_ticks) as f64;
            let system = now.system_ticks.saturating_sub(before.system_ticks) as f64;
            sum += Cpu { total, user: if user > 0.0 { total * user / (user + system) } else { 0.0 } };
        }
        sum
    }
}

/// Name, time and its division, from the files `stat` and `schedstat` (proc(5)).
fn parse(stat: &str, schedstat: &str) -> Option<Thread> {
    // A name may have blanks and parentheses in it.
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_ascii_whitespace().skip(11).map(str::parse);
    Some(Thread {
        name,
        nanoseconds: schedstat.split_ascii_whitespace().next()?.parse().ok()?,
        user_ticks: fields.next()?.ok()?,
        system_ticks: fields.next()?.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrick_examples::meter::thread_cpu;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn tells_threads_apart_by_name() {
        let (done, wait) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let before = Snapshot::take().expect("a Linux with /proc");
        let busy = move || {
            while thread_cpu() < Duration::from_millis(5) {}
            done.send(()).expect("somebody waits");
            let _ = released.recv();
        };
        let thread = thread::Builder::new().name("a (busy) one".into()).spawn(busy).expect("a thread");
        wait.recv().expect("it ends");
        let after = Snapshot::take().expect("a Linux with /proc");
        let used = after.since(&before, "a (busy) one");
        assert!(used.total >= 0.005, "{used:?}");
        assert_eq!(after.since(&before, "nobody"), Cpu::default());
        drop(release);
        thread.join().expect("no panic");
    }
}
