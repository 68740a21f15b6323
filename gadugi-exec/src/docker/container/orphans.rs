//! Processes of a container that its daemon does not know of, since it died while it started them.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::os::process_table;

/// Time for the killing. Only processes of another user, or hanging in the kernel, survive it.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Length of a full container id.
const ID_LENGTH: usize = 64;

/// Kills all processes in the control group of a container, which Docker and Podman name after its id. Returns whether there
/// were any. For a daemon on another machine it finds none.
pub(in crate::docker) fn kill(id: &str) -> bool {
    let begun = Instant::now();
    let mut found = false;
    while begun.elapsed() < KILL_TIMEOUT {
        let killed = process_table::all().filter(|pid| kill_in(*pid, id)).count();
        if killed == 0 {
            break;
        }
        found = true;
        std::thread::sleep(Duration::from_millis(10));
    }
    found
}

/// Kills a process if it is in the container. Returns whether it did.
fn kill_in(pid: Pid, id: &str) -> bool {
    // Held before it is looked at, so that no other one is meant that gets its pid meanwhile.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
    is_in(&groups, id) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

/// Whether these are control groups of the container. Only a full id counts: a part of one, as a damaged record may have it,
/// matches other containers too.
pub(in crate::docker) fn is_in(groups: &str, id: &str) -> bool {
    id.len() == ID_LENGTH && groups.contains(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_id_names_a_container() {
        let id = "0123456789abcdef".repeat(4);
        for groups in [format!("0::/system.slice/docker-{id}.scope\n"), format!("4:memory:/docker/{id}\n0::/\n")] {
            assert!(is_in(&groups, &id));
            for other in ["", "d", &id[..12], &"f".repeat(64)] {
                assert!(!is_in(&groups, other), "{other}");
            }
        }
    }
}
