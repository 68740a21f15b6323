//! Puts the adapters together. The only room of this crate that names concrete ones.

#[cfg(feature = "docker")]
pub(crate) mod docker;
mod executors;
mod forgetting;
mod room;
mod sweep;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gadugi_core::{
    AttemptRef, CommitId, Control, Event, Moment, OutputFormats, Phase, RegistryError, Report, RunId, Seeded, TaskId,
    Worktrees, error_chain,
};
use gadugi_exec::agent_output::{TimeZones, formats};
use gadugi_exec::shim::Containment;
use gadugi_registry::{FindError, FsRegistry, JournalFollower, StopRequest, render};
use gadugi_worktree::{
    BaseError, GitWorktrees, Head, OpenError, Repository, Seeding, Seeds, Sharing, WorktreeSettings,
    check_worktrees_folder, sharing,
};

use jiff::tz::TimeZone;

use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::{Announcer, Terminal, seed_text};
use crate::view::AttemptFolder;

pub(crate) use self::executors::{
    Chosen, SUBPROCESS, choose_executor, collect, executors, recorded_executor, shown_login,
};
pub(crate) use self::room::Room;
pub(crate) use self::sweep::{foreign_files, sweep_if_requested};

/// The formats of what agents print. A container is given `TZ`, and has no time zone otherwise.
pub(crate) fn output_formats() -> OutputFormats {
    let here = TimeZone::system();
    let isolated = if std::env::var_os("TZ").is_some() { here.clone() } else { TimeZone::UTC };
    formats(&TimeZones { here, isolated })
}

/// The registry that commands read and write.
pub(crate) type Journals = FsRegistry;

/// A run that nobody can begin to drive.
pub(crate) use gadugi_registry::HeldRun;

/// Where the reports of a run are kept.
pub(crate) use gadugi_registry::render::WrittenReports;

/// Reads the journal of a run as it grows.
pub(crate) type Follower = JournalFollower;

/// A repository and its registry.
pub(crate) struct Site {
    repository: Repository,
    pub(crate) registry: Arc<Journals>,
    /// Announces what adapters do that takes long.
    pub(crate) announcer: Arc<Announcer>,
    /// The worktrees, once they were asked for.
    places: OnceLock<Places>,
}

