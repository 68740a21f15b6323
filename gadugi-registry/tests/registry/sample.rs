//! Runs to write, read and report.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::agent::{AgentCall, Argument, Budget, NeedDone, Piece, Tokens};
use gadugi_core::executor::{ExecEnd, ExecIdentity, ExecUsage, ExitStatus, Mount, OutputSummary};
use gadugi_core::plan::{
    Changes, EarlierAttempt, EarlierConversation, FailedCheck, Limits, Origin, Program, RawPlan, RawTask, Resources,
    RetryFrom, Setup, SourceLocation,
};
use gadugi_core::registry::{RegistryError, RunHistory, RunLog};
use gadugi_core::run::{Clock, Counterpart, Failure, ForeseenConflict, Moment, RunLink, StopReason, WarningKind};
use gadugi_core::worktrees::{Elsewhere, KeepReason, NeededTip, Work};
use gadugi_core::{
    AttemptNo, AttemptRef, CommitId, Event, EventKind, Lease, Outcome, Phase, Plan, Registry, RunHeader, RunId,
    RunRecord, RunSettings, TaskId, TaskSpec,
};
use gadugi_registry::FsRegistry;
use jiff::{SignedDuration, Timestamp};

/// Tells a process that a test starts, which is this program again, where its registry is.
pub(crate) const CHILD_STATE: &str = "GADUGI_TEST_CHILD_STATE";

/// The registry of a process that a test has started; `None` in any other.
pub(crate) fn child_state() -> Option<PathBuf> {
    std::env::var_os(CHILD_STATE).map(PathBuf::from)
}

pub(crate) fn run(last: char) -> RunId {
    format!("20261122-083355-00{last}").parse().expect("a run id")
}

pub(crate) fn task(id: &str) -> TaskId {
    id.parse().expect("a task id")
}

pub(crate) fn attempt(id: &str, number: u32) -> AttemptRef {
    AttemptRef { task: task(id), number: AttemptNo::new(number).expect("an attempt") }
}

pub(crate) fn start_of_time() -> Timestamp {
    "2026-11-22T08:33:55Z".parse().expect("a time")
}

/// A task that runs a script, with its needs.
pub(crate) fn raw(id: &str, needs: &[&str]) -> RawTask {
    let mut spec = TaskSpec::new(task(id), Program::Script(format!("make {id}\n")));
    spec.title = format!("Make {id}");
    spec.source = SourceLocation { file: format!("tasks/{id}.md").into(), line: 1 };
    RawTask { needs: needs.iter().map(|need| (need.to_string(), spec.source.clone())).collect(), spec }
}

pub(crate) fn header(last: char, tasks: Vec<RawTask>) -> RunHeader {
    RunHeader {
        run: run(last),
        created: start_of_time(),
        moment: None,
        base: Some("0123456789abcdef0123456789abcdef01234567".parse().expect("a commit")),
        base_name: Some("main".into()),
        link: None,
        executor: None,
        settings: RunSettings { jobs: NonZeroUsize::new(3).expect("not 0"), ..RunSettings::default() },
        plan: Plan::try_from(RawPlan { tasks }).expect("a plan"),
    }
}

/// A plan of that many tasks that need nothing.
pub(crate) fn simple_header(last: char, tasks: usize) -> RunHeader {
    header(last, (1..=tasks).map(|n| raw(&format!("t{n}"), &[])).collect())
}

