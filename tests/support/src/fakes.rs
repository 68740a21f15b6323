//! Fakes for the other side of a trait: an executor that plays what it is told, worktrees that exist
//! only in words, and a log in memory that can be made to fail. They let the scheduler be tested at
//! every edge without waiting for real processes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gadugi_core::executor::{
    Capabilities, CommandRef, ExecEnd, ExecError, ExecIdentity, ExecRequest, ExecUsage, ExitStatus, OutputSummary,
    Reattached, RunningTask,
};
use gadugi_core::registry::{RegistryError, RunLog, Ticket};
use gadugi_core::worktrees::{
    AgentHome, BranchRelease, CreatedWorktree, Forecast, Pruned, Release, ReleaseRequest, Side, SnapshotRequest,
    Verdict, Work, WorktreeError, WorktreeFate, WorktreeRequest,
};
use gadugi_core::{AttemptRef, CommitId, Event, Executor, Lease, Phase, RunId, TaskId, Worktrees};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The behaviour of a task's command in the [`FakeExecutor`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Play {
    /// Runs so long and ends like this.
    Ends(Duration, ExitStatus),
    /// Prints a line every so often, for so many times, and ends with 0.
    Prints(Duration, u32),
    /// Runs until it is asked to stop; then ends by SIGTERM.
    WaitsForStop,
    /// Runs until its grace is over; then ends by SIGKILL.
    IgnoresStop,
    /// Cannot be started.
    CannotStart,
    /// Its start never comes to an end.
    HangsAtStart,
    /// The executor loses sight of it.
    GetsLost,
    /// The executor panics when it is started.
    Panics,
}

/// A task, the number of an attempt, and one of its commands.
type Key = (TaskId, u32, Phase);

/// An executor that plays. Commands that it was not told about end at once with 0. All clones play the same
/// commands, which outlive their driver and can be found again.
#[derive(Debug, Clone, Default)]
pub struct FakeExecutor {
    plays: Arc<Mutex<HashMap<Key, Play>>>,
    started: Arc<Mutex<Vec<ExecRequest>>>,
    running: Arc<Mutex<HashMap<Key, FakeTask>>>,
    lost: Arc<Mutex<HashSet<TaskId>>>,
    words: Arc<Mutex<HashMap<Key, Vec<Words>>>>,
    can: Arc<Mutex<Capabilities>>,
}

/// The output of a command, with the time of each piece after its start.
type Words = (Duration, String);

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(attempt: &AttemptRef, phase: Phase) -> Key {
    (attempt.task.clone(), attempt.number.get(), phase)
}

impl FakeExecutor {
    /// Plays this for an attempt at a task.
    pub fn play(&self, task: &TaskId, attempt: u32, phase: Phase, play: Play) {
        locked(&self.plays).insert((task.clone(), attempt, phase), play);
    }

    /// Lets a command write to its log while it runs: each piece after so much time, those without any at its start.
    pub fn says(&self, task: &TaskId, attempt: u32, phase: Phase, words: Vec<(Duration, String)>) {
        locked(&self.words).insert((task.clone(), attempt, phase), words);
    }

    /// Says from now on that it can do this.
    pub fn can(&self, capabilities: Capabilities) {
        *locked(&self.can) = capabilities;
    }

    /// The started commands, in order.
    #[must_use]
    pub fn started(&self) -> Vec<ExecRequest> {
        locked(&self.started).clone()
    }

    /// Cannot find the commands of a task again, nor say that they are gone.
    pub fn loses(&self, task: &TaskId) {
        locked(&self.lost).insert(task.clone());
    }

    /// The number of commands that are suspended now.
    #[must_use]
    pub fn suspended(&self) -> usize {
        locked(&self.running).values().filter(|task| *task.suspended.borrow()).count()
    }
}

