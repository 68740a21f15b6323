//! A command where there are no process groups.

use std::process::{Command, ExitStatus};

use crate::awaited::Awaited;
use crate::error::GitError;

/// Runs a command to its end, and gives how it has ended and what it has printed on its standard error. Blocks.
pub(crate) fn run(mut command: Command, awaited: &Awaited) -> Result<(ExitStatus, String), GitError> {
    awaited.check()?;
    let output = command.output().map_err(GitError::Start)?;
    Ok((output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
}
