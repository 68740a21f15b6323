//! The conversations of agents, from one attempt to the next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::{AgentReport, NeedDone, Used, why_stopped};
use crate::id::{AttemptNo, AttemptRef};
use crate::plan::{EarlierAttempt, Phase};
use crate::run::{AttemptRecord, Failure, Outcome, WorktreeState};
use crate::scheduler::attempt::conversation::{Before, Conversation, can_continue};
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::message::Recovered;
use crate::time::Clock;
use crate::worktrees::Lease;

impl Dispatcher {
    /// The context of an attempt with an agent, besides its task.
    pub(super) fn conversation(
        &self,
        position: usize,
        attempt: &AttemptRef,
        recovered: Option<&Recovered>,
    ) -> Option<Conversation> {
        let call = self.call(position)?;
        let format = self.plugins.formats.get(&call.output).map(Arc::clone);
        let format = format.expect("cannot fail because Run::drive has looked up all formats");
        let needs = self.journal.record.header.plan.needs(position).iter().map(|need| {
            let need = &self.journal.record.tasks[*need];
            let said = need.last().and_then(|attempt| attempt.agent.as_ref()?.last_message.clone());
            let spec = &need.task.spec;
            NeedDone { task: spec.id.clone(), title: spec.title.clone(), last_message: said }
        });
        let needs = self.specs[position].origin.done.iter().cloned().chain(needs).collect();
        let session = self.session_to_resume(position, attempt).map(|(session, lease)| (session, lease.path));
        let continued = self.continued(position);
        let before = match self.before(position, attempt) {
            Some((before, outcome)) => Some(Before {
                check: self.failed_check(position, attempt),
                was_refused: outcome.refused(),
                was_out_of_share: outcome.is_out_of_share(),
                timed_out: self.clock_run_out(position, outcome).filter(|_| !has_started_check(before)),
                session,
            }),
            None => session.map(|session| Before { session: Some(session), ..Before::default() }),
        };
        let task = &self.journal.record.tasks[position];
        let used = task.reports_before(attempt.number).map(AgentReport::used).fold(Used::default(), Used::plus);
        let earlier = self.earlier(position, attempt);
        Some(Conversation {
            format,
            needs,
            before,
            told: continued.and_then(|earlier| earlier.conversation.as_ref()).map(|earlier| earlier.report().clone()),
            continued: continued.filter(|_| self.has_only_been_refused(position, attempt)).cloned(),
            earlier,
            used,
            max_cost: self.max_cost(position, used),
            run_budget: self.agents.budget.subscribe(),
            recorded: recovered.and_then(|recovered| recovered.agent.clone()),
            log: None,
            refused: None,
            answers: 0,
            is_isolated: false,
        })
    }

    /// The session of the attempt before this one, and the worktree where it can be resumed: after a check that failed, after
    /// requests that were refused, and after a clock that ran out.
    fn session_to_resume(&self, position: usize, attempt: &AttemptRef) -> Option<(String, Lease)> {
        self.call(position).filter(|_| self.keeps_sessions(position))?.resume.as_ref()?;
        if attempt.number == AttemptNo::FIRST {
            return self.session_of_earlier_run(position);
        }
        let (before, _) = self.before(position, attempt)?;
        let lease = existing_lease(before)?;
        // An attempt that was refused at once may not have reported it; those before it in the same worktree had the same session.
        let earlier = self.journal.record.tasks[position]
            .attempts
            .iter()
            .rev()
            .skip_while(|earlier| earlier.number > before.number);
        let is_same = |earlier: &&Arc<AttemptRecord>| {
            let is_there = earlier.lease.as_ref().is_some_and(|earlier| earlier.path == lease.path);
            earlier.number == before.number || (earlier.worktree == WorktreeState::HandedOver && is_there)
        };
        let mut sessions = earlier.take_while(is_same).filter_map(|earlier| earlier.agent.as_ref()?.session.clone());
        let of_earlier_run = || {
            let (session, earlier) = self.session_of_earlier_run(position)?;
            Some(session).filter(|_| earlier.path == lease.path)
        };
        Some((sessions.next().or_else(of_earlier_run)?, lease))
    }

