//! A repository in memory, and what is run on it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gadugi_core::merge::{
    AmendContent, AmendRequest, Amended, Candidate, Chain, ChainRequest, Check, ConflictRequest, Integration,
    LandRequest, Landing, Link, LinkResult, MarkedConflict, Merge, MergeError, MergeEvent, MergeFailure, MergeHeader,
    MergeLog, MergeRecord, MergeRunner, MergeSettings, RecoveredLanding, RunnerError, Strategy, Target, Trial,
    TrialEnd, TrialResult, Work, WorkEnd,
};
use gadugi_core::registry::RegistryError;
use gadugi_core::{BranchName, CommitId, MergeId, RunId, TaskId, TreeId};
use jiff::Timestamp;

/// The content of a commit: the names of tasks, and of resolutions.
pub(crate) type Content = BTreeSet<String>;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(kind: &str, content: &(u64, Content)) -> T {
    let mut hasher = DefaultHasher::new();
    (kind, content).hash(&mut hasher);
    format!("{:040x}", hasher.finish()).parse().expect("an id")
}

/// What is known of a repository, behind a lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    commits: BTreeMap<CommitId, Content>,
    branches: BTreeMap<BranchName, CommitId>,
    /// Commits that a user makes right before each landing, one each.
    user: Vec<String>,
    runs: Vec<Vec<Trial>>,
    work: Vec<Work>,
    landings: usize,
}

/// A repository in memory with tasks `t0`, `t1` and so on.
#[derive(Debug)]
pub(crate) struct World {
    /// What has come into being.
    pub(crate) state: Mutex<State>,
    /// What each task needs, by numbers.
    pub(crate) needs: Vec<Vec<usize>>,
    /// Sets of tasks that do not merge.
    pub(crate) conflicts: Vec<Vec<usize>>,
    /// Sets of tasks on which the check fails; the empty one is the target.
    pub(crate) red: Vec<Vec<usize>>,
    /// Trees on which the first check fails by chance.
    pub(crate) flaky: Mutex<bool>,
    /// Whether a work tree is in the way of a landing.
    pub(crate) blocked: AtomicBool,
    /// The contents of what agents make, the next one first; none for an agent that fails.
    pub(crate) resolutions: Mutex<Vec<Option<&'static str>>>,
    pub(crate) has_check: bool,
    pub(crate) resolves: bool,
    pub(crate) is_asked: AtomicBool,
    /// The trees of all checks that were run.
    pub(crate) checked: Mutex<Vec<TreeId>>,
}

fn name(task: usize) -> String {
    format!("t{task}")
}

pub(crate) fn main_branch() -> BranchName {
    "main".parse().expect("a branch")
}

impl World {
    pub(crate) fn new(tasks: usize) -> Self {
        let world = Self {
            state: Mutex::default(),
            needs: vec![Vec::new(); tasks],
            conflicts: Vec::new(),
            red: Vec::new(),
            flaky: Mutex::new(false),
            blocked: AtomicBool::new(false),
            resolutions: Mutex::default(),
            has_check: true,
            resolves: false,
            is_asked: AtomicBool::new(true),
            checked: Mutex::default(),
        };
        let start = world.commit(Content::new());
        world.state().branches.insert(main_branch(), start);
        world
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    fn commit(&self, content: Content) -> CommitId {
        let commit: CommitId = id("commit", &(0, content.clone()));
        self.state().commits.insert(commit.clone(), content);
        commit
    }

    fn content(&self, commit: &CommitId) -> Content {
        self.state().commits[commit].clone()
    }

    fn tree(content: &Content) -> TreeId {
        id("tree", &(0, content.clone()))
    }

    /// Lets a user commit to the target before the next landing.
    pub(crate) fn user_commits(&self, name: &str) {
        self.state().user.push(name.to_owned());
    }

    /// The content of a branch; `None` where there is none.
    pub(crate) fn branch(&self, name: &str) -> Option<Content> {
        let tip = self.state().branches.get(&name.parse().expect("a branch")).cloned()?;
        Some(self.content(&tip))
    }

    pub(crate) fn landings(&self) -> usize {
        self.state().landings
    }

    pub(crate) fn work(&self) -> Vec<Work> {
        self.state().work.clone()
    }

    fn has_set(sets: &[Vec<usize>], content: &Content) -> bool {
        sets.iter().any(|set| set.iter().all(|task| content.contains(&name(*task))))
    }

    fn merges(&self, content: &Content) -> bool {
        // What an agent has resolved merges.
        content.iter().any(|part| part.starts_with("resolved")) || !Self::has_set(&self.conflicts, content)
    }

    fn is_green(&self, content: &Content) -> bool {
        content.contains("repaired") || !Self::has_set(&self.red, content)
    }

    /// The largest number of tasks that can land, by trying all sets.
    pub(crate) fn largest(&self) -> usize {
        let count = self.needs.len();
        let sets = (0_u32..1 << count).map(|bits| (0..count).filter(|at| bits >> at & 1 == 1).collect::<Vec<_>>());
        let may_land = |set: &Vec<usize>| {
            let content: Content = set.iter().map(|task| name(*task)).collect();
            let has_needs = set.iter().all(|task| self.needs[*task].iter().all(|need| set.contains(need)));
            has_needs && self.merges(&content) && (!self.has_check || self.is_green(&content))
        };
        sets.filter(may_land).map(|set| set.len()).max().unwrap_or(0)
    }

    pub(crate) fn header(&self, jobs: usize) -> MergeHeader {
        let run: RunId = "20261122-083355-k7q".parse().expect("an id");
        let start = self.state().branches[&main_branch()].clone();
        let candidate = |(task, needs): (usize, &Vec<usize>)| {
            let tip = self.commit(Content::from([name(task)]));
            let link = Link { name: name(task), title: name(task), run: run.clone(), tip, base: start.clone() };
            Candidate { task: name(task).parse().expect("an id"), link, needs: needs.clone() }
        };
        MergeHeader {
            merge: MergeId::new(Timestamp::now()),
            created: Timestamp::now(),
            run: run.clone(),
            target: main_branch(),
            settings: MergeSettings {
                strategy: Strategy::Merge,
                jobs: NonZeroUsize::new(jobs).expect("a job"),
                check: self.has_check.then(|| Check { script: "make".to_owned(), key: "make".to_owned() }),
                resolve: self.resolves.then(|| "author".to_owned()),
                regenerate: Vec::new(),
            },
            candidates: self.needs.iter().enumerate().map(candidate).collect(),
        }
    }
}

#[async_trait]
impl Integration for World {
    async fn target(&self, branch: &BranchName) -> Result<Option<Target>, MergeError> {
        let Some(tip) = self.state().branches.get(branch).cloned() else { return Ok(None) };
        let tree = Self::tree(&self.content(&tip));
        Ok(Some(Target { branch: branch.clone(), tip, tree, worktrees: Vec::new() }))
    }

