//! A run with fakes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::agent::OutputFormats;
use gadugi_core::plan::{PlanError, Program, RawPlan, RawTask, Setup, SourceLocation};
use gadugi_core::registry::RunHistory;
use gadugi_core::run::Moment;
use gadugi_core::scheduler::{Control, control};
use gadugi_core::{
    EventKind, Executors, Outcome, Phase, Plan, Run, RunError, RunHeader, RunRecord, RunSettings, TaskId, TaskSpec,
};
use gadugi_test_support::fakes::{FakeExecutor, FakeLog, FakeWorktrees, Play};
use tempfile::TempDir;

pub(crate) fn id(name: &str) -> TaskId {
    name.parse().expect(name)
}

pub(crate) fn task(name: &str, needs: &[&str]) -> RawTask {
    let spec = TaskSpec::new(id(name), Program::Argv(vec!["true".to_owned()]));
    RawTask { spec, needs: needs.iter().map(|need| ((*need).to_owned(), SourceLocation::default())).collect() }
}

pub(crate) fn plan(tasks: Vec<RawTask>) -> Result<Plan, PlanError> {
    Plan::try_from(RawPlan { tasks })
}

/// A setup without a time limit.
pub(crate) fn set_up() -> Setup {
    Setup { script: "npm ci".to_owned(), timeout: None }
}

/// A run of fakes that is set up for a test.
pub(crate) struct Harness {
    pub(crate) tasks: Vec<RawTask>,
    pub(crate) settings: RunSettings,
    pub(crate) executor: FakeExecutor,
    pub(crate) worktrees: FakeWorktrees,
    pub(crate) log: FakeLog,
    pub(crate) formats: OutputFormats,
    /// Folder of the attempts' files, if they need any.
    pub(crate) registry: Option<TempDir>,
}

impl Harness {
    pub(crate) fn new(tasks: Vec<RawTask>) -> Self {
        Self {
            tasks,
            settings: RunSettings::default(),
            executor: FakeExecutor::default(),
            worktrees: FakeWorktrees::default(),
            log: FakeLog::default(),
            formats: OutputFormats::new(),
            registry: None,
        }
    }

    pub(crate) fn jobs(mut self, jobs: usize) -> Self {
        self.settings.jobs = NonZeroUsize::new(jobs).expect("at least one job");
        self
    }

    pub(crate) fn plays(self, name: &str, play: Play) -> Self {
        self.plays_at(name, 1, play)
    }

    pub(crate) fn plays_at(self, name: &str, attempt: u32, play: Play) -> Self {
        self.executor.play(&id(name), attempt, Phase::Main, play);
        self
    }

    pub(crate) fn plays_setup(self, name: &str, play: Play) -> Self {
        self.executor.play(&id(name), 1, Phase::Setup, play);
        self
    }

    pub(crate) fn spec(mut self, name: &str, change: impl FnOnce(&mut TaskSpec)) -> Self {
        let task = self.tasks.iter_mut().find(|task| task.spec.id == id(name)).expect(name);
        change(&mut task.spec);
        self
    }

    pub(crate) fn plays_check(self, name: &str, attempt: u32, play: Play) -> Self {
        self.executor.play(&id(name), attempt, Phase::Check, play);
        self
    }

    /// Lets the driver die when it records the event with this number.
    pub(crate) fn dies_at(&mut self, seq: u64) {
        let log = FakeLog::hanging_from(seq);
        self.log = match &self.registry {
            Some(registry) => log.in_folder(registry.path()),
            None => log,
        };
    }

    /// Drives the run, with a future beside it.
    pub(crate) async fn drive_with<F: Future<Output = ()>>(
        &self,
        beside: impl FnOnce(Control) -> F,
    ) -> Result<RunRecord, RunError> {
        let (control, receiver) = control();
        let ((), record) = tokio::join!(beside(control), self.new_run().drive(receiver));
        record
    }

    pub(crate) fn new_run(&self) -> Run {
        let executors = Executors::new(Arc::new(self.executor.clone()));
        let run = Run::new(self.header(), executors, Arc::new(self.worktrees.clone()), Box::new(self.log.clone()));
        run.output_formats(self.formats.clone())
    }

    pub(crate) fn header(&self) -> RunHeader {
        RunHeader {
            run: "20261122-083355-k7q".parse().expect("a run id"),
            created: jiff::Timestamp::UNIX_EPOCH,
            moment: None,
            base: None,
            executor: None,
            base_name: None,
            link: None,
            settings: self.settings,
            plan: plan(self.tasks.clone()).expect("a plan"),
        }
    }

    /// Resumes the run of an earlier driver from the log.
    pub(crate) fn resumed(&self, moment: Option<Moment>) -> Run {
        let events = self.log.events();
        let record = RunRecord::fold(self.header(), &events).expect("a sound history");
        let last = events.last().map_or(0, |event| event.seq);
        let history = RunHistory { record, last, driven: false, damage: Vec::new() };
        let executors = Executors::new(Arc::new(self.executor.clone()));
        let run = Run::resume(history, moment, executors, Arc::new(self.worktrees.clone()), Box::new(self.log.clone()));
        run.output_formats(self.formats.clone())
    }

    pub(crate) async fn drive(&self) -> RunRecord {
        self.drive_with(|_| async {}).await.expect("the run ends")
    }

    /// Waits until the log has the start of a task's command.
    pub(crate) async fn running(&self, name: &str) {
        let runs =
            |kind: &EventKind| matches!(kind, EventKind::CommandStarted { attempt, .. } if attempt.task == id(name));
        while !self.log.events().iter().any(|event| runs(&event.kind)) {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn outcome(record: &RunRecord, name: &str) -> Outcome {
    record.task(&id(name)).and_then(|task| task.outcome()).cloned().expect("the task has ended")
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
