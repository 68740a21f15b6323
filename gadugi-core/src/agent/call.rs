//! The command of an agent, and its arguments.

use std::time::Duration;

use crate::agent::report::Budget;
use crate::mount::Mount;
use crate::signal::StopSignal;

/// How a task's agent is called.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentCall {
    /// The name of its profile.
    pub name: String,
    /// Its command. Where no argument holds the prompt, it is given on the standard input. Never empty.
    pub command: Vec<Argument>,
    /// The command by which it goes on with a conversation; `None` where it cannot.
    pub resume: Option<Vec<Argument>>,
    /// What it is to do, in the words of the task's author.
    pub prompt: String,
    /// The model that the task names; `None` where that is left to the profile.
    pub model: Option<String>,
    /// What follows on that; see [`compose_prompt`](crate::compose_prompt).
    pub frame: String,
    /// The name of the [`OutputFormat`] by which its output is read.
    pub output: String,
    /// How long its process may go on after it has said that it is done.
    pub linger: Duration,
    /// How long its tasks wait after a refusal that names no time; each further one in a row waits twice as long.
    pub backoff: Duration,
    /// What the task may use up, all attempts together.
    pub budget: Budget,
    /// Files of this machine that it sees also where its executor shows it nothing else, such as those of its login.
    pub shown: Vec<Mount>,
    /// The variables any of which lets it in, for people.
    pub keys: Vec<String>,
    /// The signal by which it is asked to stop first: one on which it still tells what it has used.
    pub stop_signal: StopSignal,
}

impl AgentCall {
    /// An agent that is given its prompt and nothing else, and whose output is plain text.
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

    /// Whether it is told what a call may cost, so that it can be held to it.
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
    /// It stands there as it is.
    Text(String),
    /// The prompt comes here.
    Prompt,
    /// What names the conversation comes here.
    Session,
    /// What the call may cost comes here, in US dollars: what is left of the budgets when it begins.
    MaxCost,
}

impl Argument {
    /// An argument that stands there as it is.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// The argument with these in their places.
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

    /// Whether the prompt is a part of it.
    #[must_use]
    pub fn has_prompt(&self) -> bool {
        self.0.contains(&Piece::Prompt)
    }
}
