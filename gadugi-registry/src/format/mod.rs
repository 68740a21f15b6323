//! The formats that Gadugi writes: versioned types of their own, apart from the domain's, described in
//! `docs/formats.md`.
//!
//! Every file and every journal line says its version in a member `v`. A reader takes older versions,
//! ignores members that it does not know, so that a later minor version can add some, and refuses a
//! newer version.

mod agent;
mod elsewhere;
mod end;
mod event;
mod line;
mod merge;
mod origin;
mod run;
mod scalar;
mod sealed;
mod task;
mod versioned;
mod worktree;

use gadugi_core::plan::PlanError;
use thiserror::Error;

pub(crate) use agent::{AgentReportForm, TokensForm};
pub(crate) use end::{EndForm, OutcomeForm, PhaseForm};
pub(crate) use event::CounterpartForm;
pub(crate) use line::{Line, decode, decode_line, encode, encode_after, kind_of};
pub(crate) use merge::{
    EndForm as MergeEndForm, ResultForm as TrialResultForm, decode_merge_event, encode_merge_event,
    kept_check_from_json, kept_check_to_json, merge_from_json, merge_to_json,
};
pub(crate) use run::{KeepPolicyForm, LinkForm, StoredRun, is_of_merge, run_from_json, run_to_json};
pub(crate) use scalar::{PathForm, Seconds, Text, from_texts, texts};
pub(crate) use versioned::{from_json, to_json};
pub(crate) use worktree::{SeededForm, WorkForm};

pub use line::event_to_json;
pub use merge::merge_event_to_json;

/// Why something cannot be written in a format, or read from it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It is not JSON, or a member is missing or has a value that is not allowed.
    #[error("it is not what it should be")]
    Json(#[source] serde_json::Error),
    /// The checksum is missing or belongs to other bytes.
    #[error("its checksum is wrong")]
    Checksum,
    /// A newer version of Gadugi wrote it.
    #[error("it has version {found}; this version of Gadugi reads up to {known}")]
    TooNew {
        /// The version that it has.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// The tasks that it lists are not a plan.
    #[error("its tasks are not a plan")]
    Plan(#[source] PlanError),
    /// The value is newer than the format: a variant that was added to the domain only.
    #[error("there is no format for {what}")]
    NoFormat {
        /// The unknown thing.
        what: &'static str,
    },
}

fn no_format<T>(what: &'static str) -> Result<T, FormatError> {
    Err(FormatError::NoFormat { what })
}
