//! Threads and child processes: parallel work, cancelled work, and retries where the machine has no more of them.

pub(crate) mod cancel;
pub(crate) mod guarded;
pub(crate) mod parallel;
pub(crate) mod scarce;
