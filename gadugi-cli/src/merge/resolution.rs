//! The task of an agent that resolves what keeps its work from landing.

use gadugi_core::merge::RunnerError;
use gadugi_core::plan::{Changes, Origin};
use gadugi_core::{CommitId, RunId, TaskId, TaskSpec};

use super::runner::{Runner, failed};

/// The value of `resolve` that leaves each task to its own agent.
const AUTHOR: &str = "author";

impl Runner<'_> {
    /// The task in which the agent of a task goes on, in its own conversation where it can.
    pub(super) async fn resolution(
        &self,
        onto: &CommitId,
        task: &TaskId,
        run: &RunId,
        message: &str,
    ) -> Result<TaskSpec, RunnerError> {
        let earlier = self.site.load(run).await.map_err(failed)?.record;
        let impossible = |why: String| RunnerError::Impossible { why };
        let Some(record) = earlier.task(task) else {
            return Err(impossible(format!("run {run} has no task {task}")));
        };
        let mut spec = record.task.spec.clone();
        let Some(call) = &mut spec.action.agent else {
            let asked = self.config.merge.resolve.as_deref().unwrap_or(AUTHOR);
            return Err(impossible(format!("{task} has no agent that could go on ({asked} was asked for)")));
        };
        message.clone_into(&mut call.prompt);
        // What is checked is the merge, and that is done for all tasks alike.
        spec.check = None;
        spec.retries = 0;
        spec.changes = Changes::Optional;
        spec.origin = Origin { base: Some(onto.clone()), ..Origin::default() };
        Ok(spec)
    }
}
