//! The records of a command in the folder of its attempt, and the token that names it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use gadugi_core::executor::{ExecEnd, ExecUsage, ExitStatus, OutputSummary};
use serde::{Deserialize, Serialize};

/// The content of `container.json`: the container that is about to be started, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    /// The container's id.
    pub(super) id: String,
    /// Sixteen hexadecimal digits, also its label `gadugi.nonce`.
    pub(super) nonce: String,
    /// The daemon's id.
    pub(super) daemon: String,
    /// The id of this life of the daemon, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<String>,
    /// Whether the daemon's containers outlive it (`live-restore`).
    #[serde(default)]
    pub(super) live_restore: bool,
    /// The reason why its command has certainly not begun, once the container is removed for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unbegun: Option<Unstarted>,
    /// Whether a stop begins with SIGINT.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) interrupt: bool,
}

impl ContainerRecord {
    /// A record with nothing but the names.
    pub(super) fn named(id: String, nonce: String, daemon: String) -> Self {
        Self { id, nonce, daemon, instance: None, live_restore: false, unbegun: None, interrupt: false }
    }
}

/// The reason why a command has certainly not begun. It is in `container.json` before the container is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unstarted {
    /// Its container waits for secrets that were never handed over.
    Waits,
    /// The daemon has refused to start its container.
    Refused,
    /// The daemon reports its container as created and not started. A daemon that died meanwhile may have forgotten a start.
    Created,
}

/// The content of `process.json`: the first process of a container, seen on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessRecord {
    /// The container's nonce.
    pub(super) nonce: String,
    pub(super) pid: i32,
    /// In ticks since the boot.
    pub(super) start: u64,
    pub(super) boot: String,
    /// The inode of the namespace that the pid belongs to.
    pub(super) pid_namespace: u64,
}

/// The token that names a command for other processes: `container 4f5e6a7b8c9d nonce 0123456789abcdef daemon PUO5:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The first twelve digits of the container's id, as people know it.
    pub(super) id: String,
    pub(super) nonce: String,
    pub(super) daemon: String,
}

impl Token {
    pub(super) fn of(record: &ContainerRecord) -> Self {
        let id = record.id.get(..12).unwrap_or(&record.id).to_owned();
        Self { id, nonce: record.nonce.clone(), daemon: record.daemon.clone() }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} nonce {} daemon {}", self.id, self.nonce, self.daemon)
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        let words: Vec<_> = token.split(' ').collect();
        let ["container", id, "nonce", nonce, "daemon", daemon] = words.as_slice() else { return Err(()) };
        let is_hex = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex(id) || !is_hex(nonce) {
            return Err(());
        }
        Ok(Self { id: (*id).to_owned(), nonce: (*nonce).to_owned(), daemon: (*daemon).to_owned() })
    }
}

/// The content of `exit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EndRecord {
    pub(super) nonce: String,
    pub(super) container: String,
    pub(super) status: Status,
    pub(super) took_seconds: f64,
    pub(super) output_bytes: u64,
    pub(super) dropped_bytes: u64,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) peak_memory_bytes: Option<u64>,
    /// Whether a stop was requested before the end.
    #[serde(default)]
    pub(super) stopped: bool,
}

/// The status of a command's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Status {
    /// The daemon's exit code. A signal is 128 plus its number.
    Code {
        code: i32,
    },
    OutOfMemory,
    Unknown,
}

impl EndRecord {
    pub(super) fn new(container: &ContainerRecord, status: Status, took: Duration, output: OutputSummary) -> Self {
        Self {
            nonce: container.nonce.clone(),
            container: container.id.clone(),
            status,
            took_seconds: took.as_secs_f64(),
            output_bytes: output.bytes,
            dropped_bytes: output.dropped,
            cpu_seconds: None,
            peak_memory_bytes: None,
            stopped: false,
        }
    }

    pub(super) fn stopped(mut self, stopped: bool) -> Self {
        self.stopped = stopped;
        self
    }

    pub(super) fn used(mut self, usage: ExecUsage) -> Self {
        self.cpu_seconds = usage.cpu.map(|cpu| cpu.as_secs_f64());
        self.peak_memory_bytes = usage.peak_memory;
        self
    }

    pub(super) fn end(&self) -> ExecEnd {
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let status = match self.status {
            Status::Code { code } => ExitStatus::Code(code),
            Status::OutOfMemory => ExitStatus::OutOfMemory,
            Status::Unknown => ExitStatus::Unknown,
        };
        let mut end = ExecEnd::new(status, seconds(self.took_seconds));
        end.output = OutputSummary { bytes: self.output_bytes, dropped: self.dropped_bytes, leaked: false };
        end.stopped = self.stopped;
        end.usage = ExecUsage { cpu: self.cpu_seconds.map(seconds), peak_memory: self.peak_memory_bytes };
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_no_other_is() {
        let (id, nonce) = ("4f5e6a7b8c9d".to_owned(), "0123456789abcdef".to_owned());
        let token = Token { id, nonce, daemon: "PUO5:XEKN".to_owned() };
        assert_eq!(token.to_string().parse(), Ok(token));
        for other in ["", "pid 4711 boot x start 1", "container x nonce y daemon z", "container 1 nonce 2 daemon 3 4"] {
            assert_eq!(other.parse::<Token>(), Err(()), "{other}");
        }
    }
}
