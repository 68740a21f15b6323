//! Runs of the registry: loaded once, or followed as they grow.

use std::path::Path;

use gadugi_core::executor::ExecIdentity;
use gadugi_core::registry::{RegistryError, RunHistory};
use gadugi_core::{Event, Registry, RunId, RunRecord, TaskId};
use gadugi_registry::JournalFollower;
use rustix::process::Pid;

use super::Site;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// A run at the time when it was loaded.
pub(crate) struct LoadedRun {
    pub(crate) record: RunRecord,
    /// Whether a process drove it then.
    pub(crate) driven: bool,
    /// The number of its last event.
    last: u64,
    /// A sentence for each part that could not be read.
    pub(crate) damage: Vec<String>,
}

impl Site {
    /// Loads a run.
    pub(crate) async fn load(&self, run: &RunId) -> Result<LoadedRun, Failure> {
        let RunHistory { record, last, driven, damage } = self.registry.load(run).await?;
        Ok(LoadedRun { record, last, driven, damage })
    }

    /// Finds the run that the user names. Without a name it is the latest that is not over, which is printed
    /// unless it is the latest of all; else the latest.
    pub(crate) async fn find_or_unfinished(&self, terminal: &Terminal, name: Option<&str>) -> Result<RunId, Failure> {
        match name {
            Some(name) => self.find(name),
            None => match self.latest_unfinished(terminal).await? {
                Some(run) => Ok(run.record.header.run),
                None => self.find("latest"),
            },
        }
    }

    /// Loads the run that [`Self::find_or_unfinished`] finds.
    pub(crate) async fn load_or_unfinished(
        &self,
        terminal: &Terminal,
        name: Option<&str>,
    ) -> Result<LoadedRun, Failure> {
        let unfinished = if name.is_none() { self.latest_unfinished(terminal).await? } else { None };
        match unfinished {
            Some(run) => Ok(run),
            None => self.load(&self.find(name.unwrap_or("latest"))?).await,
        }
    }

    /// Finds the run that the first of these words names, and returns it with the others, which name tasks. A task of the latest
    /// run comes before a run whose id only begins like it. Without a run it is the latest.
    pub(crate) async fn run_and_tasks(
        &self,
        terminal: &Terminal,
        words: &[String],
    ) -> Result<(RunId, Vec<String>), Failure> {
        let latest = || async { self.find("latest") };
        self.run_and_tasks_or(terminal, words, latest).await
    }

    /// The same, where without a run it is the latest that is not over.
    pub(crate) async fn unfinished_run_and_tasks(
        &self,
        terminal: &Terminal,
        words: &[String],
    ) -> Result<(RunId, Vec<String>), Failure> {
        self.run_and_tasks_or(terminal, words, || self.find_or_unfinished(terminal, None)).await
    }

    async fn run_and_tasks_or<F: Future<Output = Result<RunId, Failure>>>(
        &self,
        terminal: &Terminal,
        words: &[String],
        default: impl Fn() -> F,
    ) -> Result<(RunId, Vec<String>), Failure> {
        let Some((first, rest)) = words.split_first() else { return Ok((default().await?, Vec::new())) };
        let Ok(named) = self.find(first) else { return Ok((default().await?, words.to_vec())) };
        if named.as_str() != first && first != "latest" {
            let latest = default().await?;
            match self.load(&latest).await {
                Ok(run) if run.task(first).is_ok() => return Ok((latest, words.to_vec())),
                Ok(_) => {}
                Err(failure) => terminal.say(&format!("warning: {}", failure.texts().0)),
            }
        }
        Ok((named, rest.to_vec()))
    }

    /// Loads the latest run that is not over, if there is one, and prints which, unless it is the latest of all.
    async fn latest_unfinished(&self, terminal: &Terminal) -> Result<Option<LoadedRun>, Failure> {
        let latest = self.find("latest")?;
        for listed in self.registry.list().await?.into_iter().rev() {
            // Most runs are over, and their last line says so.
            if self.registry.has_ended(&listed.run) {
                continue;
            }
            match self.load(&listed.run).await {
                Ok(run) if run.record.ended.is_some() || run.record.header.is_of_merge() => {}
                Ok(run) => {
                    if listed.run != latest {
                        terminal.say(&format!("run {} is the latest that is not over", listed.run));
                    }
                    return Ok(Some(run));
                }
                Err(failure) => terminal.say(&format!("warning: {}", failure.texts().0)),
            }
        }
        Ok(None)
    }

