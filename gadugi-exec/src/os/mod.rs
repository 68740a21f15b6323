//! Operating system facilities that all executors share: processes, files that a command may have replaced, random names.

pub(crate) mod nonce;
pub(crate) mod passed_variables;
#[cfg(target_os = "linux")]
pub(crate) mod pidfd;
pub(crate) mod private_file;
pub(crate) mod process_table;
pub(crate) mod regular_file;
pub(crate) mod start_up;
pub(crate) mod syscalls;
