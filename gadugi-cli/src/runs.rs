//! Runs as the registry tells of them: folded once, or read on as they grow.

use std::path::Path;

use gadugi_core::{Event, ExecIdentity, Registry, RegistryError, RunHistory, RunId, RunRecord, TaskId};
use rustix::process::Pid;

use crate::compose::{Follower, Site};
use crate::context::Context;
use crate::failure::Failure;

/// A run as it was when the registry was read.
pub(crate) struct LoadedRun {
    pub(crate) record: RunRecord,
    /// Whether a process drove it then.
    pub(crate) driven: bool,
    /// The number of its last event.
    last: u64,
    /// What could not be read, a sentence each.
    pub(crate) damage: Vec<String>,
}

impl Site {
    /// All that is known of a run.
    pub(crate) async fn load(&self, run: &RunId) -> Result<LoadedRun, Failure> {
        let RunHistory { record, last, driven, damage } = self.registry.load(run).await?;
        Ok(LoadedRun { record, last, driven, damage })
    }

    /// The run that the user names. Without a name the latest that is not over, else the latest; it is said which,
    /// where that is not the latest of all.
    pub(crate) async fn find_or_unfinished(&self, context: &Context, name: Option<&str>) -> Result<RunId, Failure> {
        match name {
            Some(name) => self.find(name),
            None => match self.latest_unfinished(context).await? {
                Some(run) => Ok(run.record.header.run),
                None => self.find("latest"),
            },
        }
    }

    /// All that is known of that run.
    pub(crate) async fn load_or_unfinished(&self, context: &Context, name: Option<&str>) -> Result<LoadedRun, Failure> {
        let unfinished = if name.is_none() { self.latest_unfinished(context).await? } else { None };
        match unfinished {
            Some(run) => Ok(run),
            None => self.load(&self.find(name.unwrap_or("latest"))?).await,
        }
    }

    /// The latest run that is not over, if there is one; it is said which, where that is not the latest of all.
    async fn latest_unfinished(&self, context: &Context) -> Result<Option<LoadedRun>, Failure> {
        let latest = self.find("latest")?;
        for listed in self.registry.list().await?.into_iter().rev() {
            // Most runs are over, and their last line says so.
            if self.registry.has_ended(&listed.run) {
                continue;
            }
            match self.load(&listed.run).await {
                Ok(run) if run.record.ended.is_some() => {}
                Ok(run) => {
                    if listed.run != latest {
                        context.terminal.say(&format!("run {} is the latest that is not over", listed.run));
                    }
                    return Ok(Some(run));
                }
                Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
            }
        }
        Ok(None)
    }

    /// All that is known of a run, which can then be read on.
    pub(crate) async fn follow(&self, run: &RunId) -> Result<FollowedRun<'_>, Failure> {
        let run = self.load(run).await?;
        let follower = self.registry.follow(&run.record.header.run);
        Ok(FollowedRun { site: self, last: run.last, run, follower })
    }
}

impl LoadedRun {
    /// The id of its task of this name.
    pub(crate) fn task(&self, name: &str) -> Result<TaskId, Failure> {
        let found = name.parse::<TaskId>().ok().filter(|id| self.record.task(id).is_some());
        found.ok_or_else(|| {
            let ids: Vec<_> = self.record.tasks.iter().map(|task| format!("`{}`", task.task.spec.id)).collect();
            Failure::usage(format!("run {} has no task `{name}`", self.record.header.run))
                .hint(format!("it has {}", ids.join(", ")))
        })
    }
}

/// How people call a process or container: the beginning of its identity, such as `pid 4711`.
pub(crate) fn process_name(identity: &ExecIdentity) -> String {
    identity.token.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A run that is read on as it grows.
pub(crate) struct FollowedRun<'a> {
    site: &'a Site,
    run: LoadedRun,
    follower: Follower,
    /// The number of the last event that the record holds.
    last: u64,
}

impl FollowedRun<'_> {
    /// As it was when it was last read.
    pub(crate) fn run(&self) -> &LoadedRun {
        &self.run
    }

    /// Gives what had happened before it was first read, some events at a time.
    pub(crate) fn tell_past(&self, mut take: impl FnMut(&[Event])) -> Result<(), Failure> {
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

    /// Takes in what has happened since, and gives it.
    pub(crate) async fn read_on(&mut self) -> Result<Vec<Event>, Failure> {
        let id = self.run.record.header.run.clone();
        // Before the journal is read: a run that nobody drives then has written all that it will.
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
/// Where the system does not tell, it is not.
pub(crate) fn is_suspended(pid: Pid) -> bool {
    let stat = Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("stat");
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T'))
}

impl Site {
    /// Whether the process that drives a run is suspended, so that nothing is done for the run.
    pub(crate) fn is_suspended(&self, run: &RunId) -> Result<bool, Failure> {
        let owner = self.registry.owner(run)?;
        let pid = owner.and_then(|owner| Pid::from_raw(i32::try_from(owner.pid).ok()?));
        Ok(pid.is_some_and(is_suspended))
    }
}
