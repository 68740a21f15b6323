//! The scheduler against fakes: every edge of a task's life, and what holds for any plan.

mod edges;
mod properties;
mod resuming;
mod setup;
mod stage;
