//! `gadugi show`: how a task stands, on one screen.

mod screen;

use std::process::Output;

use gadugi_core::agent::Tokens;
use gadugi_core::run::{AgentTotals, AttemptRecord, TaskRecord, TaskState, WorktreeState};
use gadugi_core::{AttemptRef, Outcome, Phase};
use serde::Serialize;

use crate::args::ShowArgs;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::site::{GrowingLog, LoadedRun, PendingReport, Site, usage_text, with_report};
use crate::terminal::harmless;
use crate::work::{Git, ScratchObjects, TaskWork};

/// Last lines of output that are read.
const MAX_OUTPUT_LINES: usize = 40;

/// Characters of a line of output that are shown.
const MAX_LINE: usize = 1000;

pub(super) async fn show(context: &Context, args: &ShowArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let run = site.load(&site.find(&args.run)?).await?;
    run.damage.iter().for_each(|damage| context.terminal.say(&format!("warning: {damage}")));
    let id = run.task(&args.task)?;
    let task = run.record.task(&id).expect("cannot fail because the run has this task");
    let shown = Shown::of(context, &site, &run, task).await?;
    if args.json {
        let json = serde_json::to_string_pretty(&shown).map_err(|error| Failure::registry(error.to_string()))?;
        context.terminal.json(&(json + "\n"))?;
    } else {
        context.terminal.result(&screen::text(context, &shown, task.outcome()))?;
    }
    Ok(Code::Success)
}

/// How a task stands. Serialised, it is the JSON of `show`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    run: String,
    task: String,
    title: String,
    state: String,
    /// Outcome in words; `None` while it is not over.
    outcome: Option<String>,
    /// Error at the end of its output, or the question that its agent ended with.
    why: Option<String>,
    attempt: Option<u32>,
    executor: Option<String>,
    command_seconds: Option<f64>,
    cost_usd: Option<f64>,
    tokens: Option<u64>,
    #[serde(skip)]
    usage: Option<String>,
    work: Option<Work>,
    last_message: Option<String>,
    /// Last lines of the output.
    output: Vec<String>,
    logs: Vec<String>,
    worktree: Option<Worktree>,
    next: Vec<String>,
}

/// The work of the task.
#[derive(Serialize)]
struct Work {
    branch: String,
    base: String,
    /// The last one first.
    commits: Vec<Commit>,
    files: Vec<FileChange>,
    uncommitted: u64,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Commit {
    id: String,
    subject: String,
}

/// A changed file; without numbers, where it is binary.
#[derive(Serialize)]
struct FileChange {
    path: String,
    added: Option<u64>,
    removed: Option<u64>,
}

#[derive(Serialize)]
struct Worktree {
    path: String,
    state: &'static str,
    kept_because: Vec<String>,
}

impl Shown {
    async fn of(context: &Context, site: &Site, run: &LoadedRun, task: &TaskRecord) -> Result<Self, Failure> {
        let id = &task.task.spec.id;
        let folders = site.attempt_folders(&run.record.header.run);
        let last = task.last();
        let folder = last.map(|last| folders(&AttemptRef { task: id.clone(), number: last.number }));
        let log = |phase: Phase| folder.as_ref().map(|folder| folder.join(phase.output_file()));
        let pending = log(Phase::Main).and_then(|log| PendingReport::start(task, || log));
        let now = match pending {
            Some(pending) => with_report(task, pending).await,
            None => task.clone(),
        };
        let totals = AgentTotals::of(&now);
        let logs: Vec<_> = Phase::ALL.into_iter().filter_map(&log).filter(|path| path.exists()).collect();
        let output = match is_for_programs(task) {
            true => [Phase::Setup, Phase::Check].into_iter().filter_map(&log).collect(),
            false => logs.clone(),
        };
        let last_message = now.attempts.iter().rev().find_map(|attempt| attempt.agent.as_ref()?.last_message.clone());
        Ok(Self {
            schema: "gadugi.show/1",
            run: run.record.header.run.to_string(),
            task: id.to_string(),
            title: task.task.spec.title.clone(),
            state: state(run, task),
            outcome: task.outcome().map(ToString::to_string),
            why: last.and_then(|last| why(task, last)),
            attempt: last.map(|last| last.number.get()),
            executor: last.map(|last| last.executor.clone()),
            command_seconds: last.map(|last| (last.setup_time() + last.command_time()).as_secs_f64()),
            cost_usd: totals.cost(),
            tokens: totals.tokens().map(Tokens::total),
            usage: usage_text(totals),
            work: work(context, site, task).await?,
            last_message,
            output: last_lines(&output)?,
            logs: logs.iter().map(|path| path.display().to_string()).collect(),
            worktree: task.with_branch().or(last).and_then(worktree),
            next: next(site, run, task)?,
        })
    }
}

/// Whether the output of the task's own command is events in JSON, which say nothing to people.
fn is_for_programs(task: &TaskRecord) -> bool {
    task.task.spec.action.agent.as_ref().is_some_and(|agent| agent.output != "text")
}

fn state(run: &LoadedRun, task: &TaskRecord) -> String {
    match &task.state {
        TaskState::Finished(outcome) => outcome.word().to_owned(),
        TaskState::Blocked { by } if run.driven => {
            format!("blocked by {}", by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        state if run.driven => state.word().to_owned(),
        TaskState::Queued | TaskState::Blocked { .. } => "not started".to_owned(),
        _ => "interrupted: nobody drives the run, and what it has started may still run".to_owned(),
    }
}

fn why(task: &TaskRecord, last: &AttemptRecord) -> Option<String> {
    let unchanged = matches!(task.outcome(), Some(Outcome::Unchanged));
    let question = || last.agent.as_ref()?.question().map(str::to_owned);
    let failed = task.outcome().is_some_and(|outcome| !outcome.success());
    last.said.clone().filter(|_| failed).or_else(|| question().filter(|_| failed || unchanged))
}

/// The work of a task, with its commits and files as git lists them.
async fn work(context: &Context, site: &Site, task: &TaskRecord) -> Result<Option<Work>, Failure> {
    let objects = ScratchObjects::new(site)?;
    let work = match TaskWork::find(site, task, &objects).await {
        Ok(Some(work)) => work,
        Ok(None) => return Ok(None),
        Err(failure) => {
            // Everything else can still be shown.
            context.terminal.say(&format!("warning: {}", failure.texts().0));
            return Ok(None);
        }
    };
    let git = Git::new(context, site, objects.variable());
    let range = format!("{}..{}", work.base, work.preview.commit);
    let log = git.output(&["log", "--no-show-signature", "-z", "--format=%h%x09%s", &range]).await?;
    let base = work.base.to_string();
    let files = ["diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", &base, &work.preview.object];
    let files = git.output(&files).await?;
    Ok(Some(Work {
        branch: work.branch.to_string(),
        base,
        commits: records(&log)?.filter_map(|record| commit(&record)).collect(),
        files: records(&files)?.filter_map(|record| file(&record)).collect(),
        uncommitted: work.preview.uncommitted,
        notes: work.notes(),
    }))
}

/// The records that git has printed, each with a zero byte after it.
fn records(output: &Output) -> Result<impl Iterator<Item = String>, Failure> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::environment(format!("git cannot list the work: {}", said.trim())));
    }
    let records = output.stdout.split(|byte| *byte == 0).filter(|record| !record.is_empty());
    Ok(records.map(|record| String::from_utf8_lossy(record).trim_start_matches('\n').to_owned()))
}

