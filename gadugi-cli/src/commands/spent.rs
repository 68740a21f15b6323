//! What the agents of a task have used up so far: by the record, and of one that runs by its log.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gadugi_core::{AgentReport, AgentTotals, Dollars, Lines, OutputReader, Phase, TaskRecord, TaskState, Tokens};
use tokio::task::{JoinHandle, spawn_blocking};

use super::log_parts::next_part;
use crate::compose;

/// So much of a log is read at once.
const PORTION: usize = 1 << 20;

/// The agent of a task that runs and is listened to.
pub(super) struct Heard(JoinHandle<AgentReport>);

impl Heard {
    /// Begins to read what it has told so far, from the log of its attempt. `None` where none runs.
    pub(super) fn begin(task: &TaskRecord, log: impl FnOnce() -> PathBuf) -> Option<Self> {
        let is_open = matches!(task.state, TaskState::Running { .. } | TaskState::Collecting { .. });
        let last = task.last().filter(|last| is_open && last.agent.is_none())?;
        last.commands.iter().find(|command| command.phase == Phase::Main)?;
        let mut reader = compose::output_formats().get(&task.task.spec.action.agent.as_ref()?.output)?.reader();
        let log = log();
        Some(Self(spawn_blocking(move || {
            // A log that cannot be read tells nothing more.
            listen(&log, &mut *reader).ok();
            reader.report().clone()
        })))
    }
}

fn listen(log: &Path, reader: &mut dyn OutputReader) -> io::Result<()> {
    let mut log = compose::open_log(log)?;
    let (mut lines, mut portion) = (Lines::default(), vec![0; PORTION]);
    let mut from = 0;
    while let Some(part) = next_part(&log, from)? {
        log.seek(SeekFrom::Start(part.start))?;
        from = part.end;
        let mut part = log.by_ref().take(part.end - part.start);
        loop {
            match part.read(&mut portion)? {
                0 => break,
                read => lines.feed(&portion[..read], |line| reader.read(line)),
            }
        }
    }
    Ok(())
}

/// What all attempts at a task have used up, the one that runs with what it was heard to say.
pub(super) async fn spent(task: &TaskRecord, heard: Option<Heard>) -> AgentTotals {
    let Some(Heard(report)) = heard else { return AgentTotals::of(task) };
    let mut task = task.clone();
    if let (Some(number), Ok(mut report)) = (task.last().map(|last| last.number), report.await) {
        report.own = report.own_part(task.told_before(number));
        if let Some(last) = task.attempts.last_mut() {
            Arc::make_mut(last).agent = Some(Box::new(report));
        }
    }
    AgentTotals::of(&task)
}

/// For a table. A plus stands behind what is not all of it, since an attempt has told nothing.
pub(super) fn cell(spent: AgentTotals) -> Option<String> {
    let plus = |without: usize| if without > 0 { "+" } else { "" };
    match (spent.cost(), spent.tokens()) {
        (Some(cost), _) => Some(format!("${}{}", Dollars(cost), plus(spent.without_cost))),
        (None, Some(tokens)) => Some(format!("{}{} tokens", Tokens::total(tokens), plus(spent.without_tokens))),
        (None, None) => None,
    }
}
