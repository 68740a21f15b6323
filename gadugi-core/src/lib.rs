//! The domain of Gadugi, without any adapter: a plan of tasks, the states they go through, the traits
//! that worktrees, executors and registries implement, the scheduler that drives a run, and the
//! report's data.
//!
//! The way of a run through this crate:
//!
//! 1. A front end parses its input into a [`RawPlan`](plan::RawPlan) and turns it into a [`Plan`], which is known to
//!    be a directed acyclic graph.
//! 2. [`Run`] takes the plan together with an [`Executor`], [`Worktrees`] and a [`Registry`], and
//!    drives it to its end.
//! 3. Every step is an [`Event`]. The registry keeps them; [`RunRecord::fold`] and
//!    [`TaskState::next`](run::TaskState::next) make everything that is shown out of them.
//!
//! This crate never prints, never exits and never reads the environment.

#[cfg(not(unix))]
compile_error!("Gadugi runs on Linux and macOS");

pub mod agent;
mod closest;
mod crash_point;
mod error_chain;
pub mod executor;
mod id;
mod mount;
pub mod plan;
pub mod registry;
pub mod run;
pub mod scheduler;
mod signal;
mod time;
pub mod worktrees;

#[doc(hidden)]
pub use agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Budget, DEFAULT_FRAME, Denials, Dollars, Earlier,
    Figure, Lines, MAX_ARGUMENT_BYTES, NeedDone, OutputFormat, OutputFormats, OutputReader, OwnPart, Piece,
    PromptParts, RateLimit, Tokens, Used, compose_argument, compose_prompt,
};
pub use closest::closest;
#[doc(hidden)]
#[cfg(any(debug_assertions, feature = "crash-points"))]
pub use crash_point::arm_crash_point;
#[doc(hidden)]
pub use crash_point::crash_point;
pub use error_chain::{error_chain, is_no_room};
#[doc(hidden)]
pub use executor::{
    Capabilities, CommandRef, ExecEnd, ExecError, ExecIdentity, ExecRequest, ExecUsage, ExitStatus, OutputSummary,
    Reattached, RunningTask, Unusable,
};
pub use executor::{Executor, Executors};
pub use id::{AttemptNo, AttemptRef, BranchName, CommitId, IdError, RunId, TaskId};
#[doc(hidden)]
pub use mount::Mount;
#[doc(hidden)]
pub use plan::{
    Action, Changes, Limits, MAX_RETRY_DELAY, PlanError, PlanIssue, PlannedTask, Program, RawPlan, RawTask, Resources,
    RetryFrom, Setup, SourceLocation, TouchPattern,
};
pub use plan::{Phase, Plan, TaskSpec};
pub use registry::Registry;
#[doc(hidden)]
pub use registry::{EventSink, RegistryError, RunHistory, RunListing, RunLog, Ticket};
#[doc(hidden)]
pub use run::{
    AgentTotals, AttemptRecord, CommandRecord, Failure, IllegalTransition, Interruption, KeepPolicy, Performance,
    SkipReason, StopReason, TaskRecord, TaskState, Totals, Warning, WarningKind, WorktreeState,
};
pub use run::{Event, EventKind, Outcome, Report, RunHeader, RunRecord, RunSettings};
#[doc(hidden)]
pub use scheduler::{Control, ControlReceiver, control, first_started, start_order};
pub use scheduler::{Run, RunError};
#[doc(hidden)]
pub use signal::StopSignal;
#[doc(hidden)]
pub use time::{Clock, Moment};
#[doc(hidden)]
pub use worktrees::{
    AgentHome, BranchFate, BranchRelease, Counts, CreatedWorktree, Elsewhere, IgnoredFiles, InPlace, KeepReason,
    MergedBy, NeededTip, Paths, Pruned, Release, ReleaseDetails, ReleaseRequest, Seeded, SnapshotRequest, Unsaved,
    Work, WorktreeError, WorktreeFate, WorktreeRequest,
};
pub use worktrees::{Lease, Worktrees};
