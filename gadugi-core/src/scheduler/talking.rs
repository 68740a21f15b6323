//! What is particular to an attempt with an agent: what it is told, and what its own words decide.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Earlier, NeedDone, OutputFormat, OwnPart, Piece,
    PromptParts, RateLimit, Used, compose_argument, compose_prompt, why_stopped,
};
use crate::executor::ExitStatus;
use crate::id::AttemptRef;
use crate::plan::{Phase, Program, TaskSpec};
use crate::run::{AttemptRecord, EventKind, Failure, Outcome, Place, StopReason};
use crate::scheduler::attempt::{Attempt, Begun, CommandEnd};
use crate::scheduler::dispatcher::Dispatcher;
use crate::scheduler::limits::is_nothing;
use crate::scheduler::listening::{LONGEST_WAIT_FOR_LOG, Listener, end_of};
use crate::time::Clock;
use crate::worktrees::Lease;

/// An agent is told so much of what a check has printed.
const MOST_OF_CHECK: u64 = 8 << 10;

/// What an attempt with an agent knows besides its task.
pub(super) struct Talk {
    pub(super) format: Arc<dyn OutputFormat>,
    pub(super) needs: Vec<NeedDone>,
    /// What came before this attempt.
    pub(super) before: Option<Before>,
    /// The earlier attempts at the task.
    pub(super) earlier: Vec<Arc<AttemptRecord>>,
    /// What those have used up.
    pub(super) used: Used,
    /// What its agent may cost, if it is told that.
    pub(super) max_cost: Option<f64>,
    /// Whether the run has used up what it may, and what that is.
    pub(super) run_budget: watch::Receiver<Option<String>>,
    /// What an earlier driver has recorded.
    pub(super) recorded: Option<AgentReport>,
    pub(super) listener: Option<Listener>,
    /// The refusal that the dispatcher has been told of.
    pub(super) refused: Option<RateLimit>,
    /// How many answers of the vendor it has been told of.
    pub(super) answers: u64,
    /// Whether the agent is isolated from this machine.
    pub(super) is_isolated: bool,
}

/// What has happened to the task before this attempt.
pub(super) struct Before {
    /// How the check of the last attempt that came so far ended, and where its output is; `None` when no check has failed.
    pub(super) check: Option<(String, PathBuf)>,
    /// Whether the requests of the last one were refused.
    pub(super) was_refused: bool,
    /// Whether the last one had used up its share of the run's budget.
    pub(super) was_out_of_share: bool,
    /// The clock by which the agent of the last one was stopped, and for how long it runs.
    pub(super) timed_out: Option<(Clock, Duration)>,
    /// The conversation that can go on, and the folder where it can.
    pub(super) conversation: Option<(String, PathBuf)>,
}

impl Talk {
    /// The part of this attempt in what its agent has told.
    pub(super) fn own_part(&self, report: &AgentReport) -> OwnPart {
        report.own_part(self.earlier.iter().filter_map(|earlier| earlier.agent.as_deref()))
    }

    /// Begins to listen to the command, if nobody does yet.
    pub(super) fn listen_to(&mut self, files: &std::path::Path) -> &mut Listener {
        let log = files.join(Phase::Main.output_file());
        self.listener.get_or_insert_with(|| {
            let reader = if self.is_isolated { self.format.isolated_reader() } else { self.format.reader() };
            Listener::new(reader, log)
        })
    }
}

