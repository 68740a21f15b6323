//! The agent of an attempt: its command, its report, and what that decides.

use tokio::time::timeout;

use crate::agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Earlier, Piece, PromptParts, Used, compose_argument,
    compose_prompt,
};
use crate::executor::ExitStatus;
use crate::plan::{Phase, Program};
use crate::run::{EventKind, Failure, Outcome, StopReason};
use crate::scheduler::attempt::Attempt;
use crate::scheduler::attempt::agent_log::{LONGEST_WAIT_FOR_LOG, end_of};
use crate::scheduler::attempt::conversation::{Before, Talk};
use crate::scheduler::message::CommandEnd;
use crate::worktrees::Lease;

/// An agent is told so much of what a check has printed.
const MOST_OF_CHECK: u64 = 8 << 10;

impl Attempt {
    /// The command of the agent, and what it reads.
    pub(crate) async fn call(&self, call: &AgentCall, talk: &Talk, lease: &Lease) -> (Program, Option<String>) {
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
    pub(crate) async fn hear_out(&mut self) -> Option<AgentReport> {
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
    pub(crate) fn used_up(&self) -> Option<Failure> {
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
    pub(crate) fn judge(&self, end: CommandEnd, report: &AgentReport) -> Result<ExitStatus, Outcome> {
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

/// The outcome of an attempt whose agent was refused by its vendor.
pub(crate) fn refused(class: AgentErrorClass, message: &str) -> Outcome {
    Outcome::Failed(Failure::Agent(AgentError { class, message: message.to_owned() }))
}

/// Whether an error that an agent tells of is the reason of its end. One that is stopped since it is not let in tells that it
/// was stopped.
fn is_told(end: CommandEnd, error: &AgentError) -> bool {
    let is_stopped = matches!(end, CommandEnd::Stopped(StopReason::Unauthenticated));
    !is_stopped || error.class == AgentErrorClass::Authentication
}

/// Whether so many US dollars are too few for anything.
pub(crate) fn is_nothing(cost: f64) -> bool {
    cost < 0.000_001
}
