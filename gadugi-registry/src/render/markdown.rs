//! The report for people.

use std::fmt::Write as _;

use gadugi_core::run::{AttemptRecord, RunLink, TaskRecord, TaskState, WorktreeState};
use gadugi_core::worktrees::Counts;
use gadugi_core::{BranchName, CommitId, Outcome, Phase, Report, TaskId};

use super::LogPath;
use super::agents;
use super::escape::{block, code, code_cell, inline, shell};
use super::home;
use super::outlook;
use super::words::{
    UNKNOWN, attempt_ref, attempt_time, command, count, duration, open, open_commands, setup_time, state, task_time,
    totals,
};

/// The content of a cell without a value.
const NONE: &str = "-";

/// A report as Markdown, in this order: summary, table of tasks, a section for each task, conflicts, performance,
/// warnings, and what to do next as commands that can be pasted. Text that comes from tasks is escaped.
#[must_use]
pub fn markdown(report: &Report, log: LogPath<'_>) -> String {
    let mut out = Paragraphs::default();
    summary(&mut out, report);
    table(&mut out, report);
    for task in &report.record.tasks {
        section(&mut out, report, task, log);
    }
    conflicts(&mut out, report);
    performance(&mut out, report);
    warnings(&mut out, report);
    next_steps(&mut out, report);
    out.0
}

/// Markdown whose parts are set apart by empty lines.
#[derive(Default)]
struct Paragraphs(String);

impl Paragraphs {
    fn add(&mut self, paragraph: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(paragraph);
        if !paragraph.ends_with('\n') {
            self.0.push('\n');
        }
    }

    fn list(&mut self, items: &[String]) {
        let items: String = items.iter().map(|item| format!("- {item}\n")).collect();
        self.add(&items);
    }
}

fn summary(out: &mut Paragraphs, report: &Report) {
    let record = &report.record;
    out.add(&format!("# Run {}", record.header.run));
    let end = match record.ended {
        Some((Some(wall), false)) => format!("It took {}.", duration(wall)),
        Some((Some(wall), true)) => format!("It was stopped after {}, before all tasks were through.", duration(wall)),
        Some((None, false)) => "How long it took was not measured, since it was interrupted.".to_owned(),
        Some((None, true)) => "It was stopped before all tasks were through.".to_owned(),
        None if report.driven => "It goes on.".to_owned(),
        None => "It is interrupted: nobody drives it, and what it has started may still run.".to_owned(),
    };
    out.add(&format!("{} {end}", totals(&report.totals)));
    let mut facts = Vec::new();
    match &record.header.link {
        Some(RunLink::Retry { run }) => {
            facts.push(format!("Retry of run {}: what succeeded there counts as done", code(run.as_str())));
        }
        Some(RunLink::Merge { merge }) => facts.push(format!("Checks of the merge {}", code(merge.as_str()))),
        _ => {}
    }
    if let Some(base) = &record.header.base {
        let name = record.header.base_name.as_deref().map(|name| format!("{} at ", code(name))).unwrap_or_default();
        facts.push(format!("Base: {name}{}", code(base.short())));
    }
    if let Some((executor, reason)) = &record.executor {
        facts.push(format!("Executor: {} ({})", inline(executor), inline(reason)));
    }
    facts.push(format!("Jobs at once: {} at the most", record.header.settings.jobs));
    if let Some(started) = record.started {
        facts.push(format!("Started: {}", started.strftime("%Y-%m-%d %H:%M:%S UTC")));
    }
    facts.extend(record.interruptions.iter().map(|interruption| format!("Interrupted: {interruption}")));
    facts.extend(agents::totals(&report.agents));
    out.list(&facts);
}

