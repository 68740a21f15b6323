//! Git worktrees for attempts: [`GitWorktrees`] implements [`gadugi_core::Worktrees`] with gix.
//!
//! - [`Repository`] finds the repository of a folder and answers what a run asks of it before it starts.
//! - [`GitWorktrees`] makes a worktree and a branch for each attempt, commits what it leaves uncommitted, and
//!   removes the worktree again when nothing would be lost.
//! - What the user wants of his ignored files in every worktree is copied there, see [`Seeds`].
//! - A task that sees nothing else of the machine gets a git folder of its own; what it commits there is taken over as
//!   something that a stranger has sent.
//!
//! What the crate relies on, and holds by tests:
//!
//! - The user's `HEAD`, index, configuration, hooks and work tree are never touched.
//! - Nothing that lies in a worktree is run, and no repository is searched for from there: a task may have put
//!   anything there, also another `.git`.
//! - Worktrees are registered one after the other under a lock of the repository, since git and gix lose entries
//!   otherwise. Where gix would not do as git does, `git worktree add` is called.
//! - A process may be killed at any moment. What it was making is recorded, its locks say that they are its, and the next
//!   one undoes or repeats the rest; see `tests/git/killed.rs`.

#[cfg(not(unix))]
compile_error!("Gadugi runs on Linux and macOS");

mod chain;
mod create;
mod delete;
mod durable;
mod error;
mod files;
mod history;
mod inspect;
mod integration;
mod isolation;
mod landing;
mod landing_program;
mod lease;
mod merge;
mod release;
mod repo;
mod seed;
mod settings;
mod snapshot;
mod threads;
mod worktrees;

pub use delete::sweeper::{LeftToSweep, left_to_sweep, sweep_left};
pub use error::GitError;
pub use inspect::Uncommitted;
pub use landing::land_ordered;
pub use landing_program::LandingProgram;
pub use repo::disk_usage::{Footprint, FreeSpace};
pub use repo::open::{ConfigSources, Identity};
pub use repo::worktrees_folder::{PlaceError, check_worktrees_folder};
pub use repo::{BaseError, Head, ObjectFormat, OpenError, Repository};
pub use seed::{INCLUDE_FILE, Sharing, Survey, sharing};
pub use settings::{Seeding, Seeds, WorktreeSettings};
pub use snapshot::preview::{Preview, PreviewRequest, PreviewSource};
pub use worktrees::GitWorktrees;