/// A header where every member has another value than its default.
pub(crate) fn full_header() -> RunHeader {
    let mut full = raw("full", &["plain"]);
    full.spec.action.program = Program::Argv(vec!["cargo".into(), "test".into(), "a b\"c".into()]);
    full.spec.action.stdin = Some("# Fix it\n\nPlease.\n".into());
    full.spec.action.agent = Some(AgentCall {
        resume: Some(vec![Argument::text("claude"), Argument(vec![Piece::Text("--resume=".into()), Piece::Session])]),
        model: Some("opus".into()),
        frame: "Commit to {branch}.".into(),
        output: "claude-stream-json".into(),
        linger: Duration::from_secs(90),
        backoff: Duration::from_secs(20),
        budget: Budget { cost_usd: Some(1.5), tokens: Some(200_000) },
        shown: vec![Mount { source: "/home/me/.a".into(), target: "/home/gadugi/.a".into(), writable: false }],
        ..AgentCall::new("claude", vec![Argument::text("claude"), Argument(vec![Piece::Prompt])], "# Fix it\n\nPlease.")
    });
    full.spec.setup = Some(Setup { script: "npm ci\n".into(), timeout: Some(Duration::from_secs(600)) });
    full.spec.check = Some("cargo test -p auth\n".into());
    full.spec.touches = vec!["src/auth/**".parse().expect("a pattern")];
    full.spec.executor = Some("docker".into());
    full.spec.limits = Limits {
        timeout: Some(Duration::from_secs(3600)),
        idle_timeout: Some(Duration::from_millis(1500)),
        grace: Duration::from_secs(5),
    };
    full.spec.retries = 2;
    full.spec.retry_delay = Duration::from_millis(2500);
    full.spec.retry_from = RetryFrom::Previous;
    full.spec.env = BTreeMap::from([("RUST_LOG".to_owned(), "debug".to_owned())]);
    full.spec.secrets = vec!["API_KEY".into()];
    full.spec.priority = -3;
    full.spec.resources = Resources { image: Some("rust:1".into()), memory: Some(4 << 30), cpus: Some(1.5) };
    let moment =
        Moment { boot: "76c1841c-dc2d-46eb-9313-a4728fe52765".into(), uptime: Duration::from_millis(9_182_001) };
    full.spec.changes = Changes::Required;
    full.spec.origin = full_origin();
    let link = Some(RunLink::Retry { run: run('9') });
    let executor = Some("docker".into());
    RunHeader { moment: Some(moment), link, executor, ..header('a', vec![raw("plain", &[]), full]) }
}

/// An origin where every member has another value than its default.
fn full_origin() -> Origin {
    let commit =
        |first: char| format!("{first}123456789abcdef0123456789abcdef01234567").parse::<CommitId>().expect("a commit");
    let tokens = Tokens { input: 1200, cached: 1000, output: 80 };
    let earlier = EarlierAttempt {
        run: run('9'),
        lease: Some(Lease {
            run: run('9'),
            attempt: attempt("full", 1),
            path: "/home/me/project.gadugi/full".into(),
            branch: Some("gadugi/full".parse().expect("a branch")),
            base: Some(commit('1')),
        }),
        tip: Some(commit('3')),
        since: Some(commit('1')),
        conversation: Some(EarlierConversation::new("s-1".into(), "Mend that.".into(), Some(0.25), Some(tokens))),
        check: Some(FailedCheck { status: "exit code 1".into(), output: "error: no\n".into() }),
    };
    Origin {
        base: Some(commit('1')),
        tips: vec![NeededTip { task: task("earlier"), tip: commit('2') }],
        done: vec![NeedDone {
            task: task("earlier"),
            title: "Make it".into(),
            last_message: Some("It is made.".into()),
        }],
        earlier: Some(Box::new(earlier)),
    }
}

/// Writes events one after the other, a tenth of a second apart.
pub(crate) struct Story {
    pub(crate) events: Vec<Event>,
    run: RunId,
}

impl Story {
    pub(crate) fn new(run: RunId) -> Self {
        Self { events: Vec::new(), run }
    }

    pub(crate) fn then(&mut self, kind: EventKind) -> &mut Self {
        let seq = self.events.len() as u64 + 1;
        let at = start_of_time() + SignedDuration::from_millis(100 * seq as i64);
        self.events.push(Event { seq, at, kind });
        self
    }

    pub(crate) fn intent(&mut self, attempt: &AttemptRef) -> &mut Self {
        self.then(EventKind::AttemptIntended { attempt: attempt.clone(), executor: "subprocess".into() })
    }

    pub(crate) fn worktree(&mut self, attempt: &AttemptRef) -> &mut Self {
        let lease = Lease {
            run: self.run.clone(),
            attempt: attempt.clone(),
            path: PathBuf::from(format!("/src/app.gadugi/{}", attempt.task)),
            branch: Some(format!("gadugi/{}", attempt.task).parse().expect("a branch")),
            base: Some("0123456789abcdef0123456789abcdef01234567".parse().expect("a commit")),
        };
        self.then(EventKind::WorktreeReady { lease, seeded: None, took: Some(Duration::from_millis(60)) })
    }

    pub(crate) fn started(&mut self, attempt: &AttemptRef, phase: Phase) -> &mut Self {
        self.then(EventKind::CommandStarted {
            attempt: attempt.clone(),
            phase,
            identity: ExecIdentity { executor: "subprocess".into(), token: "pid 4711 start 99".into() },
            took: Some(Duration::from_micros(1250)),
        })
    }

