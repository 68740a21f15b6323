//! The Docker executor, with a real daemon.

mod contract;
mod scene;
