//! What the operating system tells about processes, by their pid.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(crate) use linux::{age, all, boot_id, environment, parent, pid_namespace, start_time, uptime, usage};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{boot_id, start_time, usage};