#[async_trait]
impl Executor for FakeExecutor {
    fn name(&self) -> &str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        *locked(&self.can)
    }

    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        let key = key(&request.attempt, request.phase);
        let play = locked(&self.plays).get(&key).copied();
        let play = play.unwrap_or(Play::Ends(Duration::ZERO, ExitStatus::Code(0)));
        assert!(play != Play::Panics, "as played");
        if play == Play::CannotStart {
            return Err(ExecError::NotFound { program: "nothing".to_owned() });
        }
        if play == Play::HangsAtStart {
            std::future::pending::<()>().await;
        }
        locked(&self.started).push(request.clone());
        let token = format!("{} {:?}", request.attempt, request.phase);
        let task = FakeTask {
            identity: ExecIdentity { executor: "fake".to_owned(), token },
            play,
            begun: Instant::now(),
            output: Arc::new(watch::channel(0).0),
            stop: Arc::new(watch::channel(None).0),
            suspended: Arc::new(watch::channel(false).0),
        };
        let words = locked(&self.words).get(&key).cloned().unwrap_or_default();
        if !words.is_empty() {
            std::fs::create_dir_all(&request.files).expect("a folder for the log");
            let log = request.files.join(request.phase.output_file());
            let (first, later): (Vec<Words>, Vec<Words>) = words.into_iter().partition(|(after, _)| after.is_zero());
            first.iter().for_each(|(_, text)| task.write(&log, text));
            let task = task.clone();
            tokio::spawn(async move { task.say(&log, later).await });
        }
        locked(&self.running).insert(key, task.clone());
        Ok(Box::new(task))
    }

    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        if locked(&self.lost).contains(&command.attempt.task) {
            return Err(ExecError::Watch { identity: command.attempt.to_string(), source: "as played".into() });
        }
        let found = locked(&self.running).get(&key(&command.attempt, command.phase)).cloned();
        Ok(match found {
            Some(task) => Reattached::Found(Box::new(task)),
            None => Reattached::NeverStarted,
        })
    }
}

#[derive(Debug, Clone)]
struct FakeTask {
    identity: ExecIdentity,
    play: Play,
    begun: Instant,
    output: Arc<watch::Sender<u64>>,
    stop: Arc<watch::Sender<Option<Instant>>>,
    suspended: Arc<watch::Sender<bool>>,
}

impl FakeTask {
    async fn stopped(&self) -> Instant {
        let mut stop = self.stop.subscribe();
        let asked = stop.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        asked.unwrap_or_else(Instant::now)
    }

    /// Writes to the log, until it is stopped.
    async fn say(&self, log: &Path, words: Vec<Words>) {
        for (after, text) in words {
            tokio::select! {
                () = sleep_until(self.begun + after) => self.write(log, &text),
                _ = self.stopped() => return,
            }
        }
    }

    fn write(&self, log: &Path, text: &str) {
        let file = File::options().append(true).create(true).open(log);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the log can be written");
        self.output.send_modify(|output| *output += text.len() as u64);
    }

    async fn killed(&self) {
        let mut stop = self.stop.subscribe();
        loop {
            let at = *stop.borrow_and_update();
            match at {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    _ = stop.changed() => {}
                },
                None => drop(stop.changed().await),
            }
        }
    }
}

#[async_trait]
impl RunningTask for FakeTask {
    fn identity(&self) -> &ExecIdentity {
        &self.identity
    }

    async fn wait(&self) -> Result<ExecEnd, ExecError> {
        let status = match self.play {
            Play::Ends(after, status) => {
                tokio::select! {
                    () = sleep_until(self.begun + after) => status,
                    _ = self.stopped() => ExitStatus::Signal(15),
                }
            }
            Play::Prints(every, times) => {
                for n in 1..=times {
                    sleep_until(self.begun + every * n).await;
                    self.output.send_replace(n.into());
                }
                ExitStatus::Code(0)
            }
            Play::WaitsForStop => {
                self.stopped().await;
                ExitStatus::Signal(15)
            }
            Play::IgnoresStop => {
                self.killed().await;
                ExitStatus::Signal(9)
            }
            Play::GetsLost | Play::CannotStart | Play::HangsAtStart | Play::Panics => {
                let source = "as played".into();
                return Err(ExecError::Watch { identity: self.identity.token.clone(), source });
            }
        };
        let usage = ExecUsage::default();
        let (took, stopped) = (self.begun.elapsed(), self.stop.borrow().is_some());
        Ok(ExecEnd { status, took, output: OutputSummary::default(), usage, stopped })
    }

    async fn stop(&self, grace: Duration) -> Result<(), ExecError> {
        let at = Instant::now() + grace;
        self.stop.send_modify(|stop| *stop = Some(stop.map_or(at, |earlier| earlier.min(at))));
        Ok(())
    }

