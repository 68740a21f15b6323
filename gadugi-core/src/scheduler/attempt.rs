//! One attempt, from its worktree to its outcome. It runs as a task of its own and tells the dispatcher
//! every step; it decides nothing about other tasks.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::error_chain::error_chain;
use crate::event::{EventKind, Phase, StopReason, WarningKind};
use crate::executor::{ExecEnd, ExecRequest, Executor, ExitStatus, RunningTask};
use crate::id::{AttemptRef, RunId};
use crate::registry::{RegistryError, Ticket};
use crate::scheduler::settings::KeepPolicy;
use crate::state::{Clock, Failure, Outcome};
use crate::task::{Program, TaskSpec};
use crate::worktrees::{BranchFate, Lease, ReleaseRequest, SnapshotRequest, WorktreeError, WorktreeFate, Worktrees};

/// What an attempt tells the dispatcher.
pub(super) enum Message {
    /// A step, with the way back for the ticket of its record.
    Event(EventKind, oneshot::Sender<Ticket>),
    /// A record could not be written.
    RegistryFailed(RegistryError),
}

/// How much an attempt is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopLevel {
    Not,
    WithGrace,
    Now,
}

/// Why an attempt has no worktree.
#[derive(Debug)]
pub(super) enum NoPlace {
    Worktree(WorktreeError),
    /// Its intent is not on disk, so nothing may be done for it.
    Unrecorded(RegistryError),
}

/// Everything that an attempt needs.
pub(super) struct Attempt {
    pub(super) run: RunId,
    pub(super) attempt: AttemptRef,
    pub(super) spec: Arc<TaskSpec>,
    pub(super) keep: KeepPolicy,
    pub(super) files: PathBuf,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) worktrees: Arc<dyn Worktrees>,
    pub(super) place: oneshot::Receiver<Result<(Lease, Duration), NoPlace>>,
    pub(super) stop: watch::Receiver<StopLevel>,
    pub(super) dispatcher: mpsc::UnboundedSender<Message>,
}

/// How the attempt's commands ended.
enum Verdict {
    Outcome(Outcome),
    /// The dispatcher is gone, or the registry has failed before anything was begun.
    Abandoned,
}

impl Attempt {
    /// Goes all the way. Every attempt that was intended ends here, exactly once.
    pub(super) async fn make(mut self) {
        let place = tokio::select! {
            biased;
            place = &mut self.place => Some(place),
            // Making it may have to wait for another process. What is made in the end is found by its mark.
            () = stopped_now(self.stop.clone()) => None,
        };
        let (lease, verdict) = match place {
            None => (None, Verdict::Outcome(Outcome::Cancelled)),
            Some(Ok(Ok((lease, took)))) => {
                let ready = EventKind::WorktreeReady { lease: lease.clone(), took };
                let verdict =
                    if self.record(ready).await { self.run_commands(&lease).await } else { Verdict::Abandoned };
                (Some(lease), verdict)
            }
            Some(Ok(Err(NoPlace::Worktree(WorktreeError::Conflict { tasks, files })))) => {
                (None, Verdict::Outcome(Outcome::Conflict { tasks, files }))
            }
            Some(Ok(Err(NoPlace::Worktree(error)))) => {
                (None, Verdict::Outcome(Outcome::Failed(Failure::Worktree { message: error_chain(&error) })))
            }
            Some(Ok(Err(NoPlace::Unrecorded(error)))) => {
                self.registry_failed(error);
                (None, Verdict::Abandoned)
            }
            Some(Err(_)) => (None, Verdict::Outcome(lost("the worktrees' implementation panicked"))),
        };
        let mut outcome = match verdict {
            Verdict::Outcome(outcome) => outcome,
            Verdict::Abandoned => Outcome::Cancelled,
        };
        let lease = lease.filter(|lease| lease.branch.is_some());
        if let Some(lease) = &lease {
            outcome = self.collect(lease, outcome).await;
        }
        let attempt = self.attempt.clone();
        let recorded = self.record(EventKind::AttemptEnded { attempt, outcome: outcome.clone() }).await;
        if let Some(lease) = lease
            && recorded
        {
            self.release(&lease, &outcome).await;
        }
    }