impl Attempt {
    /// The command of the agent, and what it reads.
    pub(super) async fn call(&self, call: &AgentCall, talk: &Talk, lease: &Lease) -> (Program, Option<String>) {
        let conversation = talk.before.as_ref().and_then(|before| before.conversation.as_ref());
        let session = conversation.filter(|(_, folder)| *folder == lease.path).map(|(session, _)| session.as_str());
        let resumed = call.resume.as_ref().zip(session);
        let earlier = match &talk.before {
            Some(before) if before.was_refused && resumed.is_some() => Some(Earlier::Interrupted),
            Some(before) if before.was_out_of_share && resumed.is_some() => Some(Earlier::OutOfShare),
            Some(Before { timed_out: Some((clock, after)), .. }) if resumed.is_some() => {
                Some(Earlier::TimedOut { clock: *clock, after: *after })
            }
            Some(Before { check: Some((status, log)), .. }) => Some(Earlier::Check {
                status: status.clone(),
                output: end_of(log.clone(), MOST_OF_CHECK).await,
                is_resumed: resumed.is_some(),
            }),
            _ => None,
        };
        let parts = PromptParts {
            prompt: &call.prompt,
            frame: &call.frame,
            branch: lease.branch.as_ref(),
            needs: &talk.needs,
            check: self.spec.check.as_deref(),
            earlier: earlier.as_ref(),
        };
        let (command, session) = resumed.unwrap_or((&call.command, ""));
        // To the millionth, since what is left of fractions has many digits.
        let max_cost = talk.max_cost.map(|cost| ((cost * 1e6).round() / 1e6).to_string()).unwrap_or_default();
        if command.iter().any(Argument::has_prompt) {
            return (Program::Argv(filled(command, &compose_argument(parts), session, &max_cost)), None);
        }
        let argv = filled(command, "", session, &max_cost);
        (Program::Argv(argv), (!call.prompt.is_empty()).then(|| compose_prompt(parts)))
    }

    /// Hears the agent out, and records what it has told.
    pub(super) async fn hear_out(&mut self) -> Option<AgentReport> {
        let was_recorded = self.has_begun(Phase::Main);
        let talk = self.talk.as_mut()?;
        if let Some(recorded) = talk.recorded.take() {
            return Some(recorded);
        }
        if talk.listener.is_none() && !was_recorded {
            // It was never started.
            return None;
        }
        let listener = talk.listen_to(&self.files);
        // What has come until then counts.
        drop(timeout(LONGEST_WAIT_FOR_LOG, listener.finish()).await);
        let mut report = listener.report().clone();
        report.own = talk.own_part(&report);
        self.note(EventKind::AgentReported { attempt: self.attempt.clone(), report: report.clone() }).await;
        Some(report)
    }

    /// Why nothing more may be started for the task: it, or the run, has used up what it may.
    pub(super) fn used_up(&self) -> Option<Failure> {
        self.used_up_with(Used::default())
    }

    fn used_up_with(&self, used: Used) -> Option<Failure> {
        let (talk, call) = (self.talk.as_ref()?, self.spec.action.agent.as_ref()?);
        let of_task = call.budget.reached(talk.used.plus(used));
        let of_run = || talk.run_budget.borrow().clone();
        let nothing = || talk.max_cost.filter(|left| is_nothing(*left)).map(|_| "nothing is left".to_owned());
        let message = of_task.or_else(of_run).or_else(nothing)?;
        Some(Failure::Budget { message })
    }

    /// What the words of the agent make of its end: an outcome that they decide, or its exit.
    pub(super) fn judge(&self, end: CommandEnd, report: &AgentReport) -> Result<ExitStatus, Outcome> {
        match (end, &report.end) {
            (CommandEnd::Stopped(StopReason::Budget), _) => {
                // An earlier driver may have stopped it for what has been used beside it, and is not told any more.
                let unsaid = || Failure::Budget { message: "it was reached".to_owned() };
                Err(Outcome::Failed(self.used_up_with(report.used()).unwrap_or_else(unsaid)))
            }
            // It was told what it may cost. Where that was all, this is the end; else there is more.
            (_, Some(Err(error))) if error.class == AgentErrorClass::Budget => {
                let failure = self.used_up_with(report.used());
                Err(Outcome::Failed(failure.unwrap_or_else(|| Failure::Agent(error.clone()))))
            }
            (_, Some(Err(error))) if is_told(end, error) => Err(Outcome::Failed(Failure::Agent(error.clone()))),
            (CommandEnd::Stopped(StopReason::Unauthenticated), _) => {
                Err(refused(AgentErrorClass::Authentication, "its vendor did not let it in, again and again"))
            }
            (CommandEnd::Stopped(_), _) => Ok(ExitStatus::Code(0)),
            (CommandEnd::Exited(status), end) => match &report.limit {
                Some(limit) if end.is_none() && !status.success() => {
                    Err(refused(limit.class, "it ended while its requests were refused"))
                }
                _ => Ok(status),
            },
        }
    }
}

