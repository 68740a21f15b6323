//! Puts the adapters together. The only file of this crate that names a concrete one.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gadugi_core::{
    AttemptRef, CommitId, Control, Event, Executor, Executors, Moment, Phase, Plan, RegistryError, Report, RunId,
    RunRecord, TaskId, TaskRecord, TaskSpec, WarningKind, Worktrees, error_chain,
};
use gadugi_exec::shim::Containment;
use gadugi_exec::{
    ExecutorPolicy, OutputCap, PolicyError, ShimProgram, SubprocessExecutor, SubprocessSettings, choose,
};
use gadugi_registry::{FindError, FsRegistry, JournalFollower, StopRequest, render};
use gadugi_worktree::{BaseError, GitWorktrees, Head, OpenError, Repository, WorktreeSettings, check_worktrees_folder};

use crate::commands::Context;
use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;
use crate::view::AttemptFolder;

/// The registry that commands read and write.
pub(crate) type Journals = FsRegistry;

/// A run that nobody can begin to drive.
pub(crate) use gadugi_registry::HeldRun;

/// Reads the journal of a run as it grows.
pub(crate) type Follower = JournalFollower;

/// A repository and its registry.
pub(crate) struct Site {
    repository: Repository,
    pub(crate) registry: Arc<Journals>,
}

/// The commit that branches start from, and how the user called it.
pub(crate) struct Base {
    pub(crate) commit: CommitId,
    pub(crate) name: String,
}

impl Site {
    /// Finds the repository that the user stands in.
    pub(crate) fn open(surroundings: &Surroundings) -> Result<Self, Failure> {
        let repository = Repository::discover(&surroundings.folder).map_err(no_repository)?;
        let registry = Arc::new(FsRegistry::new(state_folder(&repository)));
        Ok(Self { repository, registry })
    }

    /// The work tree that the user stands in.
    pub(crate) fn work_tree(&self) -> &Path {
        self.repository.work_tree()
    }

    /// The name of the repository's folder, wherever among its work trees the user stands.
    pub(crate) fn name(&self) -> String {
        self.repository.name()
    }

    /// The git folder that all work trees share.
    pub(crate) fn git_folder(&self) -> &Path {
        self.repository.common_dir()
    }

    /// Where the registry is.
    pub(crate) fn state_folder(&self) -> PathBuf {
        state_folder(&self.repository)
    }

