//! One attempt, from its worktree to its outcome.
//!
//! It runs as a task of its own and reports every step to the dispatcher; it decides nothing about other tasks.

pub(super) mod agent;
mod agent_log;
pub(super) mod clocks;
mod command;
pub(super) mod conversation;
pub(super) mod home;
mod outcome;
mod wait;
mod watch;
pub(super) mod worktree;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch::Receiver;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::agent::refused;
pub use self::agent_log::end_of_check;
use self::agent_log::{LOG_TIMEOUT, last_error_of};
use self::clocks::Clocks;
use self::conversation::{Conversation, may_be_reused};
use self::wait::asked_to_stop;
use self::worktree::{NoWorktree, WorktreeResult, is_released};
use crate::agent::AgentReport;
use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::executor::{Executor, ExitStatus};
use crate::id::{AttemptRef, RunId};
use crate::plan::{Changes, Phase, Program, TaskSpec};
use crate::registry::{RegistryError, Ticket};
use crate::run::{AttemptRecord, EventKind, Failure, KeepPolicy, Outcome, StopReason, WarningKind};
use crate::scheduler::message::{CommandEnd, Message, Recovered, StopLevel};
use crate::time::Clock;
use crate::worktrees::{CreatedWorktree, Lease, WorktreeError, Worktrees};

/// Everything that an attempt needs.
pub(super) struct Attempt {
    pub(super) run: RunId,
    pub(super) attempt: AttemptRef,
    pub(super) spec: Arc<TaskSpec>,
    pub(super) keep: KeepPolicy,
    /// The folder for its files.
    pub(super) files: PathBuf,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) worktrees: Arc<dyn Worktrees>,
    /// The answer to the request for its worktree.
    pub(super) worktree: oneshot::Receiver<WorktreeResult>,
    /// Work of an earlier driver; `None` for an attempt that this driver has started.
    pub(super) recovered: Option<Recovered>,
    /// The earlier attempts at the task.
    pub(super) earlier: Vec<Arc<AttemptRecord>>,
    /// Whether all its steps so far are recorded.
    pub(super) may_start: bool,
    /// `None` for an attempt without an agent.
    pub(super) conversation: Option<Conversation>,
    /// The home folder of its agent, if that is kept.
    pub(super) home: Option<PathBuf>,
    pub(super) clocks: Clocks,
    pub(super) stop: Receiver<StopLevel>,
    pub(super) suspended: Receiver<bool>,
    pub(super) dispatcher: mpsc::UnboundedSender<Message>,
}

/// The result of the attempt's commands.
pub(super) enum Verdict {
    Outcome(Outcome),
    /// No outcome: the dispatcher is gone, or the registry has failed, or the disk was full. A later driver resumes the attempt.
    Abandoned,
}

impl Attempt {
    /// Runs the attempt to its end. Every intended attempt ends here, exactly once, unless the registry fails.
    pub(super) async fn run(mut self) {
        let (lease, verdict) = self.run_in_worktree().await;
        // A step that could not be recorded is left to a driver whose registry works.
        let Verdict::Outcome(mut outcome) = verdict else { return };
        // The commands ended before the restart, and nothing of what they had written was synced.
        if outcome.success() && self.recovered.as_ref().is_some_and(|recovered| recovered.restarted) {
            outcome =
                lost("the machine was restarted before its work was collected, so that files of it may not be whole");
        }
        let lease = lease.filter(|lease| lease.branch.is_some());
        let is_collected = self.spec.changes != Changes::Discarded;
        if let Some(lease) = lease.as_ref().filter(|_| is_collected) {
            match self.collect(lease, outcome).await {
                Verdict::Outcome(collected) => outcome = collected,
                Verdict::Abandoned => return,
            }
        }
        // Nothing runs any more that could write to it.
        self.check_home(&outcome).await;
        let attempt = self.attempt.clone();
        let said = self.last_error(&outcome).await;
        let recorded = self.record(EventKind::AttemptEnded { attempt, outcome: outcome.clone(), said }).await;
        crash_point("attempt-ended");
        // Only after its end is on disk: without it, a later driver would look for the commands in the worktree.
        if let Some(lease) = lease
            && recorded
            && is_released(&self.spec, self.keep, &outcome)
            && !may_be_reused(&self.spec, &outcome)
        {
            self.release(&lease).await;
        }
    }

