//! A command that may run programs of the user's, as git runs hooks. It has a time limit, and ends with this process, however
//! that ends, together with all that it has started.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::GitError;
use crate::threads::cancel::Awaited;
use crate::threads::scarce::patiently;

/// Interval for checking whether the command has ended or is cancelled, while it prints nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Limit for the error output that is kept, in bytes.
const MAX_STDERR: usize = 16 * 1024;

/// The script of the guard: it waits for the end of the process that has started it, and then kills its process group.
const WATCH: &str = "read -r _; kill -s KILL 0";

/// The leader of a command's process group. It kills the group when this process ends.
struct Guard {
    shell: Child,
}

impl Guard {
    fn start() -> Result<Self, GitError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCH]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = patiently(|| command.spawn().map_err(GitError::Start))?;
        Ok(Self { shell })
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.shell)
    }

    /// Kills all processes of the group.
    fn kill_group(&self) {
        // The guard itself is in it until it is waited for, so that the number means this group.
        kill_process_group(self.group(), Signal::KILL).ok();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // What the command has left running on purpose goes on.
        self.shell.kill().and_then(|()| self.shell.wait()).ok();
    }
}

/// Runs a command to its end, or until it is cancelled: then it is killed with all that it has started. Returns the exit
/// status, and the end of its standard error. Blocks.
pub(crate) fn run(mut command: Command, awaited: &Awaited) -> Result<(ExitStatus, String), GitError> {
    let guard = Guard::start()?;
    command.process_group(guard.group().as_raw_nonzero().get()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = patiently(|| command.spawn().map_err(GitError::Start))?;
    let mut stderr = Stderr { pipe: child.stderr.take(), last: Vec::new() };
    let status = loop {
        stderr.read(POLL_INTERVAL);
        match child.try_wait().map_err(GitError::Start)? {
            Some(status) => break status,
            None => {
                if let Err(error) = awaited.check() {
                    guard.kill_group();
                    child.wait().map_err(GitError::Start)?;
                    return Err(error);
                }
            }
        }
    };
    // Not until the pipe is closed: a process that was left in the background may hold it for ever.
    stderr.read(Duration::ZERO);
    Ok((status, String::from_utf8_lossy(&stderr.last).into_owned()))
}

/// The output of a command.
struct Stderr {
    /// `None` once it is closed.
    pipe: Option<ChildStderr>,
    last: Vec<u8>,
}

impl Stderr {
    /// Reads all output that is there, after waiting for the first of it.
    fn read(&mut self, mut wait: Duration) {
        while let Some(pipe) = &mut self.pipe {
            if !is_ready(pipe, wait) {
                return;
            }
            wait = Duration::ZERO;
            let mut bytes = [0; 4096];
            match pipe.read(&mut bytes) {
                Ok(read) if read > 0 => {
                    self.last.extend_from_slice(&bytes[..read]);
                    self.last.drain(..self.last.len().saturating_sub(MAX_STDERR));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.pipe = None,
            }
        }
        // It ends in a moment, if it has not yet.
        std::thread::sleep(wait.min(Duration::from_millis(1)));
    }
}

fn is_ready(pipe: &ChildStderr, wait: Duration) -> bool {
    let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    match poll(&mut fds, Some(&wait)) {
        Ok(0) | Err(Errno::INTR) => false,
        // What is wrong is said by the read.
        Ok(_) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::cancel::Waiter;

    fn shell(script: &str, limit: Duration) -> Result<(ExitStatus, String), GitError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        run(command, &Waiter::default().awaited().within(Some(limit)))
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_with_what_it_has_started() {
        let root = tempfile::tempdir().expect("a folder");
        let pipe = root.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        let script = format!("sleep 60 > '{}' & sleep 60", pipe.display());
        let running = std::thread::spawn(move || shell(&script, Duration::from_millis(300)));
        // Its child holds the pipe until it is gone.
        let held = std::fs::File::open(&pipe).expect("a pipe");
        assert_eq!(io::read_to_string(held).expect("an end"), "");
        let error = running.join().expect("an answer").expect_err("it is too slow");
        assert!(matches!(error, GitError::TooSlow { .. }), "{error}");
    }

    #[test]
    fn what_a_command_leaves_in_the_background_holds_nothing_up_and_lives_on() {
        let script = "sleep 60 & echo $! >&2; exit 3";
        let (status, pid) = shell(script, Duration::from_secs(60)).expect("it ends");
        assert_eq!(status.code(), Some(3));
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        rustix::process::kill_process(pid, Signal::KILL).expect("it lives");
    }
}