    pub(crate) fn ended(&mut self, attempt: &AttemptRef, phase: Phase, status: ExitStatus) -> &mut Self {
        self.then(EventKind::CommandEnded {
            attempt: attempt.clone(),
            phase,
            end: ExecEnd {
                status,
                took: Duration::from_micros(2_000_250),
                output: OutputSummary { bytes: 1234, dropped: 0, leaked: false },
                usage: ExecUsage { cpu: Some(Duration::from_millis(900)), peak_memory: Some(8 << 20) },
                stopped: false,
            },
        })
    }

    pub(crate) fn work(&mut self, attempt: &AttemptRef, commits: u64) -> &mut Self {
        let work = Work {
            tip: Some("89abcdef0123456789abcdef0123456789abcdef".parse().expect("a commit")),
            commits,
            files: commits * 3,
            uncommitted: 0,
            left_out: vec![".env.local".into()],
            ..Work::default()
        };
        self.then(EventKind::WorkCollected { attempt: attempt.clone(), work })
    }

    pub(crate) fn over(&mut self, attempt: &AttemptRef, outcome: Outcome) -> &mut Self {
        self.then(EventKind::AttemptEnded { attempt: attempt.clone(), outcome, said: None })
    }

    pub(crate) fn finished(&mut self, id: &str, outcome: Outcome) -> &mut Self {
        self.then(EventKind::TaskFinished { task: task(id), outcome })
    }

    pub(crate) fn released(&mut self, attempt: &AttemptRef) -> &mut Self {
        self.then(EventKind::WorktreeReleased { attempt: attempt.clone() })
    }

    pub(crate) fn kept(&mut self, attempt: &AttemptRef, reason: KeepReason) -> &mut Self {
        self.then(EventKind::WorktreeKept { attempt: attempt.clone(), reasons: vec![reason] })
    }

    pub(crate) fn run_ended(&mut self) -> &mut Self {
        self.then(EventKind::RunEnded { wall: Some(Duration::from_millis(9500)), interrupted: false })
    }

    /// A whole attempt with one command, and the end of its task.
    pub(crate) fn whole(&mut self, id: &str, status: ExitStatus, outcome: Outcome) -> &mut Self {
        let attempt = attempt(id, 1);
        self.intent(&attempt).worktree(&attempt).started(&attempt, Phase::Main).ended(&attempt, Phase::Main, status);
        self.work(&attempt, 1).over(&attempt, outcome.clone()).released(&attempt).finished(id, outcome)
    }
}

/// A run in which every outcome and every kind of event occurs.
pub(crate) fn every_outcome() -> (RunHeader, Vec<Event>) {
    let (header, mut story) = outcomes(&["unchanged", "nothing", "elsewhere"]);
    story.whole("unchanged", ExitStatus::Code(0), Outcome::Unchanged);
    story.whole("nothing", ExitStatus::Code(0), Outcome::Failed(Failure::NothingChanged));
    let place = Elsewhere::Branch { name: "feature/x".into(), commits: 2 };
    story.whole("elsewhere", ExitStatus::Code(0), Outcome::Failed(Failure::Elsewhere(place)));
    story.then(EventKind::RunSuspended).then(EventKind::RunContinued);
    let moment =
        Moment { boot: "76c1841c-dc2d-46eb-9313-a4728fe52765".into(), uptime: Duration::from_millis(9_182_001) };
    story.then(EventKind::RunResumed { moment: Some(moment) });
    let files = vec!["README.md".to_owned(), "src/<b>`x`\u{1b}|.rs".to_owned()];
    let with = |other, files| ForeseenConflict { task: task("ok"), other, files, more: 3 };
    story.then(EventKind::ConflictForeseen(with(Counterpart::Task(task("flaky")), files.clone())));
    story.then(EventKind::ConflictForeseen(with(Counterpart::Target("main".into()), files.clone())));
    story.then(EventKind::ConflictForeseen(with(Counterpart::Task(task("merged")), files)));
    story.then(EventKind::ConflictGone { task: task("merged"), other: Counterpart::Task(task("ok")) });
    story.run_ended();
    (header, story.events)
}