fn table(out: &mut Paragraphs, report: &Report) {
    out.add("## Tasks");
    let any_cost = report.agents.cost().is_some();
    let (cost, rule) = if any_cost { (" Cost |", " ---: |") } else { ("", "") };
    let any_conflict = !report.conflicts().is_empty();
    let (conflicts, conflicts_rule) = if any_conflict { (" Conflicts |", " --- |") } else { ("", "") };
    let mut rows = format!(
        "| Outcome | Task | Title | Branch | Commits | Files | Duration | Executor |{cost}{conflicts}\n\
         | --- | --- | --- | --- | ---: | ---: | ---: | --- |{rule}{conflicts_rule}\n",
    );
    for task in &report.record.tasks {
        let last = task.last();
        let with_branch = task.with_branch();
        let made = with_branch.and_then(|attempt| task.made(attempt));
        let has_worktree = with_branch.or(last).is_some_and(|attempt| attempt.lease.is_some());
        let mut cells = vec![
            state(report, task).to_owned(),
            code_cell(task.task.spec.id.as_str()),
            inline(&task.task.spec.title),
            branch(task).map_or(NONE.to_owned(), |branch| code_cell(&branch)),
            figure(has_worktree, made.map(|made| made.commits.to_string())),
            figure(has_worktree, made.map(|made| made.files.to_string())),
            figure(has_started(task), task_time(task).map(duration)),
            last.map_or(NONE.to_owned(), |last| inline(&last.executor)),
        ];
        if any_cost {
            cells.push(agents::cost(task).unwrap_or_else(|| NONE.to_owned()));
        }
        if any_conflict {
            cells.push(outlook::cell(report, &task.task.spec.id).unwrap_or_else(|| NONE.to_owned()));
        }
        rows += &format!("| {} |\n", cells.join(" | "));
    }
    out.add(&rows);
}

/// A figure that is not known is unknown where there is something to measure.
fn figure(measurable: bool, value: Option<String>) -> String {
    value.unwrap_or_else(|| if measurable { UNKNOWN } else { NONE }.to_owned())
}

fn has_commands(task: &TaskRecord) -> bool {
    task.attempts.iter().any(|attempt| !attempt.commands.is_empty())
}

/// Whether the task itself was started, and not only what prepares its worktree.
fn has_started(task: &TaskRecord) -> bool {
    let mut commands = task.attempts.iter().flat_map(|attempt| &attempt.commands);
    commands.any(|command| command.phase != Phase::Setup)
}

fn branch(task: &TaskRecord) -> Option<String> {
    branch_of(task.with_branch()?).map(ToString::to_string)
}

fn branch_of(attempt: &AttemptRecord) -> Option<&BranchName> {
    attempt.lease.as_ref()?.branch.as_ref()
}

fn section(out: &mut Paragraphs, report: &Report, task: &TaskRecord, log: LogPath<'_>) {
    let spec = &task.task.spec;
    out.add(&format!("### {}: {}", code(spec.id.as_str()), inline(&spec.title)));
    let outcome = task.outcome().map_or_else(|| state(report, task).to_owned(), |outcome| inline(&outcome.to_string()));
    let mut facts = vec![format!("Outcome: {outcome}")];
    if !spec.source.file.as_os_str().is_empty() {
        facts.push(format!("Task file: {}", code(&spec.source.to_string())));
    }
    if let Some(agent) = &spec.action.agent {
        facts.push(format!("Agent: {}", inline(&agent.name)));
    }
    if !task.task.needs.is_empty() {
        let needs: Vec<String> = task.task.needs.iter().map(|need| code(need.as_str())).collect();
        facts.push(format!("Needs: {}", needs.join(", ")));
    }
    if !spec.origin.done.is_empty() {
        let done: Vec<String> = spec.origin.done.iter().map(|done| code(done.task.as_str())).collect();
        facts.push(format!("Needs that were done before: {}", done.join(", ")));
    }
    if let Some(earlier) = &spec.origin.earlier {
        let how = match (&earlier.conversation, &earlier.lease, &earlier.tip) {
            (Some(_), _, _) => "in the conversation with its agent",
            (None, None, None) => "anew, with what its check had printed",
            _ => "where that had ended",
        };
        facts.push(format!("Goes on after run {} {how}", code(earlier.run.as_str())));
    }
    if let Some(last) = task.last() {
        if spec.setup.is_some() {
            facts.push(format!("Setup: {}", verdict(last, Phase::Setup)));
        }
        if spec.check.is_some() {
            facts.push(format!("Check: {}", verdict(last, Phase::Check)));
        }
        facts.extend(place(task, task.with_branch().unwrap_or(last)));
    }
    out.list(&facts);
    if let Some(setup) = &spec.setup {
        out.add("The setup:");
        out.add(&block("sh", &setup.script));
    }
    if let Some(script) = &spec.check {
        out.add("The check:");
        out.add(&block("sh", script));
    }
    if !task.attempts.is_empty() {
        out.add(&attempts(task, log));
    }
    if let Some(message) = agents::last_message(task) {
        out.add("What its agent said last:");
        out.add(&message);
    }
}

