//! A run: its header, its events, and the record and the report that are made from them.

mod conflict;
mod event;
mod header;
mod line;
mod outcome;
mod record;
mod report;
mod settings;
mod state;

pub use self::conflict::{Counterpart, ForeseenConflict, Outlook};
pub use self::event::{Event, EventKind, StopReason, WarningKind};
pub use self::header::{RunHeader, RunLink};
pub use self::line::{LineOfWork, LineState};
pub use self::outcome::{Failure, Outcome, SkipReason};
pub(crate) use self::record::base_of_work;
pub use self::record::{AttemptRecord, CommandRecord, Interruption, RunRecord, TaskRecord, Warning, WorktreeState};
pub use self::report::{AgentTotals, Performance, Report, Totals};
pub use self::settings::{KeepPolicy, RunSettings};
pub use self::state::{IllegalTransition, TaskState};
pub use crate::time::{Clock, Moment};
