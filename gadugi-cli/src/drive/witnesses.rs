//! Executors as witnesses of a run that no process drives.

use std::sync::Arc;

use gadugi_core::Executor;
use tokio::time::Instant;

use crate::context::Context;
use crate::prepare;
use crate::site::{ACTIVITY_INTERVAL, Site};

/// The executors to ask whether recorded commands still run, for a command that watches a run.
pub(crate) struct Witnesses<'a> {
    context: &'a Context,
    site: &'a Site,
    /// Made when they are first needed: that may warn of the configuration.
    executors: Option<Vec<Arc<dyn Executor>>>,
    last_asked: Option<Instant>,
}

impl<'a> Witnesses<'a> {
    pub(crate) fn new(context: &'a Context, site: &'a Site) -> Self {
        Self { context, site, executors: None, last_asked: None }
    }

    /// Asks the executors; `None` if they were asked less than [`ACTIVITY_INTERVAL`] ago.
    pub(crate) async fn ask<T>(&mut self, question: impl AsyncFnOnce(&[Arc<dyn Executor>]) -> T) -> Option<T> {
        if self.last_asked.is_some_and(|last| last.elapsed() < ACTIVITY_INTERVAL) {
            return None;
        }
        let executors = self.executors.get_or_insert_with(|| prepare::witnesses(self.context, self.site));
        let answer = question(executors).await;
        self.last_asked = Some(Instant::now());
        Some(answer)
    }

    /// Lets the next question be asked at once.
    pub(crate) fn reset(&mut self) {
        self.last_asked = None;
    }
}
