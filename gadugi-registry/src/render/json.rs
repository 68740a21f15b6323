//! The report for scripts, described by `docs/report.schema.json`.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use gadugi_core::plan::Origin;
use gadugi_core::run::{
    AgentTotals, AttemptRecord, CommandRecord, ForeseenConflict, Interruption, Outlook, TaskRecord, WorktreeState,
};
use gadugi_core::{BranchName, CommitId, Outcome, Report, RunId, TaskId};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::LogPath;
use super::words::{attempt_ref, open_commands, setup_time, state, task_time};
use crate::format::{
    AgentReportForm, CounterpartForm, EndForm, KeepPolicyForm, LinkForm, OutcomeForm, PathForm, PhaseForm, Seconds,
    SeededForm, Text, TokensForm, WorkForm, texts,
};
use crate::sanitize::EscapedJson;

const SCHEMA: &str = "gadugi.report/1";

/// A report as JSON, with a newline at its end. Keys name the unit of their figure, and what is unknown
/// is `null`. Characters that would disturb a terminal are written as `\uXXXX`. Members may be added within `gadugi.report/1`; none changes its meaning.
#[must_use]
pub fn json(report: &Report, log: LogPath<'_>) -> String {
    let mut json = Vec::new();
    write_json(report, log, &mut json)
        .expect("cannot fail because all keys are strings and nothing in it refuses to be serialised");
    String::from_utf8(json).expect("cannot fail because JSON is UTF-8")
}

/// Writes the same JSON task by task, so that a long run is never in the memory as text.
///
/// # Errors
/// Those of writing.
pub fn write_json(report: &Report, log: LogPath<'_>, to: &mut dyn Write) -> io::Result<()> {
    // It comes in pieces of a few bytes, and none of them is parted.
    let mut to = BufWriter::new(EscapedJson(to));
    serde_json::to_writer_pretty(&mut to, &ReportForm::new(report, log))?;
    to.write_all(b"\n")?;
    to.flush()
}

#[derive(Serialize)]
struct ReportForm<'a> {
    schema: &'static str,
    run: Text<RunId>,
    created: Timestamp,
    started: Option<Timestamp>,
    last_event: Option<Timestamp>,
    ended: bool,
    interrupted: Option<bool>,
    driven: bool,
    interruptions: Vec<InterruptionForm>,
    base: Option<Text<CommitId>>,
    base_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkForm>,
    settings: SettingsForm,
    executor: Option<ExecutorForm<'a>>,
    totals: TotalsForm,
    agents: Option<AgentTotalsForm>,
    performance: PerformanceForm,
    tasks: TasksForm<'a>,
    warnings: Vec<WarningForm<'a>>,
    conflicts: Vec<ConflictForm<'a>>,
    outlook: Option<OutlookForm>,
}

/// Two sides that do not merge as text.
#[derive(Serialize)]
struct ConflictForm<'a> {
    task: Text<TaskId>,
    #[serde(flatten)]
    other: CounterpartForm,
    files: &'a [String],
    more_files: u64,
}

/// What was found when all branches were compared.
#[derive(Serialize)]
struct OutlookForm {
    unknown_pairs: usize,
    in_target: Vec<Text<TaskId>>,
    branch_gone: Vec<Text<TaskId>>,
}

#[derive(Serialize)]
struct InterruptionForm {
    after: Option<Timestamp>,
    resumed: Timestamp,
    under_way: usize,
    restarted: Option<bool>,
}

#[derive(Serialize)]
struct SettingsForm {
    jobs: usize,
    fail_fast: bool,
    keep: Option<KeepPolicyForm>,
    allow_overlap: bool,
}

#[derive(Serialize)]
struct ExecutorForm<'a> {
    name: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct TotalsForm {
    tasks: usize,
    succeeded: usize,
    unchanged: usize,
    failed: usize,
    timed_out: usize,
    cancelled: usize,
    skipped: usize,
    lost: usize,
    unfinished: usize,
}