    async fn run_commands(&mut self, lease: &Lease) -> Verdict {
        let begun = Instant::now();
        let deadline = self.spec.limits.timeout.map(|timeout| begun + timeout);
        let spec = Arc::clone(&self.spec);
        let main = self.run_command(lease, Phase::Main, &spec.action.program, spec.action.stdin.as_ref(), deadline);
        match (main.await, &spec.check) {
            (Ok(ExitStatus::Code(0)), None) => Verdict::Outcome(Outcome::Succeeded),
            (Ok(ExitStatus::Code(0)), Some(check)) => {
                let check = Program::Script(check.clone());
                match self.run_command(lease, Phase::Check, &check, None, deadline).await {
                    Ok(ExitStatus::Code(0)) => Verdict::Outcome(Outcome::Succeeded),
                    Ok(status) => Verdict::Outcome(Outcome::Failed(Failure::Check(status))),
                    Err(verdict) => verdict,
                }
            }
            (Ok(status), _) => Verdict::Outcome(match status {
                ExitStatus::Code(code) => Outcome::Failed(Failure::ExitCode(code)),
                ExitStatus::Signal(signal) => Outcome::Failed(Failure::Signal(signal)),
                ExitStatus::Unknown => lost("its exit code is not known"),
            }),
            (Err(verdict), _) => verdict,
        }
    }

    /// Runs one command to its end. `Err` when something else than its exit decides the outcome.
    async fn run_command(
        &mut self,
        lease: &Lease,
        phase: Phase,
        program: &Program,
        stdin: Option<&String>,
        deadline: Option<Instant>,
    ) -> Result<ExitStatus, Verdict> {
        if *self.stop.borrow() > StopLevel::Not {
            return Err(Verdict::Outcome(Outcome::Cancelled));
        }
        let request = ExecRequest {
            run: self.run.clone(),
            attempt: self.attempt.clone(),
            phase,
            program: program.clone(),
            stdin: stdin.cloned(),
            folder: lease.path.clone(),
            env: self.spec.env.clone(),
            secrets: self.spec.secrets.clone(),
            files: self.files.clone(),
            resources: self.spec.resources.clone(),
        };
        let asked = Instant::now();
        let running = match self.executor.start(&request).await {
            Ok(running) => running,
            Err(error) => {
                let message = error_chain(&error);
                return Err(Verdict::Outcome(Outcome::Failed(Failure::Start { message })));
            }
        };
        let attempt = self.attempt.clone();
        let identity = running.identity().clone();
        // Not awaited: the journal keeps the order, and the command runs in any case.
        self.note(EventKind::CommandStarted { attempt, phase, identity, took: asked.elapsed() }).await;
        let (end, stopped) = self.watch(&*running, deadline).await;
        let end = end.map_err(|why| Verdict::Outcome(lost(&why)))?;
        self.record(EventKind::CommandEnded { attempt: self.attempt.clone(), phase, end }).await;
        match stopped {
            None => Ok(end.status),
            Some(StopReason::TimedOut(clock)) => Err(Verdict::Outcome(Outcome::TimedOut(clock))),
            Some(StopReason::Cancelled) => Err(Verdict::Outcome(Outcome::Cancelled)),
        }
    }