/// The run of the files in `fixtures/v1`.
pub(crate) fn first_version() -> (RunHeader, Vec<Event>) {
    let (header, mut story) = outcomes(&[]);
    story.run_ended();
    (header, story.events)
}

/// The outcomes that the first version knew, and tasks of other names that have none yet.
fn outcomes(others: &[&str]) -> (RunHeader, Story) {
    let header = header('e', tasks_of_outcomes(others));
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    story.then(EventKind::ExecutorChosen { executor: "subprocess".into(), reason: "auto: no Docker here".into() });
    end_by_commands(&mut story);
    end_by_worktrees(&mut story);
    end_from_outside(&mut story);
    story.then(EventKind::Warning {
        kind: WarningKind::Release,
        task: Some(task("lost")),
        message: "cannot remove `x` <here>\u{7}".into(),
    });
    story.then(EventKind::Warning { kind: WarningKind::Fallback, task: None, message: "no Docker".into() });
    (header, story)
}

/// A task for each outcome, named by it.
fn tasks_of_outcomes(others: &[&str]) -> Vec<RawTask> {
    let mut tasks: Vec<RawTask> = [
        "ok",
        "flaky",
        "code",
        "signal",
        "no-tree",
        "no-start",
        "no-snapshot",
        "wall",
        "idle",
        "cancelled",
        "unborn",
        "lost",
    ]
    .iter()
    .chain(others)
    .map(|id| raw(id, &[]))
    .collect();
    let mut check = raw("check", &[]);
    check.spec.check = Some("test -f done\n```\necho fence\n".into());
    tasks.insert(2, check);
    tasks.push(raw("merged", &["ok", "flaky"]));
    tasks.push(raw("skipped", &["code"]));
    tasks[0].spec.title =
        "Fix <b>the</b> | `login`\n\u{202e}\u{1b}[31m[bug](javascript:alert(1)) snake_case *x* #1".into();
    // As it is read from a file of the first version, which has the name alone.
    let (linger, backoff) = (Duration::from_secs(365 * 24 * 60 * 60), Duration::ZERO);
    tasks[0].spec.action.agent = Some(AgentCall { linger, backoff, ..AgentCall::new("claude", Vec::new(), "") });
    tasks
}

/// The outcomes of commands, and of a task that needs a failed one.
fn end_by_commands(story: &mut Story) {
    story.whole("ok", ExitStatus::Code(0), Outcome::Succeeded);
    let (first, second) = (attempt("flaky", 1), attempt("flaky", 2));
    let failed = Outcome::Failed(Failure::ExitCode(1));
    story.intent(&first).worktree(&first).started(&first, Phase::Main).ended(&first, Phase::Main, ExitStatus::Code(1));
    story.work(&first, 0).over(&first, failed).intent(&second).kept(&first, KeepReason::Uncommitted { files: 2 });
    story.worktree(&second).started(&second, Phase::Main).ended(&second, Phase::Main, ExitStatus::Code(0));
    story.work(&second, 2).over(&second, Outcome::Succeeded).released(&second).finished("flaky", Outcome::Succeeded);
    let check = attempt("check", 1);
    let outcome = Outcome::Failed(Failure::Check(ExitStatus::Code(1)));
    story.intent(&check).worktree(&check).started(&check, Phase::Main).ended(&check, Phase::Main, ExitStatus::Code(0));
    story.started(&check, Phase::Check).ended(&check, Phase::Check, ExitStatus::Code(1)).work(&check, 1);
    story.over(&check, outcome.clone()).kept(&check, KeepReason::Requested).finished("check", outcome);
    story.whole("code", ExitStatus::Code(3), Outcome::Failed(Failure::ExitCode(3)));
    story.whole("signal", ExitStatus::Signal(9), Outcome::Failed(Failure::Signal(9)));
    story.finished("skipped", Outcome::Skipped { because: task("code").into() });
}

/// The outcomes of tasks whose worktree, start or snapshot failed.
fn end_by_worktrees(story: &mut Story) {
    for (id, outcome) in [
        ("no-tree", Outcome::Failed(Failure::Worktree { message: "the disk is full".into() })),
        ("merged", Outcome::Conflict { tasks: vec![task("ok"), task("flaky")], files: vec!["src/a|b.rs".into()] }),
    ] {
        let attempt = attempt(id, 1);
        story.intent(&attempt).over(&attempt, outcome.clone()).finished(id, outcome);
    }
    let no_start = attempt("no-start", 1);
    let outcome = Outcome::Failed(Failure::Start { message: "the command `nope` was not found".into() });
    story.intent(&no_start).worktree(&no_start).over(&no_start, outcome.clone()).released(&no_start);
    story.finished("no-start", outcome);
    let outcome = Outcome::Failed(Failure::Snapshot { message: "line one\nline <two>".into() });
    story.whole("no-snapshot", ExitStatus::Code(0), outcome);
}

