//! The command line from the outside: real git, real processes, real signals.

mod bad_input;
mod commands;
mod hostile_tasks;
#[cfg(target_os = "linux")]
mod limits;
mod main_job;
mod readers;
mod repositories;
mod stand;
mod stopping;
mod together;