impl Dispatcher {
    /// What an attempt knows of its agent, besides its task.
    pub(super) fn talk(&self, position: usize, attempt: &AttemptRef, begun: Option<&Begun>) -> Option<Talk> {
        let call = self.call(position)?;
        let format = self.formats.get(&call.output).map(Arc::clone);
        let format = format.expect("cannot fail because Run::drive has looked up all formats");
        let needs = self.record.header.plan.needs(position).iter().map(|need| {
            let need = &self.record.tasks[*need];
            let said = need.last().and_then(|attempt| attempt.agent.as_ref()?.last_message.clone());
            let spec = &need.task.spec;
            NeedDone { task: spec.id.clone(), title: spec.title.clone(), last_message: said }
        });
        let needs = needs.collect();
        let conversation = self.conversation(position, attempt);
        let before = self.before(position, attempt).map(|(before, outcome)| Before {
            check: self.failed_check(position, attempt),
            was_refused: outcome.refused(),
            was_out_of_share: outcome.is_out_of_share(),
            timed_out: self.clock(position, outcome).filter(|_| !has_begun_check(before)),
            conversation: conversation.map(|(session, lease)| (session, lease.path)),
        });
        let task = &self.record.tasks[position];
        let used = task.told_before(attempt.number).map(AgentReport::used).fold(Used::default(), Used::plus);
        let earlier = self.earlier(position, attempt);
        Some(Talk {
            format,
            needs,
            before,
            earlier,
            used,
            max_cost: self.max_cost(position, used),
            run_budget: self.agents.budget.subscribe(),
            recorded: begun.and_then(|begun| begun.agent.clone()),
            listener: None,
            refused: None,
            answers: 0,
            is_isolated: false,
        })
    }

    /// The conversation of the attempt before this one, and the place where it can go on: after a check that failed, after
    /// requests that were refused, and after a clock that ran out.
    pub(super) fn conversation(&self, position: usize, attempt: &AttemptRef) -> Option<(String, Lease)> {
        let (before, _) = self.before(position, attempt)?;
        self.call(position).filter(|_| self.keeps_conversations(position))?.resume.as_ref()?;
        let lease = place_of(before)?;
        // One that was refused at once may not have told it; those before it in the same worktree were in the same conversation.
        let earlier =
            self.record.tasks[position].attempts.iter().rev().skip_while(|earlier| earlier.number > before.number);
        let is_same = |earlier: &&Arc<AttemptRecord>| {
            let is_there = earlier.lease.as_ref().is_some_and(|earlier| earlier.path == lease.path);
            earlier.number == before.number || (earlier.place == Place::HandedOver && is_there)
        };
        let mut sessions = earlier.take_while(is_same).filter_map(|earlier| earlier.agent.as_ref()?.session.clone());
        Some((sessions.next()?, lease))
    }

    /// The worktree of the attempt before this one, if it goes on there: in its conversation, or because that was refused before
    /// it had done anything, so that nobody needs another one.
    pub(super) fn place_to_take_over(&self, position: usize, attempt: &AttemptRef) -> Option<Lease> {
        if let Some((_, lease)) = self.conversation(position, attempt) {
            return Some(lease);
        }
        let (before, outcome) = self.before(position, attempt)?;
        let work = before.work.as_ref()?;
        let is_as_made = work.commits == 0 && work.uncommitted == 0 && work.kept_refs.is_empty();
        if outcome.refused() && is_as_made { place_of(before) } else { None }
    }

