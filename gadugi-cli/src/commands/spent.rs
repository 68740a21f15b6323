//! What the agents of a task have used up so far: by the record, and of one that runs by its log.

use std::io::Read;
use std::path::PathBuf;

use gadugi_core::{AgentReport, Lines, Phase, TaskRecord, TaskState, Tokens};

use crate::compose;

/// More of a log is not read: `ps` is asked often.
const MOST_READ: u64 = 32 << 20;

/// What agents have told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Spent {
    /// In US dollars; `None` where none has told it.
    pub(super) cost_usd: Option<f64>,
    /// `None` where none has told them.
    pub(super) tokens: Option<Tokens>,
}

impl Spent {
    /// Of a task whose last attempt logs to this file.
    pub(super) fn of(task: &TaskRecord, log: impl FnOnce() -> PathBuf) -> Self {
        let recorded = task.attempts.iter().filter_map(|attempt| attempt.agent.as_ref());
        let mut spent = recorded.fold(Self::default(), Self::and);
        let is_open = matches!(task.state, TaskState::Running { .. } | TaskState::Collecting { .. });
        let last = task.last().filter(|last| {
            is_open && last.agent.is_none() && last.commands.iter().any(|command| command.phase == Phase::Main)
        });
        if let (Some(_), Some(call)) = (last, &task.task.spec.action.agent)
            && let Some(format) = compose::output_formats().get(&call.output)
        {
            let (mut reader, mut lines) = (format.reader(), Lines::default());
            let mut text = Vec::new();
            // A log that cannot be read tells nothing yet.
            if compose::open_log(&log()).and_then(|log| log.take(MOST_READ).read_to_end(&mut text)).is_ok() {
                lines.feed(&text, |line| reader.read(line));
                spent = spent.and(reader.report());
            }
        }
        spent
    }

    fn and(self, report: &AgentReport) -> Self {
        let cost_usd = match (self.cost_usd, report.cost_usd) {
            (Some(before), Some(cost)) => Some(before + cost),
            (before, cost) => before.or(cost),
        };
        let tokens = match (self.tokens, report.tokens) {
            (Some(before), Some(tokens)) => Some(before.plus(tokens)),
            (before, tokens) => before.or(tokens),
        };
        Self { cost_usd, tokens }
    }

    /// For a table.
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self { cost_usd: Some(cost), .. } => Some(format!("${cost:.2}")),
            Self { tokens: Some(tokens), .. } => Some(format!("{} tokens", tokens.total())),
            _ => None,
        }
    }
}
