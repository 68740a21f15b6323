//! The registry of runs, as commands read and write it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::registry::{RegistryError, RunHistory, RunLog};
use gadugi_core::{AttemptRef, Registry, RunHeader, RunId, TaskId};
use gadugi_registry::{FindError, Owner};
use jiff::Timestamp;

use super::{HeldRun, Site};
use crate::failure::Failure;

/// Returns the folder of an attempt's files.
pub(crate) type AttemptFolder = Box<dyn Fn(&AttemptRef) -> PathBuf + Send>;

impl Site {
    /// Finds a run by its id, the beginning of one, or `latest`.
    pub(crate) fn find(&self, name: &str) -> Result<RunId, Failure> {
        self.registry.find(name).map_err(|error| match error {
            FindError::List(error) => error.into(),
            FindError::NoRuns => Failure::usage(error.to_string()).hint("`gadugi run` begins one"),
            _ => Failure::usage(error.to_string()).hint("`gadugi ps --all` lists the runs"),
        })
    }

    /// Lists the ids of all runs, the oldest first.
    pub(crate) async fn run_ids(&self) -> Result<Vec<RunId>, Failure> {
        Ok(self.registry.list().await?.into_iter().map(|listed| listed.run).collect())
    }

    /// Returns how long the commands of each task took in earlier runs, other than `but`.
    pub(crate) fn earlier_durations(&self, but: Option<&RunId>) -> Result<HashMap<TaskId, Duration>, Failure> {
        Ok(self.registry.earlier_durations(but)?)
    }

    /// The folder of a run's files.
    pub(crate) fn run_folder(&self, run: &RunId) -> PathBuf {
        self.registry.run_folder(run)
    }

    /// The folder of an attempt's files.
    pub(crate) fn attempt_folder(&self, run: &RunId, attempt: &AttemptRef) -> PathBuf {
        self.registry.attempt_folder(run, attempt)
    }

    /// Returns a function that tells the folders of a run's attempts.
    pub(crate) fn attempt_folders(&self, run: &RunId) -> AttemptFolder {
        let (registry, run) = (Arc::clone(&self.registry), run.clone());
        Box::new(move |attempt| registry.attempt_folder(&run, attempt))
    }

    /// Whether a process drives a run.
    pub(crate) fn is_driven(&self, run: &RunId) -> Result<bool, Failure> {
        Ok(self.registry.is_driven(run)?)
    }

    /// The process that drives a run; `None` if it is not known from here.
    pub(crate) fn owner(&self, run: &RunId) -> Result<Option<Owner>, Failure> {
        Ok(self.registry.owner(run)?)
    }

    /// Keeps other processes from driving a run; `None` while one does. May have to wait for a moment.
    pub(crate) async fn hold(&self, run: &RunId) -> Result<Option<HeldRun>, Failure> {
        let (registry, run) = (Arc::clone(&self.registry), run.clone());
        let held = tokio::task::spawn_blocking(move || registry.hold(&run)).await;
        Ok(held.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
    }

    /// Creates a run, with a later id where another run has started at the very same time.
    pub(crate) async fn create_run(&self, header: &mut RunHeader) -> Result<Box<dyn RunLog>, Failure> {
        loop {
            match self.registry.create(header).await {
                Err(RegistryError::Held { .. }) => {
                    header.created = Timestamp::now();
                    header.moment = gadugi_exec::moment();
                    header.run = RunId::new(header.created);
                }
                result => {
                    let log = result?;
                    tracing::debug!(run = %header.run, tasks = header.plan.tasks().len(), "run created");
                    return Ok(log);
                }
            }
        }
    }

    /// Makes this process the driver of a run that was started before, and returns its history.
    pub(crate) async fn resume_run(&self, run: &RunId) -> Result<(RunHistory, Box<dyn RunLog>), Failure> {
        // Requests to the driver that has ended do not concern this one.
        if !self.registry.is_driven(run)? {
            self.registry.take_requests(run)?;
        }
        self.registry.resume(run).await.map_err(|error| match &error {
            RegistryError::Held { run, .. } => {
                let hint = format!("`gadugi attach {run}` shows it, `gadugi stop {run}` stops it");
                Failure::from(error).hint(hint)
            }
            _ => error.into(),
        })
    }
}
