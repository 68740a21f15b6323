//! Commands that a shim looks after: how they are started, followed, and found again.

mod aftermath;
mod begin;
mod recovery;
mod task;
mod token;
mod watch;

pub(super) use self::begin::{Start, begin};
pub(super) use self::recovery::{is_running, look, recover};
pub(super) use self::task::ShimmedTask;
pub(super) use self::token::ShimToken;
