//! The landing of a merge in a process of its own: this program once more, which a Ctrl-C or the end of the command does not
//! reach.

use std::process::ExitCode;

use gadugi_core::error_chain;
use gadugi_worktree::{LandingProgram, land_ordered};
use rustix::process::setsid;
use tracing::warn;

use crate::surroundings::Surroundings;

/// The first argument of a process that lands.
const ARGUMENT: &str = "__land";

/// Lands the result of a merge if this process was started for that, and then returns its exit code.
pub(crate) fn land_if_requested() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|first| first != ARGUMENT) {
        return None;
    }
    // Only the leader of a process group cannot have a session of its own, and a child is none.
    setsid().ok();
    let landed = land_ordered(args);
    if let Err(error) = &landed {
        // The command that waits for this process finishes or undoes what was begun, and reports.
        warn!(error = %error_chain(error), "landing failed");
    }
    Some(if landed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// This program, for landings.
pub(crate) fn landing_program() -> Option<LandingProgram> {
    let program = Surroundings::this_program().ok()?;
    // The name of this process, by which a program may decide what it is.
    Some(LandingProgram { program, name: std::env::args_os().next(), argument: ARGUMENT.into() })
}
