//! What the operating system tells about processes, by their pid.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    age, all, boot_id, environment, is_pid_namespace_gone, parent, pid_namespace, start_time, tracer, uptime, usage,
};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{boot_id, start_time, usage};
