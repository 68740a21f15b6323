//! The agent of an attempt: its command, its report, and what that decides.

use tokio::time::timeout;

use crate::agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Earlier, Piece, PromptParts, Used, compose_argument,
    compose_prompt,
};
use crate::executor::ExitStatus;
use crate::plan::{EarlierAttempt, FailedCheck, Phase, Program};
use crate::run::{EventKind, Failure, Outcome, StopReason};
use crate::scheduler::attempt::Attempt;
use crate::scheduler::attempt::agent_log::{LOG_TIMEOUT, end_of_check};
use crate::scheduler::attempt::conversation::{Before, Conversation};
use crate::scheduler::message::CommandEnd;
use crate::worktrees::Lease;

impl Attempt {
    /// The command of the agent, and its standard input.
    pub(super) async fn compose_call(
        &self,
        call: &AgentCall,
        conversation: &Conversation,
        lease: &Lease,
    ) -> (Program, Option<String>) {
        let session = conversation.before.as_ref().and_then(|before| before.session.as_ref());
        // A session can be resumed only in its own folder.
        let session = session.filter(|(_, folder)| *folder == lease.path).map(|(session, _)| session.as_str());
        let resumed = call.resume.as_ref().zip(session);
        let earlier = match &conversation.before {
            Some(before) if before.was_refused && resumed.is_some() => Some(Earlier::Interrupted),
            Some(before) if before.was_out_of_share && resumed.is_some() => Some(Earlier::OutOfShare),
            Some(Before { timed_out: Some((clock, after)), .. }) if resumed.is_some() => {
                Some(Earlier::TimedOut { clock: *clock, after: *after })
            }
            Some(Before { check: Some((status, log)), .. }) => Some(Earlier::Check {
                status: status.clone(),
                output: end_of_check(log.clone()).await,
                is_resumed: resumed.is_some(),
            }),
            _ => conversation.continued.as_ref().and_then(|earlier| told_by(earlier, resumed.is_some())),
        };
        let parts = PromptParts {
            prompt: &call.prompt,
            frame: &call.frame,
            branch: lease.branch.as_ref(),
            needs: &conversation.needs,
            check: self.spec.check.as_deref(),
            earlier: earlier.as_ref(),
        };
        let (command, session) = resumed.unwrap_or((&call.command, ""));
        // To the millionth, since what is left of fractions has many digits.
        let max_cost = conversation.max_cost.map(|cost| ((cost * 1e6).round() / 1e6).to_string()).unwrap_or_default();
        if command.iter().any(Argument::has_prompt) {
            return (Program::Argv(filled(command, &compose_argument(parts), session, &max_cost)), None);
        }
        let argv = filled(command, "", session, &max_cost);
        (Program::Argv(argv), (!call.prompt.is_empty()).then(|| compose_prompt(parts)))
    }

    /// Reads the rest of the agent's output, and records its report.
    pub(super) async fn final_report(&mut self) -> Option<AgentReport> {
        let was_recorded = self.has_started(Phase::Main);
        let conversation = self.conversation.as_mut()?;
        if let Some(recorded) = conversation.recorded.take() {
            return Some(recorded);
        }
        if conversation.log.is_none() && !was_recorded {
            // It was never started.
            return None;
        }
        let log = conversation.open_log(&self.files);
        // Output that is read until then counts.
        drop(timeout(LOG_TIMEOUT, log.finish()).await);
        let mut report = log.report().clone();
        report.own = conversation.own_part(&report);
        self.note(EventKind::AgentReported { attempt: self.attempt.clone(), report: report.clone() }).await;
        Some(report)
    }

    /// The budget that is used up, of the task or of the run, so that nothing more may be started for the task.
    pub(super) fn used_up(&self) -> Option<Failure> {
        self.used_up_with(Used::default())
    }

    /// The same, with a use that is not recorded yet.
    fn used_up_with(&self, used: Used) -> Option<Failure> {
        let (conversation, call) = (self.conversation.as_ref()?, self.spec.action.agent.as_ref()?);
        let of_task = call.budget.reached(conversation.used.plus(used));
        let of_run = || conversation.run_budget.borrow().clone();
        let nothing =
            || conversation.max_cost.filter(|left| is_negligible(*left)).map(|_| "nothing is left".to_owned());
        let message = of_task.or_else(of_run).or_else(nothing)?;
        Some(Failure::Budget { message })
    }

    /// Decides between the report of the agent and the end of its command: returns an outcome by the report, or the exit status.
    pub(super) fn judge(&self, end: CommandEnd, report: &AgentReport) -> Result<ExitStatus, Outcome> {
        match (end, &report.end) {
            (CommandEnd::Stopped(StopReason::Budget), _) => {
                // An earlier driver may have stopped it for the use of other attempts, which is not known any more.
                let unknown = || Failure::Budget { message: "it was reached".to_owned() };
                Err(Outcome::Failed(self.used_up_with(report.used()).unwrap_or_else(unknown)))
            }
            // It had a cost limit. Where that was the rest of the budget, this is the end; else it gets another share.
            (_, Some(Err(error))) if error.class == AgentErrorClass::Budget => {
                let failure = self.used_up_with(report.used());
                Err(Outcome::Failed(failure.unwrap_or_else(|| Failure::Agent(error.clone()))))
            }
            (_, Some(Err(error))) if is_reason(end, error) => Err(Outcome::Failed(Failure::Agent(error.clone()))),
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

/// The words about an attempt of an earlier run, to an agent that resumes its conversation or knows nothing of it.
fn told_by(earlier: &EarlierAttempt, is_resumed: bool) -> Option<Earlier> {
    match (&earlier.conversation, &earlier.check) {
        (Some(conversation), _) if is_resumed => Some(Earlier::Retried { message: conversation.message.clone() }),
        (_, Some(FailedCheck { status, output })) => {
            Some(Earlier::Check { status: status.clone(), output: output.clone(), is_resumed: false })
        }
        _ => None,
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

/// Whether an error that an agent reports is the reason of its end. An agent that was stopped for its failed authentication
/// reports that it was stopped.
fn is_reason(end: CommandEnd, error: &AgentError) -> bool {
    let is_stopped = matches!(end, CommandEnd::Stopped(StopReason::Unauthenticated));
    !is_stopped || error.class == AgentErrorClass::Authentication
}

/// Whether a cost in US dollars is too small to count.
pub(crate) fn is_negligible(cost: f64) -> bool {
    cost < 0.000_001
}
