//! The watch over a command that runs.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::agent::AgentErrorClass;
use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::executor::{ExecEnd, ExecError, RunningTask};
use crate::plan::Phase;
use crate::run::{EventKind, StopReason, WarningKind};
use crate::scheduler::attempt::Attempt;
use crate::scheduler::attempt::clocks::wall_clock;
use crate::scheduler::attempt::wait::{at, printed, reached};
use crate::scheduler::message::{AgentProgress, Message, StopLevel};
use crate::time::Clock;

/// Time for which a record that does not get to disk delays a stop.
const RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// Interval between polls of an agent's log.
const AGENT_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Time for which a log that cannot be read delays a stop.
const AGENT_POLL_TIMEOUT: Duration = Duration::from_secs(1);

/// Refusals of its login in a row after which an agent is stopped. It may renew its login after the first one.
const MAX_LOGIN_REFUSALS: u32 = 3;

/// The sources of events during a command.
struct Watch {
    phase: Phase,
    stop: Receiver<StopLevel>,
    /// Whether the dispatcher is there to change the level.
    stop_open: bool,
    suspended: Receiver<bool>,
    /// Number of bytes printed, where that matters.
    output: Option<Receiver<u64>>,
    /// Time for which an agent may run on after its end; `None` for a command without an agent.
    linger: Option<Duration>,
    /// Next poll of the agent's log.
    next_poll: Option<Instant>,
    /// The budget of the run, once it is reached.
    run_budget: Option<Receiver<Option<String>>>,
    /// Reason for which the command was asked to stop.
    stopped: Option<StopReason>,
}

/// An event during a command.
enum Wake {
    Ended(Result<ExecEnd, ExecError>),
    StopRequested(StopLevel),
    Suspended(bool),
    PollDue,
    LimitReached(StopReason),
    /// Output, with whether more can come.
    Printed(bool),
}

impl Attempt {
    /// Waits for the end of a command, and stops it when a clock runs out, a budget is reached or a stop is requested.
    pub(super) async fn watch(
        &mut self,
        phase: Phase,
        running: &dyn RunningTask,
    ) -> (Result<ExecEnd, String>, Option<StopReason>) {
        let limits = self.spec.limits;
        let mut watch = self.start_watch(phase, running);
        // An earlier driver may have died between recording a stop and requesting it.
        if watch.stopped.is_some() {
            self.ask_to_stop(running, limits.grace).await;
        }
        let mut wait = running.wait();
        loop {
            let stop = match self.next_wake(&mut watch, &mut wait).await {
                Wake::Ended(end) => return (end.map_err(|error| error_chain(&error)), watch.stopped),
                Wake::StopRequested(StopLevel::Not) => None,
                Wake::StopRequested(StopLevel::WithGrace) => Some((StopReason::Cancelled, limits.grace)),
                Wake::StopRequested(StopLevel::Now) => Some((StopReason::Cancelled, Duration::ZERO)),
                Wake::Suspended(true) => {
                    self.suspend_command(running).await;
                    self.clocks.suspend();
                    None
                }
                Wake::Suspended(false) => {
                    if self.clocks.is_suspended() {
                        self.resume_command_or_warn(running).await;
                        self.clocks.resume();
                    }
                    None
                }
                Wake::PollDue => {
                    let reason = self.poll(&mut watch).await;
                    reason.filter(|_| watch.stopped.is_none()).map(|reason| (reason, limits.grace))
                }
                Wake::LimitReached(reason) => Some((reason, limits.grace)),
                Wake::Printed(is_open) => {
                    watch.output = watch.output.filter(|_| is_open);
                    self.clocks.restart_idle(limits.idle_timeout);
                    // An agent is polled after it has printed, and not before the interval is over.
                    if watch.linger.is_some() {
                        watch.next_poll.get_or_insert_with(|| Instant::now() + AGENT_POLL_INTERVAL);
                    }
                    None
                }
            };
            let Some((reason, grace)) = stop else { continue };
            if watch.stopped.is_none() {
                debug!(?reason, ?grace, "command is asked to stop");
                watch.stopped = Some(reason);
                let sent = EventKind::StopSent { attempt: self.attempt.clone(), reason };
                // Before the stop itself, so that another driver knows its reason; but a disk that hangs must not prevent it.
                drop(timeout(RECORD_TIMEOUT, self.record(sent)).await);
                crash_point("stop-recorded");
            }
            self.ask_to_stop(running, grace).await;
            crash_point("stop-sent");
        }
    }

    /// Starts to watch a command: its output, its clocks and the log of its agent.
    fn start_watch(&mut self, phase: Phase, running: &dyn RunningTask) -> Watch {
        let linger = self.spec.action.agent.as_ref().filter(|_| phase == Phase::Main).map(|call| call.linger);
        let idle_timeout = self.spec.limits.idle_timeout;
        let output = running.output().filter(|_| idle_timeout.is_some() || linger.is_some());
        let mut run_budget = None;
        if let Some(conversation) = self.conversation.as_mut().filter(|_| linger.is_some()) {
            // From the start, so that the log of an agent that ends at once is read, too.
            conversation.open_log(&self.files);
            run_budget = Some(conversation.run_budget.clone());
        }
        self.clocks.start_command();
        if output.is_some() {
            self.clocks.restart_idle(idle_timeout);
        }
        // Levels and suspensions from before the start count, too.
        let (mut stop, mut suspended) = (self.stop.clone(), self.suspended.clone());
        stop.mark_changed();
        suspended.mark_changed();
        Watch {
            phase,
            stop,
            stop_open: true,
            suspended,
            output,
            linger,
            next_poll: linger.map(|_| Instant::now()),
            run_budget,
            stopped: self.was_stopped(phase),
        }
    }

