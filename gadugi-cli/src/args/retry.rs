//! The arguments of `retry`.

use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Args, ValueEnum};

use super::{DrivingArgs, EXECUTION, Keep, LIMITS, TaskArgs, WORKTREES, at_least_one};

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// A run (its id, a prefix of its id, or `latest`) and tasks of it [default: what did not succeed in the latest run]
    #[arg(value_name = "RUN|TASK")]
    pub(crate) what: Vec<String>,
    /// Tell the agents of the tasks TEXT: in their conversations, or else after their prompts
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// Choose where the tasks start [default: in their conversations where possible, else as `retry_from` says]
    #[arg(long, value_name = "WHERE", help_heading = WORKTREES)]
    pub(crate) from: Option<RetryStart>,
    /// Take this commit for the base [default: HEAD]
    #[arg(long, value_name = "REF", help_heading = WORKTREES)]
    pub(crate) base: Option<String>,
    /// Run at most N tasks at the same time [default: as in the earlier run]
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = EXECUTION)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Run tasks that name none by this executor: auto, docker, subprocess, or a name of your own
    #[arg(long, value_name = "NAME", help_heading = EXECUTION)]
    pub(crate) executor: Option<String>,
    /// Stop an attempt that takes longer than DUR, such as 90s or 1h30m
    #[arg(long, value_name = "DUR", help_heading = LIMITS)]
    pub(crate) timeout: Option<String>,
    /// Stop an attempt that prints nothing for DUR
    #[arg(long, value_name = "DUR", help_heading = LIMITS)]
    pub(crate) idle_timeout: Option<String>,
    /// Retry a failed task up to N times within the run
    #[arg(long, value_name = "N", help_heading = LIMITS)]
    pub(crate) retries: Option<u32>,
    /// Stop the run's agents when they have cost USD together, such as 2.5
    #[arg(long, value_name = "USD", help_heading = LIMITS)]
    pub(crate) max_cost: Option<f64>,
    /// Stop the run's agents when they have used N tokens together
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>, help_heading = LIMITS)]
    pub(crate) max_tokens: Option<NonZeroU64>,
    /// Let agents act without asking on this machine, outside of containers
    #[arg(long, help_heading = EXECUTION)]
    pub(crate) unsafe_host: bool,
    /// Start no further task after the first that does not succeed
    #[arg(long, help_heading = LIMITS)]
    pub(crate) fail_fast: bool,
    /// Choose which worktrees are kept after the run
    #[arg(long, value_name = "WHICH", help_heading = WORKTREES)]
    pub(crate) keep: Option<Keep>,
    #[command(flatten)]
    pub(crate) driving: DrivingArgs,
    /// Start even if the worktrees may not fit on the disk
    #[arg(long, help_heading = WORKTREES)]
    pub(crate) force: bool,
}

/// The start of a task that is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RetryStart {
    /// A new worktree on the base
    Base,
    /// The end of the earlier attempt, with its uncommitted work
    Previous,
}

impl RetryArgs {
    /// The same settings as arguments of `run`.
    pub(crate) fn as_task_args(&self) -> TaskArgs {
        TaskArgs {
            jobs: self.jobs,
            executor: self.executor.clone(),
            base: self.base.clone(),
            timeout: self.timeout.clone(),
            idle_timeout: self.idle_timeout.clone(),
            retries: self.retries,
            max_cost: self.max_cost,
            max_tokens: self.max_tokens,
            unsafe_host: self.unsafe_host,
            fail_fast: self.fail_fast,
            keep: self.keep,
            ..TaskArgs::default()
        }
    }
}
