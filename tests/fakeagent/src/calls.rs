use serde::{Deserialize, Serialize};

use crate::command_line::Agent;
use crate::fault::Fault;

/// One call of a fake agent, as a line of `calls.jsonl` tells it. It is written before the agent says anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `claude` or `codex`.
    pub agent: String,
    /// Its arguments, without its name.
    pub argv: Vec<String>,
    /// Its working folder.
    pub cwd: String,
    /// All that it was told. `None` where it was asked for its version, or not understood.
    pub prompt: Option<String>,
    /// The names of its environment's variables, sorted.
    pub environment: Vec<String>,
    /// The session that it began or resumed.
    pub session: Option<String>,
    /// The session that it was asked to resume, whether it is known or not.
    pub resumed: Option<String>,
}

impl Call {
    pub(crate) fn new(agent: Agent, argv: Vec<String>) -> Result<Self, Fault> {
        let mut environment: Vec<_> =
            std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        environment.sort_unstable();
        let cwd = std::env::current_dir().map_err(Fault::WorkingFolder)?.display().to_string();
        let agent = agent.name().to_owned();
        Ok(Self { agent, argv, cwd, prompt: None, environment, session: None, resumed: None })
    }
}
