//! `owner.json`: the process that drives a run, for `gadugi stop` and for messages.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::LockFile;
use crate::format::{FormatError, from_json, to_json};

const VERSION: u64 = 1;

/// The process that drives a run. A process number alone may come to mean another process; together with
/// the boot and the time of its start it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Owner {
    /// Its number, in its own process namespace.
    pub pid: u32,
    /// The machine's name, where it is known.
    pub host: Option<String>,
    /// Names the boot of the machine; `None` where the system does not tell (all but Linux).
    pub boot_id: Option<String>,
    /// The start of the process, in clock ticks since the boot; `None` where the system does not tell (all but Linux).
    pub start_ticks: Option<u64>,
    /// The version of Gadugi.
    pub version: String,
    /// The time since which it drives the run.
    pub since: Timestamp,
    /// The file that its lock is on; `None` where an earlier version wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lock: Option<LockFile>,
}

impl Owner {
    /// This process.
    pub(crate) fn this_process(lock: Option<LockFile>) -> Self {
        let pid = std::process::id();
        Self {
            pid,
            host: host_name(),
            boot_id: boot_id(),
            start_ticks: start_ticks(pid),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: Timestamp::now(),
            lock,
        }
    }

    /// Whether the process of that number is, on this machine and as seen from here, the one that is
    /// meant. Where the system does not tell starts and boots, the number is taken at its word: ask only
    /// while the run's lock is held.
    pub(crate) fn is_here(&self) -> bool {
        self.boot_id == boot_id() && self.start_ticks == start_ticks(self.pid) && self.host == host_name()
    }

    /// Whether it is another, live process, and holds the lock of its run on another file than `found`. False where the system
    /// does not tell starts and boots.
    pub(crate) fn holds_another(&self, found: Option<LockFile>) -> bool {
        let is_known = self.boot_id.is_some() && self.start_ticks.is_some();
        let is_other = self.pid != std::process::id();
        is_known && is_other && (self.lock.is_none() || self.lock != found) && self.is_here()
    }

    pub(crate) fn to_json(&self) -> Result<String, FormatError> {
        to_json(VERSION, self)
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Self, FormatError> {
        from_json(VERSION, json)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        match &self.host {
            Some(host) => write!(f, " on {host}"),
            None => Ok(()),
        }
    }
}

fn host_name() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// The 22nd field of proc_pid_stat(5). The second one is the program's name in brackets, which may hold
/// anything, so counting starts after the last bracket.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
