//! Runs as the registry tells of them: folded once, or read on as they grow.

use gadugi_core::{ExecIdentity, Registry, RegistryError, RunHistory, RunId, RunRecord, TaskId, error_chain};

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
        Ok(self.load_with_place(run).await?.0)
    }

    /// All that is known of a run, which can then be read on.
    pub(crate) async fn follow(&self, run: &RunId) -> Result<FollowedRun<'_>, Failure> {
        let (run, last) = self.load_with_place(run).await?;
        let follower = self.registry.follow(&run.record.header.run);
        Ok(FollowedRun { site: self, run, follower, last })
    }

    /// A run, and the number of its last event.
    async fn load_with_place(&self, run: &RunId) -> Result<(LoadedRun, u64), Failure> {
        let RunHistory { header, events, driven, damage } = self.registry.load(run).await?;
        let last = events.last().map_or(0, |event| event.seq);
        let record = RunRecord::fold(header, &events);
        let record = record.map_err(|error| Failure::registry(format!("run {run}: {}", error_chain(&error))))?;
        Ok((LoadedRun { record, driven, damage }, last))
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

    /// Takes in what has happened since.
    pub(crate) async fn read_on(&mut self) -> Result<(), Failure> {
        let id = self.run.record.header.run.clone();
        // Before the journal is read: a run that nobody drives then has written all that it will.
        let driven = self.site.registry.is_driven(&id)?;
        let mut sound = true;
        loop {
            match self.follower.next_events() {
                Ok(events) if events.is_empty() => break,
                Ok(events) => {
                    for event in events.iter().filter(|event| event.seq > self.last) {
                        sound &= self.run.record.apply(event).is_ok();
                    }
                    self.last = events.last().map_or(self.last, |event| self.last.max(event.seq));
                }
                Err(RegistryError::Damaged { .. }) => sound = false,
                Err(error) => return Err(error.into()),
            }
        }
        if !sound {
            (self.run, self.last) = self.site.load_with_place(&id).await?;
        }
        self.run.driven = driven;
        Ok(())
    }
}
