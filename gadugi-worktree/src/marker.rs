//! A note beside git's own files of a worktree that says that gadugi made it, and for what.

use std::fs;
use std::path::Path;

use gadugi_core::{BranchName, CommitId, RunId, TaskId};

use crate::error::GitError;

const FILE: &str = "gadugi";

/// What the note says. On disk it is a line of `name value` for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) run: RunId,
    pub(crate) task: TaskId,
    pub(crate) branch: BranchName,
    /// Where the branch began.
    pub(crate) start: CommitId,
}

impl Marker {
    pub(crate) fn write(&self, admin: &Path) -> Result<(), GitError> {
        let Self { run, task, branch, start } = self;
        let path = admin.join(FILE);
        fs::write(&path, format!("run {run}\ntask {task}\nbranch {branch}\nstart {start}\n"))
            .map_err(GitError::io("write", &path))
    }

    /// The note in an entry; `None` where there is none, or none that can be understood.
    pub(crate) fn read(admin: &Path) -> Option<Self> {
        let text = fs::read_to_string(admin.join(FILE)).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            run: field("run")?.parse().ok()?,
            task: field("task")?.parse().ok()?,
            branch: field("branch")?.parse().ok()?,
            start: field("start")?.parse().ok()?,
        })
    }
}