    /// Waits for the worktree and runs the commands in it.
    async fn run_in_worktree(&mut self) -> (Option<Lease>, Verdict) {
        let mut stop = self.stop.clone();
        let result = match self.recovered.as_mut().and_then(|recovered| recovered.lease.take()) {
            Some((lease, recorded)) => Some(Ok(Ok((lease.into(), None, recorded)))),
            None => tokio::select! {
                biased;
                result = &mut self.worktree => {
                    Some(result.map(|result| result.map(|(made, took)| (made, Some(took), false))))
                }
                // No command runs that would need a grace, and making the worktree may take long.
                () = asked_to_stop(&mut stop) => None,
            },
        };
        match result {
            None => (None, Verdict::Outcome(Outcome::Cancelled)),
            Some(Ok(Ok((CreatedWorktree { lease, seeded, warnings }, took, recorded)))) => {
                let ready = EventKind::WorktreeReady { lease: lease.clone(), seeded, took };
                let recorded = recorded || self.record(ready).await;
                crash_point("worktree-ready");
                for message in warnings {
                    self.warn(WarningKind::Worktree, message).await;
                }
                let verdict = if recorded { self.run_commands(&lease).await } else { Verdict::Abandoned };
                (Some(lease), verdict)
            }
            Some(Ok(Err(NoWorktree::Failed(WorktreeError::Conflict { tasks, files })))) => {
                (None, Verdict::Outcome(Outcome::Conflict { tasks, files }))
            }
            Some(Ok(Err(NoWorktree::Failed(error @ WorktreeError::NoRoom { .. })))) => (None, self.no_room(error)),
            Some(Ok(Err(NoWorktree::Failed(error)))) => {
                (None, Verdict::Outcome(Outcome::Failed(Failure::Worktree { message: error_chain(&error) })))
            }
            Some(Ok(Err(NoWorktree::Unrecorded(error)))) => {
                self.registry_failed(error);
                (None, Verdict::Abandoned)
            }
            Some(Err(_)) => (None, Verdict::Outcome(lost("the worktrees' implementation panicked"))),
        }
    }

    /// The error at the end of the failed command's output, where it is in the form that git uses.
    async fn last_error(&self, outcome: &Outcome) -> Option<String> {
        let phase = match outcome {
            Outcome::Failed(Failure::ExitCode(_)) => Phase::Main,
            Outcome::Failed(Failure::Setup(ExitStatus::Code(_))) => Phase::Setup,
            Outcome::Failed(Failure::Check(ExitStatus::Code(_))) => Phase::Check,
            _ => return None,
        };
        let log = self.files.join(phase.output_file());
        timeout(LOG_TIMEOUT, last_error_of(log)).await.ok().flatten()
    }

    /// Runs the setup, the main command and the check, as far as each succeeds.
    async fn run_commands(&mut self, lease: &Lease) -> Verdict {
        if let Err(verdict) = self.run_setup(lease).await {
            return verdict;
        }
        match self.run_main(lease).await {
            Ok(ExitStatus::Code(0)) => self.run_check(lease).await,
            Ok(status) => Verdict::Outcome(match status {
                ExitStatus::Code(code) => Outcome::Failed(Failure::ExitCode(code)),
                ExitStatus::Signal(signal) => Outcome::Failed(Failure::Signal(signal)),
                ExitStatus::OutOfMemory => Outcome::Failed(Failure::OutOfMemory),
                ExitStatus::Unknown => lost("its exit code is not known"),
            }),
            Err(verdict) => verdict,
        }
    }

