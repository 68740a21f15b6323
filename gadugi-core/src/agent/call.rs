//! The command of an agent, and its arguments.

use std::time::Duration;

use crate::agent::report::Budget;
use crate::mount::Mount;
use crate::signal::StopSignal;

/// The call of a task's agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentCall {
    /// Name of its profile.
    pub name: String,
    /// Its command; never empty. The prompt goes to the standard input unless an argument holds it.
    pub command: Vec<Argument>,
    /// Command that resumes a conversation; `None` for an agent that cannot.
    pub resume: Option<Vec<Argument>>,
    /// The prompt, in the words of the task's author.
    pub prompt: String,
    /// Model that the task names; `None` leaves it to the profile.
    pub model: Option<String>,
    /// Text around the prompt; see [`compose_prompt`](crate::agent::compose_prompt).
    pub frame: String,
    /// Name of the [`OutputFormat`](crate::agent::OutputFormat) that reads its output.
    pub output: String,
    /// Time for which its process may run on after its final report.
    pub linger: Duration,
    /// Wait of its tasks after a refusal that names no time; doubled with each further refusal in a row.
    pub backoff: Duration,
    /// Budget of the task, over all attempts.
    pub budget: Budget,
    /// Files of this machine, such as those of its login, that are mounted for it also by executors that mount nothing
    /// else.
    pub shown: Vec<Mount>,
    /// Environment variables any of which authenticates it; for messages.
    pub keys: Vec<String>,
    /// First signal of a stop: one after which the agent still reports its usage.
    pub stop_signal: StopSignal,
}

impl AgentCall {
    /// A call with nothing but a prompt, whose output is plain text.
    #[must_use]
    pub fn new(name: impl Into<String>, command: Vec<Argument>, prompt: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command,
            resume: None,
            prompt: prompt.into(),
            model: None,
            frame: String::new(),
            output: "text".to_owned(),
            linger: Duration::from_secs(60),
            backoff: Duration::from_secs(30),
            budget: Budget::default(),
            shown: Vec::new(),
            keys: Vec::new(),
            stop_signal: StopSignal::default(),
        }
    }

    /// Whether the command passes a cost limit to the agent, by [`Piece::MaxCost`].
    #[must_use]
    pub fn takes_max_cost(&self) -> bool {
        self.command.iter().any(|argument| argument.0.contains(&Piece::MaxCost))
    }
}

/// An argument of an agent's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument(pub Vec<Piece>);

/// A part of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// Placeholder for the prompt.
    Prompt,
    /// Placeholder for the session id.
    Session,
    /// Placeholder for the cost limit of the call in US dollars: the rest of the budgets when it starts.
    MaxCost,
}

impl Argument {
    /// A literal argument.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// Returns the argument with its placeholders filled.
    #[must_use]
    pub fn fill(&self, prompt: &str, session: &str, max_cost: &str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Prompt => prompt.to_owned(),
            Piece::Session => session.to_owned(),
            Piece::MaxCost => max_cost.to_owned(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Whether it has the placeholder of the prompt.
    #[must_use]
    pub fn has_prompt(&self) -> bool {
        self.0.contains(&Piece::Prompt)
    }
}