/// The reported totals, with the number of attempts that did not report them.
#[derive(Serialize)]
struct AgentTotalsForm {
    attempts: usize,
    cost_usd: Option<f64>,
    attempts_without_cost: usize,
    attempts_with_reckoned_cost: usize,
    tokens: Option<TokensForm>,
    attempts_without_tokens: usize,
    attempts_with_reckoned_tokens: usize,
}

#[derive(Serialize)]
struct PerformanceForm {
    wall_seconds: Option<Seconds>,
    task_seconds_sum: Option<Seconds>,
    commands_without_end: usize,
    speedup: Option<f64>,
    worktree_seconds_sum: Option<Seconds>,
    spawn_seconds_sum: Option<Seconds>,
    setup_seconds_sum: Option<Seconds>,
    setup_share: Option<f64>,
    queue_wait_seconds_sum: Option<Seconds>,
    critical_path_seconds: Option<Seconds>,
    critical_path: Vec<Text<TaskId>>,
    peak_parallelism: usize,
}

/// All tasks. Each is put into its form when it is written.
struct TasksForm<'a> {
    report: &'a Report,
    log: LogPath<'a>,
}

impl Serialize for TasksForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.report.record.tasks.iter().map(|task| task_form(self.report, task, self.log)))
    }
}

#[derive(Serialize)]
struct TaskForm<'a> {
    id: Text<TaskId>,
    title: &'a str,
    file: Option<PathForm>,
    line: Option<usize>,
    agent: Option<&'a str>,
    needs: Vec<Text<TaskId>>,
    /// Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs_done_before: Vec<NeedDoneForm>,
    state: &'static str,
    outcome: Option<EndedForm>,
    task_seconds: Option<Seconds>,
    made: Option<MadeForm>,
    attempts: Vec<AttemptForm<'a>>,
}

/// The work of a task, over all attempts that continue each other.
#[derive(Serialize)]
struct MadeForm {
    branch: Text<BranchName>,
    base: Option<Text<CommitId>>,
    commits: Option<u64>,
    files: Option<u64>,
}

/// An outcome as in the journal, and in words.
#[derive(Serialize)]
struct EndedForm {
    #[serde(flatten)]
    outcome: Option<OutcomeForm>,
    text: String,
}

#[derive(Serialize)]
struct AttemptForm<'a> {
    number: u32,
    executor: &'a str,
    intended: Timestamp,
    ended: Option<Timestamp>,
    outcome: Option<EndedForm>,
    worktree: Option<WorktreeForm>,
    agent: Option<AgentReportForm>,
    work: Option<WorkForm>,
    commands: Vec<CommandForm<'a>>,
}

#[derive(Serialize)]
struct WorktreeForm {
    path: PathForm,
    branch: Option<Text<BranchName>>,
    base: Option<Text<CommitId>>,
    took_seconds: Option<Seconds>,
    place: &'static str,
    kept_because: Vec<String>,
    #[serde(flatten)]
    seeded: Option<SeededForm>,
}

#[derive(Serialize)]
struct CommandForm<'a> {
    phase: Option<PhaseForm>,
    executor: &'a str,
    token: &'a str,
    started: Timestamp,
    spawn_seconds: Option<Seconds>,
    end: Option<EndForm>,
    log: Option<PathForm>,
}

#[derive(Serialize)]
struct WarningForm<'a> {
    about: String,
    task: Option<Text<TaskId>>,
    message: &'a str,
}

