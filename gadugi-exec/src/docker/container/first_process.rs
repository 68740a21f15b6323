//! The first process of a container, where this machine can see it: its end is noticed without the daemon.

use crate::docker::record::ProcessRecord;
#[cfg(target_os = "linux")]
use {
    super::orphans,
    crate::os::syscalls::watch_end,
    crate::os::{pidfd, process_table},
    rustix::process::Pid,
    std::fs,
    std::os::fd::OwnedFd,
    tokio::io::unix::AsyncFd,
};

/// The first process of a container, seen on this machine.
#[derive(Debug)]
pub(in crate::docker) struct FirstProcess {
    /// Readable after its end; `None` when it had ended before it was looked for.
    #[cfg(target_os = "linux")]
    pidfd: Option<AsyncFd<OwnedFd>>,
}

#[cfg(target_os = "linux")]
impl FirstProcess {
    /// Finds the process that the daemon names, if it runs on this machine, which its control group shows. To be called within
    /// a runtime.
    pub(in crate::docker) fn find(pid: i64, id: &str, nonce: &str) -> Option<(Self, ProcessRecord)> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let start = process_table::start_time(pid)?;
        // Held before its control group is read, so that no other process is meant that gets its pid meanwhile.
        let pidfd = pidfd::open(pid, start).ok()??;
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).ok()?;
        if !orphans::is_in(&groups, id) || pidfd::has_ended(&pidfd).ok()? {
            return None;
        }
        let record = ProcessRecord {
            nonce: nonce.to_owned(),
            pid: pid.as_raw_nonzero().get(),
            start,
            boot: process_table::boot_id()?.to_owned(),
            pid_namespace: process_table::pid_namespace()?,
        };
        Some((Self { pidfd: Some(watch_end(pidfd).ok()?) }, record))
    }

    /// Finds the process that an earlier driver has recorded, whether or not it still runs; `None` when it cannot be seen from
    /// here. To be called within a runtime.
    pub(in crate::docker) fn recorded(record: &ProcessRecord, nonce: &str) -> Option<Self> {
        let is_visible = record.nonce == nonce && process_table::pid_namespace() == Some(record.pid_namespace);
        if !is_visible || process_table::boot_id() != Some(&*record.boot) {
            return None;
        }
        let pidfd = pidfd::open(Pid::from_raw(record.pid)?, record.start).ok()?;
        Some(Self { pidfd: pidfd.map(watch_end).transpose().ok()? })
    }

    /// Whether the process has ended.
    pub(in crate::docker) fn has_ended(&self) -> bool {
        self.pidfd.as_ref().is_none_or(|pidfd| pidfd::has_ended(pidfd.get_ref()).unwrap_or(false))
    }

    /// Waits for its end.
    pub(in crate::docker) async fn ended(&self) {
        if let Some(pidfd) = &self.pidfd
            && pidfd.readable().await.is_err()
        {
            // The runtime is being shut down, and with it this wait.
            std::future::pending::<()>().await;
        }
    }
}

/// On macOS containers run in a machine of their own.
#[cfg(not(target_os = "linux"))]
impl FirstProcess {
    pub(in crate::docker) fn find(_: i64, _: &str, _: &str) -> Option<(Self, ProcessRecord)> {
        None
    }

    pub(in crate::docker) fn recorded(_: &ProcessRecord, _: &str) -> Option<Self> {
        None
    }

    pub(in crate::docker) fn has_ended(&self) -> bool {
        false
    }

    pub(in crate::docker) async fn ended(&self) {
        std::future::pending().await
    }
}