    /// Waits for the next event. The end of the command comes first, and then requests; clocks count only while the command
    /// runs and is not asked to stop.
    async fn next_wake(
        &self,
        watch: &mut Watch,
        wait: &mut (impl Future<Output = Result<ExecEnd, ExecError>> + Unpin),
    ) -> Wake {
        let clocks = self.clocks;
        let runs = watch.stopped.is_none() && !clocks.is_suspended();
        tokio::select! {
            biased;
            end = wait => Wake::Ended(end),
            changed = watch.stop.changed(), if watch.stop_open => {
                watch.stop_open = changed.is_ok();
                Wake::StopRequested(*watch.stop.borrow_and_update())
            }
            Ok(()) = watch.suspended.changed() => Wake::Suspended(*watch.suspended.borrow_and_update()),
            () = at(watch.next_poll) => Wake::PollDue,
            // An agent that has reported its end is not stopped for its cost.
            () = reached(&mut watch.run_budget), if runs && clocks.linger.is_none() => Wake::LimitReached(StopReason::Budget),
            () = at(clocks.linger), if runs => Wake::LimitReached(StopReason::Lingered),
            () = at(clocks.deadline), if runs => Wake::LimitReached(clocks.run_out(wall_clock(watch.phase))),
            is_open = printed(&mut watch.output) => Wake::Printed(is_open),
            () = at(clocks.idle), if runs => Wake::LimitReached(clocks.run_out(Clock::Idle)),
        }
    }

    async fn ask_to_stop(&mut self, running: &dyn RunningTask, grace: Duration) {
        if let Err(error) = running.stop(grace).await {
            self.warn(WarningKind::Stop, error_chain(&error)).await;
        }
    }

    /// Resumes a command whose earlier driver died while the run was suspended.
    pub(super) async fn resume_command(&mut self, running: &dyn RunningTask) {
        let suspended = *self.suspended.borrow();
        if !suspended {
            self.resume_command_or_warn(running).await;
        }
    }

    async fn resume_command_or_warn(&mut self, running: &dyn RunningTask) {
        if let Err(error) = running.resume().await {
            self.warn(WarningKind::Stop, error_chain(&error)).await;
        }
    }

    async fn suspend_command(&mut self, running: &dyn RunningTask) {
        if let Err(error) = running.suspend().await {
            self.warn(WarningKind::Stop, error_chain(&error)).await;
        }
        // A dispatcher that is gone does not wait for it.
        drop(self.dispatcher.send(Message::Suspended(self.attempt.clone())));
    }

    /// Polls the log of the agent; returns a reason to stop it, if there is one.
    async fn poll(&mut self, watch: &mut Watch) -> Option<StopReason> {
        let (reason, has_ended) = self.poll_agent().await;
        // Without a view of its output it is polled all the time, and else after it has printed.
        watch.next_poll = watch.output.is_none().then(|| Instant::now() + AGENT_POLL_INTERVAL);
        if has_ended {
            self.clocks.start_linger(watch.linger);
        }
        reason
    }

    /// Reads the new output of the agent, and reports its progress to the dispatcher. Returns a reason to stop it, if there is
    /// one, and whether it has reported its end.
    async fn poll_agent(&mut self) -> (Option<StopReason>, bool) {
        let (Some(conversation), Some(call)) = (&mut self.conversation, &self.spec.action.agent) else {
            return (None, false);
        };
        // Output that is not read in time is read by the next poll.
        drop(timeout(AGENT_POLL_TIMEOUT, conversation.open_log(&self.files).poll()).await);
        let Some(log) = conversation.log.as_ref() else { return (None, false) };
        let report = log.report();
        let (used, limit, answers) = (conversation.own_part(report).used(), report.limit.clone(), log.answers());
        let has_ended = report.end.is_some();
        // One refusal counts once, however often the agent prints something else meanwhile.
        let refused = limit.clone().filter(|limit| conversation.refused.as_ref() != Some(limit));
        let answered = limit.is_none() && (answers > conversation.answers || conversation.refused.is_some());
        let is_shut_out = limit.as_ref().is_some_and(|limit| {
            limit.class == AgentErrorClass::Authentication && limit.refusals >= MAX_LOGIN_REFUSALS
        });
        (conversation.answers, conversation.refused) = (answers, limit);
        let progress = AgentProgress { used, answered, refused };
        // A dispatcher that is gone does not wait for it.
        drop(self.dispatcher.send(Message::Agent(self.attempt.clone(), progress)));
        if is_shut_out && !has_ended {
            return (Some(StopReason::Unauthenticated), has_ended);
        }
        // An agent that has reported its end is not stopped for its cost.
        let is_over = call.budget.reached(conversation.used.plus(used)).is_some() && !has_ended;
        (is_over.then_some(StopReason::Budget), has_ended)
    }
}