/// The worktrees of a repository.
pub(crate) type Places = GitWorktrees;

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
        Ok(Self { repository, registry, announcer: Arc::default(), places: OnceLock::new() })
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
        let lock = gadugi_registry::open_regular(&self.state_folder().join("lock"), File::options().read(true));
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

    /// Whether git can have the branches of tasks beside those that there are.
    pub(crate) fn check_branches(&self, config: &Config) -> Result<(), Failure> {
        let prefix = config.branch_prefix.as_str();
        let existing = self
            .repository
            .branch_in_the_way(prefix)
            .map_err(|error| Failure::environment(format!("the branches cannot be read: {}", error_chain(&error))))?;
        let Some(existing) = existing else { return Ok(()) };
        let message = format!("the branch `{existing}` is in the way: git cannot have branches `{prefix}…` beside it");
        Err(Failure::environment(message).hint("rename it, or set another `branch_prefix` in gadugi.toml"))
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

    /// The worktrees of runs that start from `base`. What is copied into them, and takes long, is announced; what is
    /// given back is deleted in the background.
    pub(crate) fn worktrees(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<Arc<dyn Worktrees>, Failure> {
        Ok(Arc::new(self.places(surroundings, config, base, false)?))
    }

    /// The worktrees, for a command that gives many back and wants nothing beside it to be deleted before its end.
    pub(crate) fn worktrees_to_clean(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<Places, Failure> {
        self.places(surroundings, config, base, true)
    }

    fn places(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
        defer_deletion: bool,
    ) -> Result<Places, Failure> {
        if let Some(places) = self.places.get() {
            return Ok(places.with_base(base.clone()));
        }
        let folder = self.worktrees_folder(surroundings, config)?;
        let branch_prefix = config.branch_prefix.as_str().to_owned();
        let announcer = Arc::clone(&self.announcer);
        let seed = Seeds::new(config.seed.clone()).observed_by(move |seeding| {
            if is_large(seeding) {
                let plural = if seeding.worktrees == 1 { "" } else { "s" };
                let text = seed_text(seeding.each);
                announcer.announce(format!("copying {text} into each of {} new worktree{plural}", seeding.worktrees));
            }
        });
        let defaults = WorktreeSettings::new(self.repository.clone(), base.clone(), folder);
        let limit = config.worktree_timeout;
        let places = GitWorktrees::new(WorktreeSettings { branch_prefix, seed, limit, defer_deletion, ..defaults });
        let places = places.map_err(|error| Failure::usage(format!("`branch_prefix`: {error}")))?;
        Ok(self.places.get_or_init(|| places).clone())
    }

    /// What would be copied into each worktree now, and what would not, in a sentence each.
    pub(crate) fn seeds(&self, config: &Config) -> Result<(Seeded, Vec<String>), Failure> {
        let survey = self.repository.seeds(&Seeds::new(config.seed.clone()));
        let survey = survey.map_err(|error| {
            Failure::environment(format!("cannot tell what is copied into worktrees: {}", error_chain(&error)))
        })?;
        Ok((survey.each, survey.warnings))
    }

    /// Files for agents that git ignores and that are copied into no worktree, as patterns of `seed`.
    pub(crate) fn left_out_of_seeds(&self, config: &Config) -> Vec<String> {
        // What cannot be looked at shows where worktrees are made.
        let left_out = self.repository.left_out_of(&Seeds::new(config.seed.clone()), AGENT_FILES);
        left_out.unwrap_or_default().into_iter().map(|file| format!("/{file}")).collect()
    }

    /// Whether what is copied into worktrees in that folder shares the room on the disk with the original, in words, and what
    /// would be better.
    pub(crate) fn sharing(&self, folder: &Path) -> (String, &'static str) {
        let (text, better) = match sharing(&self.repository, folder) {
            Ok(Sharing::Shared) => ("files that are copied into worktrees take no room until they are changed", ""),
            Ok(Sharing::Apart) => (
                "files are copied into worktrees in full, since they lie on another file system",
                "name a folder on the file system of the repository by `worktrees = \"…\"`",
            ),
            Ok(Sharing::Copied) => {
                ("files are copied into worktrees in full, since the file system does not share them", "")
            }
            Ok(_) => ("files that are copied into worktrees take no room where the file system shares them", ""),
            Err(error) => return (format!("whether the file system shares what is copied is not known: {error}"), ""),
        };
        (text.to_owned(), better)
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

    /// The same, written as it is made: it can be long. It has the escape of JSON for what must not reach a terminal.
    pub(crate) fn write_json(&self, report: &Report, to: &mut dyn io::Write) -> io::Result<()> {
        render::write_json(report, &self.log_path(report), to)
    }

    /// The report of a run for CI servers.
    pub(crate) fn junit(&self, report: &Report) -> String {
        let path = self.log_path(report);
        render::junit(report, &|attempt, phase| render::tail(&path(attempt, phase)?).ok())
    }

    /// Keeps all three with the run.
    pub(crate) fn write_reports(&self, report: &Report) -> Result<WrittenReports, RegistryError> {
        render::write_reports(&self.registry.run_folder(&report.record.header.run), report)
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

/// Files of a work tree by which agents are told how to work there.
const AGENT_FILES: &[&str] = &[
    "AGENTS.md",
    "AGENTS.override.md",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "GEMINI.md",
    "QWEN.md",
    ".mcp.json",
    ".claude/CLAUDE.md",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".gemini/settings.json",
    ".qwen/settings.json",
    ".aider.conf.yml",
    "opencode.json",
];

/// Whether copying takes so long that one may wonder what goes on.
fn is_large(seeding: Seeding) -> bool {
    let worktrees = seeding.worktrees as u64;
    seeding.each.files.saturating_mul(worktrees) >= 10_000 || seeding.each.bytes.saturating_mul(worktrees) >= 256 << 20
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
        OpenError::NotARepository { .. } => {
            "change to a git repository, name one with -C, or make one: git init".to_owned()
        }
        OpenError::Bare { worktree: Some(worktree), .. } => {
            format!("change to one of its work trees, or name one: -C {}", worktree.display())
        }
        // Beside a hidden repository (`project/.bare`), else beside the repository.
        OpenError::Bare { path, .. } => {
            format!("make a work tree of it: git -C {} worktree add ../work", path.display())
        }
        OpenError::NoCommits { .. } => {
            "tasks start from a commit: git commit --allow-empty -m 'first commit'".to_owned()
        }
        OpenError::RefFormat { .. } => {
            "convert it: git refs migrate --ref-format=files (git 2.46 or later, without linked \
            worktrees), or work in a clone: git clone --ref-format=files"
                .to_owned()
        }
        _ => "`git status` there says more".to_owned(),
    };
    Failure::environment(error_chain(&error)).hint(hint)
}

fn no_base(error: BaseError) -> Failure {
    Failure::usage(error.to_string()).hint("`git branch --all` and `git tag` list what there is")
}
