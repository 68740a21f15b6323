//! The start of a command, or the search for one that an earlier driver has started.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::error_chain::{error_chain, is_no_room};
use crate::executor::{CommandRef, ExecEnd, ExecError, ExecIdentity, ExecRequest, Reattached, RunningTask};
use crate::mount::Mount;
use crate::plan::{Phase, Program};
use crate::run::{EventKind, Failure, Outcome, StopReason};
use crate::scheduler::attempt::clocks::wall_clock;
use crate::scheduler::attempt::wait::{asked_to_stop, at, give_up, stopped_after};
use crate::scheduler::attempt::{Attempt, Verdict, lost};
use crate::scheduler::message::{CommandEnd, Message};
use crate::signal::StopSignal;
use crate::worktrees::{Lease, WorktreeError};

/// A command that is looked after, or was.
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
        let (end, stopped) = match self.find_or_start(lease, phase, program, stdin).await? {
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
            // Somebody has stopped it while nobody drove the run.
            None if end.stopped => Err(Verdict::Outcome(Outcome::Cancelled)),
            None => Ok(CommandEnd::Exited(end.status)),
        }
    }

    /// Finds a command again that an earlier driver has started, or starts it.
    async fn find_or_start(
        &mut self,
        lease: &Lease,
        phase: Phase,
        program: &Program,
        stdin: Option<&String>,
    ) -> Result<Command, Verdict> {
        if let Some(begun) = &mut self.begun {
            let known = begun.commands.iter().rfind(|command| command.phase == phase).cloned();
            if let Some(end) = known.as_ref().and_then(|command| command.end) {
                return Ok(Command::Ended(end));
            }
            let restarted = begun.restarted;
            let found = match begun.last.take_if(|(last, _)| *last == phase) {
                Some((_, found)) => found,
                None => self.reattach(phase, known.as_ref().map(|command| command.identity.clone())).await,
            };
            match found {
                Ok(Reattached::Found(running)) => {
                    if known.is_none() {
                        self.tell_of_start(phase, &*running, None).await;
                    }
                    self.let_go_on(&*running).await;
                    let suspended = self.begun.as_ref().map(|begun| begun.suspended).unwrap_or_default();
                    self.begin_clock(phase, running.elapsed().unwrap_or_default().saturating_sub(suspended));
                    return Ok(Command::Running(running));
                }
                Ok(Reattached::NeverStarted) if restarted => {
                    let why = "the machine was restarted, and nobody knows whether it had begun";
                    return Err(Verdict::Outcome(lost(why)));
                }
                Ok(Reattached::NeverStarted) => {}
                Ok(Reattached::Gone { why }) => return Err(Verdict::Outcome(lost(&why))),
                Err(error @ (ExecError::NotFound { .. } | ExecError::Start { .. })) => {
                    let message = error_chain(&error);
                    return Err(Verdict::Outcome(Outcome::Failed(Failure::Start { message })));
                }
                Err(error) => return Err(Verdict::Outcome(lost(&error_chain(&error)))),
            }
        }
        if !self.may_start {
            return Err(Verdict::Abandoned);
        }
        if let Some(failure) = self.used_up().filter(|_| phase != Phase::Check) {
            return Err(Verdict::Outcome(Outcome::Failed(failure)));
        }
        let (mut stop, mut suspended) = (self.stop.clone(), self.suspended.clone());
        tokio::select! {
            biased;
            () = asked_to_stop(&mut stop) => return Err(Verdict::Outcome(Outcome::Cancelled)),
            // A suspended run starts nothing. A dispatcher that is gone suspends nothing any more.
            _ = suspended.wait_for(|suspended| !suspended) => {}
        }
        let mounts = match self.mounts(lease).await {
            Ok(mounts) => mounts,
            Err(error @ WorktreeError::NoRoom { .. }) => return Err(self.no_room(error)),
            Err(error) => {
                let message = error_chain(&error);
                return Err(Verdict::Outcome(Outcome::Failed(Failure::Worktree { message })));
            }
        };
        // A dispatcher that is gone does not wait for it.
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
            // What prepares the worktree, and what decides, must not depend on what the agent has left there, nor see it.
            home: self.home.clone().filter(|_| phase == Phase::Main),
            stop_signal: self.stop_signal(phase),
        };
        let asked = Instant::now();
        let timeout = self.timeout(phase).and_then(|timeout| asked.checked_add(timeout));
        let executor = Arc::clone(&self.executor);
        let mut start = executor.start(&request);
        let started = tokio::select! {
            biased;
            started = &mut start => started,
            // A start that hangs, for example in a file system, is given up, and leaves nothing running.
            () = stopped_after(self.stop.clone(), self.spec.limits.grace) => {
                give_up(start).await;
                return Err(Verdict::Outcome(Outcome::Cancelled));
            }
            () = at(self.deadline.or(timeout)) => {
                give_up(start).await;
                return Err(Verdict::Outcome(Outcome::TimedOut(wall_clock(phase))));
            }
        };
        let running = match started {
            Ok(running) => running,
            Err(error) if is_no_room(&error) => return Err(self.no_room(error)),
            Err(error) => {
                let message = error_chain(&error);
                return Err(Verdict::Outcome(Outcome::Failed(Failure::Start { message })));
            }
        };
        crash_point("command-started");
        self.tell_of_start(phase, &*running, Some(asked.elapsed())).await;
        crash_point("start-recorded");
        self.begin_clock(phase, Duration::ZERO);
        Ok(Command::Running(running))
    }

    /// What a command has to see of this machine, where its executor shows it nothing else.
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

    /// Not awaited: the journal keeps the order, and the command runs in any case.
    async fn tell_of_start(&mut self, phase: Phase, running: &dyn RunningTask, took: Option<Duration>) {
        let (attempt, identity) = (self.attempt.clone(), running.identity().clone());
        self.note(EventKind::CommandStarted { attempt, phase, identity, took }).await;
    }

    /// Agents are asked to stop as their profiles say, and everything else as usual.
    fn stop_signal(&self, phase: Phase) -> StopSignal {
        let call = self.spec.action.agent.as_ref().filter(|_| phase == Phase::Main);
        call.map(|call| call.stop_signal).unwrap_or_default()
    }
}
