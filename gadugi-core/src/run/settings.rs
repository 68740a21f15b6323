//! The settings of a run.

use std::num::NonZeroUsize;

use crate::agent::Budget;

/// The policy by which worktrees stay after their attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeepPolicy {
    /// Worktrees of attempts that did not succeed stay.
    #[default]
    Failed,
    /// All worktrees stay.
    Always,
    /// No worktree stays whose work is on a branch; uncommitted files become a commit first.
    Never,
}

/// The settings of a run; they are part of its header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunSettings {
    /// Largest number of attempts under way at once.
    pub jobs: NonZeroUsize,
    /// Whether to start nothing more after the first task that does not succeed; running tasks run to their end.
    pub fail_fast: bool,
    /// Policy for worktrees of ended attempts.
    pub keep: KeepPolicy,
    /// Whether tasks whose `touches` overlap may run at once.
    pub allow_overlap: bool,
    /// Budget of all tasks together.
    pub budget: Budget,
}

impl Default for RunSettings {
    /// Four jobs, everything else off.
    fn default() -> Self {
        Self {
            jobs: NonZeroUsize::new(4).expect("cannot fail because 4 is not 0"),
            fail_fast: false,
            keep: KeepPolicy::default(),
            allow_overlap: false,
            budget: Budget::default(),
        }
    }
}
