//! Executors for Gadugi, and the policy that chooses between them.
//!
//! An executor implements [`gadugi_core::Executor`]. This crate has [`SubprocessExecutor`], which runs a
//! task's command as a process of this machine, and [`ExecutorPolicy`], which turns the user's wish
//! (`auto`, or an executor by its name) into one of the executors at hand, or into an error; it never
//! takes a weaker one in silence.
//!
//! On Linux a command can have a [`shim`], a process that looks after it and outlives its starter.
//!
//! This crate never prints, never exits and never reads the environment: the variables of the caller are
//! handed in by [`SubprocessSettings`]. The process of a shim, which [`shim::main_if_requested`] makes of its
//! caller, does exit.

pub mod agent_output;
#[cfg(all(feature = "docker", unix))]
pub mod docker;
#[cfg(unix)]
mod os;
#[cfg(unix)]
mod output;
mod policy;
pub mod shim;
#[cfg(unix)]
mod subprocess;

#[cfg(unix)]
pub use os::start_up::{InheritedFiles, survive_file_size_limit};
#[cfg(unix)]
pub use output::capped_log::OutputCap;
pub use policy::{Choice, ExecutorPolicy, PolicyError, choose};
#[cfg(unix)]
pub use subprocess::{
    PASSED_VARIABLES, ShimProgram, SubprocessExecutor, SubprocessSettings, is_alive, moment, running,
};
