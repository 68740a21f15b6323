//! The scheduler against fakes: every edge of a task's life, and what holds for any plan.

mod agent_properties;
mod agents;
mod budgets;
mod conversations;
mod discarded;
mod edges;
mod forecasts;
mod gates;
mod harness;
mod homes;
mod limits;
mod properties;
mod resuming;
mod robot;
mod said;
mod setup;
mod spans;