/// What a report says of a task to those who review its branch elsewhere, without paths of this machine; `None` for a task of
/// another run.
#[must_use]
pub fn review(report: &Report, task: &TaskId) -> Option<String> {
    let task = report.record.task(task)?;
    let spec = &task.task.spec;
    let mut out = Paragraphs::default();
    let outcome = task.outcome().map_or_else(|| state(report, task).to_owned(), |outcome| inline(&outcome.to_string()));
    let mut facts = vec![
        format!("Task: {} of run {}", code(spec.id.as_str()), code(&report.record.header.run.to_string())),
        format!("Outcome: {outcome}"),
    ];
    if let Some(agent) = &spec.action.agent {
        facts.push(format!("Agent: {}", inline(&agent.name)));
    }
    if !task.task.needs.is_empty() {
        let needs: Vec<String> = task.task.needs.iter().map(|need| code(need.as_str())).collect();
        facts.push(format!("Needs: {}", needs.join(", ")));
    }
    if let Some(last) = task.last().filter(|_| spec.check.is_some()) {
        facts.push(format!("Check: {}", verdict(last, Phase::Check)));
    }
    if let Some(attempt) = task.with_branch() {
        facts.push(format!("Work: {}", made(task.made(attempt))));
        if let Some(work) = attempt.work.as_ref().filter(|work| !work.left_out.is_empty()) {
            let files: Vec<String> = work.left_out.iter().map(|file| code(file)).collect();
            facts.push(format!("Left out of the commit, since they look like secrets: {}", files.join(", ")));
        }
    }
    out.list(&facts);
    if let Some(script) = &spec.check {
        out.add("The check:");
        out.add(&block("sh", script));
    }
    if !task.attempts.is_empty() {
        out.add(&attempts(task, &|_, _| None));
    }
    if let Some(message) = agents::last_message(task) {
        out.add("What its agent said last:");
        out.add(&message);
    }
    Some(out.0)
}

/// The end of a command that decides whether the attempt continues.
fn verdict(attempt: &AttemptRecord, phase: Phase) -> String {
    match command(attempt, phase) {
        None => "not run".to_owned(),
        Some(command) => match command.end {
            None => UNKNOWN.to_owned(),
            Some(end) if end.status.success() && phase == Phase::Setup => duration(end.took),
            Some(end) if end.status.success() => "passed".to_owned(),
            Some(end) => format!("failed ({})", end.status),
        },
    }
}

/// The work of a task, with the attempt that has its branch, and its place.
fn place(task: &TaskRecord, attempt: &AttemptRecord) -> Vec<String> {
    let mut facts = Vec::new();
    let Some(lease) = &attempt.lease else { return facts };
    if let Some(branch) = &lease.branch {
        facts.push(format!("Branch: {} ({})", code(branch.as_str()), made(task.made(attempt))));
    }
    let path = code(&lease.path.display().to_string());
    facts.push(match &attempt.worktree {
        WorktreeState::Released => "Worktree: removed; everything is on the branch".to_owned(),
        WorktreeState::InUse => format!("Worktree: {path}"),
        WorktreeState::HandedOver => format!("Worktree: {path}, in which the next attempt went on"),
        WorktreeState::Kept(reasons) => {
            let reasons: Vec<String> = reasons.iter().map(|reason| inline(&reason.to_string())).collect();
            format!("Worktree: {path}, kept: {}", reasons.join(", "))
        }
    });
    let ignored = attempt.work.as_ref().map(|work| &work.ignored).filter(|ignored| ignored.files > 0);
    if let Some(ignored) = ignored.filter(|_| attempt.worktree == WorktreeState::Released) {
        let largest: Vec<String> = ignored.largest.iter().map(|folder| code(&format!("{folder}/"))).collect();
        let most = if largest.is_empty() { String::new() } else { format!(", most in {}", largest.join(", ")) };
        let (files, bytes) = (count(ignored.files, "file"), count(ignored.bytes, "byte"));
        facts.push(format!("Ignored files went with it: {files} of {bytes}{most}"));
    }
    if let Some(seeded) = attempt.seeded {
        facts.push(format!("Seeded: {} of {}", count(seeded.files, "file"), count(seeded.bytes, "byte")));
    }
    if let Some(work) = attempt.work.as_ref().filter(|work| !work.left_out.is_empty()) {
        let files: Vec<String> = work.left_out.iter().map(|file| code(file)).collect();
        facts.push(format!("Left out of the commit, since they look like secrets: {}", files.join(", ")));
    }
    if let Some(work) = attempt.work.as_ref().filter(|work| !work.unsaved.is_empty()) {
        let files: Vec<String> =
            work.unsaved.iter().map(|file| format!("{} ({})", code(&file.path), inline(&file.why))).collect();
        facts.push(format!("Could not be committed: {}", files.join(", ")));
    }
    if let Some(place) = attempt.work.as_ref().and_then(|work| work.taken_over.as_ref()) {
        facts.push(format!("Taken over: its work was on {}", inline(place)));
    }
    let elsewhere: Vec<String> =
        attempt.work.iter().flat_map(|work| &work.elsewhere).map(|place| inline(&place.to_string())).collect();
    if !elsewhere.is_empty() {
        facts.push(format!("Not on the branch: {}", elsewhere.join("; ")));
    }
    if let Some(work) = attempt.work.as_ref().filter(|work| !work.kept_refs.is_empty()) {
        let refs: Vec<String> = work.kept_refs.iter().map(|name| code(name)).collect();
        facts.push(format!("Also kept of what was staged or committed there: {}", refs.join(", ")));
    }
    facts
}

