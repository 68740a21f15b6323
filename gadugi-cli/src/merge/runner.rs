//! The runs of a merge: its checks, its generated files and its agents, by the same executors as tasks.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gadugi_core::executor::ExitStatus;
use gadugi_core::merge::{MergeRunner, RunnerError, Trial, TrialEnd, TrialResult, Work, WorkEnd};
use gadugi_core::plan::{Changes, Limits, Origin, Program, RawPlan, RawTask, Setup};
use gadugi_core::run::{Failure as TaskFailure, RunLink, TaskRecord, TaskState};
use gadugi_core::worktrees::{BranchFate, ReleaseRequest};
use gadugi_core::{
    AttemptRef, CommitId, MergeId, Outcome, Phase, Plan, Run, RunHeader, RunId, RunRecord, TaskId, TaskSpec,
    error_chain,
};

use crate::config::Config;
use crate::context::Context;
use crate::drive::{Audience, Driver, Purpose, TakeOver, TakeOverSettings, take_over};
use crate::executors::{TaskLifetime, choose_executor};
use crate::failure::Failure;
use crate::site::{Site, output_formats};

/// A failure of a command, as an error.
#[derive(Debug)]
pub(crate) struct CommandFailure(pub(crate) Failure);

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.texts().0)
    }
}

impl std::error::Error for CommandFailure {}

impl From<Failure> for CommandFailure {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

pub(super) fn failed(failure: Failure) -> RunnerError {
    RunnerError::Failed(Box::new(CommandFailure(failure)))
}

/// A run that was created and not started.
struct Begun {
    driver: Driver,
    run: Run,
    record: RunRecord,
}

/// Runs what a merge needs to be run.
pub(crate) struct Runner<'a> {
    pub(crate) context: &'a Context,
    pub(crate) site: &'a Arc<Site>,
    pub(crate) config: &'a Config,
    pub(crate) merge: MergeId,
    pub(crate) check: Option<String>,
    pub(crate) stopped: Arc<AtomicBool>,
    begun: Mutex<HashMap<RunId, Begun>>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(
        context: &'a Context,
        site: &'a Arc<Site>,
        config: &'a Config,
        merge: MergeId,
        check: Option<String>,
    ) -> Self {
        Self { context, site, config, merge, check, stopped: Arc::default(), begun: Mutex::default() }
    }

    /// A task of a merge, with the settings that tasks have.
    fn task(&self, id: &str, title: String, script: String, base: &CommitId) -> TaskSpec {
        let config = self.config;
        let id: TaskId = id.parse().expect("cannot fail because it is made of small letters and digits");
        let mut spec = TaskSpec::new(id, Program::Script(script));
        spec.title = title;
        spec.origin = Origin { base: Some(base.clone()), ..Origin::default() };
        spec.setup = config.setup.clone().map(|script| Setup { script, timeout: config.setup_timeout });
        spec.limits = Limits { timeout: config.timeout, idle_timeout: config.idle_timeout, grace: config.grace };
        spec.resources.image = config.image.clone();
        spec
    }

    /// Creates a run of these tasks.
    async fn begin(&self, tasks: Vec<TaskSpec>) -> Result<RunId, Failure> {
        let base = tasks.iter().find_map(|task| task.origin.base.clone());
        let tasks = tasks.into_iter().map(|spec| RawTask { spec, needs: Vec::new() }).collect();
        let mut plan = Plan::try_from(RawPlan { tasks })?;
        let chosen = choose_executor(self.context, self.site, self.config, &mut plan, TaskLifetime::Own).await?;
        let base = base.unwrap_or_else(|| self.site.head().commit);
        let worktrees = self.site.worktrees(&self.context.surroundings, self.config, &base)?;
        let mut header = RunHeader {
            base: Some(base),
            moment: gadugi_exec::moment(),
            link: Some(RunLink::Merge { merge: self.merge.clone() }),
            executor: Some(chosen.name().to_owned()),
            ..RunHeader::new(plan, self.config.run_settings())
        };
        let mut driver = self.driver()?;
        let log = self.site.create_run(&mut header).await?;
        driver.claim(&header.run, "")?;
        let (reason, warnings) = (chosen.reason().to_owned(), chosen.warnings().to_vec());
        let record = RunRecord::new(header.clone());
        let run = Run::new(header, chosen.into_executors(), worktrees, log).reason(reason);
        let run = run.output_formats(output_formats());
        let run = warnings.into_iter().fold(run, |run, (kind, message)| run.warning(kind, message));
        let id = record.header.run.clone();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.insert(id.clone(), Begun { driver, run, record });
        Ok(id)
    }

