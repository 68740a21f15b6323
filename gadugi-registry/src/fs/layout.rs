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

    pub(crate) fn header_copy(&self) -> PathBuf {
        self.0.join("run.copy.json")
    }

    /// Whether it holds a run. One that is still being made, or whose making was cut short, may have the copy
    /// of `run.json` already, but has no events.
    pub(crate) fn is_run(&self) -> bool {
        let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
        // What is there in place of the journal may have taken the place of events.
        let may_have_events =
            || self.journal().symlink_metadata().is_ok_and(|journal| !journal.is_file() || journal.len() > 0);
        is_there(self.header()) || (is_there(self.header_copy()) && may_have_events())
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    pub(crate) fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
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

/// The attempt file that keeps an [`EventKind::AttemptIntended`] beside the journal.
pub(crate) const INTENT: &str = "intent.json";

/// The names of all attempt files that held lines of the journal in version 1 of a run.
pub(crate) const FIRST_ATTEMPT_FILES: [&str; 5] =
    [INTENT, "proc.json", "exit.json", "check-proc.json", "check-exit.json"];

/// The attempt file that keeps, or in version 1 of a run kept, an event of this kind beside the journal.
pub(crate) fn attempt_file(kind: &EventKind) -> Option<&'static str> {
    match kind {
        EventKind::AttemptIntended { .. } => Some(INTENT),
        EventKind::CommandStarted { phase: Phase::Main, .. } => Some("proc.json"),
        EventKind::CommandStarted { phase: Phase::Check, .. } => Some("check-proc.json"),
        EventKind::CommandEnded { phase: Phase::Main, .. } => Some("exit.json"),
        EventKind::CommandEnded { phase: Phase::Check, .. } => Some("check-exit.json"),
        _ => None,
    }
}