fn made(made: Option<Counts>) -> String {
    match made {
        Some(made) => format!("{}, {}", count(made.commits, "commit"), count(made.files, "changed file")),
        None => format!("what it holds is {UNKNOWN}"),
    }
}

fn attempts(task: &TaskRecord, log: LogPath<'_>) -> String {
    let mut list = String::new();
    for attempt in &task.attempts {
        let outcome = match &attempt.ended {
            Some((outcome, _)) => inline(&outcome.to_string()),
            None => "not over".to_owned(),
        };
        let time = match attempt_time(attempt) {
            Some(time) => format!(", {}", duration(time)),
            None if attempt.commands.iter().all(|command| command.phase == Phase::Setup) => String::new(),
            None => format!(", time {UNKNOWN}"),
        };
        let setup = setup_time(attempt).map(|time| format!(", setup {}", duration(time))).unwrap_or_default();
        list += &format!("- Attempt {}: {outcome}{time}{setup}, {}\n", attempt.number, inline(&attempt.executor));
        if let Some(said) = &attempt.said {
            list += &format!("  - its output ends with: {}\n", inline(said));
        }
        let of_task = task.with_branch().and_then(branch_of);
        if let Some(branch) = branch_of(attempt).filter(|branch| Some(*branch) != of_task) {
            list += &format!("  - its branch: {} ({})\n", code(branch.as_str()), made(task.made(attempt)));
        }
        if let Some(report) = &attempt.agent {
            list += &format!("  - {}\n", agents::line(report));
        }
        for command in &attempt.commands {
            let Some(path) = log(&attempt_ref(task, attempt), command.phase) else { continue };
            let what = match command.phase {
                Phase::Setup => "log of the setup",
                Phase::Check => "log of the check",
                _ => "log",
            };
            let output = match command.end.map(|end| end.output) {
                None => format!("length {UNKNOWN}"),
                Some(output) => {
                    let mut parts = vec![count(output.bytes, "byte")];
                    if output.dropped > 0 {
                        parts.push(format!("{} of them dropped", output.dropped));
                    }
                    if output.leaked {
                        parts.push("a process that outlived the command held it open".to_owned());
                    }
                    parts.join(", ")
                }
            };
            list += &format!("  - {what}: {} ({output})\n", code(&path.display().to_string()));
        }
    }
    list
}

fn conflicts(out: &mut Paragraphs, report: &Report) {
    let conflicts = outlook::list(report);
    if !conflicts.is_empty() {
        out.add("## Conflicts");
        out.add("These do not merge as text:");
        out.list(&conflicts);
    }
}

