//! A registry that lives as long as its process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gadugi_core::registry::{RegistryError, RunHistory, RunListing, RunLog, Ticket};
use gadugi_core::{AttemptRef, Event, Registry, RunHeader, RunId, RunRecord, error_chain};

/// Keeps runs in memory, for tests and for programs that embed Gadugi and need no memory beyond their
/// own. Only the files of attempts, such as their output, go to disk.
#[derive(Debug, Clone)]
pub struct MemoryRegistry {
    files: PathBuf,
    runs: Arc<Mutex<BTreeMap<RunId, RunHistory>>>,
}

impl MemoryRegistry {
    /// The files of attempts go to `<files>/<run>/<task>/<attempt>`; these folders are made as attempts
    /// begin, and stay.
    #[must_use]
    pub fn new(files: impl Into<PathBuf>) -> Self {
        Self { files: files.into(), runs: Arc::default() }
    }
}

type Runs = BTreeMap<RunId, RunHistory>;

/// A panic elsewhere cannot leave the map half changed, so its poison means nothing.
fn open(runs: &Mutex<Runs>) -> MutexGuard<'_, Runs> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn create(&self, header: &RunHeader) -> Result<Box<dyn RunLog>, RegistryError> {
        let run = header.run.clone();
        let mut runs = open(&self.runs);
        if let Some(existing) = runs.get(&run) {
            let holder = if existing.driven { "this process" } else { "an earlier run of that id" };
            return Err(RegistryError::Held { run, holder: holder.to_owned() });
        }
        let record = RunRecord::new(header.clone());
        let history = RunHistory { record, last: 0, driven: true, damage: Vec::new() };
        runs.insert(run.clone(), history);
        Ok(Box::new(MemoryRunLog { files: self.files.join(run.as_str()), run, runs: Arc::clone(&self.runs) }))
    }

    async fn resume(&self, run: &RunId) -> Result<(RunHistory, Box<dyn RunLog>), RegistryError> {
        let mut runs = open(&self.runs);
        let history = runs.get_mut(run).ok_or_else(|| RegistryError::NoSuchRun { run: run.to_string() })?;
        if history.driven {
            return Err(RegistryError::Held { run: run.clone(), holder: "this process".to_owned() });
        }
        history.driven = true;
        let (run, files) = (run.clone(), self.files.join(run.as_str()));
        Ok((history.clone(), Box::new(MemoryRunLog { files, run, runs: Arc::clone(&self.runs) })))
    }

    async fn load(&self, run: &RunId) -> Result<RunHistory, RegistryError> {
        open(&self.runs).get(run).cloned().ok_or_else(|| RegistryError::NoSuchRun { run: run.to_string() })
    }

    async fn list(&self) -> Result<Vec<RunListing>, RegistryError> {
        let listing = |(run, history): (&RunId, &RunHistory)| RunListing { run: run.clone(), driven: history.driven };
        Ok(open(&self.runs).iter().map(listing).collect())
    }
}

struct MemoryRunLog {
    files: PathBuf,
    run: RunId,
    runs: Arc<Mutex<Runs>>,
}

impl MemoryRunLog {
    fn keep(&mut self, event: &Event) -> Ticket {
        let mut kept = Ok(());
        if let Some(history) = open(&self.runs).get_mut(&self.run) {
            history.last = event.seq;
            kept = history
                .record
                .apply(event)
                .map_err(|error| RegistryError::Damaged { path: self.files.clone(), what: error_chain(&error) });
        }
        Box::pin(std::future::ready(kept))
    }
}

impl RunLog for MemoryRunLog {
    fn attempt_folder(&self, attempt: &AttemptRef) -> PathBuf {
        self.files.join(attempt.task.as_str()).join(attempt.number.to_string())
    }

    fn intent(&mut self, event: &Event) -> Ticket {
        let kept = self.keep(event);
        let Some(path) = event.kind.attempt().map(|attempt| self.attempt_folder(attempt)) else { return kept };
        Box::pin(async move {
            let folder = path.clone();
            match tokio::task::spawn_blocking(move || std::fs::create_dir_all(folder)).await {
                Ok(made) => made.map_err(|source| RegistryError::Write { path, source }),
                Err(_) => Err(RegistryError::Stopped),
            }
        })
    }

    fn started(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }

    fn ended(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }

    fn note(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }
}

impl Drop for MemoryRunLog {
    fn drop(&mut self) {
        if let Some(history) = open(&self.runs).get_mut(&self.run) {
            history.driven = false;
        }
    }
}
