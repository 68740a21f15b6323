//! The domain of Gadugi, without any adapter: a plan of tasks, the states they go through, the traits
//! that worktrees, executors and registries implement, the scheduler that drives a run, and the
//! report's data.
//!
//! The way of a run through this crate:
//!
//! 1. A front end parses its input into a [`RawPlan`] and turns it into a [`Plan`], which is known to
//!    be a directed acyclic graph.
//! 2. [`Run`] takes the plan together with an [`Executor`], [`Worktrees`] and a [`Registry`], and
//!    drives it to its end.
//! 3. Every step is an [`Event`]. The registry keeps them; [`RunRecord::fold`] and
//!    [`TaskState::next`] make everything that is shown out of them.
//!
//! This crate never prints, never exits and never reads the environment.

#[cfg(not(unix))]
compile_error!("Gadugi runs on Linux and macOS");

mod agent;
mod closest;
mod crash_point;
mod error_chain;
mod executor;
mod id;
mod mount;
mod plan;
mod registry;
mod run;
mod scheduler;
mod signal;
mod time;
mod worktrees;

pub use agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Budget, DEFAULT_FRAME, Denials, Dollars, Earlier,
    Figure, Lines, MAX_ARGUMENT_BYTES, NeedDone, OutputFormat, OutputFormats, OutputReader, OwnPart, Piece,
    PromptParts, RateLimit, Tokens, Used, compose_argument, compose_prompt,
};
pub use closest::closest;
#[cfg(any(debug_assertions, feature = "crash-points"))]
pub use crash_point::arm_crash_point;
pub use crash_point::crash_point;
pub use error_chain::{error_chain, is_no_room};
pub use executor::{
    Capabilities, CommandRef, ExecEnd, ExecError, ExecIdentity, ExecRequest, ExecUsage, Executor, Executors,
    ExitStatus, OutputSummary, Reattached, RunningTask, Unusable,
};
pub use id::{AttemptNo, AttemptRef, BranchName, CommitId, IdError, RunId, TaskId};
pub use mount::Mount;
pub use plan::{
    Action, Changes, Limits, MAX_RETRY_DELAY, Phase, Plan, PlanError, PlanIssue, PlannedTask, Program, RawPlan,
    RawTask, Resources, RetryFrom, Setup, SourceLocation, TaskSpec, TouchPattern,
};
pub use registry::{EventSink, Registry, RegistryError, RunHistory, RunListing, RunLog, Ticket};
pub use run::{
    AgentTotals, AttemptRecord, CommandRecord, Event, EventKind, Failure, IllegalTransition, Interruption, KeepPolicy,
    Outcome, Performance, Report, RunHeader, RunRecord, RunSettings, SkipReason, StopReason, TaskRecord, TaskState,
    Totals, Warning, WarningKind, WorktreeState,
};
pub use scheduler::{Control, ControlReceiver, Run, RunError, control, first_started, start_order};
pub use signal::StopSignal;
pub use time::{Clock, Moment};
pub use worktrees::{
    AgentHome, BranchFate, BranchRelease, Counts, CreatedWorktree, Elsewhere, IgnoredFiles, InPlace, KeepReason, Lease,
    MergedBy, NeededTip, Paths, Pruned, Release, ReleaseDetails, ReleaseRequest, Seeded, SnapshotRequest, Unsaved,
    Work, WorktreeError, WorktreeFate, WorktreeRequest, Worktrees,
};
