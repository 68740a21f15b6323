//! Whether the worktrees of a run fit on their disk, asked before anything is made.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use gadugi_core::{CommitId, KeepPolicy, Plan, RunRecord, TaskId, TaskState, first_started};

use crate::compose::{Room, Site};
use crate::config::Config;
use crate::context::Context;
use crate::failure::Failure;

/// What makes room, whatever else does.
pub(super) const OTHER_PLACE: &str = "name a folder on another disk by `worktrees = \"…\"` in gadugi.toml, or make room: `gadugi clean` removes worktrees of earlier runs";

/// How many worktrees of a run exist at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowd {
    /// So many in any case.
    certain: u64,
    /// No more than these.
    worst: u64,
}

impl Crowd {
    pub(super) fn of(plan: &Plan, config: &Config, durations: &HashMap<TaskId, Duration>) -> Self {
        let settings = config.run_settings();
        let all = plan.tasks().len() as u64;
        let first = first_started(plan, durations, &settings).len() as u64;
        match settings.keep {
            KeepPolicy::Always => Self { certain: all, worst: all },
            KeepPolicy::Never => Self { certain: first, worst: at_once(all, settings.jobs) },
            // Each of them may fail.
            _ => Self { certain: first, worst: all },
        }
    }
}

fn at_once(tasks: u64, jobs: NonZeroUsize) -> u64 {
    tasks.min(jobs.get() as u64)
}

/// Looks how much room the worktrees take and what there is; `None` where that cannot be known, and so nothing is refused.
pub(super) fn look(context: &Context, site: &Site, config: &Config, base: &CommitId) -> Result<Option<Room>, Failure> {
    let room = site.room(&context.surroundings, config, base)?;
    Ok(room.map_err(|unknown| context.terminal.detail(&unknown)).ok())
}

/// Refuses a run that cannot fit, unless told to go on, and warns of one that may not.
pub(super) fn check(context: &Context, room: &Room, crowd: Crowd, config: &Config, force: bool) -> Result<(), Failure> {
    match room.shortage(crowd.certain) {
        Some(shortage) if !force => {
            Err(Failure::environment(too_small(room, &shortage)).hint(remedies(room, config.keep)))
        }
        _ => {
            warn(context, room, crowd, config);
            Ok(())
        }
    }
}

/// Warns of a run that does not fit, or may not.
pub(super) fn warn(context: &Context, room: &Room, crowd: Crowd, config: &Config) {
    if let Some(shortage) = room.shortage(crowd.certain) {
        context.terminal.say(&format!("warning: {}", too_small(room, &shortage)));
    } else if let Some(shortage) = room.shortage(crowd.worst) {
        let why = match config.keep {
            KeepPolicy::Never => "as many may run at once",
            _ => "those of tasks that fail are kept",
        };
        context.terminal.say(&format!("warning: {}; {why}", may_get_full(room, &shortage)));
    }
}

fn too_small(room: &Room, shortage: &str) -> String {
    format!("there is too little room in {}: {shortage}", room.folder.display())
}

fn may_get_full(room: &Room, shortage: &str) -> String {
    format!("there may be too little room in {}: {shortage}", room.folder.display())
}

/// Warns that what is left of a run may not fit. Its tasks are not given up for that.
pub(super) fn warn_of_rest(context: &Context, room: &Room, record: &RunRecord) {
    let waiting =
        record.tasks.iter().filter(|task| matches!(task.state, TaskState::Queued | TaskState::Blocked { .. }));
    let waiting = at_once(waiting.count() as u64, record.header.settings.jobs);
    if let Some(shortage) = room.shortage(waiting) {
        context.terminal.say(&format!("warning: {}", may_get_full(room, &shortage)));
    }
}

fn remedies(room: &Room, keep: KeepPolicy) -> String {
    let fitting = room.fitting();
    let fewer = match keep {
        _ if fitting == 0 => None,
        KeepPolicy::Always => Some("--keep failed removes the worktrees of tasks that succeed".to_owned()),
        _ => Some(format!("--jobs {fitting} fits")),
    };
    let all = [fewer, Some(OTHER_PLACE.to_owned()), Some("--force runs the tasks all the same".to_owned())];
    all.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// A line for the plan.
pub(super) fn line(room: &Room, crowd: Crowd) -> String {
    let Crowd { certain, worst } = crowd;
    let most = if worst > certain { format!(", {} if all {worst} stay", room.all(worst)) } else { String::new() };
    format!(
        "worktrees: {} each, {certain} at first {}{most}; {} free in {}\n",
        room.each(),
        room.all(certain),
        room.free(),
        room.folder.display()
    )
}