fn performance(out: &mut Paragraphs, report: &Report) {
    let figures = &report.performance;
    let nothing_ran = report.record.tasks.iter().all(|task| task_time(task).is_none());
    let unknown = || {
        let why = if nothing_ran { "no command has ended" } else { "the run's end is not recorded" };
        format!("{UNKNOWN} ({why})")
    };
    let sum = match (nothing_ran, open_commands(&report.record.tasks)) {
        (true, _) => unknown(),
        (false, 0) => duration(figures.task_time),
        (false, open) => {
            format!("{}, without {} whose end is {UNKNOWN}", duration(figures.task_time), count(open as u64, "command"))
        }
    };
    let (path, path_time) = &figures.critical_path;
    let path = match path.as_slice() {
        _ if nothing_ran => unknown(),
        path => {
            let names: Vec<String> = path.iter().map(|task| code_cell(task.as_str())).collect();
            format!("{} ({})", duration(*path_time), names.join(" → "))
        }
    };
    let has_setups =
        report.record.tasks.iter().flat_map(|task| &task.attempts).any(|attempt| setup_time(attempt).is_some());
    let began = report.record.tasks.iter().any(|task| !task.attempts.is_empty());
    let mut rows = vec![
        ("Wall time", figures.wall.map_or_else(|| UNKNOWN.to_owned(), duration)),
        ("Sum of task times", sum),
        (
            "Speed-up, measured: sum of task times / wall time",
            figures.speedup.map_or_else(unknown, |s| format!("{s:.2}")),
        ),
        (
            "Set-up share: (worktrees + starts + setups) / (worktrees + starts + setups + task times)",
            figures.setup_share.map_or_else(unknown, |share| format!("{:.1} %", share * 100.0)),
        ),
        ("Queue wait, summed over the tasks", if began { duration(figures.queue_wait) } else { UNKNOWN.to_owned() }),
        ("Critical path", path),
        ("Peak parallelism", figures.peak_parallelism.to_string()),
    ];
    if has_setups {
        rows.insert(2, ("Sum of setup times, which are no task times", duration(figures.setup_time)));
    }
    out.add("## Performance");
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    out.add(&format!("| Figure | Value |\n| --- | ---: |\n{rows}"));
}

fn warnings(out: &mut Paragraphs, report: &Report) {
    out.add("## Warnings");
    let warnings = report.warnings.iter().map(|warning| {
        let task = warning.task.as_ref().map(|task| format!("{}: ", code(task.as_str()))).unwrap_or_default();
        format!("{task}{} ({})", inline(&warning.message), warning.kind)
    });
    let warnings: Vec<String> = open(report).into_iter().chain(warnings).collect();
    if warnings.is_empty() {
        out.add("None.");
    } else {
        out.list(&warnings);
    }
}

fn next_steps(out: &mut Paragraphs, report: &Report) {
    let run = &report.record.header.run;
    let mut steps = String::new();
    let mut step = |title: &str, commands: Vec<String>| {
        if !commands.is_empty() {
            // Writing to a string cannot fail.
            writeln!(steps, "# {title}\n{}", commands.join("\n")).ok();
        }
    };
    if report.record.ended.is_none() && !report.driven {
        step("Go on with the run", vec![format!("gadugi resume {run}")]);
    }
    let tasks = || report.record.tasks.iter();
    let review = tasks().filter(|task| outlook::is_there(report, &task.task.spec.id)).filter_map(|task| {
        let (base, branch) = commits_of(task)?;
        Some(format!("git log -p {}", shell(&format!("{base}..{branch}"))))
    });
    step("Review what was made", review.collect());
    let succeeded = tasks().filter(|task| task.outcome().is_some_and(Outcome::success));
    let to_merge = succeeded.filter(|task| commits_of(task).is_some() && outlook::is_open(report, task));
    let to_merge: Vec<&TaskRecord> = to_merge.collect();
    if let Some(merge) = outlook::merge(report, &to_merge) {
        let command = if merge.merges_some { "merge" } else { "conflicts" };
        step(&merge.title, vec![format!("gadugi {command} {run}")]);
    }
    step("Bring work to its branch that is elsewhere", tasks().flat_map(home::commands).collect());
    let failed = tasks()
        .filter(|task| has_commands(task) && matches!(&task.state, TaskState::Finished(outcome) if !outcome.success()));
    let logs = failed.map(|task| format!("gadugi logs {} --run {run}", shell(task.task.spec.id.as_str())));
    step("See why a task did not succeed", logs.collect());
    let is_over = report.record.ended.is_some();
    let retry = (is_over && tasks().any(outlook::is_to_retry)).then(|| format!("gadugi retry {run}"));
    step("Run again what did not succeed", retry.into_iter().collect());
    let clean = report.record.ended.map(|_| format!("gadugi clean {run}"));
    step("Remove the worktrees and the merged branches", clean.into_iter().collect());
    out.add("## Next steps");
    out.add(&block("sh", &steps));
}

/// The commit that a task's work began at, and its branch, for a task with commits. Where they were not counted, there are
/// some: an attempt continues from a commit of an earlier one.
fn commits_of(task: &TaskRecord) -> Option<(&CommitId, String)> {
    let attempt = task.with_branch()?;
    attempt.work.as_ref()?;
    let is_something = task.made(attempt).is_none_or(|made| made.commits > 0);
    Some((task.base_of(attempt)?, branch(task)?)).filter(|_| is_something)
}
