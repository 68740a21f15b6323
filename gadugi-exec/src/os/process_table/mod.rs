//! The operating system's table of processes, by pid.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    age, all, boot_id, environment, is_pid_namespace_gone, parent, pid_namespace, start_time, tracer, uptime, usage,
};
#[cfg(target_os = "macos")]
pub(crate) use macos::{boot_id, start_time, usage};
