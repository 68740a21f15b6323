//! Bringing the work of a run home: what may land, the checks that decide, and what people see of it.

mod candidates;
mod resolution;
mod runner;
mod view;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gadugi_core::merge::{
    Check, Integration, LinkResult, Merge, MergeEnd, MergeEvent, MergeFailure, MergeHeader, MergeLog, MergeRecord,
    MergeSettings, Regenerate, Target,
};
use gadugi_core::{BranchName, MergeId, RunId, RunRecord, TaskId, error_chain};
use gadugi_registry::render::{merge_figures, not_merged};
use jiff::Timestamp;

use self::candidates::{Gathered, gather};
use self::runner::{CommandFailure, Runner};
use crate::config::Config;
use crate::context::Context;
use crate::drive::{Audience, Driver, Purpose, TakeOver, TakeOverSettings, take_over};
use crate::executors::TaskLifetime;
use crate::failure::{Code, Failure};
use crate::prepare::earlier::EarlierRuns;
use crate::signals::Interrupts;
use crate::site::{Site, encode_merge_event};
use crate::terminal::{Tone, columns};

/// What a merge is asked to do.
pub(crate) struct MergeRequest {
    /// The run whose work is brought home, and those that it retries.
    pub(crate) runs: EarlierRuns,
    /// Tasks, by their names; none means all.
    pub(crate) tasks: Vec<String>,
}

/// A merge that was cut short, if there is one.
pub(crate) fn unfinished(site: &Site) -> Result<Option<MergeRecord>, Failure> {
    for id in site.merges()?.into_iter().rev() {
        let history = site.load_merge(&id)?;
        if history.driven {
            let message = format!("merge {id} is under way in another process");
            return Err(Failure::registry(message).hint("wait for it, or interrupt it with Ctrl-C there"));
        }
        if history.record.ended.is_none() {
            return Ok(Some(history.record));
        }
    }
    Ok(None)
}

/// The parts of this program that a merge is made with.
pub(crate) struct Merging<'a> {
    context: &'a Context,
    site: &'a Arc<Site>,
    config: &'a Config,
    integration: Arc<dyn Integration>,
    /// Whether events are printed as JSON, and nothing for people.
    json: bool,
}

impl<'a> Merging<'a> {
    pub(crate) fn new(
        context: &'a Context,
        site: &'a Arc<Site>,
        config: &'a Config,
        json: bool,
    ) -> Result<Self, Failure> {
        let integration = site.integration(&context.surroundings, config, &site.head().commit)?;
        Ok(Self { context, site, config, integration, json })
    }

    /// Merges what a run has made.
    pub(crate) async fn merge(&self, request: MergeRequest) -> Result<Code, Failure> {
        let (mut header, passed_over) = match self.prepare(request).await? {
            Ok(prepared) => prepared,
            Err(code) => return Ok(code),
        };
        let log = self.site.create_merge(&mut header)?;
        let check = header.settings.check.as_ref().map(|check| check.script.clone());
        let runner = Arc::new(Runner::new(self.context, self.site, self.config, header.merge.clone(), check));
        let stopped = Arc::clone(&runner.stopped);
        let merge = Merge::new(header, Arc::clone(&self.integration), runner, log);
        self.drive(merge, stopped, &passed_over).await
    }

    /// Goes on with a merge that was cut short.
    pub(crate) async fn resume(&self, merge: &MergeId) -> Result<Code, Failure> {
        let (record, log) = self.open(merge)?;
        self.context.terminal.say(&format!("merge {merge} was cut short"));
        let check = record.header.settings.check.as_ref().map(|check| check.script.clone());
        let runner = Arc::new(Runner::new(self.context, self.site, self.config, merge.clone(), check));
        let stopped = Arc::clone(&runner.stopped);
        let merge = Merge::resume(record, Arc::clone(&self.integration), runner, log);
        self.drive(merge, stopped, &[]).await
    }

