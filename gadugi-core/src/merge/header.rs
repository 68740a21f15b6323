//! The header of a merge.

use std::num::NonZeroUsize;

use jiff::Timestamp;

use crate::id::{BranchName, MergeId, RunId, TaskId};
use crate::merge::integration::{Link, Strategy};

/// The header of a merge: its data before its start, written once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeHeader {
    /// Id of the merge.
    pub merge: MergeId,
    /// Time of its creation.
    pub created: Timestamp,
    /// The run whose tasks are merged.
    pub run: RunId,
    /// The branch that they are merged into.
    pub target: BranchName,
    /// Its settings.
    pub settings: MergeSettings,
    /// The tasks, in the order of merging: those that a task needs stand before it.
    pub candidates: Vec<Candidate>,
}

/// The settings of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeSettings {
    /// How a branch becomes part of the target.
    pub strategy: Strategy,
    /// Largest number of trials at once.
    pub jobs: NonZeroUsize,
    /// The script that decides whether merged files are sound; `None` lands whatever merges as text.
    pub check: Option<Check>,
    /// The agent that resolves what is set aside; `None` leaves it.
    pub resolve: Option<String>,
    /// Generated files, which are made anew in place of being merged.
    pub regenerate: Vec<Regenerate>,
}

/// A check of merged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The script.
    pub script: String,
    /// A digest of everything that the result depends on beside the files: the script, its preparation and where it runs.
    pub key: String,
}

/// Generated files with the script that makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regenerate {
    /// Pattern of their paths, in the syntax of `.gitignore`.
    pub pattern: String,
    /// The script that makes them anew.
    pub script: String,
}

/// A task whose work may land.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The task.
    pub task: TaskId,
    /// Its branch, as part of a chain.
    pub link: Link,
    /// Positions of the candidates that it needs.
    pub needs: Vec<usize>,
}
