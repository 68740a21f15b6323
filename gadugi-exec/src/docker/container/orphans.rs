//! Processes of a container that its daemon does not know to have started, since it died just then.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::os::process_table;

/// How long the killing goes on. Longer lives only what belongs to another user, or hangs in the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many digits an id has.
const WHOLE: usize = 64;

/// Kills what runs in the control group of a container, which Docker and Podman name after its id, and says whether anything
/// did. Of a daemon on another machine it finds nothing.
pub(in crate::docker) fn kill(id: &str) -> bool {
    let begun = Instant::now();
    let mut found = false;
    while begun.elapsed() < PATIENCE {
        let killed = process_table::all().filter(|pid| kill_in(*pid, id)).count();
        if killed == 0 {
            break;
        }
        found = true;
        std::thread::sleep(Duration::from_millis(10));
    }
    found
}

/// Kills a process if it is in that container.
fn kill_in(pid: Pid, id: &str) -> bool {
    // Held before it is looked at, so that no other one is meant that gets its pid meanwhile.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
    is_in(&groups, id) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

/// Whether these are control groups of that container. A part of an id, as a damaged record may have, stands in those of others
/// too.
pub(in crate::docker) fn is_in(groups: &str, id: &str) -> bool {
    id.len() == WHOLE && groups.contains(id)
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
