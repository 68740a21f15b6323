//! The command line from the outside: real git, real processes, real signals.

mod agents;
mod attaching;
mod bad_input;
mod clean_keeping;
mod clean_said;
mod cleaning;
mod commands;
mod commits_refused;
mod conflicts;
mod diff;
#[cfg(target_os = "linux")]
mod docker;
mod eight_tasks;
mod elsewhere;
mod fake_agents;
mod forge;
mod harness;
mod hostile_names;
mod hostile_tasks;
#[cfg(target_os = "linux")]
mod inherited;
#[cfg(target_os = "linux")]
mod left_by_git;
#[cfg(target_os = "linux")]
mod limits;
mod main_job;
mod merging;
#[cfg(target_os = "linux")]
mod no_files;
#[cfg(target_os = "linux")]
mod power_cuts;
mod pr;
mod prompts;
mod readers;
mod repositories;
mod resuming;
mod retried;
mod retry;
#[cfg(target_os = "linux")]
mod room;
mod setting_up;
mod show;
mod stopping;
mod subjects;
#[cfg(target_os = "linux")]
mod terminals;
mod together;
mod traces;
mod undriven;
mod waiting;