    /// Loads a run to follow it.
    pub(crate) async fn follow(&self, run: &RunId) -> Result<FollowedRun<'_>, Failure> {
        let run = self.load(run).await?;
        let follower = self.registry.follow(&run.record.header.run);
        Ok(FollowedRun { site: self, last: run.last, run, follower })
    }
}

impl LoadedRun {
    /// The id of a task, by its name.
    pub(crate) fn task(&self, name: &str) -> Result<TaskId, Failure> {
        let found = name.parse::<TaskId>().ok().filter(|id| self.record.task(id).is_some());
        found.ok_or_else(|| {
            let ids: Vec<_> = self.record.tasks.iter().map(|task| format!("`{}`", task.task.spec.id)).collect();
            Failure::usage(format!("run {} has no task `{name}`", self.record.header.run))
                .hint(format!("it has {}", ids.join(", ")))
        })
    }
}

/// The name of a process or container for people: the beginning of its identity, such as `pid 4711`.
pub(crate) fn process_name(identity: &ExecIdentity) -> String {
    identity.token.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A run that is followed as it grows.
pub(crate) struct FollowedRun<'a> {
    site: &'a Site,
    run: LoadedRun,
    follower: JournalFollower,
    /// The number of the last event that the record holds.
    last: u64,
}

impl FollowedRun<'_> {
    /// The run at the time when it was last read.
    pub(crate) fn run(&self) -> &LoadedRun {
        &self.run
    }

    /// Reads the events from before it was first loaded, some at a time.
    pub(crate) fn read_past(&self, mut take: impl FnMut(&[Event])) -> Result<(), Failure> {
        let id = &self.run.record.header.run;
        let is_past = |event: &Event| event.seq <= self.last;
        if !self.run.damage.is_empty() {
            let mut events = self.site.registry.events(id)?;
            events.retain(is_past);
            take(&events);
            return Ok(());
        }
        let mut follower = self.site.registry.follow(id);
        loop {
            let mut events = follower.next_events()?;
            let read = events.len();
            events.retain(is_past);
            take(&events);
            if read == 0 || events.len() < read {
                return Ok(());
            }
        }
    }

    /// Reads the events since the last call, and returns them.
    pub(crate) async fn read_on(&mut self) -> Result<Vec<Event>, Failure> {
        let id = self.run.record.header.run.clone();
        // Before the journal is read: the journal of a run without a driver is complete.
        let driven = self.site.registry.is_driven(&id)?;
        let mut sound = true;
        let mut news = Vec::new();
        loop {
            match self.follower.next_events() {
                Ok(events) if events.is_empty() => break,
                Ok(events) => {
                    for event in events.into_iter().filter(|event| event.seq > self.last) {
                        sound &= self.run.record.apply(&event).is_ok();
                        news.push(event);
                    }
                }
                Err(RegistryError::Damaged { .. }) => sound = false,
                Err(error) => return Err(error.into()),
            }
        }
        if !sound {
            self.run = self.site.load(&id).await?;
            news = self.site.registry.events(&id)?;
            news.retain(|event| self.last < event.seq && event.seq <= self.run.last);
        }
        self.last = news.last().map_or(self.last, |event| event.seq);
        self.run.driven = driven;
        Ok(news)
    }
}

/// Whether a process is stopped by a signal: the third field of proc_pid_stat(5), behind the name in brackets.
/// `false` where the system does not tell.
pub(crate) fn is_suspended(pid: Pid) -> bool {
    let stat = Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("stat");
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T'))
}

impl Site {
    /// Whether the process that drives a run is suspended, and with it the run.
    pub(crate) fn is_suspended(&self, run: &RunId) -> Result<bool, Failure> {
        let owner = self.registry.owner(run)?;
        let pid = owner.and_then(|owner| Pid::from_raw(i32::try_from(owner.pid).ok()?));
        Ok(pid.is_some_and(is_suspended))
    }
}
