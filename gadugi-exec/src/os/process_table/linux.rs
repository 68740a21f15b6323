//! Linux: procfs, which takes no disk and does not block.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::Duration;

use gadugi_core::executor::ExecUsage;
use rustix::process::{Pid, getpid};
use rustix::time::{ClockId, clock_gettime};

/// Returns the id of this boot of the machine.
pub(crate) fn boot_id() -> Option<&'static str> {
    static BOOT_ID: OnceLock<Option<String>> = OnceLock::new();
    let read = || Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned());
    BOOT_ID.get_or_init(read).as_deref()
}

/// Returns the start time of a process, in ticks since the boot; `None` when it is gone.
pub(crate) fn start_time(pid: Pid) -> Option<u64> {
    stat(pid).map(|stat| stat.start)
}

/// Returns the parent of a process.
pub(crate) fn parent(pid: Pid) -> Option<Pid> {
    Pid::from_raw(stat(pid)?.parent)
}

/// Lists all processes that this one may see.
pub(crate) fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
}

/// Returns the variables that a process was started with, each ended by a zero byte; `None` when they may not be read.
pub(crate) fn environment(pid: Pid) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()
}

/// Returns the inode of this process's PID namespace.
pub(crate) fn pid_namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|namespace| namespace.ino())
}

/// The inode of the first PID namespace, which contains all others (`PROC_PID_INIT_INO` of the kernel).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Whether a PID namespace, in which a process started at that time (in ticks since the boot), is certainly gone, and with it
/// that process. Never certain unless this process is in the first namespace and may see all processes; the namespaces of other
/// users' processes are visible to root only.
pub(crate) fn is_pid_namespace_gone(namespace: u64, started: u64) -> bool {
    let own = Status::of("self").filter(|own| own.pids == [getpid().as_raw_nonzero().get()]);
    // A process that may not see the first one may not see others (`hidepid`).
    if own.is_none() || pid_namespace() != Some(FIRST_PID_NAMESPACE) || Status::of("1").is_none() {
        return false;
    }
    let mut is_used = false;
    let mut is_later = false;
    for pid in all() {
        match membership(pid, namespace) {
            Membership::Outside => {}
            Membership::Unknown => return false,
            Membership::Within(status) => {
                is_used = true;
                // Inodes are used again. The first process of a namespace is older than all others in it.
                is_later |= status.pids.last() == Some(&1) && start_time(pid).is_some_and(|start| start > started);
            }
        }
    }
    is_later || !is_used
}

/// The relation of a process to a namespace.
enum Membership {
    Outside,
    Within(Status),
    Unknown,
}

fn membership(pid: Pid, namespace: u64) -> Membership {
    let number = pid.as_raw_nonzero();
    let is_seen = || if start_time(pid).is_none() { Membership::Outside } else { Membership::Unknown };
    // Of a process that ends meanwhile nothing can be read. The first one of a namespace, by which that is found, ends last.
    let Some(status) = Status::of(&number.to_string()) else { return is_seen() };
    if status.is_zombie || status.pids.len() == 1 {
        return Membership::Outside;
    }
    match fs::metadata(format!("/proc/{number}/ns/pid")) {
        Ok(found) if found.ino() == namespace => Membership::Within(status),
        Ok(_) => Membership::Outside,
        Err(_) => is_seen(),
    }
}

/// A part of `/proc/PID/status`.
struct Status {
    is_zombie: bool,
    /// The pids of the process, from the namespace of this `/proc` inwards.
    pids: Vec<i32>,
    /// The process that traces it.
    tracer: Option<Pid>,
}

impl Status {
    fn of(process: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let pids = value("NSpid:")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let tracer = value("TracerPid:")?.parse().ok().and_then(Pid::from_raw);
        Some(Self { is_zombie: value("State:")?.starts_with('Z'), pids, tracer })
    }
}

/// Returns the process that traces another one, as a debugger does.
pub(crate) fn tracer(pid: Pid) -> Option<Pid> {
    Status::of(&pid.as_raw_nonzero().to_string())?.tracer
}

/// Returns the time since the boot, without the time that the machine slept.
pub(crate) fn uptime() -> Duration {
    since_boot(ClockId::Monotonic)
}

fn since_boot(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// Returns the time since `start` (ticks), by a clock that also runs while the machine sleeps.
pub(crate) fn age(start: u64) -> Duration {
    since_boot(ClockId::Boottime).saturating_sub(ticks(start))
}

/// Returns the usage of a running process: processor time, with that of the children it waited for, and its own peak of
/// memory.
pub(crate) fn usage(pid: Pid, start: u64) -> ExecUsage {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    // Read last, so that both files are known to be about the same process.
    match stat(pid).filter(|stat| stat.start == start) {
        Some(stat) => {
            ExecUsage { cpu: Some(ticks(stat.cpu)), peak_memory: status.ok().as_deref().and_then(peak_memory) }
        }
        None => ExecUsage::default(),
    }
}

fn stat(pid: Pid) -> Option<Stat> {
    Stat::parse(&fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// A part of `/proc/PID/stat`, times in ticks; see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    cpu: u64,
    start: u64,
}

impl Stat {
    /// The second field is the name of the program in parentheses and may hold anything, so the fields
    /// are counted from its end.
    fn parse(text: &[u8]) -> Option<Self> {
        let name_end = text.iter().rposition(|&byte| byte == b')')?;
        let fields = std::str::from_utf8(&text[name_end + 1..]).ok()?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // The first of these is number 3 of the manual page.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let cpu = number(14)? + number(15)? + number(16)? + number(17)?;
        Some(Self { parent: i32::try_from(number(4)?).ok()?, cpu, start: number(22)? })
    }
}

/// `VmHWM` of `/proc/PID/status`, in bytes.
fn peak_memory(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let fields = "S 1 4711 4711 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 1 0 98765 8192000 500";
        let expected = Some(Stat { parent: 1, cpu: 10, start: 98765 });
        for name in ["cat", "a b", ") R 1 2 (", "x\n) y"] {
            assert_eq!(Stat::parse(format!("4711 ({name}) {fields}").as_bytes()), expected, "{name}");
        }
        assert_eq!(Stat::parse(&[b"4711 (\xff\xfe) ", fields.as_bytes()].concat()), expected);
        assert_eq!(Stat::parse(b"4711 (cat) S 1"), None);
    }

    #[test]
    fn this_process_has_used_some_memory_and_is_not_older_than_the_boot() {
        let own = rustix::process::getpid();
        let start = start_time(own).expect("it is there");
        assert!(usage(own, start).peak_memory > Some(0));
        assert_eq!(usage(own, start + 1), ExecUsage::default(), "another process of the same pid");
        assert!(age(start) < age(0));
    }
}
