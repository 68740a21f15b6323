//! Where everything of a run lies, below `<state>/runs/<run>`.

use std::path::{Path, PathBuf};

use gadugi_core::{AttemptRef, EventKind, Phase};

/// The folder of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn header(&self) -> PathBuf {
        self.0.join("run.json")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn owner(&self) -> PathBuf {
        self.0.join("owner.json")
    }

    pub(crate) fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }

    pub(crate) fn tasks(&self) -> PathBuf {
        self.0.join("tasks")
    }

    pub(crate) fn attempt(&self, attempt: &AttemptRef) -> PathBuf {
        self.tasks().join(attempt.task.as_str()).join(attempt.number.to_string())
    }
}

/// The names of all attempt files.
pub(crate) const ATTEMPT_FILES: [&str; 5] =
    ["intent.json", "proc.json", "exit.json", "check-proc.json", "check-exit.json"];

/// The attempt file that keeps an event of this kind beside the journal.
pub(crate) fn attempt_file(kind: &EventKind) -> Option<&'static str> {
    match kind {
        EventKind::AttemptIntended { .. } => Some("intent.json"),
        EventKind::CommandStarted { phase: Phase::Main, .. } => Some("proc.json"),
        EventKind::CommandStarted { phase: Phase::Check, .. } => Some("check-proc.json"),
        EventKind::CommandEnded { phase: Phase::Main, .. } => Some("exit.json"),
        EventKind::CommandEnded { phase: Phase::Check, .. } => Some("check-exit.json"),
        _ => None,
    }
}
