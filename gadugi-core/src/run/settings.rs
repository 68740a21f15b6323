//! How a run is driven.

use std::num::NonZeroUsize;

use crate::agent::Budget;

/// Which worktrees stay after their attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeepPolicy {
    /// Those whose attempt did not succeed.
    #[default]
    Failed,
    /// All.
    Always,
    /// None, as far as their work is on a branch: what is uncommitted becomes a commit first.
    Never,
}

/// How a run is driven; stands in its header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunSettings {
    /// How many attempts are under way at once, at the most.
    pub jobs: NonZeroUsize,
    /// Start nothing more after the first task that does not succeed; what runs goes on to its end.
    pub fail_fast: bool,
    /// Which worktrees stay.
    pub keep: KeepPolicy,
    /// Whether tasks whose `touches` overlap may run at once.
    pub allow_overlap: bool,
    /// What all tasks together may use up.
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