    async fn chain(&self, request: ChainRequest) -> Result<Chain, MergeError> {
        let start = self.content(&request.onto);
        let (mut content, mut links) = (start.clone(), Vec::new());
        for link in &request.links {
            let with: Content = content.iter().chain([&link.name]).cloned().collect();
            if content.contains(&link.name) {
                links.push(LinkResult::Contained);
            } else if self.merges(&with) {
                content = with;
                links.push(LinkResult::Added { commit: self.commit(content.clone()) });
            } else {
                let conflict = self.conflicts.iter().find(|set| {
                    set.iter().all(|task| with.contains(&name(*task)))
                        && set.iter().any(|task| name(*task) == link.name)
                });
                let others = conflict.into_iter().flatten().map(|task| name(*task));
                let with = others.filter(|other| *other != link.name && !start.contains(other)).collect();
                links.push(LinkResult::Conflict { files: vec!["file".to_owned()], with });
            }
        }
        let tip = self.commit(content.clone());
        Ok(Chain { tip, tree: Self::tree(&content), links, to_regenerate: Vec::new() })
    }

    async fn mark_conflict(&self, request: ConflictRequest) -> Result<MarkedConflict, MergeError> {
        let mut content = self.content(&request.onto);
        content.extend([request.link.name, "markers".to_owned()]);
        Ok(MarkedConflict { commit: self.commit(content), files: vec!["file".to_owned()] })
    }

    async fn amend(&self, request: AmendRequest) -> Result<Amended, MergeError> {
        let AmendContent::Resolution { link, .. } = request.content else { panic!("no file is generated here") };
        let mut content = self.content(&request.from);
        if content.contains("markers") {
            return Ok(Amended::Refused { markers: vec!["file".to_owned()], unrelated: Vec::new() });
        }
        content.insert(link.name);
        let tip = self.commit(content.clone());
        Ok(Amended::Added { tip, tree: Self::tree(&content) })
    }

    async fn land(&self, request: LandRequest) -> Result<Landing, MergeError> {
        if request.branch == main_branch()
            && let Some(name) = { self.state().user.pop() }
        {
            let tip = self.state().branches[&main_branch()].clone();
            let content = self.content(&tip).into_iter().chain([name]).collect();
            let commit = self.commit(content);
            self.state().branches.insert(main_branch(), commit);
        }
        let now = self.state().branches.get(&request.branch).cloned();
        if now != request.old {
            return Ok(Landing::Moved { now });
        }
        if request.branch == main_branch() && self.blocked.load(Ordering::Relaxed) {
            let files = vec!["file".to_owned()];
            return Ok(Landing::Blocked { worktree: PathBuf::from("/work"), reason: "in the way".to_owned(), files });
        }
        let mut state = self.state();
        state.landings += 1;
        state.branches.insert(request.branch, request.new);
        Ok(Landing::Landed { followed: Vec::new() })
    }

