//! The command line of the benchmarks.

use clap::{Parser, ValueEnum};

use crate::bench::worktrees::Case;

/// Measures what Gadugi costs, beside what a shell costs for the same.
#[derive(Debug, Parser)]
#[command(name = "gadugi-bench")]
pub(crate) struct Args {
    /// Benchmarks to run; none means all
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<Name>,
    /// Number of times that each pair is measured
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Takes few and short tasks: shows that the benchmarks run, and their figures mean nothing
    #[arg(long)]
    pub(crate) small: bool,
    /// Only this case of `worktrees`; may be given several times
    #[arg(long = "case", value_name = "CASE")]
    pub(crate) cases: Vec<Case>,
    /// Set by the program itself: it has private mounts
    #[arg(long, hide = true)]
    pub(crate) private_mounts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// The speed-up of three tasks side by side, as in the report
    Speedup,
    /// The cost of a task beyond its command, by part
    Overhead,
    /// A thousand tasks without worktrees: time and memory
    Thousand,
    /// Reading a run with a long journal: time and memory
    Journal,
    /// Deciding on the branches of ten thousand tasks, beside `git branch`
    Clean,
    /// Putting 64 branches together and landing them, through the library, beside `git merge`
    Chain,
    /// Foretelling the merges of all pairs of 50 branches, beside `git merge-tree`
    Forecast,
    /// A container for each task, beside `docker run --rm`
    Containers,
    /// Merging the branches of a run, beside `git merge` and the check for one after the other
    Merge,
    /// Making and removing many worktrees, beside git
    Worktrees,
}