    /// The session of an earlier run that the first attempt can resume, and the worktree where it can.
    fn session_of_earlier_run(&self, position: usize) -> Option<(String, Lease)> {
        let earlier = self.specs[position].origin.earlier.as_ref()?;
        Some((earlier.conversation.as_ref()?.session().to_owned(), earlier.lease.clone()?))
    }

    /// The attempt of an earlier run that the attempts at a task continue.
    fn continued(&self, position: usize) -> Option<&EarlierAttempt> {
        self.specs[position].origin.earlier.as_deref()
    }

    /// Whether all attempts before this one were refused by the vendor of their agent.
    fn has_only_been_refused(&self, position: usize, attempt: &AttemptRef) -> bool {
        let attempts = self.journal.record.tasks[position].attempts.iter();
        let mut before = attempts.filter(|before| before.number < attempt.number);
        before.all(|before| before.ended.as_ref().is_none_or(|(outcome, _)| outcome.refused()))
    }

    /// The lease of the attempt before this one, if this one uses its worktree: to resume its session, because it was refused
    /// before it had done anything, or because it is that of an earlier run which goes on there.
    pub(super) fn lease_to_reuse(&self, position: usize, attempt: &AttemptRef) -> Option<Lease> {
        if let Some((_, lease)) = self.session_to_resume(position, attempt) {
            return Some(lease);
        }
        if attempt.number == AttemptNo::FIRST {
            return self.continued(position)?.lease.clone();
        }
        let (before, outcome) = self.before(position, attempt)?;
        let work = before.work.as_ref()?;
        let is_as_made = work.commits == 0 && work.uncommitted == 0 && work.kept_refs.is_empty();
        if outcome.refused() && is_as_made { existing_lease(before) } else { None }
    }

    /// The end and the log of the check of the last attempt that was not refused; `None` if that attempt did not fail by its
    /// check.
    fn failed_check(&self, position: usize, attempt: &AttemptRef) -> Option<(String, PathBuf)> {
        let attempts = self.journal.record.tasks[position].attempts.iter().rev();
        let ended = attempts.filter(|before| before.number < attempt.number);
        let mut ended = ended.filter_map(|before| Some((before, &before.ended.as_ref()?.0)));
        let (before, outcome) = ended.find(|(_, outcome)| !outcome.refused())?;
        let how = match outcome {
            Outcome::Failed(Failure::Check(status)) => status.to_string(),
            _ => {
                let (clock, after) = self.clock_run_out(position, outcome).filter(|_| has_started_check(before))?;
                why_stopped(clock, after)
            }
        };
        let before = AttemptRef { number: before.number, ..attempt.clone() };
        Some((how, self.journal.attempt_folder(&before).join(Phase::Check.output_file())))
    }

    /// The clock that stopped an attempt after its setup, and the time limit.
    fn clock_run_out(&self, position: usize, outcome: &Outcome) -> Option<(Clock, Duration)> {
        let Outcome::TimedOut(clock) = outcome else { return None };
        let limits = self.specs[position].limits;
        let after = match clock {
            Clock::Wall => limits.timeout,
            Clock::Idle => limits.idle_timeout,
            Clock::Setup => None,
        };
        Some((*clock, after?))
    }

    /// The attempt before this one, if it ended by its check, by a refusal or by a clock.
    fn before(&self, position: usize, attempt: &AttemptRef) -> Option<(&AttemptRecord, &Outcome)> {
        let attempts = &self.journal.record.tasks[position].attempts;
        let before = attempts.iter().rfind(|before| before.number < attempt.number)?;
        let (outcome, _) = before.ended.as_ref()?;
        (outcome.refused() || can_continue(outcome)).then_some((before, outcome))
    }
}

fn has_started_check(attempt: &AttemptRecord) -> bool {
    attempt.commands.iter().any(|command| command.phase == Phase::Check)
}

/// The lease of an attempt, as long as its worktree exists.
fn existing_lease(attempt: &AttemptRecord) -> Option<Lease> {
    attempt.lease.clone().filter(|lease| lease.branch.is_some() && attempt.worktree != WorktreeState::Released)
}
