//! The command git for objects that a task has made: without the user's configuration, hooks, prompts and network, in a process
//! group of its own, and with limits of memory and time.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::GitError;
use crate::repo::git_command::git;
use crate::repo::open::ConfigSources;
use crate::threads::scarce::patiently;

/// Time limit of an import.
pub(super) const IMPORT_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Limit for the output of a process that is kept, in bytes.
const MAX_STDERR: usize = 4096;
/// Limit for the private memory of a process. Objects larger than `core.bigFileThreshold` are not held in memory as a whole.
#[cfg(target_os = "linux")]
const MAX_MEMORY: u64 = 2 * 1024 * 1024 * 1024;

const SETTINGS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.bigFileThreshold=16m",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=2",
    "pack.window=0",
    "pack.useBitmaps=false",
    "protocol.allow=never",
];

/// Git in one repository, which is ours or the user's.
pub(super) struct Git {
    git_dir: PathBuf,
    deadline: Instant,
}

impl Git {
    pub(super) fn new(git_dir: &Path, deadline: Instant) -> Self {
        Self { git_dir: git_dir.to_owned(), deadline }
    }

    /// Starts a subcommand.
    pub(super) fn start(&self, args: &[&str], stdin: Stdio, stdout: Stdio) -> Result<Running, GitError> {
        let mut command = git(ConfigSources::RepositoryOnly);
        command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg("--git-dir").arg(&self.git_dir).args(args).current_dir(&self.git_dir);
        command.stdin(stdin).stdout(stdout);
        Running::start(command, args.first().copied().unwrap_or_default(), self.deadline)
    }

    /// Runs a subcommand to its end.
    pub(super) fn run(&self, args: &[&str], stdin: Stdio) -> Result<(), GitError> {
        finish([self.start(args, stdin, Stdio::null())?])
    }
}

/// A started process. Dropped before it was waited for, it is killed.
pub(super) struct Running {
    name: String,
    child: Child,
    /// Open as long as a process of the group holds the other end.
    stderr: Option<ChildStderr>,
    stderr_end: Vec<u8>,
    deadline: Instant,
    is_waited_for: bool,
}

impl Running {
    fn start(mut command: Command, name: &str, deadline: Instant) -> Result<Self, GitError> {
        command.stderr(Stdio::piped()).process_group(0);
        let mut child = patiently(|| command.spawn().map_err(GitError::Start))?;
        let stderr = child.stderr.take();
        limit_memory(&child);
        Ok(Self { name: name.to_owned(), child, stderr, stderr_end: Vec::new(), deadline, is_waited_for: false })
    }

    /// Its output.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Reads the first bytes of its output; fewer where it prints fewer.
    pub(super) fn first_bytes(&mut self, stdout: &mut ChildStdout, count: usize) -> Result<Vec<u8>, GitError> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let (out, err) = {
                let mut fds = vec![PollFd::new(&*stdout, PollFlags::IN)];
                fds.extend(self.stderr.iter().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
                wait(&mut fds, self.deadline).map_err(|error| self.late(error))?;
                (is_ready(&fds[0]), fds.get(1).is_some_and(is_ready))
            };
            if err {
                self.read_stderr();
            }
            if out {
                let mut next = vec![0; count - bytes.len()];
                match stdout.read(&mut next).map_err(|error| self.late(Some(error)))? {
                    0 => break,
                    read => bytes.extend_from_slice(&next[..read]),
                }
            }
        }
        Ok(bytes)
    }

    /// Reads the error output that is there now. The last bytes are kept.
    fn read_stderr(&mut self) {
        let mut bytes = [0; 4096];
        match self.stderr.as_mut().map(|stderr| stderr.read(&mut bytes)) {
            Some(Ok(read)) if read > 0 => {
                self.stderr_end.extend_from_slice(&bytes[..read]);
                let excess = self.stderr_end.len().saturating_sub(MAX_STDERR);
                self.stderr_end.drain(..excess);
            }
            _ => self.stderr = None,
        }
    }

    /// The error for a wait that failed or, for `None`, took too long.
    fn late(&self, error: Option<std::io::Error>) -> GitError {
        match error {
            Some(source) => GitError::Watch { command: self.name.clone(), source },
            None => GitError::TookTooLong { command: self.name.clone() },
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_waited_for {
            // It was not waited for, so that its number still names it and its group.
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
            self.child.wait().ok();
        }
    }
}

