//! Conflicts that a run foresees between the work of its tasks.

use std::collections::BTreeSet;
use std::fmt;

use crate::id::TaskId;

/// Limit of the files that a foreseen conflict names.
const MAX_FILES: usize = 20;

/// The other side of a conflict that a task is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counterpart {
    /// Another task of the run.
    Task(TaskId),
    /// A branch that the tasks are merged into, by its name.
    Target(String),
}

impl fmt::Display for Counterpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => task.fmt(f),
            Self::Target(branch) => f.write_str(branch),
        }
    }
}

/// A conflict between the work of a task and that of another one, or a branch, as it was when one of them ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeseenConflict {
    /// The task that had ended.
    pub task: TaskId,
    /// The other side.
    pub other: Counterpart,
    /// The first files in conflict, sorted.
    pub files: Vec<String>,
    /// The number of further files in conflict.
    pub more: u64,
}

impl ForeseenConflict {
    /// A conflict in these files, of which only the first ones are kept.
    #[must_use]
    pub fn new(task: TaskId, other: Counterpart, mut files: Vec<String>) -> Self {
        let more = files.len().saturating_sub(MAX_FILES) as u64;
        files.truncate(MAX_FILES);
        Self { task, other, files, more }
    }

    /// The other side of the conflict, seen from a task; `None` for a task that is not in it.
    #[must_use]
    pub fn other_than(&self, task: &TaskId) -> Option<Counterpart> {
        match &self.other {
            other if self.task == *task => Some(other.clone()),
            Counterpart::Task(other) if other == task => Some(Counterpart::Task(self.task.clone())),
            _ => None,
        }
    }

    /// Whether it is between these two.
    #[must_use]
    pub fn is_between(&self, task: &TaskId, other: &Counterpart) -> bool {
        self.other_than(task).as_ref() == Some(other)
    }

    /// The files for a sentence: the first three, and how many more there are.
    #[must_use]
    pub fn files_text(&self) -> String {
        let shown = self.files.len().min(3);
        let more = self.more + (self.files.len() - shown) as u64;
        let files = self.files[..shown].join(", ");
        match more {
            0 => files,
            1 => format!("{files} and 1 more file"),
            more => format!("{files} and {more} more files"),
        }
    }
}

/// What the branches of a run can be merged as, at the moment when all of them were compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// The conflicts between them, and with the target.
    pub conflicts: Vec<ForeseenConflict>,
    /// The pairs of which it could not be told.
    pub unknown: usize,
    /// The tasks whose commits are in the target already.
    pub in_target: BTreeSet<TaskId>,
    /// The tasks whose branches do not exist any more, or not with their work.
    pub gone: BTreeSet<TaskId>,
}
