//! One attempt, from its worktree to its outcome.
//!
//! It runs as a task of its own and reports every step to the dispatcher; it decides nothing about other tasks.

pub(super) mod agent;
mod agent_log;
mod clocks;
mod command;
pub(super) mod conversation;
pub(super) mod home;
mod outcome;
mod wait;
mod watch;
pub(super) mod worktree;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::agent::AgentReport;
use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::executor::{Executor, ExitStatus};
use crate::id::{AttemptRef, RunId};
use crate::plan::{Phase, Program, TaskSpec};
use crate::registry::{RegistryError, Ticket};
use crate::run::{AttemptRecord, EventKind, Failure, KeepPolicy, Outcome, StopReason, WarningKind};
use crate::scheduler::attempt::agent::refused;
use crate::scheduler::attempt::agent_log::{LONGEST_WAIT_FOR_LOG, last_error_of};
use crate::scheduler::attempt::conversation::{Talk, may_be_gone_on_in};
use crate::scheduler::attempt::wait::asked_to_stop;
use crate::scheduler::attempt::worktree::{NoWorktree, WorktreeResult, is_released};
use crate::scheduler::message::{Begun, CommandEnd, Message, StopLevel};
use crate::time::Clock;
use crate::worktrees::{Lease, Made, WorktreeError, Worktrees};

/// Everything that an attempt needs.
pub(super) struct Attempt {
    pub(super) run: RunId,
    pub(super) attempt: AttemptRef,
    pub(super) spec: Arc<TaskSpec>,
    pub(super) keep: KeepPolicy,
    pub(super) files: PathBuf,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) worktrees: Arc<dyn Worktrees>,
    pub(super) place: oneshot::Receiver<WorktreeResult>,
    /// `None` for an attempt that this driver has begun.
    pub(super) begun: Option<Begun>,
    /// The earlier attempts at the task.
    pub(super) earlier: Vec<Arc<AttemptRecord>>,
    /// False once a step of it could not be recorded.
    pub(super) may_start: bool,
    /// `None` for one without an agent.
    pub(super) talk: Option<Talk>,
    /// The home folder of its agent, if that is kept.
    pub(super) home: Option<PathBuf>,
    /// When its commands together, or the one that prepares its worktree, have run for too long; known from the first of
    /// them on.
    pub(super) deadline: Option<Instant>,
    pub(super) stop: tokio::sync::watch::Receiver<StopLevel>,
    pub(super) suspended: tokio::sync::watch::Receiver<bool>,
    pub(super) dispatcher: mpsc::UnboundedSender<Message>,
}

/// How the attempt's commands ended.
pub(super) enum Verdict {
    Outcome(Outcome),
    /// The dispatcher is gone, or the registry has failed or the disk was full before all was begun.
    Abandoned,
}

