//! `gadugi ps`: runs and their tasks, as they are now.

use std::collections::BTreeMap;
use std::time::Duration;

use gadugi_core::agent::Tokens;
use gadugi_core::run::{AgentTotals, AttemptRecord, Counterpart, ForeseenConflict, TaskRecord, TaskState};
use gadugi_core::{AttemptNo, AttemptRef, Outcome, Phase, RunId, RunRecord, TaskId};
use jiff::Timestamp;
use serde::Serialize;

use crate::args::PsArgs;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::site::{Activity, LoadedRun, PendingReport, Site, process_name, usage, usage_text};
use crate::terminal::{Tone, columns, duration_text};
use crate::view::{is_set_up, tone_of};

pub(super) async fn ps(context: &Context, args: &PsArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let ids: Vec<RunId> = match &args.run {
        Some(name) => vec![site.find(name)?],
        None => site.run_ids().await?,
    };
    let mut runs = Vec::new();
    for id in ids.iter().rev() {
        // A run that cannot be read must not hide the others.
        match site.load(id).await {
            Ok(run) => runs.push(run),
            Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
        }
    }
    let is_listed = |run: &LoadedRun| args.all || args.run.is_some() || !run.record.header.is_of_merge();
    runs.retain(is_listed);
    let latest = runs.first().map(|run| run.record.header.run.clone());
    if !args.all && args.run.is_none() {
        // An interrupted run is to be resumed or ended by the user, however old it is.
        runs.retain(|run| run.record.ended.is_none());
    }
    let runs = inspect(context, &site, runs).await?;
    if args.json {
        let runs: Vec<_> = runs.iter().map(RunRow::from).collect();
        let json = serde_json::to_string_pretty(&runs).map_err(|error| Failure::registry(error.to_string()))?;
        context.terminal.json(&(json + "\n"))?;
        return Ok(Code::Success);
    }
    for (n, run) in runs.iter().enumerate() {
        let gap = if n > 0 { "\n" } else { "" };
        context.terminal.result(&format!("{gap}{}", run.text(context)))?;
        run.run.damage.iter().for_each(|damage| context.terminal.say(&format!("warning: {damage}")));
    }
    if runs.is_empty() {
        context.terminal.say(&match latest {
            Some(latest) => format!("nothing is going on; the latest run was {latest} (`gadugi ps latest`)"),
            None => "there has been no run here".to_owned(),
        });
    }
    Ok(Code::Success)
}

/// Inspects the runs. All executors are asked at the same time, so that an executor that does not answer is waited for only
/// once.
async fn inspect(context: &Context, site: &Site, runs: Vec<LoadedRun>) -> Result<Vec<InspectedRun>, Failure> {
    let broken_off = |run: &LoadedRun| !run.driven && run.record.ended.is_none();
    let executors = if runs.iter().any(broken_off) { prepare::witnesses(context, site) } else { Vec::new() };
    let mut asked = Vec::new();
    for run in runs {
        let tasks = run.record.tasks.iter().filter(|_| broken_off(&run));
        let question = |task: &TaskRecord| (task.task.spec.id.clone(), site.ask(&executors, &run.record, task));
        let questions: Vec<_> = tasks.map(question).collect();
        asked.push((run, questions));
    }
    let mut inspected = Vec::new();
    for (run, questions) in asked {
        let suspended = run.driven && site.is_suspended(&run.record.header.run)?;
        let mut activities = BTreeMap::new();
        for (task, question) in questions {
            activities.insert(task, question.answer().await);
        }
        let folders = site.attempt_folders(&run.record.header.run);
        let read_log = |task: &TaskRecord| {
            let log = || {
                let number = task.last().map_or(AttemptNo::FIRST, |last| last.number);
                let attempt = AttemptRef { task: task.task.spec.id.clone(), number };
                folders(&attempt).join(Phase::Main.output_file())
            };
            PendingReport::start(task, log)
        };
        // All at the same time.
        let reports: Vec<_> = run.record.tasks.iter().map(read_log).collect();
        let mut used = BTreeMap::new();
        for (task, report) in run.record.tasks.iter().zip(reports) {
            used.insert(task.task.spec.id.clone(), usage(task, report).await);
        }
        inspected.push(InspectedRun { run, suspended, activities, used });
    }
    Ok(inspected)
}

/// A run, with the answers of the executors about its commands.
struct InspectedRun {
    run: LoadedRun,
    /// Whether the process that drives it is suspended, and with it the run.
    suspended: bool,
    /// Activities of the tasks, if the run is not over and has no driver.
    activities: BTreeMap<TaskId, Activity>,
    /// Usage of the agents of each task.
    used: BTreeMap<TaskId, AgentTotals>,
}

impl InspectedRun {
    fn activity(&self, task: &TaskRecord) -> Option<&Activity> {
        self.activities.get(&task.task.spec.id)
    }

