//! Logs and records on disk, as all executors write them.

pub(crate) mod capped_log;
pub(crate) mod pump;
pub(crate) mod sealed;
