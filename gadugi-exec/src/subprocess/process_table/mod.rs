//! What the operating system tells about processes, by their pid.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(super) use linux::{age, boot_id, start_time, usage};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{boot_id, start_time, usage};