    fn used(&self, task: &TaskRecord) -> AgentTotals {
        self.used.get(&task.task.spec.id).copied().unwrap_or_default()
    }

    /// Whether a process drives the run, or a command of it still runs.
    fn goes_on(&self) -> bool {
        self.run.driven || self.activities.values().any(|activity| matches!(activity, Activity::Runs { .. }))
    }

    /// The state of a task. Without a driver it is the answer of its executor.
    fn state(&self, task: &TaskRecord) -> &'static str {
        match &task.state {
            TaskState::Finished(outcome) => outcome.word(),
            state => match (self.activity(task), state) {
                (None, state) => state.word(),
                (Some(Activity::Runs { .. }), _) => "running",
                (Some(Activity::Unknown { .. }), _) => "unknown",
                (Some(Activity::Still), TaskState::Running { .. }) => "ended unseen",
                (Some(Activity::Still), TaskState::Queued | TaskState::Blocked { .. }) => "not started",
                (Some(Activity::Still), _) => "interrupted",
            },
        }
    }

    fn word(&self) -> String {
        let RunRecord { tasks, ended, .. } = &self.run.record;
        let failed = tasks.iter().any(|task| task.outcome().is_some_and(|outcome| !outcome.success()));
        match (self.run.driven, ended) {
            (true, None) if self.suspended => "suspended".to_owned(),
            (true, None) => "running".to_owned(),
            (false, None) => "interrupted: nobody drives it".to_owned(),
            (_, Some((_, true))) => "cancelled".to_owned(),
            (_, Some(_)) => if failed { "failed" } else { "succeeded" }.to_owned(),
        }
    }

    fn text(&self, context: &Context) -> String {
        let record = &self.run.record;
        let over = record.tasks.iter().filter(|task| task.state.is_finished()).count();
        let since = record.started.unwrap_or(record.header.created);
        let time = match (record.ended, record.last_event) {
            (Some((Some(wall), _)), _) => wall,
            (Some((None, _)), Some(last)) => between(since, last),
            (None, Some(last)) if !self.goes_on() => between(since, last),
            _ => between(since, Timestamp::now()),
        };
        let word = self.word();
        let tone = match word.as_str() {
            "succeeded" => Tone::Good,
            "running" => Tone::Plain,
            _ => Tone::Notice,
        };
        let word = context.terminal.toned(tone, &word);
        let head = format!(
            "run {}  {word}  {over}/{} tasks  {}\n",
            record.header.run,
            record.tasks.len(),
            duration_text(time)
        );
        let titles = ["TASK", "STATE", "ATTEMPT", "EXECUTOR", "PROCESS", "TIME", "COST", "CONFLICTS", "BRANCH"]
            .map(str::to_owned);
        let rows = record.tasks.iter().map(|task| self.row(task));
        let mut rows: Vec<_> = std::iter::once(titles.to_vec()).chain(rows).collect();
        if record.conflicts.is_empty() {
            rows.iter_mut().for_each(|row| drop(row.remove(CONFLICTS)));
        }
        if self.used.values().all(|used| usage_text(*used).is_none()) {
            rows.iter_mut().for_each(|row| drop(row.remove(COST)));
        }
        let paint = |row: usize, column: usize, cell: &str| {
            let tone = match (row, column) {
                (0, _) => Tone::Faint,
                (row, 1) => record.tasks[row - 1].outcome().map_or(Tone::Plain, tone_of),
                _ => Tone::Plain,
            };
            context.terminal.toned(tone, cell)
        };
        let id = &record.header.run;
        let remedy = match (self.run.driven, record.ended) {
            (false, None) => format!("`gadugi resume {id}` goes on with it, `gadugi stop {id}` ends it\n"),
            (true, None) if self.suspended => {
                "it goes on with `fg` in its terminal, or by kill -CONT of its driver\n".to_owned()
            }
            _ => String::new(),
        };
        head + &columns(&rows, paint) + &context.terminal.toned(Tone::Faint, &remedy)
    }

    fn row(&self, task: &TaskRecord) -> Vec<String> {
        let blocked = match (&task.state, self.run.driven) {
            (TaskState::Blocked { by }, true) => {
                format!(" by {}", by.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(","))
            }
            _ => String::new(),
        };
        let setup = if is_set_up(task) { " (setup)" } else { "" };
        let last = task.last();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            task.task.spec.id.to_string(),
            format!("{}{blocked}{setup}", self.state(task)),
            or_dash(last.map(|attempt| attempt.number.to_string())),
            or_dash(last.map(|attempt| attempt.executor.clone())),
            or_dash(self.process(task)),
            or_dash(self.time(task).map(duration_text)),
            or_dash(usage_text(self.used(task))),
            or_dash(self.conflicts(task)),
            or_dash(task.with_branch().and_then(branch)),
        ]
    }

    /// The other sides of the conflicts that are foreseen for a task.
    fn conflicts(&self, task: &TaskRecord) -> Option<String> {
        let others = self.run.record.in_conflict_with(&task.task.spec.id).map(|other| other.to_string());
        Some(others.collect::<Vec<_>>().join(",")).filter(|others| !others.is_empty())
    }

    /// Time that the commands of a task's last attempt took, or have been running; `None` if their end was not seen.
    fn time(&self, task: &TaskRecord) -> Option<Duration> {
        let attempt = task.last()?;
        let open = attempt.commands.last().filter(|command| command.end.is_none() && attempt.ended.is_none());
        let running = match open {
            // It runs, and its start was not recorded.
            None if matches!(self.activity(task), Some(Activity::Runs { .. })) => return None,
            None => Duration::ZERO,
            Some(_) if self.process(task).is_none() => return None,
            Some(command) => between(command.started, Timestamp::now()),
        };
        Some(attempt.setup_time() + attempt.command_time() + running)
    }

    /// The process of a task, while it runs.
    fn process(&self, task: &TaskRecord) -> Option<String> {
        match (self.activity(task), &task.state) {
            (Some(Activity::Runs { identity, .. }), _) | (None, TaskState::Running { identity, .. }) => {
                Some(process_name(identity))
            }
            _ => None,
        }
    }
}

