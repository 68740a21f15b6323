//! What every executor and every registry must do, as functions that their tests call.

pub mod executor;