    /// Ends a merge that was cut short, and what it had begun to run.
    pub(crate) async fn abort(&self, merge: &MergeId) -> Result<Code, Failure> {
        let (record, log) = self.open(merge)?;
        for run in open_runs(&record) {
            let seen = self.site.load(&run).await?;
            if seen.record.ended.is_some() {
                continue;
            }
            let driver = Driver::new(self.context, Arc::clone(self.site), Audience::Nobody, TaskLifetime::Own, None)?;
            let settings =
                TakeOverSettings { config: self.config, lifetime: TaskLifetime::Own, purpose: Purpose::Stop };
            if let TakeOver::Ours { driver, run, record } =
                take_over(self.context, self.site, seen, driver, settings).await?
            {
                driver.stop_at_once(false);
                driver.drive_quietly(*run, *record).await?;
            }
        }
        let runner = Arc::new(Runner::new(self.context, self.site, self.config, merge.clone(), None));
        let merge = Merge::resume(record, Arc::clone(&self.integration), runner, log);
        let record = merge.abandon().await.map_err(failure)?;
        let target = &record.header.target;
        self.context.terminal.say(&match record.ended {
            Some((MergeEnd::Landed, _)) => format!("merge {} had landed on {target} already", record.header.merge),
            _ => format!("merge {} is ended; {target} was left alone", record.header.merge),
        });
        Ok(Code::Success)
    }

    /// Removes what merges have left that were killed at their end.
    pub(crate) async fn forget_ended(&self) -> Result<(), Failure> {
        let kept = self.integration.kept().await.map_err(|error| failure(error.into()))?;
        let known = self.site.merges()?;
        for merge in kept.iter().filter(|merge| known.contains(merge)) {
            if self.site.load_merge(merge)?.record.ended.is_some() {
                self.integration.forget(merge).await.map_err(|error| failure(error.into()))?;
            }
        }
        Ok(())
    }

    fn open(&self, merge: &MergeId) -> Result<(MergeRecord, Box<dyn MergeLog>), Failure> {
        let (history, log) = self.site.resume_merge(merge)?;
        for damage in &history.damage {
            self.context.terminal.say(&format!("warning: {damage}"));
        }
        Ok((history.record, log))
    }

    /// Puts together what a merge is about; a code where there is nothing to do.
    async fn prepare(
        &self,
        request: MergeRequest,
    ) -> Result<Result<(MergeHeader, Vec<(TaskId, String)>), Code>, Failure> {
        let run = &request.runs.latest().record;
        let tasks: Vec<TaskId> = request.tasks.iter().map(|name| task_id(name)).collect::<Result<_, _>>()?;
        let gathered = gather(self.site, &request.runs)?.only(&tasks)?;
        let terminal = &self.context.terminal;
        if run.ended.is_none() {
            terminal.say(&format!("note: run {} is not over; what has succeeded so far is merged", run.header.run));
        }
        if gathered.is_empty() {
            say_passed_over(self.context, &gathered.passed_over);
            terminal.say(&format!("run {} has nothing to merge", run.header.run));
            return Ok(Err(Code::Success));
        }
        let target = self.target(run).await?;
        let (passed_over, header) = self.header(run, gathered, &target).await?;
        Ok(Ok((header, passed_over)))
    }

    async fn header(
        &self,
        run: &RunRecord,
        mut gathered: Gathered,
        target: &Target,
    ) -> Result<(Vec<(TaskId, String)>, MergeHeader), Failure> {
        let config = &self.config.merge;
        let worktrees = self.site.worktrees(&self.context.surroundings, self.config, &target.tip)?;
        let passed_over = std::mem::take(&mut gathered.passed_over);
        let created = Timestamp::now();
        let regenerate = config.regenerate.iter();
        let header = MergeHeader {
            merge: MergeId::new(created),
            created,
            run: run.header.run.clone(),
            target: target.branch.clone(),
            settings: MergeSettings {
                strategy: config.strategy,
                jobs: self.config.jobs,
                check: config.check.clone().map(|script| Check { key: self.check_key(&script), script }),
                resolve: config.resolve.clone(),
                regenerate: regenerate
                    .map(|(pattern, script)| Regenerate { pattern: pattern.clone(), script: script.clone() })
                    .collect(),
            },
            candidates: gathered.ordered(&worktrees, &target.tip).await?,
        };
        Ok((passed_over, header))
    }

