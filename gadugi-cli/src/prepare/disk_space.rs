//! The check that the worktrees of a run fit on their disk, before anything is created.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use gadugi_core::run::{KeepPolicy, TaskState};
use gadugi_core::scheduler::first_started;
use gadugi_core::{CommitId, Plan, RunRecord, TaskId};

use crate::config::Config;
use crate::context::Context;
use crate::failure::Failure;
use crate::site::{DiskSpace, Site};

/// The remedy for too little disk space that always helps.
pub(crate) const OTHER_FOLDER: &str = "name a folder on another disk by `worktrees = \"…\"` in gadugi.toml, or make room: `gadugi clean` removes worktrees of earlier runs";

/// The number of worktrees of a run that exist at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorktreeCount {
    /// At least.
    certain: u64,
    /// At most.
    worst: u64,
}

impl WorktreeCount {
    pub(crate) fn of(plan: &Plan, config: &Config, durations: &HashMap<TaskId, Duration>) -> Self {
        let settings = config.run_settings();
        let all = plan.tasks().len() as u64;
        let first = first_started(plan, durations, &settings).len() as u64;
        match settings.keep {
            KeepPolicy::Always => Self { certain: all, worst: all },
            KeepPolicy::Never => Self { certain: first, worst: at_once(all, settings.jobs) },
            // Each task may fail, and then its worktree stays.
            _ => Self { certain: first, worst: all },
        }
    }
}

fn at_once(tasks: u64, jobs: NonZeroUsize) -> u64 {
    tasks.min(jobs.get() as u64)
}

/// Surveys the disk space for worktrees; `None` if it cannot be known, and then nothing is refused.
pub(crate) fn survey(
    context: &Context,
    site: &Site,
    config: &Config,
    base: &CommitId,
) -> Result<Option<DiskSpace>, Failure> {
    let space = site.disk_space(&context.surroundings, config, base)?;
    Ok(space.map_err(|unknown| context.terminal.detail(&unknown)).ok())
}

/// Refuses a run that cannot fit, unless forced, and warns of one that may not fit.
pub(crate) fn check(
    context: &Context,
    space: &DiskSpace,
    count: WorktreeCount,
    config: &Config,
    force: bool,
) -> Result<(), Failure> {
    match space.shortage(count.certain) {
        Some(shortage) if !force => {
            Err(Failure::environment(too_small(space, &shortage)).hint(remedies(space, config.keep)))
        }
        _ => {
            warn(context, space, count, config);
            Ok(())
        }
    }
}

/// Warns of a run that does not fit, or may not fit.
pub(crate) fn warn(context: &Context, space: &DiskSpace, count: WorktreeCount, config: &Config) {
    if let Some(shortage) = space.shortage(count.certain) {
        context.terminal.say(&format!("warning: {}", too_small(space, &shortage)));
    } else if let Some(shortage) = space.shortage(count.worst) {
        let why = match config.keep {
            KeepPolicy::Never => "as many may run at once",
            _ => "those of tasks that fail are kept",
        };
        context.terminal.say(&format!("warning: {}; {why}", may_get_full(space, &shortage)));
    }
}

fn too_small(space: &DiskSpace, shortage: &str) -> String {
    format!("there is too little room in {}: {shortage}", space.folder.display())
}

fn may_get_full(space: &DiskSpace, shortage: &str) -> String {
    format!("there may be too little room in {}: {shortage}", space.folder.display())
}

/// Warns that the rest of a resumed run may not fit. Its tasks are not given up for that.
pub(crate) fn warn_of_rest(context: &Context, space: &DiskSpace, record: &RunRecord) {
    let waiting =
        record.tasks.iter().filter(|task| matches!(task.state, TaskState::Queued | TaskState::Blocked { .. }));
    let waiting = at_once(waiting.count() as u64, record.header.settings.jobs);
    if let Some(shortage) = space.shortage(waiting) {
        context.terminal.say(&format!("warning: {}", may_get_full(space, &shortage)));
    }
}

fn remedies(space: &DiskSpace, keep: KeepPolicy) -> String {
    let fitting = space.fitting();
    let fewer = match keep {
        _ if fitting == 0 => None,
        KeepPolicy::Always => Some("--keep failed removes the worktrees of tasks that succeed".to_owned()),
        _ => Some(format!("--jobs {fitting} fits")),
    };
    let all = [fewer, Some(OTHER_FOLDER.to_owned()), Some("--force runs the tasks all the same".to_owned())];
    all.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Returns the line of the plan about disk space.
pub(crate) fn line(space: &DiskSpace, count: WorktreeCount) -> String {
    let WorktreeCount { certain, worst } = count;
    let most = if worst > certain { format!(", {} if all {worst} stay", space.all(worst)) } else { String::new() };
    format!(
        "worktrees: {} each, {certain} at first {}{most}; {} free in {}\n",
        space.each(),
        space.all(certain),
        space.free(),
        space.folder.display()
    )
}
