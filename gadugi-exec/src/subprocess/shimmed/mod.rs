//! Commands under a shim: their start, their supervision, and finding them again.

mod cleanup;
mod prepare;
mod reattach;
mod start;
mod task;
mod token;
mod watch;

pub(super) use self::reattach::{inspect, is_running, recover};
pub(super) use self::start::{Start, start};
pub(super) use self::task::ShimmedTask;
pub(super) use self::token::ShimToken;