impl<'a> ReportForm<'a> {
    fn new(report: &'a Report, log: LogPath<'a>) -> Self {
        let record = &report.record;
        let header = &record.header;
        let totals = &report.totals;
        Self {
            schema: SCHEMA,
            run: Text(header.run.clone()),
            created: header.created,
            started: record.started,
            last_event: record.last_event,
            ended: record.ended.is_some(),
            interrupted: record.ended.map(|(_, interrupted)| interrupted),
            driven: report.driven && record.ended.is_none(),
            interruptions: record.interruptions.iter().map(interruption_form).collect(),
            base: header.base.clone().map(Text),
            base_name: header.base_name.as_deref(),
            // A link that has no form is none of those that the schema knows.
            link: header.link.as_ref().and_then(|link| LinkForm::try_from(link).ok()),
            settings: SettingsForm {
                jobs: header.settings.jobs.get(),
                fail_fast: header.settings.fail_fast,
                keep: header.settings.keep.try_into().ok(),
                allow_overlap: header.settings.allow_overlap,
            },
            executor: record.executor.as_ref().map(|(name, reason)| ExecutorForm { name, reason }),
            totals: TotalsForm {
                tasks: totals.tasks,
                succeeded: totals.succeeded,
                unchanged: totals.unchanged,
                failed: totals.failed,
                timed_out: totals.timed_out,
                cancelled: totals.cancelled,
                skipped: totals.skipped,
                lost: totals.lost,
                unfinished: totals.unfinished,
            },
            agents: agent_totals(&report.agents),
            performance: performance(report),
            tasks: TasksForm { report, log },
            warnings: report
                .warnings
                .iter()
                .map(|warning| WarningForm {
                    about: warning.kind.to_string(),
                    task: warning.task.clone().map(Text),
                    message: &warning.message,
                })
                .collect(),
            conflicts: report.conflicts().iter().map(conflict_form).collect(),
            outlook: report.outlook.as_ref().map(outlook_form),
        }
    }
}

fn conflict_form(conflict: &ForeseenConflict) -> ConflictForm<'_> {
    ConflictForm {
        task: Text(conflict.task.clone()),
        other: (&conflict.other).into(),
        files: &conflict.files,
        more_files: conflict.more,
    }
}

fn outlook_form(outlook: &Outlook) -> OutlookForm {
    let texts = |tasks: &BTreeSet<TaskId>| tasks.iter().cloned().map(Text).collect();
    OutlookForm {
        unknown_pairs: outlook.unknown,
        in_target: texts(&outlook.in_target),
        branch_gone: texts(&outlook.gone),
    }
}

/// A need that had succeeded in an earlier run.
#[derive(Serialize)]
struct NeedDoneForm {
    task: Text<TaskId>,
    /// `None` where the base has its work.
    tip: Option<Text<CommitId>>,
}

fn needs_done_before(origin: &Origin) -> Vec<NeedDoneForm> {
    let tip = |task: &TaskId| origin.tips.iter().find(|tip| tip.task == *task).map(|tip| Text(tip.tip.clone()));
    let form = |task: &TaskId| NeedDoneForm { task: Text(task.clone()), tip: tip(task) };
    origin.done.iter().map(|done| form(&done.task)).collect()
}

/// `None` when no agent was started.
fn agent_totals(totals: &AgentTotals) -> Option<AgentTotalsForm> {
    (totals.attempts > 0).then(|| AgentTotalsForm {
        attempts: totals.attempts,
        cost_usd: totals.cost(),
        attempts_without_cost: totals.without_cost,
        attempts_with_reckoned_cost: totals.reckoned_cost,
        tokens: totals.tokens().map(Into::into),
        attempts_without_tokens: totals.without_tokens,
        attempts_with_reckoned_tokens: totals.reckoned_tokens,
    })
}

fn interruption_form(interruption: &Interruption) -> InterruptionForm {
    let Interruption { after, resumed, under_way, restarted } = *interruption;
    InterruptionForm { after, resumed, under_way, restarted }
}

fn performance(report: &Report) -> PerformanceForm {
    let figures = &report.performance;
    let tasks = &report.record.tasks;
    let attempts = || tasks.iter().flat_map(|task| &task.attempts);
    let any_ended = tasks.iter().any(|task| task_time(task).is_some());
    let any_worktree = attempts().any(|attempt| attempt.worktree_took.is_some());
    let any_command = attempts().any(|attempt| !attempt.commands.is_empty());
    let any_setup = attempts().any(|attempt| setup_time(attempt).is_some());
    let (path, path_time) = &figures.critical_path;
    PerformanceForm {
        wall_seconds: figures.wall.map(Seconds),
        task_seconds_sum: any_ended.then_some(Seconds(figures.task_time)),
        commands_without_end: open_commands(tasks),
        speedup: figures.speedup,
        worktree_seconds_sum: any_worktree.then_some(Seconds(figures.worktree_time)),
        spawn_seconds_sum: any_command.then_some(Seconds(figures.spawn_time)),
        setup_seconds_sum: any_setup.then_some(Seconds(figures.setup_time)),
        setup_share: figures.setup_share,
        queue_wait_seconds_sum: attempts().next().map(|_| Seconds(figures.queue_wait)),
        critical_path_seconds: any_ended.then_some(Seconds(*path_time)),
        critical_path: if any_ended { texts(path) } else { Vec::new() },
        peak_parallelism: figures.peak_parallelism,
    }
}

