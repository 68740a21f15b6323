//! Runs in containers: real containers, real git, and the command line from the outside.

mod absent;
mod agents;
mod dock;
mod git_inside;
mod hostile;
mod images;
mod killed;
mod leftovers;
mod main_job;
mod outcomes;
mod secrets;
mod setting_up;
mod slow_daemon;
mod stopping;
