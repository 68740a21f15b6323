//! Requests to stop a run, left in its folder by one process for another that drives it.

use std::sync::{Arc, OnceLock};

use gadugi_core::registry::RegistryError;
use gadugi_core::scheduler::Control;
use gadugi_core::{RunId, TaskId, error_chain};
use gadugi_registry::StopRequest;

use super::Site;
use crate::terminal::Terminal;

impl Site {
    /// Leaves a request to stop for the process that drives a run. No tasks means all.
    pub(crate) fn request_stop(&self, run: &RunId, tasks: Vec<TaskId>, now: bool) -> Result<(), RegistryError> {
        self.registry.post_request(run, &StopRequest { tasks, now })
    }

    /// Leaves a request to stop for the next process that drives a run.
    pub(crate) fn request_stop_of_next(&self, run: &RunId, tasks: Vec<TaskId>, now: bool) -> Result<(), RegistryError> {
        self.registry.post_request_for_next(run, &StopRequest { tasks, now })
    }

    /// Returns what receives the requests left for a run and passes them to its control. Before `run` has its id there are none.
    pub(crate) fn stop_requests(
        &self,
        run: Arc<OnceLock<RunId>>,
        terminal: Terminal,
    ) -> impl Fn(&Control) + Send + Sync + 'static {
        let registry = Arc::clone(&self.registry);
        let take = move |run: &RunId| Ok([registry.take_requests_for_next(run)?, registry.take_requests(run)?]);
        move |control| match run.get().map(&take).transpose() {
            Ok(taken) => {
                for taken in taken.into_iter().flatten() {
                    for damage in taken.damage {
                        terminal.say(&format!("warning: {damage}"));
                    }
                    for request in taken.requests {
                        if request.tasks.is_empty() {
                            control.stop_all(request.now);
                        } else {
                            control.stop(request.tasks, request.now);
                        }
                    }
                }
            }
            Err(error) => {
                let error: RegistryError = error;
                terminal.say(&format!("warning: {}", error_chain(&error)));
            }
        }
    }
}