    /// How the check of the last attempt ended that was not refused, and where its output is; `None` if it was not that which
    /// failed.
    fn failed_check(&self, position: usize, attempt: &AttemptRef) -> Option<(String, PathBuf)> {
        let attempts = self.record.tasks[position].attempts.iter().rev();
        let ended = attempts.filter(|before| before.number < attempt.number);
        let mut ended = ended.filter_map(|before| Some((before, &before.ended.as_ref()?.0)));
        let (before, outcome) = ended.find(|(_, outcome)| !outcome.refused())?;
        let how = match outcome {
            Outcome::Failed(Failure::Check(status)) => status.to_string(),
            _ => {
                let (clock, after) = self.clock(position, outcome).filter(|_| has_begun_check(before))?;
                why_stopped(clock, after)
            }
        };
        let before = AttemptRef { number: before.number, ..attempt.clone() };
        Some((how, self.files_of(&before).join(Phase::Check.output_file())))
    }

    /// The clock by which an attempt at a task was stopped, once its worktree was prepared, and for how long that runs.
    fn clock(&self, position: usize, outcome: &Outcome) -> Option<(Clock, Duration)> {
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
        let attempts = &self.record.tasks[position].attempts;
        let before = attempts.iter().rfind(|before| before.number < attempt.number)?;
        let (outcome, _) = before.ended.as_ref()?;
        (outcome.refused() || talks_on(outcome)).then_some((before, outcome))
    }
}

/// Whether the conversation can go on in which an attempt ended so, that was not refused.
fn talks_on(outcome: &Outcome) -> bool {
    outcome.is_out_of_share()
        || matches!(outcome, Outcome::Failed(Failure::Check(_)) | Outcome::TimedOut(Clock::Wall | Clock::Idle))
}

fn has_begun_check(attempt: &AttemptRecord) -> bool {
    attempt.commands.iter().any(|command| command.phase == Phase::Check)
}

/// The arguments of a command. A prompt that begins with `-` gets a space before it where a program could take it for an
/// option.
fn filled(command: &[Argument], prompt: &str, session: &str, max_cost: &str) -> Vec<String> {
    let mut argv: Vec<String> = Vec::new();
    for argument in command {
        let filled = argument.fill(prompt, session, max_cost);
        let could_be_option = argument.0.first() == Some(&Piece::Prompt) && filled.starts_with('-');
        let is_text = argv.iter().any(|before| before == "--");
        argv.push(if could_be_option && !is_text { format!(" {filled}") } else { filled });
    }
    argv
}

/// Whether a further attempt may go on where one has ended so. Then the worktree is not given back before the task is over.
pub(super) fn may_be_gone_on_in(spec: &TaskSpec, outcome: &Outcome) -> bool {
    let talks = spec.action.agent.as_ref().is_some_and(|call| call.resume.is_some());
    outcome.refused() || (talks && talks_on(outcome))
}

/// The outcome of an attempt whose agent was refused by its vendor.
pub(super) fn refused(class: AgentErrorClass, message: &str) -> Outcome {
    Outcome::Failed(Failure::Agent(AgentError { class, message: message.to_owned() }))
}

/// Whether an error that an agent tells of is the reason of its end. One that is stopped since it is not let in tells that it
/// was stopped.
fn is_told(end: CommandEnd, error: &AgentError) -> bool {
    let is_stopped = matches!(end, CommandEnd::Stopped(StopReason::Unauthenticated));
    !is_stopped || error.class == AgentErrorClass::Authentication
}

/// The worktree of an attempt, as long as it is there.
fn place_of(attempt: &AttemptRecord) -> Option<Lease> {
    attempt.lease.clone().filter(|lease| lease.branch.is_some() && attempt.place != Place::Released)
}
