//! The note beside git's files of a worktree that tells which attempt gadugi made it for.

use std::fs;
use std::path::Path;

use gadugi_core::{AttemptNo, BranchName, CommitId, Lease, RunId, TaskId};

use crate::error::GitError;
use crate::files::ordinary;

/// The name of its file in git's entry of the worktree.
pub(crate) const FILE: &str = "gadugi";
/// The file that is written first and then renamed.
const NEW: &str = "gadugi.new";

/// The content of the note. On disk it is a line of `name value` for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) run: RunId,
    pub(crate) task: TaskId,
    /// `None` in notes of a version that did not write it; they are of any attempt.
    pub(crate) attempt: Option<AttemptNo>,
    pub(crate) branch: BranchName,
    /// The commit that the branch began at.
    pub(crate) start: CommitId,
    /// Whether the worktree is not yet there in full.
    pub(crate) in_the_making: bool,
}

impl Marker {
    /// Writes the note in place of another, at once and in full.
    pub(crate) fn write(&self, admin: &Path) -> Result<(), GitError> {
        let (path, new) = (admin.join(FILE), admin.join(NEW));
        ordinary::write(&new, self.to_text()).map_err(GitError::io("write", &new))?;
        fs::rename(&new, &path).map_err(GitError::io("write", &path))
    }

    pub(crate) fn to_text(&self) -> String {
        let Self { run, task, attempt, branch, start, in_the_making } = self;
        let attempt = attempt.map(|number| format!("attempt {number}\n")).unwrap_or_default();
        let making = if *in_the_making { "state making\n" } else { "" };
        format!("run {run}\ntask {task}\n{attempt}branch {branch}\nstart {start}\n{making}")
    }

    /// Whether it was written for the attempt of this lease.
    pub(crate) fn is_of(&self, lease: &Lease) -> bool {
        self.run == lease.run
            && self.task == lease.attempt.task
            && self.attempt.is_none_or(|number| number == lease.attempt.number)
    }

    /// The note in an entry; `None` where there is none, or none that can be understood.
    pub(crate) fn read(admin: &Path) -> Option<Self> {
        Self::from_text(&ordinary::read_to_string(&admin.join(FILE)).ok()?)
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            run: field("run")?.parse().ok()?,
            task: field("task")?.parse().ok()?,
            attempt: match field("attempt") {
                Some(number) => Some(AttemptNo::new(number.parse().ok()?)?),
                None => None,
            },
            branch: field("branch")?.parse().ok()?,
            start: field("start")?.parse().ok()?,
            in_the_making: field("state") == Some("making"),
        })
    }
}