    async fn suspend(&self) -> Result<bool, ExecError> {
        self.suspended.send_replace(true);
        Ok(true)
    }

    async fn resume(&self) -> Result<(), ExecError> {
        self.suspended.send_replace(false);
        Ok(())
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.begun.elapsed())
    }

    fn output(&self) -> Option<watch::Receiver<u64>> {
        Some(self.output.subscribe())
    }
}

/// Worktrees in words: every attempt gets a path and a branch, and made one commit. What is written
/// down here is what the scheduler asked for.
#[derive(Debug, Clone, Default)]
pub struct FakeWorktrees {
    calls: Arc<Mutex<Vec<WorktreeCall>>>,
    made: Arc<Mutex<Vec<Lease>>>,
    broken: Arc<Mutex<HashMap<TaskId, BrokenWorktree>>>,
    untouched: Arc<Mutex<HashSet<TaskId>>>,
    homes: Arc<Mutex<HashSet<TaskId>>>,
    forecast: Arc<Mutex<FakeForecast>>,
    forecasts: Arc<Mutex<Vec<ForecastCall>>>,
}

/// A request for a forecast: how many sides were asked about, and all sides.
pub type ForecastCall = (usize, Vec<Side>);

/// The answer of [`FakeWorktrees`] to requests for a forecast.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum FakeForecast {
    /// Nothing is known of any pair.
    #[default]
    Unknown,
    /// These pairs of sides are in conflict in the file `file`, by their names, and all others merge.
    Conflicts(Vec<(&'static str, &'static str)>),
    /// It cannot be made.
    Fails,
    /// It is never there.
    Hangs,
}

/// A call that [`FakeWorktrees`] has seen.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants are the methods of the trait with their arguments")]
pub enum WorktreeCall {
    Create(Vec<WorktreeRequest>),
    /// The last creation was dropped while it hung.
    CreateGivenUp,
    Snapshot(AttemptRef, SnapshotRequest),
    Release(AttemptRef, ReleaseRequest),
}

/// A failure of [`FakeWorktrees`] for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenWorktree {
    /// Its worktree cannot be made.
    Create,
    /// The work of the tasks that it needs does not merge.
    Conflict,
    /// Its work cannot be committed.
    Snapshot,
    /// No earlier worktree of it can be taken over.
    TakeOver,
    /// The home of its agent is too large.
    LargeHome,
    /// Its worktree is given back after ten seconds.
    LateRelease,
    /// Its worktree, and all of its batch, are there after ten seconds.
    Late,
    /// Its worktree is never there, as if another process held the repository for ever.
    Hangs,
}

impl FakeWorktrees {
    /// Breaks something for a task.
    pub fn break_for(&self, task: &TaskId, broken: BrokenWorktree) {
        locked(&self.broken).insert(task.clone(), broken);
    }

    /// The attempts at a task make nothing.
    pub fn stay_untouched(&self, task: &TaskId) {
        locked(&self.untouched).insert(task.clone());
    }

    /// The tasks whose agents have a home.
    #[must_use]
    pub fn homes(&self) -> HashSet<TaskId> {
        locked(&self.homes).clone()
    }

    /// Answers requests for a forecast from now on. The branch `main` exists.
    pub fn foretell(&self, forecast: FakeForecast) {
        *locked(&self.forecast) = forecast;
    }

    /// The requests for a forecast, in order.
    #[must_use]
    pub fn forecasts(&self) -> Vec<ForecastCall> {
        locked(&self.forecasts).clone()
    }

    /// A worktree that an earlier driver has made and not recorded.
    pub fn made_for(&self, run: &RunId, attempt: &AttemptRef) {
        locked(&self.made).push(lease(run.clone(), attempt.clone()));
    }

    /// The requests, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<WorktreeCall> {
        locked(&self.calls).clone()
    }

    fn broken(&self, attempt: &AttemptRef) -> Option<BrokenWorktree> {
        locked(&self.broken).get(&attempt.task).copied()
    }
}

/// A creation that does not end by itself.
struct Hangs<'a>(&'a Mutex<Vec<WorktreeCall>>);

impl Drop for Hangs<'_> {
    fn drop(&mut self) {
        locked(self.0).push(WorktreeCall::CreateGivenUp);
    }
}

