//! The records that a shim leaves in the folder of an attempt: `proc.json` and `exit.json`.

use std::time::Duration;
use std::{fmt, io};

use gadugi_core::executor::{ExecEnd, ExecUsage, ExitStatus, OutputSummary};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The identity of a process, which no later process with the same pid has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// The start time, in ticks since the boot.
    pub(crate) start: u64,
}

/// The content of `proc.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ProcRecord {
    /// A shim has a command, which begins when this record has its name.
    Started(Started),
    /// The start was made void: nothing of it runs, ever.
    Aborted,
}

/// A command that was started, and its shim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) attempt: u32,
    /// Sixteen hexadecimal digits, also in the command's environment as `GADUGI_NONCE`.
    pub(crate) nonce: String,
    /// The id of the boot of the machine.
    pub(crate) boot: String,
    /// The inode of the namespace that the pids belong to.
    pub(crate) pid_namespace: u64,
    pub(crate) shim: ProcessId,
    pub(crate) leader: ProcessId,
    /// The cgroup of the command, if it has one of its own.
    pub(crate) cgroup: Option<CgroupRecord>,
    /// The start time, since the boot, without the time that the machine slept.
    pub(crate) uptime_seconds: f64,
}

/// The path and the kind of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CgroupRecord {
    pub(crate) path: String,
    pub(crate) hierarchy: Hierarchy,
}

/// The hierarchy of a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hierarchy {
    /// cgroup v2, also beside v1.
    Unified,
    /// The freezer of cgroup v1.
    Freezer,
}

/// The content of `exit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    pub(crate) nonce: String,
    pub(crate) status: Status,
    pub(crate) took_seconds: f64,
    pub(crate) output_bytes: u64,
    pub(crate) dropped_bytes: u64,
    pub(crate) leaked: bool,
    pub(crate) stopped: bool,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Processes that could not be killed, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_processes: Option<u64>,
}

/// The status of a command's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Status {
    Code {
        code: i32,
    },
    Signal {
        signal: i32,
    },
    Unknown,
    /// Its program was never executed.
    NotStarted {
        step: FailedStep,
        errno: i32,
    },
}

/// The step of a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailedStep {
    /// Reserving space for the record of its end.
    Reserve,
    /// Opening its input, or making the pipe for its output.
    Streams,
    /// Forking.
    Fork,
    /// Writing `proc.json`.
    Record,
    /// Changing to its folder.
    Folder,
    /// Executing the program.
    Exec,
}

impl fmt::Display for FailedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserve => "cannot set space aside for the record of its end",
            Self::Streams => "cannot open its input or its output",
            Self::Fork => "cannot make a process",
            Self::Record => "cannot record its start",
            Self::Folder => "cannot work in its folder",
            Self::Exec => "cannot execute its program",
        })
    }
}

/// The error of a start that failed in this step.
#[derive(Debug, Error)]
#[error("{step}")]
pub(crate) struct StepError {
    pub(crate) step: FailedStep,
    #[source]
    pub(crate) source: io::Error,
}

impl ExitRecord {
    pub(crate) fn end(&self) -> ExecEnd {
        let status = match self.status {
            Status::Code { code } => ExitStatus::Code(code),
            Status::Signal { signal } => ExitStatus::Signal(signal),
            Status::Unknown | Status::NotStarted { .. } => ExitStatus::Unknown,
        };
        let mut end = ExecEnd::new(status, duration(self.took_seconds));
        let leaked = self.leaked || self.left_processes.is_some_and(|left| left > 0);
        end.output = OutputSummary { bytes: self.output_bytes, dropped: self.dropped_bytes, leaked };
        end.usage = ExecUsage { cpu: self.cpu_seconds.map(duration), peak_memory: self.peak_memory_bytes };
        end.stopped = self.stopped;
        end
    }
}

/// Returns the seconds, to the microsecond.
pub(crate) fn seconds(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::output::sealed::{Unsound, seal, unseal};

    fn exit() -> ExitRecord {
        ExitRecord {
            nonce: "0123456789abcdef".to_owned(),
            status: Status::Code { code: 3 },
            took_seconds: 1.25,
            output_bytes: 10,
            dropped_bytes: 2,
            leaked: false,
            stopped: true,
            cpu_seconds: Some(0.5),
            peak_memory_bytes: None,
            left_processes: None,
        }
    }

    fn started() -> ProcRecord {
        ProcRecord::Started(Started {
            run: "20261122-083355-k7q".to_owned(),
            task: "fix-login".to_owned(),
            attempt: 1,
            nonce: "0123456789abcdef".to_owned(),
            boot: "5d0c".to_owned(),
            pid_namespace: 4_026_531_836,
            shim: ProcessId { pid: 4710, start: 918_272 },
            leader: ProcessId { pid: 4711, start: 918_273 },
            cgroup: Some(CgroupRecord {
                path: "/sys/fs/cgroup/gadugi-0123456789abcdef".to_owned(),
                hierarchy: Hierarchy::Unified,
            }),
            uptime_seconds: 9182.5,
        })
    }

    fn assert_tells_all_damage<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(record: &T) {
        let line = seal(record).expect("it can be written").into_bytes();
        assert_eq!(unseal::<T>(&line).as_ref(), Ok(record));
        for length in 0..line.len() {
            assert_eq!(unseal::<T>(&line[..length]), Err(Unsound::Damaged), "cut at {length}");
        }
        for bit in 0..line.len() * 8 {
            let mut damaged = line.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal::<T>(&damaged), Err(Unsound::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_is_taken_for_a_record() {
        assert_tells_all_damage(&exit());
        assert_tells_all_damage(&started());
        assert_tells_all_damage(&ProcRecord::Aborted);
    }

    #[test]
    fn what_could_not_be_killed_is_told_and_need_not_be_said() {
        let left = ExitRecord { left_processes: Some(2), ..exit() };
        let line = seal(&left).expect("it can be written");
        assert!(line.contains("\"left_processes\":2"), "{line}");
        assert!(unseal::<ExitRecord>(line.as_bytes()).expect("a record").end().output.leaked);
        let line = seal(&exit()).expect("it can be written");
        assert!(!line.contains("left_processes"), "{line}");
        assert!(!unseal::<ExitRecord>(line.as_bytes()).expect("a record").end().output.leaked);
    }

    #[test]
    fn records_are_written_as_the_docs_say() {
        assert_eq!(
            seal(&ProcRecord::Aborted).expect("it can be written"),
            "{\"v\":1,\"crc\":\"9417937d\",\"kind\":\"aborted\"}\n"
        );
    }
}