    async fn recover_landing(&self, _: &MergeId) -> Result<Option<RecoveredLanding>, MergeError> {
        let state = self.state();
        let new = state.branches[&main_branch()].clone();
        Ok((state.landings > 0).then(|| RecoveredLanding {
            branch: main_branch(),
            new,
            landed: true,
            followed: Vec::new(),
        }))
    }

    async fn forget(&self, _: &MergeId) -> Result<(), MergeError> {
        Ok(())
    }
}

#[async_trait]
impl MergeRunner for World {
    async fn begin_trials(&self, trials: &[Trial]) -> Result<RunId, RunnerError> {
        let mut state = self.state();
        state.runs.push(trials.to_vec());
        Ok(run_id(state.runs.len() - 1))
    }

    async fn finish_trials(&self, run: &RunId) -> Result<Vec<TrialEnd>, RunnerError> {
        let trials = self.state().runs[number(run)].clone();
        let end = |trial: &Trial| {
            self.checked.lock().expect("a lock").push(trial.tree.clone());
            let is_chance = std::mem::take(&mut *self.flaky.lock().expect("a lock"));
            let result = match self.is_green(&self.content(&trial.commit)) {
                _ if !self.is_asked.load(Ordering::Relaxed) => TrialResult::Environment,
                true if !is_chance => TrialResult::Green,
                _ => TrialResult::Red,
            };
            TrialEnd { result: Some(result), why: "as told".to_owned(), took: None }
        };
        Ok(trials.iter().map(end).collect())
    }

    async fn last_output(&self, _: &RunId, _: &Trial) -> String {
        "assertion failed".to_owned()
    }

    async fn begin_work(&self, work: &Work) -> Result<RunId, RunnerError> {
        let mut state = self.state();
        state.work.push(work.clone());
        Ok(run_id(state.work.len() - 1))
    }

    async fn finish_work(&self, run: &RunId) -> Result<WorkEnd, RunnerError> {
        let Work::Resolve { onto, .. } = self.state().work[number(run)].clone() else { panic!("only agents work") };
        let mut resolutions = self.resolutions.lock().expect("a lock");
        let made = if resolutions.is_empty() { None } else { resolutions.remove(0) };
        let tip = made.map(|made| {
            let mut content = self.content(&onto);
            if made != "nothing" {
                content.remove("markers");
                content.insert(made.to_owned());
            }
            self.commit(content)
        });
        Ok(WorkEnd { tip, why: "as told".to_owned() })
    }

    fn is_stopped(&self) -> bool {
        false
    }
}

fn run_id(number: usize) -> RunId {
    format!("20261122-{number:06}-k7q").parse().expect("an id")
}

fn number(run: &RunId) -> usize {
    run.as_str()[9..15].parse().expect("a number")
}

/// A log in memory that fails after so many events, as if the process were killed there.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) events: Arc<Mutex<Vec<MergeEvent>>>,
    pub(crate) kept: Arc<Mutex<BTreeSet<(TreeId, String)>>>,
    pub(crate) dies_at: Option<usize>,
}

impl MergeLog for Log {
    fn write(&mut self, event: &MergeEvent) -> Result<(), RegistryError> {
        let mut events = self.events.lock().expect("a lock");
        if self.dies_at == Some(events.len()) {
            return Err(RegistryError::Stopped);
        }
        assert_eq!(event.seq, events.len() as u64 + 1, "numbers have no gap");
        events.push(event.clone());
        Ok(())
    }

    fn kept_check(&self, tree: &TreeId, key: &str) -> Option<TrialResult> {
        let kept = self.kept.lock().expect("a lock");
        kept.contains(&(tree.clone(), key.to_owned())).then_some(TrialResult::Green)
    }

    fn keep_check(&mut self, tree: &TreeId, key: &str) -> Result<(), RegistryError> {
        self.kept.lock().expect("a lock").insert((tree.clone(), key.to_owned()));
        Ok(())
    }
}

/// Drives a merge of all tasks to its end.
pub(crate) fn drive(world: &Arc<World>, jobs: usize) -> MergeRecord {
    drive_with(world, jobs, Log::default()).expect("nothing fails")
}

pub(crate) fn drive_with(world: &Arc<World>, jobs: usize, log: Log) -> Result<MergeRecord, MergeFailure> {
    let merge = Merge::new(world.header(jobs), Arc::<World>::clone(world), Arc::<World>::clone(world), Box::new(log));
    block_on(merge.drive())
}

pub(crate) fn resume(world: &Arc<World>, header: MergeHeader, log: Log) -> Result<MergeRecord, MergeFailure> {
    let record = MergeRecord::fold(header, log.events.lock().expect("a lock").iter());
    let merge = Merge::resume(record, Arc::<World>::clone(world), Arc::<World>::clone(world), Box::new(log));
    block_on(merge.drive())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

pub(crate) fn names(tasks: &[TaskId]) -> Vec<&str> {
    tasks.iter().map(TaskId::as_str).collect()
}
