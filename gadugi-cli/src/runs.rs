//! Runs as the registry tells of them: folded once, or read on as they grow.

use std::path::Path;

use gadugi_core::{Event, ExecIdentity, Registry, RegistryError, RunHistory, RunId, RunRecord, TaskId, error_chain};
use rustix::process::Pid;

use crate::commands::Context;
use crate::compose::{Follower, Site};
use crate::failure::Failure;

/// A run as it was when the registry was read.
pub(crate) struct LoadedRun {
    pub(crate) record: RunRecord,
    /// Whether a process drove it then.
    pub(crate) driven: bool,
    /// What could not be read, a sentence each.
    pub(crate) damage: Vec<String>,
}

impl Site {
    /// All that is known of a run.
    pub(crate) async fn load(&self, run: &RunId) -> Result<LoadedRun, Failure> {
        Ok(self.load_with_events(run).await?.0)
    }

    /// The run that the user names. Without a name the latest that is not over, else the latest; it is said which,
    /// where that is not the latest of all.
    pub(crate) async fn find_or_unfinished(&self, context: &Context, name: Option<&str>) -> Result<RunId, Failure> {
        if let Some(name) = name {
            return self.find(name);
        }
        let latest = self.find("latest")?;
        for listed in self.registry.list().await?.into_iter().rev() {
            match self.load(&listed.run).await {
                Ok(run) if run.record.ended.is_some() => {}
                Ok(_) => {
                    if listed.run != latest {
                        context.terminal.say(&format!("run {} is the latest that is not over", listed.run));
                    }
                    return Ok(listed.run);
                }
                Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
            }
        }
        Ok(latest)
    }

    /// All that is known of a run, which can then be read on.
    pub(crate) async fn follow(&self, run: &RunId) -> Result<FollowedRun<'_>, Failure> {
        Ok(self.follow_from_the_beginning(run).await?.0)
    }

    /// The same, and what has happened in it so far.
    pub(crate) async fn follow_from_the_beginning(
        &self,
        run: &RunId,
    ) -> Result<(FollowedRun<'_>, Vec<Event>), Failure> {
        let (run, events) = self.load_with_events(run).await?;
        let follower = self.registry.follow(&run.record.header.run);
        let last = events.last().map_or(0, |event| event.seq);
        Ok((FollowedRun { site: self, run, follower, last }, events))
    }

    async fn load_with_events(&self, run: &RunId) -> Result<(LoadedRun, Vec<Event>), Failure> {
        let RunHistory { header, events, driven, damage } = self.registry.load(run).await?;
        let record = RunRecord::fold(header, &events);
        let record = record.map_err(|error| Failure::registry(format!("run {run}: {}", error_chain(&error))))?;
        Ok((LoadedRun { record, driven, damage }, events))
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
            (self.run, news) = self.site.load_with_events(&id).await?;
            news.retain(|event| event.seq > self.last);
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
