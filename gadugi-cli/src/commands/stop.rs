//! `gadugi stop`, from any terminal.

use std::collections::HashSet;
use std::time::Duration;

use gadugi_core::{Registry, RunId, RunRecord, TaskId, TaskState, error_chain};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::interval;

use super::Context;
use crate::args::StopArgs;
use crate::compose::{self, Site};
use crate::config::Config;
use crate::failure::{Code, Failure};

/// How often it is looked whether the tasks are over. Polling works on every file system.
const TICK: Duration = Duration::from_millis(50);

pub(super) async fn stop(context: &Context, args: &StopArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let (run, tasks) = target(&site, &args.what).await?;
    let (record, driven) = load(&site, &run).await?;
    let tasks: Vec<TaskId> = tasks
        .into_iter()
        .map(|name| match name.parse::<TaskId>() {
            Ok(id) if record.task(&id).is_some() => Ok(id),
            _ => {
                let ids: Vec<_> = record.tasks.iter().map(|task| format!("`{}`", task.task.spec.id)).collect();
                Err(Failure::usage(format!("run {run} has no task `{name}`"))
                    .hint(format!("it has {}", ids.join(", "))))
            }
        })
        .collect::<Result<_, _>>()?;
    if record.ended.is_some() {
        context.terminal.say(&format!("run {run} is over"));
        return Ok(Code::Success);
    }
    if driven {
        ask_the_driver(context, &site, &run, &tasks, args.now).await
    } else {
        stop_what_is_left(context, &record, &tasks, args.now).await
    }
}

/// The run that is meant, and the names of its tasks.
async fn target(site: &Site, what: &[String]) -> Result<(RunId, Vec<String>), Failure> {
    let Some((first, rest)) = what.split_first() else { return Ok((site.find("latest")?, Vec::new())) };
    let latest = site.find("latest")?;
    let (record, _) = load(site, &latest).await?;
    let task_of_latest = first.parse().is_ok_and(|id| record.task(&id).is_some());
    match site.find(first) {
        Ok(run) if !task_of_latest => Ok((run, rest.to_vec())),
        _ => Ok((latest, what.to_vec())),
    }
}

async fn load(site: &Site, run: &RunId) -> Result<(RunRecord, bool), Failure> {
    let history = site.registry.load(run).await?;
    let record = RunRecord::fold(history.header, &history.events);
    let record = record.map_err(|error| Failure::registry(format!("run {run}: {}", error_chain(&error))))?;
    Ok((record, history.driven))
}

/// Leaves a request for the process that drives the run, wakes it, and waits until the tasks are over.
async fn ask_the_driver(
    context: &Context,
    site: &Site,
    run: &RunId,
    tasks: &[TaskId],
    now: bool,
) -> Result<Code, Failure> {
    let wake = || -> Result<(), Failure> {
        let owner = site.registry.owner(run)?;
        let pid = owner.as_ref().and_then(|owner| Pid::from_raw(i32::try_from(owner.pid).ok()?));
        let Some(pid) = pid else {
            return Err(Failure::registry(format!(
                "run {run} is driven by a process that cannot be reached from here"
            )));
        };
        kill_process(pid, Signal::USR1).map_err(|error| {
            Failure::registry(format!("cannot reach process {}, which drives run {run}: {error}", pid.as_raw_nonzero()))
        })
    };
    site.ask_to_stop(run, tasks.to_vec(), now)?;
    wake()?;
    let wanted: HashSet<&TaskId> = tasks.iter().collect();
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        let (record, driven) = load(site, run).await?;
        let concerned = record.tasks.iter().filter(|task| wanted.is_empty() || wanted.contains(&task.task.spec.id));
        let over = concerned.clone().all(|task| task.state.is_finished());
        if !driven || (over && !wanted.is_empty()) {
            for task in concerned {
                context.terminal.say(&format!(
                    "{}: {}",
                    task.task.spec.id,
                    task.outcome().map_or("not over".to_owned(), ToString::to_string)
                ));
            }
            return Ok(Code::Success);
        }
    }
}

/// Stops the processes of a run that nobody drives. Their work stays where it is.
async fn stop_what_is_left(
    context: &Context,
    record: &RunRecord,
    tasks: &[TaskId],
    now: bool,
) -> Result<Code, Failure> {
    let executors = compose::executors(context, &Config::default());
    for task in &record.tasks {
        let TaskState::Running { identity, .. } = &task.state else { continue };
        let id = &task.task.spec.id;
        if !tasks.is_empty() && !tasks.contains(id) {
            continue;
        }
        let Some(executor) = executors.iter().find(|executor| executor.name() == identity.executor) else {
            context.terminal.say(&format!("{id}: this build has no executor `{}`", identity.executor));
            continue;
        };
        let failed = |error: gadugi_core::ExecError| Failure::environment(format!("{id}: {}", error_chain(&error)));
        match executor.reattach(identity).await.map_err(failed)? {
            None => context.terminal.say(&format!("{id}: it does not run any more")),
            Some(running) => {
                let grace = if now { Duration::ZERO } else { task.task.spec.limits.grace };
                running.stop(grace).await.map_err(failed)?;
                running.wait().await.map_err(failed)?;
                context.terminal.say(&format!("{id}: stopped; nobody has seen how it ended"));
            }
        }
    }
    Ok(Code::Success)
}