impl Attempt {
    /// Goes all the way. Every attempt that was intended ends here, exactly once, unless the registry fails.
    pub(super) async fn make(mut self) {
        let mut stop = self.stop.clone();
        let place = match self.begun.as_mut().and_then(|begun| begun.lease.take()) {
            Some((lease, recorded)) => Some(Ok(Ok((lease.into(), None, recorded)))),
            None => tokio::select! {
                biased;
                place = &mut self.place => Some(place.map(|place| place.map(|(made, took)| (made, Some(took), false)))),
                // Nothing runs that would need a grace, and making it may take long.
                () = asked_to_stop(&mut stop) => None,
            },
        };
        let (lease, verdict) = match place {
            None => (None, Verdict::Outcome(Outcome::Cancelled)),
            Some(Ok(Ok((Made { lease, seeded, warnings }, took, recorded)))) => {
                let ready = EventKind::WorktreeReady { lease: lease.clone(), seeded, took };
                let recorded = recorded || self.record(ready).await;
                crash_point("worktree-ready");
                for message in warnings {
                    self.warn(WarningKind::Worktree, message).await;
                }
                let verdict = if recorded { self.run_commands(&lease).await } else { Verdict::Abandoned };
                (Some(lease), verdict)
            }
            Some(Ok(Err(NoWorktree::Worktree(WorktreeError::Conflict { tasks, files })))) => {
                (None, Verdict::Outcome(Outcome::Conflict { tasks, files }))
            }
            Some(Ok(Err(NoWorktree::Worktree(error @ WorktreeError::NoRoom { .. })))) => (None, self.no_room(error)),
            Some(Ok(Err(NoWorktree::Worktree(error)))) => {
                (None, Verdict::Outcome(Outcome::Failed(Failure::Worktree { message: error_chain(&error) })))
            }
            Some(Ok(Err(NoWorktree::Unrecorded(error)))) => {
                self.registry_failed(error);
                (None, Verdict::Abandoned)
            }
            Some(Err(_)) => (None, Verdict::Outcome(lost("the worktrees' implementation panicked"))),
        };
        // What could not be recorded is left as it is, for a driver whose registry works.
        let Verdict::Outcome(mut outcome) = verdict else { return };
        // Its commands ended before that, and nothing of what they had written was synced.
        if outcome.success() && self.begun.as_ref().is_some_and(|begun| begun.restarted) {
            outcome =
                lost("the machine was restarted before its work was collected, so that files of it may not be whole");
        }
        let lease = lease.filter(|lease| lease.branch.is_some());
        if let Some(lease) = &lease {
            match self.collect(lease, outcome).await {
                Verdict::Outcome(collected) => outcome = collected,
                Verdict::Abandoned => return,
            }
        }
        self.check_home(&outcome).await;
        let attempt = self.attempt.clone();
        let said = self.said_at_end(&outcome).await;
        let recorded = self.record(EventKind::AttemptEnded { attempt, outcome: outcome.clone(), said }).await;
        crash_point("attempt-ended");
        if let Some(lease) = lease
            && recorded
            && is_released(self.keep, &outcome)
            && !may_be_gone_on_in(&self.spec, &outcome)
        {
            self.release(&lease).await;
        }
    }

    /// What the command that failed has said of that at its end, where it says it as git does.
    async fn said_at_end(&self, outcome: &Outcome) -> Option<String> {
        let phase = match outcome {
            Outcome::Failed(Failure::ExitCode(_)) => Phase::Main,
            Outcome::Failed(Failure::Setup(ExitStatus::Code(_))) => Phase::Setup,
            Outcome::Failed(Failure::Check(ExitStatus::Code(_))) => Phase::Check,
            _ => return None,
        };
        let log = self.files.join(phase.output_file());
        timeout(LONGEST_WAIT_FOR_LOG, last_error_of(log)).await.ok().flatten()
    }

    async fn run_commands(&mut self, lease: &Lease) -> Verdict {
        let spec = Arc::clone(&self.spec);
        if let Some(setup) = spec.setup.as_ref().filter(|_| !self.has_begun(Phase::Main)) {
            let script = Program::Script(setup.script.clone());
            match self.run_command(lease, Phase::Setup, &script, None).await.map(CommandEnd::status) {
                Ok(ExitStatus::Code(0)) => {}
                Ok(ExitStatus::Unknown) => return Verdict::Outcome(lost("the exit code of its setup is not known")),
                Ok(status) => return Verdict::Outcome(Outcome::Failed(Failure::Setup(status))),
                Err(verdict) => return verdict,
            }
            // It has a clock of its own.
            self.deadline = None;
        }
        match (self.run_main(lease).await, &spec.check) {
            (Ok(ExitStatus::Code(0)), None) => Verdict::Outcome(Outcome::Succeeded),
            (Ok(ExitStatus::Code(0)), Some(check)) => {
                let check = Program::Script(check.clone());
                match self.run_command(lease, Phase::Check, &check, None).await.map(CommandEnd::status) {
                    Ok(ExitStatus::Code(0)) => Verdict::Outcome(Outcome::Succeeded),
                    Ok(ExitStatus::Unknown) => Verdict::Outcome(lost("the exit code of its check is not known")),
                    Ok(status) => Verdict::Outcome(Outcome::Failed(Failure::Check(status))),
                    Err(verdict) => verdict,
                }
            }
            (Ok(status), _) => Verdict::Outcome(match status {
                ExitStatus::Code(code) => Outcome::Failed(Failure::ExitCode(code)),
                ExitStatus::Signal(signal) => Outcome::Failed(Failure::Signal(signal)),
                ExitStatus::OutOfMemory => Outcome::Failed(Failure::OutOfMemory),
                ExitStatus::Unknown => lost("its exit code is not known"),
            }),
            (Err(verdict), _) => verdict,
        }
    }