fn place(attempt: &AttemptRef) -> PathBuf {
    PathBuf::from(format!("/worktrees/{attempt}"))
}

/// The worktree that [`FakeWorktrees`] makes for an attempt.
#[must_use]
pub fn lease(run: RunId, attempt: AttemptRef) -> Lease {
    let branch = format!("gadugi/{}", attempt.task).parse().ok();
    Lease { path: place(&attempt), branch, base: "0".repeat(40).parse().ok(), run, attempt }
}

fn as_played<T>(error: impl Fn(Box<dyn std::error::Error + Send + Sync>) -> T) -> T {
    error("as played".into())
}

#[async_trait]
impl Worktrees for FakeWorktrees {
    async fn create(&self, requests: Vec<WorktreeRequest>) -> Vec<Result<CreatedWorktree, WorktreeError>> {
        locked(&self.calls).push(WorktreeCall::Create(requests.clone()));
        let is_any = |broken| requests.iter().any(|request| self.broken(&request.attempt) == Some(broken));
        if is_any(BrokenWorktree::Late) {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        if is_any(BrokenWorktree::Hangs) {
            let _hangs = Hangs(&self.calls);
            std::future::pending::<()>().await;
        }
        let answer = |WorktreeRequest { run, attempt, reuse, .. }| {
            let path = place(&attempt);
            match self.broken(&attempt) {
                Some(BrokenWorktree::Create) => Err(as_played(|source| WorktreeError::Create {
                    attempt: attempt.clone(),
                    path: path.clone(),
                    source,
                })),
                Some(BrokenWorktree::Conflict) => {
                    Err(WorktreeError::Conflict { tasks: vec![attempt.task], files: vec!["file".to_owned()] })
                }
                broken => {
                    let asked = reuse.filter(|_| broken != Some(BrokenWorktree::TakeOver));
                    let mut made = locked(&self.made);
                    // A driver that has ended since may have handed it over.
                    let is_asked = |there: &&mut Lease| {
                        let is_there =
                            |asked: &Lease| asked == *there || (there.attempt == attempt && there.path == asked.path);
                        asked.as_ref().is_some_and(is_there)
                    };
                    if let Some(there) = made.iter_mut().find(is_asked) {
                        there.attempt = attempt;
                        return Ok(there.clone().into());
                    }
                    let lease = lease(run, attempt);
                    made.push(lease.clone());
                    Ok(lease.into())
                }
            }
        };
        requests.into_iter().map(answer).collect()
    }

    async fn home(&self, _: &RunId, task: &TaskId) -> Result<Option<AgentHome>, WorktreeError> {
        // Whoever gets it leaves something there.
        let is_new = locked(&self.homes).insert(task.clone());
        Ok(Some(AgentHome { path: PathBuf::from(format!("/homes/{task}")), is_new }))
    }

    async fn check_home(&self, _: &RunId, task: &TaskId) -> Result<Option<String>, WorktreeError> {
        let is_large = locked(&self.broken).get(task) == Some(&BrokenWorktree::LargeHome);
        let is_gone = is_large && locked(&self.homes).remove(task);
        Ok(is_gone.then(|| "its home is too large".to_owned()))
    }

    async fn remove_home(&self, _: &RunId, task: &TaskId) -> Result<(), WorktreeError> {
        locked(&self.homes).remove(task);
        Ok(())
    }

    async fn snapshot(&self, lease: &Lease, request: SnapshotRequest) -> Result<Work, WorktreeError> {
        locked(&self.calls).push(WorktreeCall::Snapshot(lease.attempt.clone(), request));
        if self.broken(&lease.attempt) == Some(BrokenWorktree::Snapshot) {
            return Err(as_played(|source| WorktreeError::Snapshot { path: lease.path.clone(), source }));
        }
        let tip: Option<CommitId> = "1".repeat(40).parse().ok();
        if locked(&self.untouched).contains(&lease.attempt.task) {
            return Ok(Work { tip, ..Work::default() });
        }
        Ok(Work { tip, commits: 1, files: 1, ..Work::default() })
    }

    async fn release(&self, lease: &Lease, request: ReleaseRequest) -> Result<Release, WorktreeError> {
        locked(&self.calls).push(WorktreeCall::Release(lease.attempt.clone(), request));
        if self.broken(&lease.attempt) == Some(BrokenWorktree::LateRelease) {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        locked(&self.made).retain(|made| made != lease);
        Ok(Release::new(WorktreeFate::Removed, BranchRelease::Absent))
    }

    async fn forecast_of_first(&self, asked: usize, sides: Vec<Side>) -> Result<Forecast, WorktreeError> {
        let forecast = locked(&self.forecast).clone();
        locked(&self.forecasts).push((asked, sides.clone()));
        let in_conflict = match forecast {
            FakeForecast::Unknown => return Ok(Forecast::unknown(sides.len(), "as played")),
            FakeForecast::Fails => {
                return Err(as_played(|source| WorktreeError::Repository { path: PathBuf::from("/repo"), source }));
            }
            FakeForecast::Hangs => std::future::pending().await,
            FakeForecast::Conflicts(pairs) => pairs,
        };
        let verdict = |(one, other): (usize, usize)| {
            let (one, other) = (sides[one].name.as_str(), sides[other].name.as_str());
            match in_conflict.contains(&(one, other)) || in_conflict.contains(&(other, one)) {
                true => Verdict::Conflict { files: vec!["file".to_owned()] },
                false => Verdict::MergesAsText,
            }
        };
        let pairs = (0..asked).flat_map(|first| (first + 1..sides.len()).map(move |second| (first, second)));
        let forecast = Forecast::of_first(asked, sides.len(), pairs.map(verdict).collect());
        Ok(forecast.expect("cannot fail because there is a verdict for each pair"))
    }

    async fn branch_tip(&self, name: &str) -> Result<Option<CommitId>, WorktreeError> {
        Ok((name == "main").then(|| "2".repeat(40).parse().ok()).flatten())
    }

    async fn leases(&self) -> Result<Vec<Lease>, WorktreeError> {
        Ok(locked(&self.made).clone())
    }

    async fn prune(&self, _: bool) -> Result<Vec<Pruned>, WorktreeError> {
        Ok(Vec::new())
    }
}

/// A log in memory, which fails or hangs from a given event on if it is told to.
#[derive(Debug, Clone, Default)]
pub struct FakeLog {
    events: Arc<Mutex<Vec<Event>>>,
    folder: Option<PathBuf>,
    fails_from: Option<u64>,
    hangs_from: Option<u64>,
}

impl FakeLog {
    /// The same, with the folders of attempts in one that exists.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }

    /// A log whose writes fail from the event of this number on.
    #[must_use]
    pub fn failing_from(seq: u64) -> Self {
        Self { fails_from: Some(seq), ..Self::default() }
    }

    /// The log of a driver that dies while it writes the event of this number: that one and all later ones are
    /// never kept, and nobody hears of them.
    #[must_use]
    pub fn hanging_from(seq: u64) -> Self {
        Self { hangs_from: Some(seq), ..Self::default() }
    }

    /// The log of the next driver, which knows what this one has kept, and may hang in its turn.
    #[must_use]
    pub fn goes_on(&self, hangs_from: Option<u64>) -> Self {
        Self { events: Arc::new(Mutex::new(self.events())), folder: self.folder.clone(), fails_from: None, hangs_from }
    }

    /// The events that it has kept.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        locked(&self.events).clone()
    }

    /// Keeps an event, as if an earlier driver had written it.
    pub fn put(&self, event: Event) {
        locked(&self.events).push(event);
    }

    fn keep(&self, event: &Event) -> Ticket {
        if self.fails_from.is_some_and(|from| event.seq >= from) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Box::pin(async { Err(RegistryError::Write { path: PathBuf::from("journal"), source }) });
        }
        if self.hangs_from.is_some_and(|from| event.seq >= from) {
            return Box::pin(std::future::pending());
        }
        locked(&self.events).push(event.clone());
        Box::pin(async { Ok(()) })
    }
}

impl RunLog for FakeLog {
    fn attempt_folder(&self, attempt: &AttemptRef) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new("/registry")).join(attempt.to_string())
    }

    fn intent(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }

    fn started(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }

    fn ended(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }

    fn note(&mut self, event: &Event) -> Ticket {
        self.keep(event)
    }
}