/// The outcomes of tasks that a clock, the user or a restart has ended.
fn end_from_outside(story: &mut Story) {
    for (id, clock) in [("wall", Clock::Wall), ("idle", Clock::Idle)] {
        let attempt = attempt(id, 1);
        story.intent(&attempt).worktree(&attempt).started(&attempt, Phase::Main);
        story.then(EventKind::StopSent { attempt: attempt.clone(), reason: StopReason::TimedOut(clock) });
        story.ended(&attempt, Phase::Main, ExitStatus::Signal(15)).work(&attempt, 0);
        story.over(&attempt, Outcome::TimedOut(clock)).released(&attempt).finished(id, Outcome::TimedOut(clock));
    }
    story.then(EventKind::StopRequested { tasks: vec![task("cancelled"), task("unborn")], now: true });
    let cancelled = attempt("cancelled", 1);
    story.intent(&cancelled).worktree(&cancelled).started(&cancelled, Phase::Main);
    story.then(EventKind::StopSent { attempt: cancelled.clone(), reason: StopReason::Cancelled });
    story.ended(&cancelled, Phase::Main, ExitStatus::Signal(9)).over(&cancelled, Outcome::Cancelled);
    story.kept(&cancelled, KeepReason::CheckedOut { path: "/src/elsewhere".into() });
    story.finished("cancelled", Outcome::Cancelled).finished("unborn", Outcome::Cancelled);
    let lost = attempt("lost", 1);
    let outcome = Outcome::Lost { why: "the machine was restarted".into() };
    story.intent(&lost).worktree(&lost).started(&lost, Phase::Main).over(&lost, outcome.clone());
    story.finished("lost", outcome);
}

/// Hands an event to the method of the log that it is for.
pub(crate) async fn keep(log: &mut Box<dyn RunLog>, event: &Event) {
    let ticket = match &event.kind {
        EventKind::AttemptIntended { .. } => log.intent(event),
        EventKind::CommandStarted { .. } => log.started(event),
        EventKind::CommandEnded { .. } | EventKind::AttemptEnded { .. } => log.ended(event),
        _ => log.note(event),
    };
    ticket.await.expect("the event is kept");
}

/// Writes a whole run, and lets go of it.
pub(crate) async fn write(registry: &dyn Registry, header: &RunHeader, events: &[Event]) {
    let mut log = registry.create(header).await.expect("a new run");
    for event in events {
        keep(&mut log, event).await;
    }
}

/// Copies a folder with all that is in it to a place that is free.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// Waits until a released run has no driver. A process that another test starts at this moment has a copy of every descriptor
/// between its fork and its exec, so a lock may outlive its owner by that moment.
pub(crate) async fn let_go(registry: &FsRegistry, run: &RunId) {
    for _ in 0..500 {
        if !registry.load(run).await.expect("a run").driven {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the run {run} is still held");
}

/// The content of a run, with all of its events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) header: RunHeader,
    pub(crate) events: Vec<Event>,
    pub(crate) driven: bool,
    pub(crate) damage: Vec<String>,
}

/// Reads a run twice: folded, and event by event.
pub(crate) async fn load(registry: &FsRegistry, run: &RunId) -> Result<Told, RegistryError> {
    told(registry, registry.load(run).await?)
}

/// Takes a run over.
pub(crate) async fn resume(registry: &FsRegistry, run: &RunId) -> Result<(Told, Box<dyn RunLog>), RegistryError> {
    let (history, log) = registry.resume(run).await?;
    Ok((told(registry, history)?, log))
}

fn told(registry: &FsRegistry, history: RunHistory) -> Result<Told, RegistryError> {
    let RunHistory { record, last, driven, damage } = history;
    let events = registry.events(&record.header.run)?;
    if !driven {
        assert_eq!(events.last().map_or(0, |event| event.seq), last);
        assert_eq!(RunRecord::fold(record.header.clone(), &events).expect("a run"), record);
    }
    Ok(Told { header: record.header, events, driven, damage })
}
