//! Executors for Gadugi, and the policy that chooses between them.
//!
//! An executor implements [`gadugi_core::Executor`]. This crate has [`SubprocessExecutor`], which runs a task's command as a
//! process of this machine, `docker::DockerExecutor`, which runs it in a container, and [`ExecutorPolicy`], which turns the
//! user's choice (`auto`, or an executor by its name) into one of the available executors, or into an error; it never takes a
//! weaker one in silence.
//!
//! On Linux a command can have a [`shim`], a process that supervises it and outlives its starter.
//!
//! This crate never prints, never exits and never reads the environment: the variables of the caller are handed in by
//! [`SubprocessSettings`]. The process of a shim, which [`shim::main_if_requested`] makes of its caller, does exit.

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("Gadugi runs on Linux and on macOS");

pub mod agent_output;
#[cfg(feature = "docker")]
pub mod docker;
mod events;
mod os;
mod output;
mod policy;
pub mod shim;
mod subprocess;

pub use os::start_up::{InheritedFiles, survive_file_size_limit};
pub use output::capped_log::OutputCap;
pub use policy::{Choice, ExecutorPolicy, PolicyError, choose};
pub use subprocess::{
    PASSED_VARIABLES, ShimProgram, SubprocessExecutor, SubprocessSettings, is_alive, moment, running,
};