    /// Waits for the end of a command, and stops it when a clock runs out or somebody asks for it.
    async fn watch(
        &mut self,
        running: &dyn RunningTask,
        deadline: Option<Instant>,
    ) -> (Result<ExecEnd, String>, Option<StopReason>) {
        let limits = self.spec.limits;
        let mut output = running.output().filter(|_| limits.idle_timeout.is_some());
        let idle_deadline = || limits.idle_timeout.map(|timeout| Instant::now() + timeout);
        let mut idle = output.as_ref().and_then(|_| idle_deadline());
        let mut stop = self.stop.clone();
        stop.mark_changed();
        let mut stop_open = true;
        let mut stopped = None;
        let mut wait = running.wait();
        loop {
            let (reason, grace) = tokio::select! {
                biased;
                end = &mut wait => return (end.map_err(|error| error_chain(&error)), stopped),
                changed = stop.changed(), if stop_open => {
                    stop_open = changed.is_ok();
                    match *stop.borrow_and_update() {
                        StopLevel::Not => continue,
                        StopLevel::WithGrace => (StopReason::Cancelled, limits.grace),
                        StopLevel::Now => (StopReason::Cancelled, Duration::ZERO),
                    }
                }
                () = at(deadline), if stopped.is_none() => (StopReason::TimedOut(Clock::Wall), limits.grace),
                open = printed(&mut output) => {
                    output = output.filter(|_| open);
                    idle = idle_deadline();
                    continue;
                }
                () = at(idle), if stopped.is_none() => (StopReason::TimedOut(Clock::Idle), limits.grace),
            };
            if stopped.is_none() {
                stopped = Some(reason);
                self.note(EventKind::StopSent { attempt: self.attempt.clone(), reason }).await;
            }
            if let Err(error) = running.stop(grace).await {
                self.warn(WarningKind::Stop, error_chain(&error)).await;
            }
        }
    }

    /// Keeps what the attempt made. A success whose work cannot be kept is none.
    async fn collect(&mut self, lease: &Lease, outcome: Outcome) -> Outcome {
        let commit = outcome.success() || self.keep == KeepPolicy::Never;
        match self.worktrees.snapshot(lease, SnapshotRequest { commit }).await {
            Ok(work) => {
                self.note(EventKind::WorkCollected { attempt: self.attempt.clone(), work }).await;
                outcome
            }
            Err(error) if outcome.success() => Outcome::Failed(Failure::Snapshot { message: error_chain(&error) }),
            Err(error) => {
                self.warn(WarningKind::Snapshot, error_chain(&error)).await;
                outcome
            }
        }
    }

    async fn release(&mut self, lease: &Lease, outcome: &Outcome) {
        let due = match self.keep {
            KeepPolicy::Failed => outcome.success(),
            KeepPolicy::Always => false,
            KeepPolicy::Never => true,
        };
        if !due {
            return;
        }
        let request = ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false };
        let attempt = self.attempt.clone();
        match self.worktrees.release(lease, request).await.map(|release| release.worktree) {
            Ok(WorktreeFate::Kept(reasons)) => self.note(EventKind::WorktreeKept { attempt, reasons }).await,
            Ok(WorktreeFate::Removed | WorktreeFate::Absent) => {
                self.note(EventKind::WorktreeReleased { attempt }).await;
            }
            Err(error) => self.warn(WarningKind::Release, error_chain(&error)).await,
        }
    }

    async fn warn(&mut self, kind: WarningKind, message: String) {
        self.note(EventKind::Warning { kind, task: Some(self.attempt.task.clone()), message }).await;
    }

    /// Tells the dispatcher; goes on without waiting for the disk.
    async fn note(&mut self, kind: EventKind) {
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
    async fn record(&mut self, kind: EventKind) -> bool {
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
        self.dispatcher.send(Message::Event(kind, sender)).ok()?;
        ticket.await.ok()
    }

    fn registry_failed(&self, error: RegistryError) {
        // A dispatcher that is gone has no use for it.
        drop(self.dispatcher.send(Message::RegistryFailed(error)));
    }
}

fn lost(why: &str) -> Outcome {
    Outcome::Lost { why: why.to_owned() }
}

/// Waits until it is asked to stop without grace.
async fn stopped_now(mut stop: watch::Receiver<StopLevel>) {
    if stop.wait_for(|level| *level == StopLevel::Now).await.is_err() {
        pending().await
    }
}

/// Waits for the next output; says whether more can come. Never ready where none is listened to.
async fn printed(output: &mut Option<watch::Receiver<u64>>) -> bool {
    match output {
        Some(output) => output.changed().await.is_ok(),
        None => pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
