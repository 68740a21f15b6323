//! Drives a plan to its end.
//!
//! One dispatcher owns the state of the run; every attempt is a task of its own and reports to it by
//! messages. The order on disk is: intent, worktree, identity, end. Nothing is done for an attempt before
//! its intent is kept, and no command is started before its worktree is.

mod attempt;
mod control;
mod dispatcher;
mod error;
mod message;
mod order;
mod run;

pub use self::attempt::end_of_check;
pub use self::control::{Control, ControlReceiver, control};
pub use self::error::RunError;
pub use self::order::{first_started, start_order};
pub use self::run::Run;
