//! The watch over a command that runs.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::agent::AgentErrorClass;
use crate::crash_point::crash_point;
use crate::error_chain::error_chain;
use crate::executor::{ExecEnd, RunningTask};
use crate::plan::Phase;
use crate::run::{EventKind, StopReason, WarningKind};
use crate::scheduler::attempt::Attempt;
use crate::scheduler::attempt::clocks::wall_clock;
use crate::scheduler::attempt::wait::{at, printed, reached};
use crate::scheduler::message::{Heard, Message, StopLevel};
use crate::time::Clock;

/// How long a stop is held up by a record that does not come to disk.
const LONGEST_WAIT_FOR_RECORD: Duration = Duration::from_secs(1);

/// An agent that prints is listened to so often, and one of which nobody sees that it prints, too.
const BETWEEN_LISTENING: Duration = Duration::from_millis(200);

/// How long a log that cannot be read holds up a stop.
const LONGEST_LISTENING: Duration = Duration::from_secs(1);

/// An agent that is not let in so often in a row is stopped. It may renew its login after the first time.
const MAX_LOGIN_REFUSALS: u32 = 3;

impl Attempt {
    /// Waits for the end of a command, and stops it when a clock runs out or somebody asks for it.
    pub(crate) async fn watch(
        &mut self,
        phase: Phase,
        running: &dyn RunningTask,
    ) -> (Result<ExecEnd, String>, Option<StopReason>) {
        let limits = self.spec.limits;
        let linger = self.spec.action.agent.as_ref().filter(|_| phase == Phase::Main).map(|call| call.linger);
        let mut output = running.output().filter(|_| limits.idle_timeout.is_some() || linger.is_some());
        if let Some(talk) = self.talk.as_mut().filter(|_| linger.is_some()) {
            // Also one that ends at once is heard out.
            talk.listen_to(&self.files);
        }
        let mut listen = linger.map(|_| Instant::now());
        let mut lingers_until = None;
        let mut run_budget = self.talk.as_ref().filter(|_| linger.is_some()).map(|talk| talk.run_budget.clone());
        let idle_deadline = || limits.idle_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut idle = output.as_ref().and_then(|_| idle_deadline());
        let mut stop = self.stop.clone();
        stop.mark_changed();
        let mut stop_open = true;
        let mut suspended = self.suspended.clone();
        suspended.mark_changed();
        let mut suspended_since = None;
        let mut stopped = None;
        // An earlier driver may have ended between writing that down and doing it.
        if let Some(reason) = self.was_stopped(phase) {
            stopped = Some(reason);
            self.ask_to_stop(running, limits.grace).await;
        }
        let mut wait = running.wait();
        loop {
            let runs = stopped.is_none() && suspended_since.is_none();
            // What is done does not run out of time any more.
            let out_of_time = |clock| match lingers_until {
                Some(_) => StopReason::Lingered,
                None => StopReason::TimedOut(clock),
            };
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
                Ok(()) = suspended.changed() => {
                    let asked = *suspended.borrow_and_update();
                    match (asked, suspended_since.take()) {
                        (true, since) => {
                            self.suspend(running).await;
                            suspended_since = since.or_else(|| Some(Instant::now()));
                        }
                        (false, Some(since)) => {
                            if let Err(error) = running.resume().await {
                                self.warn(WarningKind::Stop, error_chain(&error)).await;
                            }
                            let pause = since.elapsed();
                            self.deadline = self.deadline.map(|deadline| deadline + pause);
                            idle = idle.map(|deadline| deadline + pause);
                            lingers_until = lingers_until.map(|deadline| deadline + pause);
                        }
                        (false, None) => {}
                    }
                    continue;
                }
                () = at(listen) => {
                    let (stop, is_done) = self.listen().await;
                    listen = output.is_none().then(|| Instant::now() + BETWEEN_LISTENING);
                    if is_done && lingers_until.is_none() {
                        lingers_until = linger.and_then(|linger| Instant::now().checked_add(linger));
                    }
                    match stop {
                        Some(reason) if stopped.is_none() => (reason, limits.grace),
                        _ => continue,
                    }
                }
                () = reached(&mut run_budget), if runs && lingers_until.is_none() => (StopReason::Budget, limits.grace),
                () = at(lingers_until), if runs => (StopReason::Lingered, limits.grace),
                () = at(self.deadline), if runs => (out_of_time(wall_clock(phase)), limits.grace),
                open = printed(&mut output) => {
                    output = output.filter(|_| open);
                    idle = idle_deadline();
                    if linger.is_some() && listen.is_none() {
                        listen = Some(Instant::now() + BETWEEN_LISTENING);
                    }
                    continue;
                }
                () = at(idle), if runs => (out_of_time(Clock::Idle), limits.grace),
            };
            if stopped.is_none() {
                stopped = Some(reason);
                let sent = EventKind::StopSent { attempt: self.attempt.clone(), reason };
                // Before it is done, so that another driver knows why. A disk that hangs must not keep it from
                // being done.
                drop(timeout(LONGEST_WAIT_FOR_RECORD, self.record(sent)).await);
                crash_point("stop-recorded");
            }
            self.ask_to_stop(running, grace).await;
            crash_point("stop-sent");
        }
    }

    async fn ask_to_stop(&mut self, running: &dyn RunningTask, grace: Duration) {
        if let Err(error) = running.stop(grace).await {
            self.warn(WarningKind::Stop, error_chain(&error)).await;
        }
    }

    /// Wakes a command whose earlier driver ended while the run was suspended.
    pub(crate) async fn let_go_on(&mut self, running: &dyn RunningTask) {
        let suspended = *self.suspended.borrow();
        if !suspended && let Err(error) = running.resume().await {
            self.warn(WarningKind::Stop, error_chain(&error)).await;
        }
    }

    async fn suspend(&mut self, running: &dyn RunningTask) {
        if let Err(error) = running.suspend().await {
            self.warn(WarningKind::Stop, error_chain(&error)).await;
        }
        // A dispatcher that is gone does not wait for it.
        drop(self.dispatcher.send(Message::Suspended(self.attempt.clone())));
    }

    /// Hears what an agent has printed since, and tells the dispatcher. Says why it is to be stopped, if it is, and whether it
    /// has said that it is done.
    async fn listen(&mut self) -> (Option<StopReason>, bool) {
        let (Some(talk), Some(call)) = (&mut self.talk, &self.spec.action.agent) else { return (None, false) };
        // What was not heard in time is heard the next time.
        drop(timeout(LONGEST_LISTENING, talk.listen_to(&self.files).listen()).await);
        let Some(listener) = talk.listener.as_ref() else { return (None, false) };
        let report = listener.report();
        let (used, limit, answers) = (talk.own_part(report).used(), report.limit.clone(), listener.answers());
        let is_done = report.end.is_some();
        // One refusal counts once, however often the agent prints something else meanwhile.
        let refused = limit.clone().filter(|limit| talk.refused.as_ref() != Some(limit));
        let answered = limit.is_none() && (answers > talk.answers || talk.refused.is_some());
        let is_shut_out = limit.as_ref().is_some_and(|limit| {
            limit.class == AgentErrorClass::Authentication && limit.refusals >= MAX_LOGIN_REFUSALS
        });
        (talk.answers, talk.refused) = (answers, limit);
        // A dispatcher that is gone does not wait for it.
        drop(self.dispatcher.send(Message::Agent(self.attempt.clone(), Heard { used, answered, refused })));
        if is_shut_out && !is_done {
            return (Some(StopReason::Unauthenticated), is_done);
        }
        // What is done is not stopped for what it took.
        let stop = call.budget.reached(talk.used.plus(used)).is_some() && !is_done;
        (stop.then_some(StopReason::Budget), is_done)
    }
}
