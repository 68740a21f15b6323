//! The input side of the command line: settings and tasks, from real files.

mod agents;
mod bad_files;
mod batches;
mod collecting;
mod configuration;
mod docs;
mod examples;
mod fixture;
mod other_tools;
mod properties;
mod task_files;