    fn driver(&self) -> Result<Driver, Failure> {
        Driver::new(self.context, Arc::clone(self.site), Audience::Nobody, TaskLifetime::Own, None)
    }

    /// Drives a run to its end, wherever an earlier process has left it.
    async fn finish(&self, run: &RunId) -> Result<RunRecord, RunnerError> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
        let driven = match begun {
            Some(Begun { driver, run, record }) => driver.drive_quietly(run, record).await.map_err(failed)?,
            None => self.take_up(run).await.map_err(failed)?,
        };
        let record = driven.ok_or(RunnerError::Stopped)?;
        match record.ended {
            Some((_, true)) => Err(RunnerError::Stopped),
            _ => Ok(record),
        }
    }

    async fn take_up(&self, run: &RunId) -> Result<Option<RunRecord>, Failure> {
        let seen = self.site.load(run).await?;
        if seen.record.ended.is_some() {
            return Ok(Some(seen.record));
        }
        let settings = TakeOverSettings { config: self.config, lifetime: TaskLifetime::Own, purpose: Purpose::Resume };
        match take_over(self.context, self.site, seen, self.driver()?, settings).await? {
            TakeOver::Ended(record) => Ok(Some(*record)),
            TakeOver::Ours { driver, run, record } => driver.drive_quietly(*run, *record).await,
        }
    }

    /// The end of what the last attempt at a task has printed.
    fn output(&self, run: &RunId, task: &TaskRecord) -> String {
        let Some(attempt) = task.last() else { return String::new() };
        let attempt = AttemptRef { task: task.task.spec.id.clone(), number: attempt.number };
        let end = self.site.end_of_log(run, &attempt, Phase::Main);
        gadugi_registry::sanitize::harmless(&end).trim_end().to_owned()
    }

    /// Removes the worktrees and branches of such work. What was committed there stays known to git for a while, and the
    /// merge takes what it needs of it next.
    async fn give_back(&self, record: &RunRecord) -> Result<(), Failure> {
        let base = record.header.base.clone().unwrap_or_else(|| self.site.head().commit);
        let worktrees = self.site.worktrees(&self.context.surroundings, self.config, &base)?;
        let leases = record.tasks.iter().flat_map(|task| &task.attempts).filter_map(|attempt| attempt.lease.clone());
        for lease in leases {
            let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: true, dry_run: false };
            let released = worktrees.release(&lease, request).await;
            released.map_err(|error| Failure::environment(error_chain(&error)))?;
        }
        Ok(())
    }

    fn trial_end(&self, run: &RunId, task: &TaskRecord) -> TrialEnd {
        let command =
            task.last().and_then(|attempt| attempt.commands.iter().rfind(|command| command.phase == Phase::Main));
        let took = command.and_then(|command| command.end.as_ref()).map(|end| end.took);
        let TaskState::Finished(outcome) = &task.state else {
            return TrialEnd { result: None, why: "it has not ended".to_owned(), took };
        };
        let (result, why) = judge(outcome);
        let why = match result {
            Some(TrialResult::Environment) => match self.output(run, task).lines().last() {
                Some(line) if !line.trim().is_empty() => format!("{why}: {}", line.trim()),
                _ => why,
            },
            _ => why,
        };
        TrialEnd { result, why, took }
    }
}

