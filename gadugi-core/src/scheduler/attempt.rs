//! One attempt, from its worktree to its outcome. It runs as a task of its own and tells the dispatcher
//! every step; it decides nothing about other tasks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::agent::AgentReport;
use crate::crash_point::crash_point;
use crate::error_chain::{error_chain, is_no_room};
use crate::executor::{
    CommandRef, ExecEnd, ExecError, ExecIdentity, ExecRequest, Executor, ExitStatus, Reattached, RunningTask,
};
use crate::id::{AttemptRef, CommitId, RunId};
use crate::mount::Mount;
use crate::plan::{Phase, Program, RetryFrom, TaskSpec};
use crate::registry::{RegistryError, Ticket};
use crate::run::{
    AttemptRecord, CommandRecord, EventKind, Failure, KeepPolicy, Outcome, StopReason, WarningKind, base_of_work,
};
use crate::scheduler::collected::judged_by_work;
use crate::scheduler::limits::Heard;
use crate::scheduler::listening::{LONGEST_WAIT_FOR_LOG, last_error_of};
use crate::scheduler::places::{NoWorktree, WorktreeResult};
use crate::scheduler::talking::{Talk, may_be_gone_on_in, refused};
use crate::scheduler::waiting::{asked_to_stop, at, give_up, stopped_after};
use crate::signal::StopSignal;
use crate::time::Clock;
use crate::worktrees::{
    BranchFate, Lease, Made, ReleaseRequest, SnapshotRequest, Work, WorktreeError, WorktreeFate, Worktrees,
};

/// What an attempt tells the dispatcher.
pub(super) enum Message {
    /// A step, with the way back for the ticket of its record.
    Event(Box<EventKind>, oneshot::Sender<Ticket>),
    /// A record could not be written.
    RegistryFailed(RegistryError),
    /// The disk is full or cannot be written to, which is no fault of the attempt.
    NoRoom(Box<dyn std::error::Error + Send + Sync>),
    /// An executor is about to start a command for an attempt.
    Starting(AttemptRef),
    /// The command of an attempt is suspended, or cannot be.
    Suspended(AttemptRef),
    /// What the agent of an attempt has told so far.
    Agent(AttemptRef, Heard),
}

/// How much an attempt is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopLevel {
    Not,
    WithGrace,
    Now,
}

/// What an earlier driver of the run had done for an attempt.
#[derive(Default)]
pub(super) struct Begun {
    /// The worktree, if there is one, and whether that is recorded.
    pub(super) lease: Option<(Lease, bool)>,
    /// The commands that it has recorded.
    pub(super) commands: Vec<CommandRecord>,
    /// What its agent had told, if that is recorded.
    pub(super) agent: Option<AgentReport>,
    /// What it had collected.
    pub(super) work: Option<Work>,
    /// What became of the command that it had started last, or may have started.
    pub(super) last: Option<(Phase, Result<Reattached, ExecError>)>,
    /// For how long the command that may run was suspended.
    pub(super) suspended: Duration,
    /// Whether the machine was restarted since its worktree was made and before its work was collected.
    pub(super) restarted: bool,
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
    pub(super) stop: watch::Receiver<StopLevel>,
    pub(super) suspended: watch::Receiver<bool>,
    pub(super) dispatcher: mpsc::UnboundedSender<Message>,
}

/// How the attempt's commands ended.
pub(super) enum Verdict {
    Outcome(Outcome),
    /// The dispatcher is gone, or the registry has failed or the disk was full before all was begun.
    Abandoned,
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommandEnd {
    Exited(ExitStatus),
    /// It was stopped for something that its agent has said.
    Stopped(StopReason),
}

impl CommandEnd {
    /// How it exited; one that was stopped did not by itself.
    fn status(self) -> ExitStatus {
        match self {
            Self::Exited(status) => status,
            Self::Stopped(_) => ExitStatus::Unknown,
        }
    }
}

/// A command that is looked after, or was.
enum Command {
    Running(Box<dyn RunningTask>),
    /// An earlier driver has recorded this end.
    Ended(ExecEnd),
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