fn commit(record: &str) -> Option<Commit> {
    let (id, subject) = record.split_once('\t')?;
    Some(Commit { id: id.to_owned(), subject: subject.to_owned() })
}

fn file(record: &str) -> Option<FileChange> {
    let mut parts = record.splitn(3, '\t');
    let (added, removed) = (parts.next()?.parse().ok(), parts.next()?.parse().ok());
    Some(FileChange { path: parts.next()?.to_owned(), added, removed })
}

/// The last lines of logs, of which the last one was written last, without what controls a terminal.
fn last_lines(logs: &[std::path::PathBuf]) -> Result<Vec<String>, Failure> {
    let mut lines: Vec<String> = Vec::new();
    for path in logs.iter().rev() {
        let unreadable = |error: std::io::Error| Failure::registry(format!("cannot read {}: {error}", path.display()));
        let (mut log, _) = GrowingLog::from_last_lines(path.clone(), MAX_OUTPUT_LINES).map_err(unreadable)?;
        let text = log.read_on().map_err(unreadable)?;
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
        let shown = text.split(['\n', '\r']).map(|line| harmless(line).chars().take(MAX_LINE).collect::<String>());
        let shown: Vec<String> = shown.map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect();
        lines.splice(0..0, shown);
        if lines.len() >= MAX_OUTPUT_LINES {
            break;
        }
    }
    let more = lines.len().saturating_sub(MAX_OUTPUT_LINES);
    Ok(lines.split_off(more))
}

fn worktree(attempt: &AttemptRecord) -> Option<Worktree> {
    let lease = attempt.lease.as_ref()?;
    let (state, kept_because) = match &attempt.worktree {
        WorktreeState::InUse => ("in use", Vec::new()),
        WorktreeState::Released => ("removed", Vec::new()),
        WorktreeState::HandedOver => ("handed over", Vec::new()),
        WorktreeState::Kept(reasons) => ("kept", reasons.iter().map(ToString::to_string).collect()),
    };
    // One that nobody asked to be released stays for its user once the task is over.
    let state = if state == "in use" && attempt.ended.is_some() { "kept" } else { state };
    Some(Worktree { path: lease.path.display().to_string(), state, kept_because })
}

/// Commands that make sense now, as they can be pasted.
fn next(site: &Site, run: &LoadedRun, task: &TaskRecord) -> Result<Vec<String>, Failure> {
    let (id, run_id) = (&task.task.spec.id, &run.record.header.run);
    let of_run = if site.find("latest")? == *run_id { String::new() } else { format!(" --run {run_id}") };
    let logs = format!("gadugi logs {id}{of_run}");
    Ok(match task.outcome() {
        Some(outcome) if outcome.success() => {
            let has_work =
                task.with_branch().and_then(|attempt| task.made(attempt)).is_some_and(|made| made.commits > 0);
            let diff =
                has_work.then(|| vec![format!("gadugi diff {id}{of_run}"), format!("gadugi merge {run_id} {id}")]);
            diff.unwrap_or_else(|| vec![logs])
        }
        Some(_) if task.attempts.is_empty() => vec![format!("gadugi retry {run_id} {id}")],
        Some(_) => vec![logs, format!("gadugi retry {run_id} {id}")],
        None if run.driven => vec![format!("gadugi logs -f {id}{of_run}"), format!("gadugi diff {id}{of_run}")],
        None => vec![format!("gadugi resume {run_id}")],
    })
}
