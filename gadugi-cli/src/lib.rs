//! The command line of Gadugi.

pub mod config;
pub mod input;
