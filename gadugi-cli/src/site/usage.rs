//! The money and tokens that the agents of a task have used: from the record, and for a running agent from its log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use gadugi_core::Phase;
use gadugi_core::agent::{AgentReport, Dollars, Lines, OutputReader, Tokens};
use gadugi_core::run::{AgentTotals, TaskRecord, TaskState};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{GrowingLog, output_formats};

/// The report of a running agent so far, which is being read from its log.
pub(crate) struct PendingReport(JoinHandle<AgentReport>);

impl PendingReport {
    /// Starts to read the log of a task's last attempt; `None` if no agent runs.
    pub(crate) fn start(task: &TaskRecord, log: impl FnOnce() -> PathBuf) -> Option<Self> {
        let is_open = matches!(task.state, TaskState::Running { .. } | TaskState::Collecting { .. });
        let last = task.last().filter(|last| is_open && last.agent.is_none())?;
        last.commands.iter().find(|command| command.phase == Phase::Main)?;
        let mut reader = output_formats().get(&task.task.spec.action.agent.as_ref()?.output)?.reader();
        let mut log = GrowingLog::new(log());
        Some(Self(spawn_blocking(move || {
            // Of a log that cannot be read further, what was read counts.
            read_all(&mut log, &mut *reader).ok();
            reader.report().clone()
        })))
    }
}

fn read_all(log: &mut GrowingLog, reader: &mut dyn OutputReader) -> io::Result<()> {
    let mut lines = Lines::default();
    loop {
        let portion = log.read_on()?;
        if portion.is_empty() {
            return Ok(());
        }
        lines.feed(&portion, |line| reader.read(line));
    }
}

/// Sums up all attempts of a task, the running one by its pending report.
pub(crate) async fn usage(task: &TaskRecord, pending: Option<PendingReport>) -> AgentTotals {
    match pending {
        Some(pending) => AgentTotals::of(&with_report(task, pending).await),
        None => AgentTotals::of(task),
    }
}

/// The record of a task whose agent runs, with its report so far.
pub(crate) async fn with_report(task: &TaskRecord, PendingReport(report): PendingReport) -> TaskRecord {
    let mut task = task.clone();
    if let (Some(number), Ok(mut report)) = (task.last().map(|last| last.number), report.await) {
        report.own = report.own_part(task.reports_before(number));
        if let Some(last) = task.attempts.last_mut() {
            Arc::make_mut(last).agent = Some(Box::new(report));
        }
    }
    task
}

/// Formats a usage for a table. A plus marks a sum that lacks an attempt whose agent reported nothing.
pub(crate) fn usage_text(usage: AgentTotals) -> Option<String> {
    let plus = |without: usize| if without > 0 { "+" } else { "" };
    match (usage.cost(), usage.tokens()) {
        (Some(cost), _) => Some(format!("${}{}", Dollars(cost), plus(usage.without_cost))),
        (None, Some(tokens)) => Some(format!("{}{} tokens", Tokens::total(tokens), plus(usage.without_tokens))),
        (None, None) => None,
    }
}
