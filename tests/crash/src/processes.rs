//! The running processes, by procfs and not by Gadugi's reports.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Time that a killed process gets to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// All processes that know a folder: by their executable, working folder, arguments or environment.
pub(crate) fn that_know(folder: &Path) -> Vec<u32> {
    let own = std::process::id();
    all().filter(|&pid| pid != own && knows(pid, folder)).collect()
}

/// Waits until no process knows the folder; gives those that stay.
pub(crate) fn that_stay(folder: &Path) -> Vec<u32> {
    let begun = Instant::now();
    loop {
        let there = that_know(folder);
        if there.is_empty() || begun.elapsed() > KILL_TIMEOUT {
            return there;
        }
        sleep(Duration::from_millis(10));
    }
}

/// The shims that work for a folder.
pub(crate) fn shims(folder: &Path) -> Vec<u32> {
    let is_shim = |&pid: &u32| arguments(pid).get(1).is_some_and(|argument| argument == "__shim");
    // A shim knows the folder by what it has open: the log of its attempt.
    all().filter(is_shim).filter(|&pid| has_open(pid, folder)).collect()
}

/// The processes that delete what was given back in a folder.
pub(crate) fn sweepers(folder: &Path) -> Vec<u32> {
    let is_sweeper = |&pid: &u32| arguments(pid).get(1).is_some_and(|argument| argument == "__sweep");
    all().filter(is_sweeper).filter(|&pid| knows(pid, folder)).collect()
}

/// The processes that land a merge in a folder.
pub(crate) fn landings(folder: &Path) -> Vec<u32> {
    let is_landing = |&pid: &u32| arguments(pid).get(1).is_some_and(|argument| argument == "__land");
    all().filter(is_landing).filter(|&pid| knows(pid, folder)).collect()
}

/// The children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    all().filter(|&pid| stat_fields(pid).and_then(|fields| fields.get(1)?.parse().ok()) == Some(parent)).collect()
}

/// Kills a process by SIGKILL; one that is gone is fine.
pub(crate) fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::KILL).ok();
    }
}

/// The arguments of a process, for people.
pub(crate) fn describe(pid: u32) -> String {
    format!("{pid} ({})", arguments(pid).join(" "))
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn proc(pid: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

fn knows(pid: u32, folder: &Path) -> bool {
    let leads_there = |name| fs::read_link(proc(pid, name)).is_ok_and(|path| path.starts_with(folder));
    let mentions = |name| {
        let text = fs::read(proc(pid, name)).unwrap_or_default();
        text.windows(folder.as_os_str().len()).any(|part| OsStr::from_bytes(part) == folder.as_os_str())
    };
    // What has ended has no arguments any more and is only waited for.
    let is_zombie = stat_fields(pid).is_none_or(|fields| fields.first().is_none_or(|state| state == "Z"));
    !is_zombie && (leads_there("exe") || leads_there("cwd") || mentions("cmdline") || mentions("environ"))
}

fn has_open(pid: u32, folder: &Path) -> bool {
    let open = fs::read_dir(proc(pid, "fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path.starts_with(folder))
}

fn arguments(pid: u32) -> Vec<String> {
    let text = fs::read(proc(pid, "cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// The fields of proc_pid_stat(5) behind the name.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(proc(pid, "stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