fn task_form<'a>(report: &Report, task: &'a TaskRecord, log: LogPath<'_>) -> TaskForm<'a> {
    let spec = &task.task.spec;
    let file = spec.source.file.as_path();
    TaskForm {
        id: Text(spec.id.clone()),
        title: &spec.title,
        file: (!file.as_os_str().is_empty()).then(|| file.into()),
        line: (spec.source.line > 0).then_some(spec.source.line),
        agent: spec.action.agent.as_ref().map(|agent| agent.name.as_str()),
        needs: texts(&task.task.needs),
        needs_done_before: needs_done_before(&task.task.spec.origin),
        state: if task.state.is_finished() { "finished" } else { state(report, task) },
        outcome: task.outcome().map(ended_form),
        task_seconds: task_time(task).map(Seconds),
        made: made_form(task),
        attempts: task.attempts.iter().map(|attempt| attempt_form(task, attempt, log)).collect(),
    }
}

fn made_form(task: &TaskRecord) -> Option<MadeForm> {
    let attempt = task.with_branch()?;
    let made = task.made(attempt);
    Some(MadeForm {
        branch: Text(attempt.lease.as_ref()?.branch.clone()?),
        base: task.base_of(attempt).cloned().map(Text),
        commits: made.map(|made| made.commits),
        files: made.map(|made| made.files),
    })
}

fn ended_form(outcome: &Outcome) -> EndedForm {
    EndedForm { outcome: outcome.try_into().ok(), text: outcome.to_string() }
}

fn attempt_form<'a>(task: &TaskRecord, attempt: &'a AttemptRecord, log: LogPath<'_>) -> AttemptForm<'a> {
    let command = |command: &'a CommandRecord| CommandForm {
        phase: command.phase.try_into().ok(),
        executor: &command.identity.executor,
        token: &command.identity.token,
        started: command.started,
        spawn_seconds: command.spawn.map(Seconds),
        end: command.end.and_then(|end| end.try_into().ok()),
        log: log(&attempt_ref(task, attempt), command.phase).map(PathForm),
    };
    AttemptForm {
        number: attempt.number.get(),
        executor: &attempt.executor,
        intended: attempt.intended,
        ended: attempt.ended.as_ref().map(|(_, at)| *at),
        outcome: attempt.ended.as_ref().map(|(outcome, _)| ended_form(outcome)),
        worktree: worktree_form(attempt),
        agent: attempt.agent.as_deref().and_then(|report| report.try_into().ok()),
        work: attempt.work.as_deref().and_then(|work| work.try_into().ok()),
        commands: attempt.commands.iter().map(command).collect(),
    }
}

fn worktree_form(attempt: &AttemptRecord) -> Option<WorktreeForm> {
    let lease = attempt.lease.as_ref()?;
    let (place, kept_because) = match &attempt.worktree {
        WorktreeState::InUse => ("in_use", Vec::new()),
        WorktreeState::Released => ("released", Vec::new()),
        WorktreeState::HandedOver => ("handed_over", Vec::new()),
        WorktreeState::Kept(reasons) => ("kept", reasons.iter().map(ToString::to_string).collect()),
    };
    Some(WorktreeForm {
        path: lease.path.as_path().into(),
        branch: lease.branch.clone().map(Text),
        base: lease.base.clone().map(Text),
        took_seconds: attempt.worktree_took.map(Seconds),
        place,
        kept_because,
        seeded: attempt.seeded.map(SeededForm::from),
    })
}
