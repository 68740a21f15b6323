//! The attempt of the earlier run that a task continues, and what its agent is told.

use gadugi_core::agent::failed_check;
use gadugi_core::plan::{EarlierAttempt, EarlierConversation, FailedCheck, RetryFrom};
use gadugi_core::run::{AttemptRecord, Failure as TaskFailure, Outcome};
use gadugi_core::scheduler::end_of_check;
use gadugi_core::{AttemptRef, CommitId, Phase, Plan, TaskSpec};

use crate::args::RetryStart;
use crate::executors::Chosen;
use crate::failure::Failure;
use crate::prepare::earlier::{EarlierRuns, EarlierTask, conversation};
use crate::site::Site;
use crate::terminal::Terminal;

/// Finds the attempts that the tasks of a retry continue.
pub(super) struct Continuation<'a> {
    /// Where notes about it are printed.
    pub(super) terminal: &'a Terminal,
    pub(super) site: &'a Site,
    pub(super) runs: &'a EarlierRuns,
    pub(super) from: Option<RetryStart>,
    pub(super) message: Option<&'a str>,
}

impl Continuation<'_> {
    /// Sets the attempts that the tasks of a plan continue.
    pub(super) async fn apply(&self, plan: &mut Plan, chosen: &Chosen) -> Result<(), Failure> {
        for position in 0..plan.tasks().len() {
            let spec = &plan.tasks()[position].spec;
            let executor = chosen.of(spec).map_or("", |executor| executor.name());
            let Some((earlier, attempt)) = self.runs.with_worktree(&spec.id) else { continue };
            let continued = self.continued(spec, executor, earlier, attempt).await?;
            let mut origin = spec.origin.clone();
            origin.earlier = continued.map(Box::new);
            plan.set_origin(position, origin);
        }
        Ok(())
    }

    /// The attempt that a task continues; `None` where it starts anew and has nothing to learn of it.
    async fn continued(
        &self,
        spec: &TaskSpec,
        executor: &str,
        earlier: EarlierTask<'_>,
        attempt: &AttemptRecord,
    ) -> Result<Option<EarlierAttempt>, Failure> {
        let id = &spec.id;
        let check = self.failed_check(earlier).await;
        let is_lost = attempt.ended.as_ref().is_some_and(|(outcome, _)| matches!(outcome, Outcome::Lost { .. }));
        let end = self.end(attempt)?;
        let lease = attempt.lease.clone().filter(|lease| lease.branch.is_some());
        let is_there = lease.as_ref().is_some_and(|lease| lease.path.is_dir());
        let goes_on = match self.from {
            Some(RetryStart::Base) => false,
            Some(RetryStart::Previous) => true,
            None => spec.retry_from == RetryFrom::Previous || earlier.succeeded(),
        };
        let can_resume = self.from != Some(RetryStart::Base)
            && spec.action.agent.as_ref().is_some_and(|call| call.resume.is_some())
            && attempt.executor == executor
            && !is_lost
            && (is_there || end.is_some());
        let conversation =
            if can_resume { self.conversation(earlier, attempt, is_there, check.as_ref()) } else { None };
        if conversation.is_none() && !goes_on {
            let run = earlier.run.header.run.clone();
            let anew = EarlierAttempt { run, lease: None, tip: None, since: None, conversation: None, check };
            return Ok(anew.check.is_some().then_some(anew));
        }
        if end.is_none() && !is_there {
            if self.from == Some(RetryStart::Previous) {
                let message =
                    format!("nothing is left of the earlier attempt at `{id}`: its worktree and its commits are gone");
                return Err(Failure::usage(message).hint("start it anew: gadugi retry --from base"));
            }
            self.terminal.say(&format!("note: {id} starts from the base: its earlier worktree and commits are gone"));
            return Ok(None);
        }
        if is_lost && is_there {
            let path = lease.as_ref().map(|lease| lease.path.display().to_string()).unwrap_or_default();
            self.terminal
                .say(&format!("note: {id} was lost, and something of it may still run in {path}: that stays as it is"));
        }
        let since = earlier.task.base_of(attempt).cloned().filter(|since| Some(since) != end.as_ref());
        let run = earlier.run.header.run.clone();
        Ok(Some(EarlierAttempt { run, lease: lease.filter(|_| !is_lost), tip: end, since, conversation, check }))
    }

    /// The last commit of an attempt, if it is still there.
    fn end(&self, attempt: &AttemptRecord) -> Result<Option<CommitId>, Failure> {
        let recorded = attempt.work.as_ref().and_then(|work| work.tip.as_ref());
        let recorded = recorded.or_else(|| attempt.lease.as_ref().and_then(|lease| lease.base.as_ref()));
        recorded.map_or(Ok(None), |recorded| self.site.end_of_work(attempt, recorded))
    }

    /// The conversation of an attempt with its agent, and its next message.
    fn conversation(
        &self,
        earlier: EarlierTask<'_>,
        attempt: &AttemptRecord,
        is_there: bool,
        check: Option<&FailedCheck>,
    ) -> Option<EarlierConversation> {
        let mut message = self.next_message(earlier, attempt, check);
        if !is_there {
            message +=
                "\n\nYour worktree was made anew, on a branch of its own: go on there, and commit to that branch.";
        }
        conversation(earlier.task, attempt, message)
    }

    /// The next message to an agent that goes on with its conversation.
    fn next_message(&self, earlier: EarlierTask<'_>, attempt: &AttemptRecord, check: Option<&FailedCheck>) -> String {
        let told = self.message.map(|message| message.trim().to_owned());
        let check = check.filter(|_| !earlier.succeeded()).map(|check| failed_check(&check.status, &check.output));
        let words: Vec<String> = told.into_iter().chain(check).collect();
        if !words.is_empty() {
            return words.join("\n\n");
        }
        match attempt.ended.as_ref().map(|(outcome, _)| outcome) {
            Some(
                outcome @ Outcome::Failed(
                    TaskFailure::NothingChanged | TaskFailure::ConflictMarkers { .. } | TaskFailure::Elsewhere(_),
                ),
            ) => format!("Your work was not accepted: {outcome}. Mend that, and commit."),
            _ => "You were interrupted. What you had made is still there, and what you had running is not. Go on, and commit."
                .to_owned(),
        }
    }

    /// The check of the last attempt that its agent's vendor did not refuse, if that has failed.
    async fn failed_check(&self, earlier: EarlierTask<'_>) -> Option<FailedCheck> {
        let ended =
            earlier.task.attempts.iter().rev().filter_map(|attempt| Some((attempt, &attempt.ended.as_ref()?.0)));
        let (attempt, outcome) = { ended }.find(|(_, outcome)| !outcome.refused())?;
        let Outcome::Failed(TaskFailure::Check(status)) = outcome else { return None };
        let attempt = AttemptRef { task: earlier.task.task.spec.id.clone(), number: attempt.number };
        let folder = self.site.attempt_folder(&earlier.run.header.run, &attempt);
        let output = end_of_check(folder.join(Phase::Check.output_file())).await;
        Some(FailedCheck { status: status.to_string(), output })
    }
}