    /// Runs one command to its end. `Err` when something else than its exit decides the outcome.
    async fn run_command(
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

    /// How long a command may take, together with those before it that share its clock.
    fn timeout(&self, phase: Phase) -> Option<Duration> {
        match (phase, &self.spec.setup) {
            (Phase::Setup, Some(setup)) => setup.timeout,
            _ => self.spec.limits.timeout,
        }
    }

    /// Begins the clock of the attempt's commands, unless an earlier one has.
    fn begin_clock(&mut self, phase: Phase, elapsed: Duration) {
        if self.deadline.is_none() {
            let shares_clock = |command: &&CommandRecord| wall_clock(command.phase) == wall_clock(phase);
            let before = self.begun.iter().flat_map(|begun| &begun.commands).filter(shares_clock);
            let ended = before.filter_map(|command| command.end);
            let spent = elapsed + ended.map(|end| end.took).sum::<Duration>();
            let left = self.timeout(phase).map(|timeout| timeout.saturating_sub(spent));
            self.deadline = left.and_then(|left| Instant::now().checked_add(left));
        }
    }

    /// Where the task's work began, if that was in an earlier attempt and this one goes on from there.
    fn began_before(&self, lease: &Lease) -> Option<CommitId> {
        let base = lease.base.as_ref()?;
        let began = base_of_work(self.earlier.iter().map(Arc::as_ref), base);
        (began != base).then(|| began.clone())
    }

    /// Keeps what the attempt made. A success whose work cannot be kept is none.
    async fn collect(&mut self, lease: &Lease, outcome: Outcome) -> Verdict {
        let since = self.began_before(lease);
        let has_earlier = since.is_some();
        if let Some(work) = self.begun.as_ref().and_then(|begun| begun.work.as_ref()) {
            let outcome = judged_by_work(outcome, work, has_earlier, self.spec.changes);
            return Verdict::Outcome(outcome);
        }
        let is_start_of_next = self.spec.retry_from == RetryFrom::Previous && outcome.retriable();
        let commit = outcome.success() || self.keep == KeepPolicy::Never || is_start_of_next;
        let imported = self.worktrees.import(lease).await;
        crash_point("work-imported");
        let collected = match imported {
            Ok(()) => self.worktrees.snapshot(lease, SnapshotRequest { commit, since }).await,
            Err(error) => Err(error),
        };
        match collected {
            Ok(work) => {
                crash_point("snapshot-made");
                let outcome = judged_by_work(outcome, &work, has_earlier, self.spec.changes);
                self.note(EventKind::WorkCollected { attempt: self.attempt.clone(), work }).await;
                Verdict::Outcome(outcome)
            }
            // A run that is to be stopped has to end without room, too.
            Err(error @ WorktreeError::NoRoom { .. }) if *self.stop.borrow() == StopLevel::Not => self.no_room(error),
            Err(error) if outcome.success() => {
                Verdict::Outcome(Outcome::Failed(Failure::Snapshot { message: error_chain(&error) }))
            }
            Err(error) => {
                self.warn(WarningKind::Snapshot, error_chain(&error)).await;
                Verdict::Outcome(outcome)
            }
        }
    }

    /// Gives back the worktree of an attempt that has ended.
    pub(super) async fn release(&mut self, lease: &Lease) {
        let request = ReleaseRequest { branch: BranchFate::Keep, discard: false, dry_run: false };
        let attempt = self.attempt.clone();
        let released = self.worktrees.release(lease, request).await;
        crash_point("worktree-released");
        match released.map(|release| release.worktree) {
            Ok(WorktreeFate::Kept(reasons)) => self.note(EventKind::WorktreeKept { attempt, reasons }).await,
            Ok(WorktreeFate::Removed | WorktreeFate::Absent) => {
                self.note(EventKind::WorktreeReleased { attempt }).await;
            }
            Err(error) => self.warn(WarningKind::Release, error_chain(&error)).await,
        }
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

/// Whether the worktree of an attempt that ended so is given back.
pub(super) fn is_released(keep: KeepPolicy, outcome: &Outcome) -> bool {
    match keep {
        KeepPolicy::Failed => outcome.success(),
        KeepPolicy::Always => false,
        // Of one that is lost something may still run there.
        KeepPolicy::Never => !matches!(outcome, Outcome::Lost { .. }),
    }
}

/// The clock that bounds a command, however much it prints.
pub(super) fn wall_clock(phase: Phase) -> Clock {
    match phase {
        Phase::Setup => Clock::Setup,
        Phase::Main | Phase::Check => Clock::Wall,
    }
}

fn lost(why: &str) -> Outcome {
    Outcome::Lost { why: why.to_owned() }
}
