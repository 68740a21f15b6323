//! The user's pager, for what several calls of git print.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use crate::context::Context;
use crate::failure::Failure;
use crate::signals::Interrupts;
use crate::work::Git;

/// A pager that runs.
pub(crate) struct Pager {
    child: Child,
    input: File,
    /// Keeps Ctrl-C for the pager.
    _interrupts: Interrupts,
}

impl Pager {
    /// Starts the pager that `git diff` has by the user's configuration; `None` where it has none, and where the standard
    /// output is no terminal.
    pub(crate) async fn start(context: &Context, git: &Git<'_>) -> Result<Option<Self>, Failure> {
        if !context.terminal.out_is_terminal {
            return Ok(None);
        }
        let own = git.answer(&["config", "--get", "pager.diff"]).await?.unwrap_or_default();
        let command = match own.to_ascii_lowercase().as_str() {
            "false" | "no" | "off" | "0" => return Ok(None),
            "" | "true" | "yes" | "on" | "1" => git.answer(&["var", "GIT_PAGER"]).await?.unwrap_or_default(),
            _ => own,
        };
        if command.is_empty() || command == "cat" {
            return Ok(None);
        }
        let interrupts = Interrupts::receive()?;
        let mut pager = Command::new("sh");
        pager.arg("-c").arg(&command).current_dir(&context.surroundings.folder).stdin(Stdio::piped());
        for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
            if !context.surroundings.env.contains_key(std::ffi::OsStr::new(name)) {
                pager.env(name, value);
            }
        }
        let failed = |error: std::io::Error| Failure::environment(format!("the pager cannot be started: {error}"));
        let mut child = pager.spawn().map_err(failed)?;
        let input = child.stdin.take().map(OwnedFd::from).map(File::from);
        let input = input.expect("cannot fail because it was piped");
        Ok(Some(Self { child, input, _interrupts: interrupts }))
    }

    /// Prints a line before what git prints next. Returns whether the pager still reads.
    pub(crate) fn line(&mut self, line: &str) -> Result<bool, Failure> {
        match self.input.write_all(line.as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::environment(format!("cannot write to the pager: {error}"))),
        }
    }

    /// The output for a git whose output the pager shows.
    pub(crate) fn output(&self) -> Result<Stdio, Failure> {
        let shared = self.input.try_clone();
        shared.map(Stdio::from).map_err(|error| Failure::environment(format!("cannot use the pager: {error}")))
    }

    /// Waits until the user has left the pager.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        let Self { mut child, input, _interrupts } = self;
        drop(input);
        let waited = tokio::task::spawn_blocking(move || child.wait()).await;
        waited.map(drop).map_err(|error| Failure::environment(format!("the pager failed: {error}")))
    }
}
