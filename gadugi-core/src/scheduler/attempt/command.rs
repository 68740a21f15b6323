//! One command of an attempt: found again, or started, and run to its end.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span};

use crate::crash_point::crash_point;
use crate::error_chain::{error_chain, is_no_room};
use crate::executor::{CommandRef, ExecEnd, ExecError, ExecIdentity, ExecRequest, Reattached, RunningTask};
use crate::mount::Mount;
use crate::plan::{Phase, Program};
use crate::run::{EventKind, Failure, Outcome, StopReason};
use crate::scheduler::attempt::clocks::wall_clock;
use crate::scheduler::attempt::wait::{asked_to_stop, at, stopped_after, undo_start};
use crate::scheduler::attempt::{Attempt, Verdict, lost};
use crate::scheduler::message::{CommandEnd, Message};
use crate::signal::StopSignal;
use crate::worktrees::{Lease, WorktreeError};

/// A command that was found or started.
enum Command {
    Running(Box<dyn RunningTask>),
    /// An earlier driver has recorded this end.
    Ended(ExecEnd),
}

impl Attempt {
    /// Runs one command to its end. `Err` when something else than its exit decides the outcome.
    pub(super) async fn run_command(
        &mut self,
        lease: &Lease,
        phase: Phase,
        program: &Program,
        stdin: Option<&String>,
    ) -> Result<CommandEnd, Verdict> {
        let span = info_span!("phase", name = phase.word());
        self.run_phase(lease, phase, program, stdin).instrument(span).await
    }

    async fn run_phase(
        &mut self,
        lease: &Lease,
        phase: Phase,
        program: &Program,
        stdin: Option<&String>,
    ) -> Result<CommandEnd, Verdict> {
        let command = match self.find(phase).await? {
            Some(command) => command,
            None => Command::Running(self.start(lease, phase, program, stdin).await?),
        };
        let (end, stopped) = match command {
            Command::Ended(end) => (end, self.was_stopped(phase)),
            Command::Running(running) => {
                let (end, stopped) = self.watch(phase, &*running).await;
                crash_point("command-ended");
                let end = end.map_err(|why| Verdict::Outcome(lost(&why)))?;
                let ended = EventKind::CommandEnded { attempt: self.attempt.clone(), phase, end };
                self.may_start &= self.record(ended).await;
                crash_point("end-recorded");
                (end, stopped)
            }
        };
        match stopped {
            Some(StopReason::TimedOut(clock)) => Err(Verdict::Outcome(Outcome::TimedOut(clock))),
            Some(StopReason::Cancelled) => Err(Verdict::Outcome(Outcome::Cancelled)),
            Some(reason @ (StopReason::Budget | StopReason::Lingered | StopReason::Unauthenticated)) => {
                Ok(CommandEnd::Stopped(reason))
            }
            // The user has stopped it while the run had no driver.
            None if end.stopped => Err(Verdict::Outcome(Outcome::Cancelled)),
            None => Ok(CommandEnd::Exited(end.status)),
        }
    }

    /// Finds a command that an earlier driver has started; `None` where it was never started.
    async fn find(&mut self, phase: Phase) -> Result<Option<Command>, Verdict> {
        let Some(recovered) = &mut self.recovered else { return Ok(None) };
        let known = recovered.commands.iter().rfind(|command| command.phase == phase).cloned();
        if let Some(end) = known.as_ref().and_then(|command| command.end) {
            return Ok(Some(Command::Ended(end)));
        }
        let (restarted, suspended) = (recovered.restarted, recovered.suspended);
        // The dispatcher has reattached to the last command already, before it recorded anything. A command after that may
        // have been started without a record, too.
        let found = match recovered.last.take_if(|(last, _)| *last == phase) {
            Some((_, found)) => found,
            None => self.reattach(phase, known.as_ref().map(|command| command.identity.clone())).await,
        };
        match found {
            Ok(Reattached::Found(running)) => {
                debug!(identity = running.identity().token, "command found again");
                // The earlier driver may have died between the start and its record.
                if known.is_none() {
                    self.report_start(phase, &*running, None).await;
                }
                // It may have died while the run was suspended, too.
                self.resume_command(&*running).await;
                self.start_clock(phase, running.elapsed().unwrap_or_default().saturating_sub(suspended));
                Ok(Some(Command::Running(running)))
            }
            // After a restart nothing is left of a command that had run, so that it looks as if it had not.
            Ok(Reattached::NeverStarted) if restarted => {
                Err(Verdict::Outcome(lost("the machine was restarted, and nobody knows whether it had begun")))
            }
            Ok(Reattached::NeverStarted) => Ok(None),
            Ok(Reattached::Gone { why }) => Err(Verdict::Outcome(lost(&why))),
            Err(error @ (ExecError::NotFound { .. } | ExecError::Start { .. })) => {
                Err(Verdict::Outcome(Outcome::Failed(Failure::Start { message: error_chain(&error) })))
            }
            Err(error) => Err(Verdict::Outcome(lost(&error_chain(&error)))),
        }
    }

