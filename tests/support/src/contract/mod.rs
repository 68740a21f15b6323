//! The promises of every executor and every registry, as functions that their tests call.

pub mod executor;
