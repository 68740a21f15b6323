//! The task of an agent that resolves what keeps its work from landing.

use gadugi_core::merge::RunnerError;
use gadugi_core::plan::{Changes, EarlierAttempt, Origin};
use gadugi_core::{CommitId, RunId, TaskId, TaskSpec};

use super::runner::{Runner, failed};
use crate::prepare::earlier::conversation;

impl Runner<'_> {
    /// The task in which the agent of a task goes on: in its own conversation where that can be resumed, else with the task
    /// once more before the message.
    pub(super) async fn resolution(
        &self,
        onto: &CommitId,
        task: &TaskId,
        run: &RunId,
        message: &str,
    ) -> Result<TaskSpec, RunnerError> {
        let run = self.last_resolution(task).await.unwrap_or_else(|| run.clone());
        let earlier = self.site.load(&run).await.map_err(failed)?.record;
        let impossible = |why: String| RunnerError::Impossible { why };
        let Some(record) = earlier.task(task) else {
            return Err(impossible(format!("run {run} has no task {task}")));
        };
        let mut spec = record.task.spec.clone();
        let Some(call) = &mut spec.action.agent else {
            return Err(impossible(format!("{task} has no agent that could go on")));
        };
        let mut origin = Origin { base: Some(onto.clone()), ..Origin::default() };
        // A conversation goes on in its own worktree only, which is made anew at the commit to start from.
        let attempt = record.with_branch();
        let lease = attempt.and_then(|attempt| attempt.lease.clone()).filter(|lease| !lease.path.exists());
        let can_resume = call.resume.is_some() && lease.is_some();
        let conversation =
            attempt.filter(|_| can_resume).and_then(|attempt| conversation(record, attempt, message.to_owned()));
        match conversation {
            Some(conversation) => {
                origin.earlier = Some(Box::new(EarlierAttempt {
                    run: run.clone(),
                    lease,
                    tip: Some(onto.clone()),
                    since: None,
                    conversation: Some(conversation),
                    check: None,
                }));
            }
            None => call.prompt = format!("{}\n\n{message}", call.prompt.trim_end()),
        }
        spec.origin = origin;
        // What is checked is the merge, and that is done for all tasks alike.
        spec.check = None;
        spec.retries = 0;
        spec.changes = Changes::Optional;
        Ok(spec)
    }

    /// The run of an earlier attempt of this merge to resolve the same, in which the conversation has gone on.
    async fn last_resolution(&self, task: &TaskId) -> Option<RunId> {
        let merge = self.site.load_merge(&self.merge).ok()?;
        let of_task = merge.record.work.iter().rev().filter(|work| work.task.as_ref() == Some(task));
        for work in of_task {
            if let Ok(run) = self.site.load(&work.run).await
                && run.record.task(task).is_some_and(|task| task.with_branch().is_some())
            {
                return Some(work.run.clone());
            }
        }
        None
    }
}