    /// Starts a command, and its clock.
    async fn start(
        &mut self,
        lease: &Lease,
        phase: Phase,
        program: &Program,
        stdin: Option<&String>,
    ) -> Result<Box<dyn RunningTask>, Verdict> {
        self.wait_to_start(phase).await?;
        let mounts = match self.mounts(lease).await {
            Ok(mounts) => mounts,
            Err(error @ WorktreeError::NoRoom { .. }) => return Err(self.no_room(error)),
            Err(error) => {
                let message = error_chain(&error);
                return Err(Verdict::Outcome(Outcome::Failed(Failure::Worktree { message })));
            }
        };
        // So that a suspension waits for it. A dispatcher that is gone does not.
        drop(self.dispatcher.send(Message::Starting(self.attempt.clone())));
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
            mounts,
            // Setup and check must not depend on files that the agent has left there, nor see them.
            home: self.home.clone().filter(|_| phase == Phase::Main),
            stop_signal: self.stop_signal(phase),
        };
        let asked = Instant::now();
        let running = self.await_start(&request, asked).await?;
        debug!(identity = running.identity().token, took = ?asked.elapsed(), "command started");
        crash_point("command-started");
        self.report_start(phase, &*running, Some(asked.elapsed())).await;
        crash_point("start-recorded");
        self.start_clock(phase, Duration::ZERO);
        Ok(running)
    }

    /// Waits until a command may start. `Err` where it may not: after a stop, a failed record or a budget that is used up.
    async fn wait_to_start(&self, phase: Phase) -> Result<(), Verdict> {
        if !self.may_start {
            return Err(Verdict::Abandoned);
        }
        // The check costs nothing, and decides about work that is there.
        if let Some(failure) = self.used_up().filter(|_| phase != Phase::Check) {
            return Err(Verdict::Outcome(Outcome::Failed(failure)));
        }
        let (mut stop, mut suspended) = (self.stop.clone(), self.suspended.clone());
        tokio::select! {
            biased;
            () = asked_to_stop(&mut stop) => Err(Verdict::Outcome(Outcome::Cancelled)),
            // A suspended run starts nothing. A dispatcher that is gone suspends nothing any more.
            _ = suspended.wait_for(|suspended| !suspended) => Ok(()),
        }
    }

    /// Asks the executor for a start, and waits for it. A start that hangs, for example in a file system, is undone after a stop
    /// and its grace, or at the time limit, and leaves nothing running.
    async fn await_start(&self, request: &ExecRequest, asked: Instant) -> Result<Box<dyn RunningTask>, Verdict> {
        let timeout = self.timeout(request.phase).and_then(|timeout| asked.checked_add(timeout));
        let mut start = self.executor.start(request);
        let started = tokio::select! {
            biased;
            started = &mut start => started,
            () = stopped_after(self.stop.clone(), self.spec.limits.grace) => {
                undo_start(start).await;
                return Err(Verdict::Outcome(Outcome::Cancelled));
            }
            () = at(self.clocks.deadline.or(timeout)) => {
                undo_start(start).await;
                return Err(Verdict::Outcome(Outcome::TimedOut(wall_clock(request.phase))));
            }
        };
        started.map_err(|error| {
            if is_no_room(&error) {
                self.no_room(error)
            } else {
                Verdict::Outcome(Outcome::Failed(Failure::Start { message: error_chain(&error) }))
            }
        })
    }

    /// The mounts of a command, where its executor shows it nothing else of this machine.
    async fn mounts(&self, lease: &Lease) -> Result<Vec<Mount>, WorktreeError> {
        if !self.executor.capabilities().mounts {
            return Ok(Vec::new());
        }
        let mut mounts = self.worktrees.isolate(lease).await?;
        mounts.extend(self.spec.action.agent.iter().flat_map(|call| call.shown.iter().cloned()));
        crash_point("worktree-isolated");
        Ok(mounts)
    }

    async fn reattach(&self, phase: Phase, identity: Option<ExecIdentity>) -> Result<Reattached, ExecError> {
        let (run, attempt, files) = (self.run.clone(), self.attempt.clone(), self.files.clone());
        self.executor.reattach(&CommandRef { run, attempt, phase, files, identity }).await
    }

    /// Reports a start, without waiting for the disk: the journal keeps the order, and the command runs in any case.
    async fn report_start(&mut self, phase: Phase, running: &dyn RunningTask, took: Option<Duration>) {
        let (attempt, identity) = (self.attempt.clone(), running.identity().clone());
        self.note(EventKind::CommandStarted { attempt, phase, identity, took }).await;
    }

    /// The first signal of a stop: that of the agent's profile, and the usual one for other commands.
    fn stop_signal(&self, phase: Phase) -> StopSignal {
        let call = self.spec.action.agent.as_ref().filter(|_| phase == Phase::Main);
        call.map(|call| call.stop_signal).unwrap_or_default()
    }
}
