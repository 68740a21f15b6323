//! Merging the branches of a run into a target branch: which of its tasks land, decided by conflicts and checks.
//!
//! [`Merge`] drives it. [`Train`] decides, [`Integration`] puts branches together and moves the target, [`MergeRunner`] runs
//! checks, and [`MergeLog`] keeps the events, of which [`MergeRecord`] is the fold.

mod driver;
mod event;
mod header;
mod integration;
mod journal;
mod record;
mod resolve;
mod runner;
mod selection;
mod train;
mod trials;

pub use self::driver::{MAX_TARGETS, MERGED_PREFIX, Merge, MergeFailure};
pub use self::event::{MergeEnd, MergeEvent, MergeEventKind, Trial};
pub use self::header::{Candidate, Check, MergeHeader, MergeSettings, Regenerate};
pub use self::integration::{
    AmendContent, AmendRequest, Amended, Chain, ChainRequest, ConflictRequest, Integration, LandRequest, Landing, Link,
    LinkResult, MarkedConflict, MergeError, RecoveredLanding, Strategy, Target,
};
pub use self::journal::MergeObserver;
pub use self::record::{IntendedLanding, MergeRecord, SetAside, TrialEnd, TrialRecord, WorkRecord};
pub use self::resolve::MAX_RESOLUTIONS;
pub use self::runner::{MergeLog, MergeRunner, RunnerError, Work, WorkEnd};
pub use self::selection::{Members, Selection};
pub use self::train::{Cause, Evidence, Exclusion, MAX_TRIALS, Step, Train, TrialResult};
