//! The promises of executors and registries, as functions that the tests of each of them call.
//!
//! [`executor`] holds for every executor. [`ending`] and [`stopping`] hold for those that follow real processes; each promise
//! there needs settings of its own, and so gets an executor of its own.

pub mod ending;
pub mod executor;
mod promise;
pub mod stopping;
