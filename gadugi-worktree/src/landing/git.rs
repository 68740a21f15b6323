//! The command git in a work tree, with an index apart.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use gix::bstr::{BString, ByteSlice};

use super::checkouts::Checkout;
use crate::error::GitError;
use crate::repo::git_command;
use crate::repo::open::ConfigSources;

/// A work tree, an index apart, and the lock that the commands hold which change files.
pub(super) struct Git<'a> {
    pub(super) sources: ConfigSources,
    pub(super) checkout: &'a Checkout,
    pub(super) index: &'a Path,
    /// The lock of landings: should this process be killed, the next one waits for the command.
    pub(super) lock: &'a File,
}

/// The end of a command.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stderr: String,
}

impl Git<'_> {
    /// The same with another index.
    pub(super) fn with_index<'b>(&'b self, index: &'b Path) -> Git<'b> {
        Git { index, ..*self }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = git_command::git(self.sources);
        command.current_dir(&self.checkout.folder).env("GIT_INDEX_FILE", self.index);
        command.arg("--git-dir").arg(&self.checkout.git_dir).arg("--work-tree").arg(&self.checkout.folder);
        // An index that is put in place later concerns no hook, and what a monitor of the file system knows is of the old one.
        for setting in ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false"] {
            command.arg("-c").arg(setting);
        }
        command.arg("--literal-pathspecs").args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command that changes files. It may fail.
    pub(super) fn change(&self, args: &[&str], input: &[u8]) -> Result<Ended, GitError> {
        let mut command = self.command(args);
        // It prints nothing; so the lock goes to it.
        command.stdout(self.lock.try_clone().map_err(GitError::ShareLock)?);
        let output = run(command, input, args)?;
        Ok(Ended { status: output.status, stderr: output.stderr })
    }

    /// Runs a command for what it prints.
    pub(super) fn read(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, GitError> {
        let mut command = self.command(args);
        command.stdout(Stdio::piped());
        let output = run(command, input, args)?;
        if output.status.success() { Ok(output.stdout) } else { Err(failed(args, output.status, output.stderr)) }
    }

    /// Runs a command that prints paths, each with a NUL at its end.
    pub(super) fn paths(&self, args: &[&str]) -> Result<Vec<BString>, GitError> {
        let printed = self.read(args, &[])?;
        Ok(printed.split_str(b"\0").filter(|path| !path.is_empty()).map(BString::from).collect())
    }

    /// Updates what the index knows of the files, which takes no more than a look at those that are as it knows them.
    pub(super) fn refresh(&self) -> Result<(), GitError> {
        let args = ["update-index", "-q", "--refresh"];
        let ended = self.change(&args, &[])?;
        // One tells of changed files.
        match ended.status.code() {
            Some(0 | 1) => Ok(()),
            _ => Err(failed(&args, ended.status, ended.stderr)),
        }
    }

    /// The value of a setting that is true or false.
    pub(super) fn is_set(&self, key: &str) -> Result<bool, GitError> {
        let mut command = self.command(&["config", "--type=bool", "--get", key]);
        command.stdout(Stdio::piped());
        let output = run(command, &[], &["config"])?;
        Ok(output.stdout.trim() == b"true")
    }
}

struct Output {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
}

/// Runs a command to its end, with this input.
fn run(mut command: Command, input: &[u8], args: &[&str]) -> Result<Output, GitError> {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(GitError::Start)?;
    let stdin = child.stdin.take();
    let watch = |source| GitError::Watch { command: name(args), source };
    let output = std::thread::scope(|scope| {
        if let Some(mut stdin) = stdin {
            // A command that ends without having read everything says why by its status.
            scope.spawn(move || stdin.write_all(input).ok());
        }
        child.wait_with_output()
    });
    let output = output.map_err(watch)?;
    let stderr = output.stderr.to_str_lossy().chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    Ok(Output { status: output.status, stdout: output.stdout, stderr })
}

/// The error of a command that has failed.
pub(super) fn failed(args: &[&str], status: ExitStatus, stderr: String) -> GitError {
    GitError::Plumbing { command: name(args), status, stderr }
}

fn name(args: &[&str]) -> String {
    args.first().copied().unwrap_or_default().to_owned()
}