    /// Runs the setup, if there is one. `Err` when it did not succeed.
    async fn run_setup(&mut self, lease: &Lease) -> Result<(), Verdict> {
        let spec = Arc::clone(&self.spec);
        // Once the main command has started, the setup is over.
        let Some(setup) = spec.setup.as_ref().filter(|_| !self.has_started(Phase::Main)) else { return Ok(()) };
        let script = Program::Script(setup.script.clone());
        match self.run_command(lease, Phase::Setup, &script, None).await?.status() {
            ExitStatus::Code(0) => {
                // It has a clock of its own.
                self.clocks = Clocks::default();
                Ok(())
            }
            ExitStatus::Unknown => Err(Verdict::Outcome(lost("the exit code of its setup is not known"))),
            status => Err(Verdict::Outcome(Outcome::Failed(Failure::Setup(status)))),
        }
    }

    /// Runs the check, if there is one; without it the attempt has succeeded.
    async fn run_check(&mut self, lease: &Lease) -> Verdict {
        let Some(check) = self.spec.check.clone() else { return Verdict::Outcome(Outcome::Succeeded) };
        match self.run_command(lease, Phase::Check, &Program::Script(check), None).await.map(CommandEnd::status) {
            Ok(ExitStatus::Code(0)) => Verdict::Outcome(Outcome::Succeeded),
            Ok(ExitStatus::Unknown) => Verdict::Outcome(lost("the exit code of its check is not known")),
            Ok(status) => Verdict::Outcome(Outcome::Failed(Failure::Check(status))),
            Err(verdict) => verdict,
        }
    }

    /// Runs the task's own command. The report of its agent counts more than its exit status.
    async fn run_main(&mut self, lease: &Lease) -> Result<ExitStatus, Verdict> {
        let spec = Arc::clone(&self.spec);
        self.home = self.find_home().await?;
        let (program, stdin) = match (&spec.action.agent, &self.conversation) {
            (Some(call), Some(conversation)) => self.compose_call(call, conversation, lease).await,
            _ => (spec.action.program.clone(), spec.action.stdin.clone()),
        };
        let end = self.run_command(lease, Phase::Main, &program, stdin.as_ref()).await;
        let report = self.final_report().await;
        match (end, report) {
            (Ok(end), Some(report)) => self.judge(end, &report).map_err(Verdict::Outcome),
            // It was waiting for its vendor.
            (Err(Verdict::Outcome(Outcome::TimedOut(Clock::Idle))), Some(AgentReport { limit: Some(limit), .. })) => {
                let message = "it printed nothing for too long while its requests were refused";
                Err(Verdict::Outcome(refused(limit.class, message)))
            }
            (end, _) => end.map(CommandEnd::status),
        }
    }

    /// Whether an earlier driver has recorded the start of this command, so that those before it had succeeded.
    fn has_started(&self, phase: Phase) -> bool {
        self.recovered.iter().flat_map(|recovered| &recovered.commands).any(|command| command.phase == phase)
    }

    /// The reason for which an earlier driver has asked this command to stop.
    fn was_stopped(&self, phase: Phase) -> Option<StopReason> {
        let mut commands = self.recovered.iter().flat_map(|recovered| &recovered.commands);
        commands.rfind(|command| command.phase == phase)?.stopped
    }

    /// Records a warning about the task.
    async fn warn(&mut self, kind: WarningKind, message: String) {
        self.note(EventKind::Warning { kind, task: Some(self.attempt.task.clone()), message }).await;
    }

    /// Sends an event to the dispatcher, without waiting for the disk.
    async fn note(&mut self, kind: EventKind) {
        if let Some(ticket) = self.send(kind).await {
            let dispatcher = self.dispatcher.clone();
            tokio::spawn(async move {
                if let Err(error) = ticket.await {
                    // A dispatcher that is gone has no use for it.
                    drop(dispatcher.send(Message::RegistryFailed(error)));
                }
            });
        }
    }

    /// Sends an event to the dispatcher and waits until it is on disk; returns whether it is.
    async fn record(&mut self, kind: EventKind) -> bool {
        match self.send(kind).await {
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

    async fn send(&self, kind: EventKind) -> Option<Ticket> {
        let (sender, ticket) = oneshot::channel();
        self.dispatcher.send(Message::Event(Box::new(kind), sender)).ok()?;
        ticket.await.ok()
    }

    /// Reports a full disk, and leaves the attempt to a driver that has room.
    fn no_room(&self, error: impl std::error::Error + Send + Sync + 'static) -> Verdict {
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
