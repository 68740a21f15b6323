//! The inspection of a work tree that decides whether it may go: one walk that accounts for every entry by itself.
//!
//! - `dir` lists folders and looks at files by handles of folders. Nothing but ordinary files is ever opened.
//! - `walk` goes through the folder. A file is tracked and as the index has noted it (what stats do not prove is compared by
//!   `content`), ignored by a rule of the user's, or something that counts as not committed.
//! - `rules` are those of `.gitignore` files, and `user` those that the user had configured before the run: a task can
//!   change them, and what only its rules hide counts.
//! - `nested` tells of repositories within ignored folders whether they hold anything of their own.
//!
//! A file of no known kind, or one that cannot be read, keeps the worktree.

pub(crate) mod changes;
pub(crate) mod checkout;
mod content;
pub(crate) mod conversion;
mod dir;
mod index_tree;
mod nested;
mod rules;
pub(crate) mod self_ignored;
pub(crate) mod stash;
mod unchanged;
mod uncommitted;
mod user;
mod walk;

pub(crate) use content::{attributes, differing};
pub(crate) use dir::stat;
pub use uncommitted::Uncommitted;
pub(crate) use user::{UserRules, record};
pub(crate) use walk::{AttributesFile, Edit, Extent, Ignored, walk};

/// Size limit for files of rules and attributes; larger ones count as empty.
pub(crate) const MAX_RULES_BYTES: u64 = 10 * 1024 * 1024;