    /// Whether another process changes the worktrees of the repository at this moment.
    pub(crate) fn is_busy(&self) -> bool {
        let lock = File::open(self.state_folder().join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The configuration file: the one that is named, or the repository's.
    pub(crate) fn config_file(&self, named: Option<&Path>) -> PathBuf {
        named.map_or_else(|| self.repository.work_tree().join("gadugi.toml"), Path::to_owned)
    }

    /// How many files of the user's work tree are changed or new and not committed.
    pub(crate) fn uncommitted(&self) -> Result<u64, String> {
        let uncommitted = self.repository.uncommitted().map_err(|error| error_chain(&error))?;
        Ok(uncommitted.changed + uncommitted.untracked)
    }

    /// The commit that the tasks start from.
    pub(crate) fn base(&self, config: &Config) -> Result<Base, Failure> {
        if config.base != "HEAD" {
            let commit = self.repository.resolve(&config.base).map_err(no_base)?;
            return Ok(Base { commit, name: config.base.clone() });
        }
        let commit = self.repository.head_commit().clone();
        let name = match self.repository.head() {
            Head::Branch(name) => name.clone(),
            Head::Detached => format!("detached HEAD at {}", commit.short()),
        };
        Ok(Base { commit, name })
    }

    /// The folder for the worktrees: the configured one, else the one beside the repository, else, where
    /// that cannot be used, one in the user's data folder.
    pub(crate) fn worktrees_folder(&self, surroundings: &Surroundings, config: &Config) -> Result<PathBuf, Failure> {
        let unusable = |error: gadugi_worktree::PlaceError| {
            Failure::environment(format!("worktrees cannot be made: {}", error_chain(&error)))
                .hint("name another folder by `worktrees = \"…\"` in gadugi.toml")
        };
        if let Some(folder) = &config.worktrees {
            let folder = surroundings.folder.join(folder);
            return check_worktrees_folder(&folder).map(|()| folder).map_err(unusable);
        }
        let beside = self.repository.default_worktrees_folder();
        match (check_worktrees_folder(&beside), surroundings.user_data()) {
            (Ok(()), _) => Ok(beside),
            (Err(error), None) => Err(unusable(error)),
            (Err(_), Some(data)) => {
                let id = gadugi_core::TaskId::slug(&self.repository.common_dir().to_string_lossy());
                let folder = data.join("worktrees").join(id.as_str());
                check_worktrees_folder(&folder).map(|()| folder).map_err(unusable)
            }
        }
    }

    /// The worktrees of runs that start from `base`.
    pub(crate) fn worktrees(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<Arc<dyn Worktrees>, Failure> {
        let folder = self.worktrees_folder(surroundings, config)?;
        let branch_prefix = config.branch_prefix.as_str().to_owned();
        let settings =
            WorktreeSettings { branch_prefix, ..WorktreeSettings::new(self.repository.clone(), base.clone(), folder) };
        let worktrees = GitWorktrees::new(settings);
        Ok(Arc::new(worktrees.map_err(|error| Failure::usage(format!("`branch_prefix`: {error}")))?))
    }

    /// Where the files of a run's attempts are.
    pub(crate) fn attempt_folders(&self, run: &RunId) -> AttemptFolder {
        let (registry, run) = (Arc::clone(&self.registry), run.clone());
        Box::new(move |attempt| registry.attempt_folder(&run, attempt))
    }

    /// The report of a run for people.
    pub(crate) fn markdown(&self, report: &Report) -> String {
        render::markdown(report, &self.log_path(report))
    }

    /// The report of a run for programs.
    pub(crate) fn json(&self, report: &Report) -> String {
        render::json(report, &self.log_path(report))
    }

    /// The report of a run for CI servers.
    pub(crate) fn junit(&self, report: &Report) -> String {
        let path = self.log_path(report);
        render::junit(report, &|attempt, phase| render::tail(&path(attempt, phase)?).ok())
    }

    /// Keeps all three with the run.
    pub(crate) fn write_reports(&self, report: &Report) -> Result<(), RegistryError> {
        render::write_reports(&self.registry.run_folder(&report.record.header.run), report).map(drop)
    }

    fn log_path(&self, report: &Report) -> impl Fn(&AttemptRef, Phase) -> Option<PathBuf> {
        let (registry, run) = (Arc::clone(&self.registry), report.record.header.run.clone());
        move |attempt, phase| {
            Some(registry.attempt_folder(&run, attempt).join(phase.output_file())).filter(|path| path.exists())
        }
    }

    /// The run that the user names.
    pub(crate) fn find(&self, name: &str) -> Result<RunId, Failure> {
        self.registry.find(name).map_err(|error| match error {
            FindError::List(error) => error.into(),
            FindError::NoRuns => Failure::usage(error.to_string()).hint("`gadugi run` begins one"),
            _ => Failure::usage(error.to_string()).hint("`gadugi ps --all` lists the runs"),
        })
    }

    /// Leaves a request to stop for the process that drives a run.
    pub(crate) fn ask_to_stop(&self, run: &RunId, tasks: Vec<TaskId>, now: bool) -> Result<(), RegistryError> {
        self.registry.post_request(run, &StopRequest { tasks, now })
    }

    /// Leaves a request to stop for whoever drives a run next.
    pub(crate) fn ask_next_to_stop(&self, run: &RunId, tasks: Vec<TaskId>, now: bool) -> Result<(), RegistryError> {
        self.registry.post_request_for_next(run, &StopRequest { tasks, now })
    }
}

fn state_folder(repository: &Repository) -> PathBuf {
    repository.common_dir().join("gadugi")
}

/// Opens a log, if it is a file.
pub(crate) fn open_log(path: &Path) -> std::io::Result<File> {
    render::open_log(path)
}

/// How everything that a subprocess starts is found when it ends, and what would make that better, if anything.
pub(crate) fn supervision() -> (&'static str, Option<&'static str>) {
    let systemd = "begin gadugi in a scope of your own: systemd-run --user --scope -p Delegate=yes gadugi …";
    match gadugi_exec::shim::containment() {
        Containment::CgroupV2 => ("by a cgroup for each task", None),
        Containment::CgroupV1Freezer => ("by a freezer (cgroup v1) for each task", None),
        Containment::Descent => ("by descent, since no cgroup can be made here", Some(systemd)),
        _ => ("by process group: tasks do not outlive gadugi on this system", Some("Linux has more")),
    }
}

/// One event as a line of JSON, as in the journal.
pub(crate) fn event_line(event: &Event) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(gadugi_registry::format::event_to_json(event)?)
}

/// Now, on the machine's own clock; `None` where the system does not tell.
pub(crate) fn moment() -> Option<Moment> {
    gadugi_exec::moment()
}

/// Makes this process the one that looks after a command, if it was started for that; then it does not return.
pub(crate) fn become_shim_if_requested() {
    gadugi_exec::shim::main_if_requested();
}

/// The executors of this call: our own and those of the embedding program.
pub(crate) fn executors(context: &Context, config: &Config, die_with_parent: bool) -> Vec<Arc<dyn Executor>> {
    let mut settings = SubprocessSettings::new(context.surroundings.env.clone());
    settings.passed.extend(config.env.iter().cloned());
    let tail = OutputCap::default().tail.min(config.output_cap / 2);
    settings.output_cap = OutputCap { head: config.output_cap - tail, tail };
    settings.shim = Some(ShimProgram::this_program());
    settings.die_with_parent = die_with_parent;
    let own: Arc<dyn Executor> = Arc::new(SubprocessExecutor::new(settings));
    context.executors.iter().cloned().chain([own]).collect()
}

/// The executor that runs the tasks that name none, and all that tasks do name.
pub(crate) struct Chosen {
    default: Arc<dyn Executor>,
    others: Vec<Arc<dyn Executor>>,
    reason: String,
    warnings: Vec<(WarningKind, String)>,
}

impl Chosen {
    pub(crate) fn name(&self) -> &str {
        self.default.name()
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The executor that runs a task.
    pub(crate) fn of(&self, task: &TaskSpec) -> Option<&Arc<dyn Executor>> {
        let Some(name) = &task.executor else { return Some(&self.default) };
        std::iter::once(&self.default).chain(&self.others).find(|executor| executor.name() == name)
    }

    /// What the user should know before the run: a fallback, and what a task asks for and does not get.
    pub(crate) fn warnings(&self) -> &[(WarningKind, String)] {
        &self.warnings
    }

    pub(crate) fn into_executors(self) -> Executors {
        self.others.into_iter().fold(Executors::new(self.default), Executors::with)
    }
}

/// Chooses by the configured policy, and probes every executor that a task asks for. A task that leaves the choice to
/// `auto` gets the name of what is chosen for it.
pub(crate) async fn choose_executor(
    context: &Context,
    config: &Config,
    plan: &mut Plan,
    die_with_parent: bool,
) -> Result<Chosen, Failure> {
    let Ok(policy) = config.executor.parse::<ExecutorPolicy>();
    choose_by(&policy, executors(context, config, die_with_parent), plan, config).await
}

/// The executors of a run that has begun before. Its tasks get the one again that was chosen then, never
/// another: what began in a container is not repeated on this machine.
pub(crate) async fn recorded_executor(
    context: &Context,
    config: &Config,
    record: &RunRecord,
    die_with_parent: bool,
) -> Result<Chosen, Failure> {
    let chosen = record.executor.as_ref().map(|(name, _)| name).or(record.header.executor.as_ref());
    // A damaged journal may have lost the choice and not what came of it.
    let of_task = |task: &TaskRecord| Some(task.last().filter(|_| task.task.spec.executor.is_none())?.executor.clone());
    let policy = match chosen.cloned().or_else(|| record.tasks.iter().find_map(of_task)) {
        Some(name) => ExecutorPolicy::Named(name),
        // Nothing has begun.
        None => config.executor.parse().unwrap_or_else(|never| match never {}),
    };
    let mut plan = record.header.plan.clone();
    let chosen = choose_by(&policy, executors(context, config, die_with_parent), &mut plan, config).await;
    chosen.map_err(|failure| failure.about(format!("run {} cannot be resumed", record.header.run)))
}

async fn choose_by(
    policy: &ExecutorPolicy,
    available: Vec<Arc<dyn Executor>>,
    plan: &mut Plan,
    config: &Config,
) -> Result<Chosen, Failure> {
    let undecided: Vec<&TaskSpec> =
        plan.tasks().iter().map(|task| &task.spec).filter(|spec| spec.executor.is_none()).collect();
    let choice = choose(policy, &available, &undecided).await.map_err(no_executor)?;
    let mut warnings = Vec::new();
    if choice.fell_back {
        warnings.push((WarningKind::Fallback, format!("tasks run by {}: {}", choice.executor.name(), choice.reason)));
    }
    for position in 0..plan.tasks().len() {
        let spec = &plan.tasks()[position].spec;
        let (executor, is_left_to_us) = match &spec.executor {
            None => (Arc::clone(&choice.executor), false),
            Some(name) => {
                let Ok(policy) = name.parse::<ExecutorPolicy>();
                let choice = choose(&policy, &available, &[spec]).await.map_err(no_executor)?;
                if choice.fell_back {
                    let message = format!("{} runs by {}: {}", spec.id, choice.executor.name(), choice.reason);
                    warnings.push((WarningKind::Fallback, message));
                }
                (choice.executor, policy == ExecutorPolicy::Auto)
            }
        };
        warnings.extend(not_held(spec, &*executor, config).map(|message| (WarningKind::NotHeld, message)));
        if is_left_to_us {
            plan.set_executor(position, executor.name().to_owned());
        }
    }
    let others = available.into_iter().filter(|executor| executor.name() != choice.executor.name()).collect();
    Ok(Chosen { default: choice.executor, others, reason: choice.reason, warnings })
}

/// What a task asks for and its executor does not hold. The image of the configuration, or of its agent there, is one
/// for those tasks that come into containers.
fn not_held(task: &TaskSpec, executor: &dyn Executor, config: &Config) -> Option<String> {
    let (resources, can) = (&task.resources, executor.capabilities());
    let profile = task.action.agent.as_ref().and_then(|agent| config.agents.get(agent));
    let configured = profile.and_then(|profile| profile.image.as_ref()).or(config.image.as_ref());
    let asked = [
        ("image", resources.image.is_some() && resources.image.as_ref() != configured && !can.images),
        ("memory", resources.memory.is_some() && !can.limits_resources),
        ("cpus", resources.cpus.is_some() && !can.limits_resources),
    ];
    let ignored: Vec<_> = asked.iter().filter(|(_, ignored)| *ignored).map(|(name, _)| *name).collect();
    let what = ignored.join(", ");
    (!ignored.is_empty()).then(|| format!("{}: the executor {} does not hold its {what}", task.id, executor.name()))
}

/// Hands on the requests to stop that other processes have left for a run.
/// There are none before the run has its id.
pub(crate) fn stop_requests(
    registry: Arc<Journals>,
    run: Arc<OnceLock<RunId>>,
    terminal: Terminal,
) -> impl Fn(&Control) + Send + Sync + 'static {
    let take = move |run: &RunId| Ok([registry.take_requests_for_next(run)?, registry.take_requests(run)?]);
    move |control| match run.get().map(&take).transpose() {
        Ok(taken) => {
            for taken in taken.into_iter().flatten() {
                for damage in taken.damage {
                    terminal.say(&format!("warning: {damage}"));
                }
                for request in taken.requests {
                    if request.tasks.is_empty() {
                        control.stop_all(request.now);
                    } else {
                        control.stop(request.tasks, request.now);
                    }
                }
            }
        }
        Err(error) => {
            let error: RegistryError = error;
            terminal.say(&format!("warning: {}", error_chain(&error)));
        }
    }
}

fn no_repository(error: OpenError) -> Failure {
    let hint = match &error {
        OpenError::NotARepository { .. } => "change to a git repository, name one with -C, or make one: git init",
        OpenError::Bare { .. } => "make a work tree of it: git worktree add ../work",
        OpenError::NoCommits { .. } => "tasks start from a commit: git commit --allow-empty -m 'first commit'",
        _ => "`git status` there says more",
    };
    Failure::environment(error_chain(&error)).hint(hint)
}

fn no_base(error: BaseError) -> Failure {
    Failure::usage(error.to_string()).hint("`git branch --all` and `git tag` list what there is")
}

fn no_executor(error: PolicyError) -> Failure {
    let hint = match &error {
        PolicyError::Unusable { source, .. } => source.remedy.clone(),
        _ => "`--executor auto` takes what is there; `gadugi doctor` says why".to_owned(),
    };
    Failure::environment(error_chain(&error)).hint(hint)
}