/// Index of the column that is left out if no agent has reported a usage.
const COST: usize = 6;
/// Index of the column that is left out if no conflict is foreseen.
const CONFLICTS: usize = 7;

fn branch(attempt: &AttemptRecord) -> Option<String> {
    attempt.lease.as_ref()?.branch.as_ref().map(ToString::to_string)
}

fn between(since: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(since)).unwrap_or(Duration::ZERO)
}

/// A run in the JSON of `ps`.
#[derive(Serialize)]
struct RunRow {
    run: String,
    state: String,
    driven: bool,
    tasks: Vec<TaskRow>,
    damage: Vec<String>,
}

#[derive(Serialize)]
struct TaskRow {
    id: String,
    state: &'static str,
    nothing_changed: bool,
    attempt: Option<u32>,
    executor: Option<String>,
    process: Option<String>,
    pid: Option<u32>,
    command_seconds: Option<f64>,
    cost_usd: Option<f64>,
    attempts_without_cost: usize,
    attempts_with_reckoned_cost: usize,
    tokens: Option<u64>,
    attempts_without_tokens: usize,
    attempts_with_reckoned_tokens: usize,
    branch: Option<String>,
    conflicts: Vec<ConflictRow>,
}

/// The other side of a conflict that is foreseen: another task, or a branch.
#[derive(Serialize)]
struct ConflictRow {
    other: Option<String>,
    target: Option<String>,
    files: Vec<String>,
    more_files: u64,
}

/// The conflicts that are foreseen for a task.
fn conflict_rows(record: &RunRecord, task: &TaskRecord) -> Vec<ConflictRow> {
    let row = |conflict: &ForeseenConflict| {
        let (other, target) = match conflict.other_than(&task.task.spec.id)? {
            Counterpart::Task(other) => (Some(other.to_string()), None),
            Counterpart::Target(branch) => (None, Some(branch)),
        };
        Some(ConflictRow { other, target, files: conflict.files.clone(), more_files: conflict.more })
    };
    record.conflicts.iter().filter_map(row).collect()
}

impl From<&InspectedRun> for RunRow {
    fn from(seen: &InspectedRun) -> Self {
        let row = |task: &TaskRecord| {
            let last = task.last();
            let nothing_changed = task.outcome() == Some(&Outcome::Unchanged);
            let (process, used) = (seen.process(task), seen.used(task));
            TaskRow {
                id: task.task.spec.id.to_string(),
                state: if nothing_changed { "succeeded" } else { seen.state(task) },
                nothing_changed,
                attempt: last.map(|attempt| attempt.number.get()),
                executor: last.map(|attempt| attempt.executor.clone()),
                pid: process.as_ref().and_then(|process| process.strip_prefix("pid ")?.parse().ok()),
                process,
                command_seconds: seen.time(task).map(|time| time.as_secs_f64()),
                cost_usd: used.cost(),
                attempts_without_cost: used.without_cost,
                attempts_with_reckoned_cost: used.reckoned_cost,
                tokens: used.tokens().map(Tokens::total),
                attempts_without_tokens: used.without_tokens,
                attempts_with_reckoned_tokens: used.reckoned_tokens,
                branch: task.with_branch().and_then(branch),
                conflicts: conflict_rows(&seen.run.record, task),
            }
        };
        let run = &seen.run;
        Self {
            run: run.record.header.run.to_string(),
            state: seen.word(),
            driven: run.driven,
            tasks: run.record.tasks.iter().map(row).collect(),
            damage: run.damage.clone(),
        }
    }
}
