//! Finding the run that a user names, and the durations of earlier runs.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use gadugi_core::registry::RegistryError;
use gadugi_core::{AttemptRef, EventKind, RunId, TaskId};
use thiserror::Error;

use super::regular::{self, MAX_HEADER};
use super::{FsRegistry, journal};
use crate::format::is_of_merge;

/// Number of earlier runs that are read for durations.
const MAX_RUNS: usize = 20;

/// The reason why no single run is found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// No run has this id, and none begins with it.
    #[error("there is no run `{wanted}`")]
    NoSuchRun {
        /// As it was asked for.
        wanted: String,
    },
    /// There is no run at all.
    #[error("there is no run yet")]
    NoRuns,
    /// Several runs begin with it.
    #[error("`{wanted}` is the beginning of several runs: {}", names(.runs))]
    Ambiguous {
        /// As it was asked for.
        wanted: String,
        /// All of them, oldest first.
        runs: Vec<RunId>,
    },
    /// The runs cannot be listed.
    #[error("cannot list the runs")]
    List(#[source] RegistryError),
}

fn names(runs: &[RunId]) -> String {
    runs.iter().map(RunId::as_str).collect::<Vec<_>>().join(", ")
}

impl FsRegistry {
    /// The run that is meant by an id, by a beginning that only one id has, or by `latest`, which is never that of a merge.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find(&self, wanted: &str) -> Result<RunId, FindError> {
        let mut runs = self.ids().map_err(FindError::List)?;
        if wanted == "latest" {
            let mut latest = runs.into_iter().rev();
            return latest.find(|run| !self.is_of_merge(run)).ok_or(FindError::NoRuns);
        }
        runs.retain(|run| !wanted.is_empty() && run.as_str().starts_with(wanted));
        match runs.len() {
            0 => Err(FindError::NoSuchRun { wanted: wanted.to_owned() }),
            1 => Ok(runs.remove(0)),
            _ => Err(FindError::Ambiguous { wanted: wanted.to_owned(), runs }),
        }
    }

    /// Whether a run belongs to a merge, so that it is no run of the user's. `false` for one whose description cannot be read.
    #[must_use]
    pub fn is_of_merge(&self, run: &RunId) -> bool {
        let read = |path: &Path| regular::read(path, MAX_HEADER).is_ok_and(|json| is_of_merge(&json));
        let folder = self.folder(run);
        read(&folder.header()) || read(&folder.header_copy())
    }

    /// The duration of each task's commands in its most recent successful attempt, over the last 20 runs without `but`, the run
    /// whose own tasks are known, and without those of merges. A run that cannot be read is passed over, since this is only used to guess a good order.
    ///
    /// # Errors
    /// [`RegistryError::Read`] when the runs cannot be listed.
    pub fn earlier_durations(&self, but: Option<&RunId>) -> Result<HashMap<TaskId, Duration>, RegistryError> {
        let mut durations = HashMap::new();
        let ids = self.ids()?;
        let counts = |run: &&RunId| Some(*run) != but && !self.is_of_merge(run);
        for run in ids.iter().rev().filter(counts).take(MAX_RUNS) {
            let mut times: HashMap<AttemptRef, Duration> = HashMap::new();
            let kinds = ["command_ended", "attempt_ended"];
            let read = journal::read_only(&self.folder(run).journal(), &kinds, |event, _| match event.kind {
                EventKind::CommandEnded { attempt, end, .. } => *times.entry(attempt).or_default() += end.took,
                EventKind::AttemptEnded { attempt, outcome, .. } if outcome.success() => {
                    if let Some(time) = times.get(&attempt) {
                        durations.entry(attempt.task).or_insert(*time);
                    }
                }
                _ => {}
            });
            // What was read of it is true, and the rest is not needed.
            drop(read);
        }
        Ok(durations)
    }
}
