//! Executors for Gadugi, and the policy that chooses between them.
//!
//! An executor implements [`gadugi_core::Executor`]. This crate has [`SubprocessExecutor`], which runs a
//! task's command as a process of this machine, and [`ExecutorPolicy`], which turns the user's wish
//! (`auto`, or an executor by its name) into one of the executors at hand, or into an error; it never
//! takes a weaker one in silence.
//!
//! This crate never prints, never exits and never reads the environment: the variables of the caller are
//! handed in by [`SubprocessSettings`].

mod policy;
#[cfg(unix)]
mod subprocess;

pub use policy::{Choice, ExecutorPolicy, PolicyError, choose};
#[cfg(unix)]
pub use subprocess::{OutputCap, PASSED_VARIABLES, SubprocessExecutor, SubprocessSettings, is_alive};
