//! Drives a plan to its end.

mod settings;

pub use settings::{KeepPolicy, RunSettings};