/// Waits until all of them have ended. When one fails, the others are killed.
pub(super) fn finish<const N: usize>(mut all: [Running; N]) -> Result<(), GitError> {
    while all.iter().any(|one| one.stderr.is_some()) {
        let ready: Vec<bool> = {
            let mut fds: Vec<_> =
                all.iter().filter_map(|one| one.stderr.as_ref()).map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            wait(&mut fds, all[0].deadline).map_err(|error| all[0].late(error))?;
            fds.iter().map(is_ready).collect()
        };
        let open = all.iter_mut().filter(|one| one.stderr.is_some());
        for (one, _) in open.zip(ready).filter(|(_, ready)| *ready) {
            one.read_stderr();
        }
    }
    let mut failed = Vec::new();
    for one in &mut all {
        let status = one.child.wait().map_err(|source| GitError::Watch { command: one.name.clone(), source })?;
        one.is_waited_for = true;
        if !status.success() {
            let stderr_end =
                String::from_utf8_lossy(&one.stderr_end).replace(|sign: char| sign.is_control() && sign != '\n', "?");
            failed.push(GitError::Plumbing { command: one.name.clone(), status, stderr: stderr_end });
        }
    }
    // One that ends since nobody reads what it prints has nothing to say.
    let speaks = |error: &GitError| matches!(error, GitError::Plumbing { stderr, .. } if !stderr.is_empty());
    let first = failed.iter().position(speaks).unwrap_or(0);
    if failed.is_empty() { Ok(()) } else { Err(failed.swap_remove(first)) }
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    !fd.revents().is_empty()
}

/// Waits until one of these can be read, or is closed. The error is `None` when the time is up.
fn wait(fds: &mut [PollFd<'_>], deadline: Instant) -> Result<(), Option<std::io::Error>> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| None)?;
        match poll(fds, Some(&left)) {
            Ok(0) => return Err(None),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Some(error.into())),
        }
    }
}

/// Sets the limit from outside, after the start: until git gets its input, it needs little.
#[cfg(target_os = "linux")]
fn limit_memory(child: &Child) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit { current: Some(MAX_MEMORY), maximum: Some(MAX_MEMORY) };
    // It fails for a process that has ended, and where the caller has less.
    prlimit(Some(Pid::from_child(child)), Resource::Data, limit).ok();
}

#[cfg(not(target_os = "linux"))]
fn limit_memory(_: &Child) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        Running::start(command, "sh", Instant::now() + limit).expect("it starts")
    }

    #[test]
    fn a_process_that_does_not_end_is_killed_with_its_children() {
        let root = tempfile::tempdir().expect("a folder");
        let pipe = root.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        let script = format!("sleep 60 > '{}' & sleep 60", pipe.display());
        let running = shell(&script, Duration::from_millis(300));
        // Its child holds the pipe until it is gone.
        let held = std::fs::File::open(&pipe).expect("a pipe");
        let error = finish([running]).expect_err("it is too slow");
        assert!(matches!(error, GitError::TookTooLong { .. }), "{error}");
        assert_eq!(std::io::read_to_string(held).expect("an end"), "");
        let mut slow = shell("sleep 60", Duration::from_millis(50));
        let mut stdout = slow.stdout().expect("an output");
        slow.first_bytes(&mut stdout, 1).expect_err("it says nothing");
    }

    #[test]
    fn what_a_process_says_last_is_kept_without_what_a_terminal_would_obey() {
        let script = "yes word | head -c 300000 >&2; printf 'the \\033[31mend' >&2; exit 3";
        let error = finish([shell(script, Duration::from_secs(60))]).expect_err("it fails");
        let GitError::Plumbing { status, stderr, .. } = error else { panic!("{error}") };
        assert_eq!(status.code(), Some(3));
        assert!(stderr.ends_with("the ?[31mend") && stderr.len() <= MAX_STDERR, "{stderr}");
    }
}
