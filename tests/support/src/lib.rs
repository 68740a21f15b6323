//! Support for the tests of several crates: hermetic repositories, fakes for the other side of a trait,
//! and the contracts that plug-ins are held to.

pub mod commands;
pub mod contract;
pub mod docker;
pub mod fakes;
pub mod power_cut;
pub mod repo;
pub mod small_disk;
