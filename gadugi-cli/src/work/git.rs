//! Calls of the user's git.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};

use tokio::process::Command;

use crate::context::Context;
use crate::failure::Failure;
use crate::signals::Interrupts;
use crate::site::Site;

/// The end of a git that has printed its own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GitEnd {
    /// It has done its work.
    Done,
    /// Its reader went away, as a pager that was quit.
    Unread,
}

/// The user's git, in the folder of the command.
pub(crate) struct Git<'a> {
    site: &'a Site,
    folder: PathBuf,
    may_ask: bool,
    variables: Vec<(&'static str, OsString)>,
}

impl<'a> Git<'a> {
    /// Git with these variables besides those of the user.
    pub(crate) fn new(
        context: &Context,
        site: &'a Site,
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Self {
        let (folder, may_ask) = (context.surroundings.folder.clone(), context.terminal.live);
        Self { site, folder, may_ask, variables: variables.into_iter().collect() }
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::from(self.site.git(&self.folder));
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).args(arguments);
        command
    }

    /// Runs git with its messages and questions on the terminal of this command, and its output in `out`, or on the standard
    /// output. Ctrl-C is git's and its pager's until it has ended.
    pub(crate) async fn attached<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        out: Option<Stdio>,
    ) -> Result<GitEnd, Failure> {
        let mut command = self.command(arguments);
        if let Some(out) = out {
            command.stdout(out).env("GIT_PAGER_IN_USE", "true");
        }
        let _interrupts = Interrupts::receive()?;
        let status = command.status().await.map_err(|error| no_git(&error))?;
        ended(arguments, status)
    }

    /// Runs git without a terminal, and returns what it has printed, whether it succeeded or not.
    pub(crate) async fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, Failure> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").kill_on_drop(true);
        command.output().await.map_err(|error| no_git(&error))
    }

    /// The same, of a git that talks to a remote: it may ask for a name or a password, where this command has a terminal.
    pub(crate) async fn talking<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, Failure> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
        if !self.may_ask {
            command.env("GIT_TERMINAL_PROMPT", "0");
        }
        command.output().await.map_err(|error| no_git(&error))
    }

    /// Runs git without a terminal, and returns what it has printed, without the line break at its end; `None` where it failed.
    pub(crate) async fn answer<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Option<String>, Failure> {
        let output = self.output(arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
        Ok(output.status.success().then_some(text))
    }
}

fn ended<S: AsRef<OsStr>>(arguments: &[S], status: ExitStatus) -> Result<GitEnd, Failure> {
    use std::os::unix::process::ExitStatusExt as _;
    let pipe = rustix::process::Signal::PIPE.as_raw();
    if status.success() {
        return Ok(GitEnd::Done);
    }
    if status.signal() == Some(pipe) || status.code() == Some(128 + pipe) {
        return Ok(GitEnd::Unread);
    }
    let command = arguments.first().map(|name| name.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
    Err(Failure::environment(format!("`git {command}` failed ({status})")).hint("its message stands above"))
}

fn no_git(error: &std::io::Error) -> Failure {
    Failure::environment(format!("git cannot be started: {error}")).hint("install git 2.34 or later")
}
