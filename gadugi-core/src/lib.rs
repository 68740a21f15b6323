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
pub mod merge;
mod mount;
pub mod plan;
pub mod registry;
pub mod run;
pub mod scheduler;
mod signal;
mod time;
pub mod worktrees;

pub use closest::closest;
#[doc(hidden)]
#[cfg(any(debug_assertions, feature = "crash-points"))]
pub use crash_point::arm_crash_point;
#[doc(hidden)]
pub use crash_point::crash_point;
pub use error_chain::{error_chain, is_no_room};
pub use executor::{Executor, Executors};
pub use id::{AttemptNo, AttemptRef, BranchName, CommitId, IdError, MergeId, RunId, TaskId, TreeId};
pub use plan::{Phase, Plan, TaskSpec};
pub use registry::Registry;
pub use run::{Event, EventKind, Outcome, Report, RunHeader, RunRecord, RunSettings};
pub use scheduler::{Run, RunError};
pub use worktrees::{Lease, Worktrees};