/// The result of a check by the outcome of its task, and its reason in a few words.
fn judge(outcome: &Outcome) -> (Option<TrialResult>, String) {
    let environment = |why: &str| (Some(TrialResult::Environment), why.to_owned());
    match outcome {
        Outcome::Succeeded | Outcome::Unchanged => (Some(TrialResult::Green), "exit code 0".to_owned()),
        // As shells say that a command is not there, or is no program (POSIX, 2.8.2 Exit Status for Commands).
        Outcome::Failed(TaskFailure::ExitCode(code @ (126 | 127))) => environment(&format!("exit code {code}")),
        Outcome::Failed(TaskFailure::ExitCode(code)) => (Some(TrialResult::Red), format!("exit code {code}")),
        Outcome::Failed(TaskFailure::Signal(signal)) => (Some(TrialResult::Red), format!("signal {signal}")),
        Outcome::Failed(TaskFailure::OutOfMemory) => (Some(TrialResult::Red), ExitStatus::OutOfMemory.to_string()),
        Outcome::TimedOut(_) => (Some(TrialResult::Red), outcome.to_string()),
        Outcome::Failed(TaskFailure::Setup(status)) => environment(&format!("its setup ended with {status}")),
        Outcome::Failed(_) => environment(&outcome.to_string()),
        _ => (None, outcome.to_string()),
    }
}

#[async_trait]
impl MergeRunner for Runner<'_> {
    async fn begin_trials(&self, trials: &[Trial]) -> Result<RunId, RunnerError> {
        let script = self.check.clone().unwrap_or_default();
        let task = |(number, trial): (usize, &Trial)| {
            let title = match &trial.tasks[..] {
                [] => "The target alone".to_owned(),
                tasks => tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", "),
            };
            let spec = self.task(&format!("check-{}", number + 1), title, script.clone(), &trial.commit);
            TaskSpec { changes: Changes::Discarded, ..spec }
        };
        self.begin(trials.iter().enumerate().map(task).collect()).await.map_err(failed)
    }

    async fn finish_trials(&self, run: &RunId) -> Result<Vec<TrialEnd>, RunnerError> {
        let record = self.finish(run).await?;
        Ok(record.tasks.iter().map(|task| self.trial_end(run, task)).collect())
    }

    async fn last_output(&self, run: &RunId, trial: &Trial) -> String {
        let Ok(run) = self.site.load(run).await else { return String::new() };
        let is_of = |task: &&TaskRecord| task.task.spec.origin.base.as_ref() == Some(&trial.commit);
        let task = run.record.tasks.iter().find(is_of);
        task.map_or_else(String::new, |task| self.output(&run.record.header.run, task))
    }

    async fn begin_work(&self, work: &Work) -> Result<RunId, RunnerError> {
        let task = match work {
            Work::Regenerate { onto, scripts } => {
                let title = "Generated files".to_owned();
                let spec = self.task("regenerate", title, scripts.join("\n"), onto);
                Ok(TaskSpec { changes: Changes::Optional, ..spec })
            }
            Work::Resolve { onto, task, run, message } => self.resolution(onto, task, run, message).await,
            _ => Err(RunnerError::Impossible { why: "this version cannot do such work".to_owned() }),
        };
        self.begin(vec![task?]).await.map_err(failed)
    }

    async fn finish_work(&self, run: &RunId) -> Result<WorkEnd, RunnerError> {
        let record = self.finish(run).await?;
        let task = record.tasks.first();
        let outcome = task.and_then(|task| match &task.state {
            TaskState::Finished(outcome) => Some(outcome),
            _ => None,
        });
        let tip = task.and_then(|task| task.last()?.work.as_ref()?.tip.clone());
        self.give_back(&record).await.map_err(failed)?;
        Ok(WorkEnd {
            tip: tip.filter(|_| outcome.is_some_and(Outcome::success)),
            why: outcome.map_or_else(|| "it has not ended".to_owned(), ToString::to_string),
        })
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