    /// A digest of what the result of a check depends on beside the files.
    fn check_key(&self, script: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (script, &self.config.setup, &self.config.executor, &self.config.image).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The branch to merge into: the one that was asked for, else that of the run's base, else the one that is checked out.
    async fn target(&self, run: &RunRecord) -> Result<Target, Failure> {
        let asked = self.config.merge.into.clone();
        let base = run.header.base_name.clone();
        let head = self.site.head().name;
        for name in [asked.clone(), base, Some(head)].into_iter().flatten() {
            let found = match name.parse::<BranchName>() {
                Ok(branch) => self.integration.target(&branch).await.map_err(|error| failure(error.into()))?,
                Err(_) => None,
            };
            if let Some(target) = found {
                return Ok(target);
            }
            if asked.is_some() {
                return Err(Failure::usage(format!("there is no branch `{name}`")).hint("`git branch` lists them"));
            }
        }
        let message = "the run started from no branch, and none is checked out";
        Err(Failure::usage(message).hint("name the branch to merge into: --into BRANCH"))
    }

    /// Shows what a merge would do, as far as that can be known without a check.
    pub(crate) async fn dry_run(&self, request: MergeRequest) -> Result<Code, Failure> {
        let (header, passed_over) = match self.prepare(request).await? {
            Ok(prepared) => prepared,
            Err(code) => return Ok(code),
        };
        let target = self.integration.target(&header.target).await.map_err(|error| failure(error.into()))?;
        let Some(target) = target else { return Err(Failure::usage(format!("{} is gone", header.target))) };
        let request = gadugi_core::merge::ChainRequest {
            merge: header.merge.clone(),
            onto: target.tip.clone(),
            links: header.candidates.iter().map(|candidate| candidate.link.clone()).collect(),
            strategy: header.settings.strategy,
            regenerate: header.settings.regenerate.iter().map(|generated| generated.pattern.clone()).collect(),
        };
        let chain = self.integration.chain(request).await.map_err(|error| failure(error.into()));
        let forgotten = self.integration.forget(&header.merge).await.map_err(|error| failure(error.into()));
        let chain = chain?;
        forgotten?;
        let mut rows = vec![["TASK", "WOULD BE", ""].map(str::to_owned).to_vec()];
        for (candidate, result) in header.candidates.iter().zip(&chain.links) {
            let (word, why) = match result {
                LinkResult::Contained => ("merged already", String::new()),
                LinkResult::Conflict { files, with } => {
                    let with = if with.is_empty() { header.target.to_string() } else { with.join(", ") };
                    ("set aside", format!("conflicts with {with} in {}", files.join(", ")))
                }
                _ => ("merged", String::new()),
            };
            rows.push(vec![candidate.task.to_string(), word.to_owned(), why]);
        }
        rows.extend(passed_over.into_iter().map(|(task, why)| vec![task.to_string(), "passed over".to_owned(), why]));
        let table = columns(&rows, |_, _, cell| cell.to_owned());
        let terminal = &self.context.terminal;
        terminal.result(&table)?;
        let check = header.settings.check.map_or_else(
            || "without a check".to_owned(),
            |check| format!("if this check succeeds: {}", check.script.trim().replace('\n', "; ")),
        );
        terminal.say(&format!("into {} at {}, {check}", header.target, target.tip.short()));
        Ok(Code::Success)
    }

    async fn drive(
        &self,
        merge: Merge<'_>,
        stopped: Arc<AtomicBool>,
        passed_over: &[(TaskId, String)],
    ) -> Result<Code, Failure> {
        let terminal = self.context.terminal.clone();
        let mut interrupts = Interrupts::receive()?;
        let listener = tokio::spawn(async move {
            loop {
                interrupts.received().await;
                stopped.store(true, Ordering::Relaxed);
            }
        });
        let json = self.json;
        let observer = move |event: &MergeEvent, record: &MergeRecord| {
            if !json {
                view::show(&terminal, event, record);
            } else if let Some(line) = encode_merge_event(event) {
                // A reader that has left does not keep the merge from its end.
                drop(terminal.json(&format!("{line}\n")));
            }
        };
        let driven = merge.observed_by(Box::new(observer)).drive().await;
        listener.abort();
        let record = driven.map_err(failure)?;
        self.site.leave_deletion(&self.context.terminal);
        self.site.keep_merge_reports(&self.context.terminal, &record);
        if !json {
            self.show_end(&record, passed_over).await?;
        }
        Ok(exit_code(&record))
    }

    /// Prints which tasks were merged, which were not and why, and what to do next.
    async fn show_end(&self, record: &MergeRecord, passed_over: &[(TaskId, String)]) -> Result<(), Failure> {
        let terminal = &self.context.terminal;
        let mut rows = Vec::new();
        let mut tones = Vec::new();
        for candidate in &record.header.candidates {
            let task = &candidate.task;
            let (word, tone, why) = if record.merged().contains(task) {
                ("merged", Tone::Good, String::new())
            } else if record.contained.contains(task) {
                ("merged already", Tone::Plain, String::new())
            } else {
                ("not merged", Tone::Bad, not_merged(record, task))
            };
            // An empty last cell would leave the padding of the one before it.
            let cells = [task.to_string(), word.to_owned(), why];
            rows.push(cells.into_iter().filter(|cell| !cell.is_empty()).collect());
            tones.push(tone);
        }
        for (task, why) in passed_over {
            rows.push(vec![task.to_string(), "passed over".to_owned(), why.clone()]);
            tones.push(Tone::Faint);
        }
        let paint = |row: usize, column: usize, cell: &str| match column {
            1 => terminal.toned(tones[row], cell),
            _ => cell.to_owned(),
        };
        let mut text = columns(&rows, paint);
        text.push_str(&format!("\n{}\n", merge_figures(record)));
        terminal.result(&text)?;
        for step in view::next_steps(record, self.can_resolve(record).await) {
            terminal.say(&step);
        }
        Ok(())
    }

    /// Whether a task that was not merged has an agent that could go on.
    async fn can_resolve(&self, record: &MergeRecord) -> bool {
        for candidate in view::left(record) {
            let has_agent =
                |run: &RunRecord| run.task(&candidate.task).is_some_and(|task| task.task.spec.action.agent.is_some());
            if self.site.load(&candidate.link.run).await.is_ok_and(|run| has_agent(&run.record)) {
                return true;
            }
        }
        false
    }
}

/// The runs that a merge had begun and whose ends it has not recorded.
fn open_runs(record: &MergeRecord) -> Vec<RunId> {
    let trials = record.trials.iter().filter(|trial| trial.end.is_none()).filter_map(|trial| trial.run.clone());
    let work = record.work.iter().filter(|work| work.end.is_none()).map(|work| work.run.clone());
    let mut runs: Vec<RunId> = trials.chain(work).collect();
    runs.dedup();
    runs
}

fn task_id(name: &str) -> Result<TaskId, Failure> {
    name.parse().map_err(|error: gadugi_core::IdError| Failure::usage(error.to_string()))
}

fn say_passed_over(context: &Context, passed_over: &[(TaskId, String)]) {
    for (task, why) in passed_over {
        context.terminal.say(&format!("{task}: {why}"));
    }
}

/// The failure of a command by that of a merge.
fn failure(error: MergeFailure) -> Failure {
    match error {
        MergeFailure::Registry(error) => error.into(),
        MergeFailure::Runner(error) => match error.downcast::<CommandFailure>() {
            Ok(failure) => failure.0,
            Err(error) => Failure::environment(error.to_string()),
        },
        error => {
            let hint = "`gadugi merge` goes on where it was cut short, `gadugi merge --abort` gives it up";
            Failure::environment(error_chain(&error)).hint(hint)
        }
    }
}

fn exit_code(record: &MergeRecord) -> Code {
    let is_home = |task: &TaskId| record.merged().contains(task) || record.contained.contains(task);
    match record.ended.as_ref().map(|(end, _)| end) {
        Some(MergeEnd::Landed) if record.header.candidates.iter().all(|candidate| is_home(&candidate.task)) => {
            Code::Success
        }
        Some(MergeEnd::UpToDate) => Code::Success,
        Some(MergeEnd::Environment { .. }) => Code::Environment,
        Some(MergeEnd::Cancelled) => Code::Interrupted,
        _ => Code::TaskFailed,
    }
}
