//! A landing in a process of its own. It goes on when this process ends, and no signal of its terminal reaches it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use gadugi_core::merge::Landing;
use gadugi_core::{MergeId, error_chain};

use super::record::{Outcome, Place};
use super::{recover, steps};
use crate::error::GitError;
use crate::landing_program::LandingProgram;
use crate::repo::Repository;
use crate::repo::open::ConfigSources;
use crate::settings::WorktreeSettings;

/// The name of the repository's own configuration as an argument.
const REPOSITORY_ONLY: &str = "repository";

/// Starts the process, waits for its end, and returns what it has recorded. Where it has died, its landing is finished or undone
/// here.
pub(super) fn land(
    settings: &WorktreeSettings,
    program: &LandingProgram,
    merge: &MergeId,
    place: &Place,
) -> Result<Landing, GitError> {
    let sources = match settings.repository.opener.sources {
        ConfigSources::All => "all",
        ConfigSources::RepositoryOnly => REPOSITORY_ONLY,
    };
    let mut command = Command::new(&program.program);
    if let Some(name) = &program.name {
        command.arg0(name);
    }
    command.arg(&program.argument).arg(&settings.state).arg(merge.as_str());
    command.arg(settings.repository.work_tree()).arg(sources).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut process) = command.spawn() else {
        return steps::land(&settings.repository, &settings.state, merge).and_then(Outcome::into_landing);
    };
    let status = process.wait().map_err(GitError::Start)?;
    if let Some(outcome) = place.read_result()? {
        return outcome.into_landing();
    }
    match recover(&settings.repository, &settings.state, merge)? {
        Some(recovered) if recovered.landed => Ok(Landing::Landed { followed: recovered.followed }),
        _ => {
            let message = format!("the process that moves the branch has ended without doing so ({status})");
            Err(GitError::LandingFailed { message, is_no_room: false })
        }
    }
}

/// Does the landing that another process of this program has ordered. `args` are the arguments after that of
/// [`LandingProgram::argument`]. The process must be in a session of its own by then.
///
/// # Errors
/// [`GitError`] when nothing could be recorded; the process that waits for this one says why then.
pub fn land_ordered(args: impl IntoIterator<Item = OsString>) -> Result<(), GitError> {
    let mut args = args.into_iter();
    let wrong = || GitError::LandingFailed { message: "an argument is missing".to_owned(), is_no_room: false };
    let state = args.next().map(PathBuf::from).ok_or_else(wrong)?;
    let merge: MergeId = args.next().ok_or_else(wrong)?.to_string_lossy().parse()?;
    let work_tree = args.next().map(PathBuf::from).ok_or_else(wrong)?;
    let sources = match args.next().is_some_and(|sources| sources == REPOSITORY_ONLY) {
        true => ConfigSources::RepositoryOnly,
        false => ConfigSources::All,
    };
    let repository = Repository::discover_with(&work_tree, sources);
    let repository =
        repository.map_err(|error| GitError::LandingFailed { message: error_chain(&error), is_no_room: false })?;
    steps::land(&repository, &state, &merge).map(drop)
}
