//! The registries through their public surface, on real files.

mod agents;
mod damage;
mod driving;
mod dying;
mod failing_writes;
mod finding;
mod first_version;
mod formats;
mod formats_page;
mod large;
mod merges;
mod no_files;
mod reports;
mod resuming;
mod retried;
mod sample;
mod schema;
mod setups;