    /// Runs the task's own command. What its agent says counts more than how that exits.
    async fn run_main(&mut self, lease: &Lease) -> Result<ExitStatus, Verdict> {
        let spec = Arc::clone(&self.spec);
        self.home = self.find_home().await?;
        let (program, stdin) = match (&spec.action.agent, &self.talk) {
            (Some(call), Some(talk)) => self.call(call, talk, lease).await,
            _ => (spec.action.program.clone(), spec.action.stdin.clone()),
        };
        let end = self.run_command(lease, Phase::Main, &program, stdin.as_ref()).await;
        let report = self.hear_out().await;
        match (end, report) {
            (Ok(end), Some(report)) => self.judge(end, &report).map_err(Verdict::Outcome),
            // It waited for its vendor.
            (Err(Verdict::Outcome(Outcome::TimedOut(Clock::Idle))), Some(AgentReport { limit: Some(limit), .. })) => {
                let message = "it printed nothing for too long while its requests were refused";
                Err(Verdict::Outcome(refused(limit.class, message)))
            }
            (end, _) => end.map(CommandEnd::status),
        }
    }

    /// Whether an earlier driver has recorded the start of that command, so that those before it had ended well.
    pub(super) fn has_begun(&self, phase: Phase) -> bool {
        self.begun.iter().flat_map(|begun| &begun.commands).any(|command| command.phase == phase)
    }

    /// Why an earlier driver has asked that command to stop.
    pub(super) fn was_stopped(&self, phase: Phase) -> Option<StopReason> {
        let mut commands = self.begun.iter().flat_map(|begun| &begun.commands);
        commands.rfind(|command| command.phase == phase)?.stopped
    }

    pub(super) async fn warn(&mut self, kind: WarningKind, message: String) {
        self.note(EventKind::Warning { kind, task: Some(self.attempt.task.clone()), message }).await;
    }

    /// Tells the dispatcher; goes on without waiting for the disk.
    pub(super) async fn note(&mut self, kind: EventKind) {
        if let Some(ticket) = self.tell(kind).await {
            let dispatcher = self.dispatcher.clone();
            tokio::spawn(async move {
                if let Err(error) = ticket.await {
                    // A dispatcher that is gone has no use for it.
                    drop(dispatcher.send(Message::RegistryFailed(error)));
                }
            });
        }
    }

    /// Tells the dispatcher and waits until it is on disk; says whether it is.
    pub(super) async fn record(&mut self, kind: EventKind) -> bool {
        match self.tell(kind).await {
            None => false,
            Some(ticket) => match ticket.await {
                Ok(()) => true,
                Err(error) => {
                    self.registry_failed(error);
                    false
                }
            },
        }
    }

    async fn tell(&self, kind: EventKind) -> Option<Ticket> {
        let (sender, ticket) = oneshot::channel();
        self.dispatcher.send(Message::Event(Box::new(kind), sender)).ok()?;
        ticket.await.ok()
    }

    /// Leaves the attempt as it is, for a driver that has room.
    pub(super) fn no_room(&self, error: impl std::error::Error + Send + Sync + 'static) -> Verdict {
        // A dispatcher that is gone has no use for it.
        drop(self.dispatcher.send(Message::NoRoom(Box::new(error))));
        Verdict::Abandoned
    }

    fn registry_failed(&self, error: RegistryError) {
        // A dispatcher that is gone has no use for it.
        drop(self.dispatcher.send(Message::RegistryFailed(error)));
    }
}

fn lost(why: &str) -> Outcome {
    Outcome::Lost { why: why.to_owned() }
}
