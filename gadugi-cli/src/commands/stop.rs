//! `gadugi stop`, from any terminal.

use std::sync::Arc;
use std::time::Duration;

use gadugi_core::{CommandRef, ExecError, Executor, Reattached, RunId, TaskId, TaskRecord, error_chain};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::interval;

use super::driving::{Driving, Show};
use super::resume::{Purpose, Taken, take_over};
use crate::activity::{Activity, Question};
use crate::args::StopArgs;
use crate::compose::{self, Site};
use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::runs::{FollowedRun, LoadedRun, is_suspended};

/// How often it is looked whether the tasks are over. Polling works on every file system.
const TICK: Duration = Duration::from_millis(50);

pub(super) async fn stop(context: &Context, args: &StopArgs) -> Result<Code, Failure> {
    let site = Arc::new(Site::open(&context.surroundings)?);
    let (run, names) = target(context, &site, &args.what).await?;
    let run = site.follow(&run).await?;
    let tasks: Vec<TaskId> = names.iter().map(|name| run.run().task(name)).collect::<Result<_, _>>()?;
    if run.run().record.ended.is_some() {
        context.terminal.say(&format!("run {} is over", run.run().record.header.run));
        return Ok(Code::Success);
    }
    if args.forget && !tasks.is_empty() {
        return Err(Failure::usage("--forget ends a whole run").hint("leave the names of tasks out"));
    }
    if run.run().driven {
        return ask_the_driver(context, &site, run, &tasks, args.now).await;
    }
    let config = prepare::config_or_default(context, &site);
    let executors = compose::executors(context, Some(&site), &config, false);
    if !tasks.is_empty() {
        let id = run.run().record.header.run.clone();
        // Whoever drives the run next records what is stopped now, and does not start what has not begun.
        site.ask_next_to_stop(&id, tasks.clone(), args.now)?;
        if site.registry.is_driven(&id)? {
            return ask_the_driver(context, &site, run, &tasks, args.now).await;
        }
        let open = concerned(run.run(), &tasks).filter(|task| !task.state.is_finished());
        for (task, question) in ask_all(&site, &executors, run.run(), open) {
            if !question.answer().await.may_run() {
                let task = &task.task.spec.id;
                context.terminal.say(&format!("{task}: does not run; `gadugi resume {id}` records it as stopped"));
            }
        }
        return stop_what_is_left(context, &site, &executors, run.run(), &tasks, args.now).await;
    }
    let purpose = if args.forget { Purpose::Forget } else { Purpose::Stop };
    match end_the_run(context, &site, &config, &run, args.now, purpose).await {
        // Somebody else was faster.
        Err(failure) if failure.code == Code::Registry && site.registry.is_driven(&run.run().record.header.run)? => {
            context.terminal.detail(&failure.texts().0);
            ask_the_driver(context, &site, run, &tasks, args.now).await
        }
        Err(failure) => {
            // A run that cannot be taken over is not left running for that.
            failure.print(&context.terminal);
            stop_what_is_left(context, &site, &executors, run.run(), &tasks, args.now).await?;
            Ok(Code::TaskFailed)
        }
        code => code,
    }
}

/// The run that is meant, and the names of its tasks. A task of the latest run comes before a run whose id only
/// begins like it.
async fn target(context: &Context, site: &Site, what: &[String]) -> Result<(RunId, Vec<String>), Failure> {
    let Some((first, rest)) = what.split_first() else {
        return Ok((site.find_or_unfinished(context, None).await?, Vec::new()));
    };
    let Ok(named) = site.find(first) else {
        return Ok((site.find_or_unfinished(context, None).await?, what.to_vec()));
    };
    if named.as_str() != first && first != "latest" {
        let latest = site.find_or_unfinished(context, None).await?;
        match site.load(&latest).await {
            Ok(run) if run.task(first).is_ok() => return Ok((latest, what.to_vec())),
            Ok(_) => {}
            Err(failure) => context.terminal.say(&format!("warning: {}", failure.texts().0)),
        }
    }
    Ok((named, rest.to_vec()))
}

fn concerned<'a>(run: &'a LoadedRun, tasks: &'a [TaskId]) -> impl Iterator<Item = &'a TaskRecord> {
    run.record.tasks.iter().filter(|task| tasks.is_empty() || tasks.contains(&task.task.spec.id))
}

/// Asks what tasks do, about all of them at the same time.
fn ask_all<'a>(
    site: &Site,
    executors: &[Arc<dyn Executor>],
    run: &LoadedRun,
    tasks: impl Iterator<Item = &'a TaskRecord>,
) -> Vec<(&'a TaskRecord, Question)> {
    tasks.map(|task| (task, site.ask(executors, &run.record, task))).collect()
}

/// Leaves a request for the process that drives the run, wakes it, and waits until the tasks are over.
async fn ask_the_driver(
    context: &Context,
    site: &Site,
    mut run: FollowedRun<'_>,
    tasks: &[TaskId],
    now: bool,
) -> Result<Code, Failure> {
    let id = run.run().record.header.run.clone();
    site.ask_to_stop(&id, tasks.to_vec(), now)?;
    let driver = wake(site, &id)?;
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        run.read_on().await?;
        let over = concerned(run.run(), tasks).all(|task| task.state.is_finished());
        if !run.run().driven || (over && !tasks.is_empty()) {
            tell_outcomes(context, concerned(run.run(), tasks));
            if !over {
                let names: String = tasks.iter().map(|task| format!(" {task}")).collect();
                context.terminal.insist(&format!("the process that drove run {id} has ended before it stopped them"));
                context.terminal.insist(&format!(
                    "hint: `gadugi stop {id}{names}` stops them without it, `gadugi resume {id}` goes on with the run"
                ));
            }
            return Ok(if over { Code::Success } else { Code::TaskFailed });
        }
        if let Some(driver) = driver.filter(|driver| is_suspended(*driver)) {
            let driver = driver.as_raw_nonzero();
            context.terminal.insist(&format!(
                "process {driver}, which drives run {id}, is suspended; it stops the tasks when it goes on \
                 (`fg` in its terminal, or kill -CONT {driver})"
            ));
            return Ok(Code::TaskFailed);
        }
    }
}

/// Wakes the process that drives a run; `None` when it has just ended.
fn wake(site: &Site, run: &RunId) -> Result<Option<Pid>, Failure> {
    let Some(owner) = site.registry.owner(run)? else {
        if !site.registry.is_driven(run)? {
            return Ok(None);
        }
        return Err(Failure::registry(format!("run {run} is driven by a process that cannot be reached from here")));
    };
    let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Failure::registry(format!("run {run} is driven by the impossible {owner}")))?;
    kill_process(pid, Signal::USR1)
        .map_err(|error| Failure::registry(format!("cannot reach {owner}, which drives run {run}: {error}")))?;
    Ok(Some(pid))
}

/// Takes over a run that nobody drives, in order to end it: its tasks are stopped, their ends and what they made are
/// kept, and nothing more is started.
async fn end_the_run(
    context: &Context,
    site: &Arc<Site>,
    config: &Config,
    run: &FollowedRun<'_>,
    now: bool,
    purpose: Purpose,
) -> Result<Code, Failure> {
    let run = site.load(&run.run().record.header.run).await?;
    let driving = Driving::begin(context, Arc::clone(site), Show::Nothing, false, None)?;
    let record = match take_over(context, site, run, config, driving, false, purpose).await? {
        Taken::Over(record) => Some(*record),
        Taken::Ours { driving, run, record } => {
            driving.stop_at_once(now);
            driving.quietly(*run, *record).await?
        }
    };
    let Some(record) = record else { return Ok(Code::Interrupted) };
    tell_outcomes(context, record.tasks.iter());
    Ok(Code::Success)
}

fn tell_outcomes<'a>(context: &Context, tasks: impl Iterator<Item = &'a TaskRecord>) {
    for task in tasks {
        let outcome = task.outcome().map_or("not over".to_owned(), ToString::to_string);
        context.terminal.say(&format!("{}: {outcome}", task.task.spec.id));
    }
}

/// Stops the processes of a run that nobody drives, without taking it over. Their work stays where it is. One that cannot be stopped does
/// not keep the others from it.
async fn stop_what_is_left(
    context: &Context,
    site: &Site,
    executors: &[Arc<dyn Executor>],
    run: &LoadedRun,
    tasks: &[TaskId],
    now: bool,
) -> Result<Code, Failure> {
    let mut code = Code::Success;
    for (task, question) in ask_all(site, executors, run, concerned(run, tasks)) {
        let id = &task.task.spec.id;
        let (command, identity) = match question.answer().await {
            Activity::Still => continue,
            Activity::Runs { command, identity } => (command, identity),
            // Its own executor can tell.
            Activity::Unknown { command, .. } if command.identity.is_some() => {
                let Some(identity) = command.identity.clone() else { continue };
                (command, identity)
            }
            Activity::Unknown { why, .. } => {
                context.terminal.insist(&format!("error: {id}: {why}"));
                code = Code::TaskFailed;
                continue;
            }
        };
        let Some(executor) = executors.iter().find(|executor| executor.name() == identity.executor) else {
            context.terminal.insist(&format!("error: {id}: this build has no executor `{}`", identity.executor));
            code = Code::TaskFailed;
            continue;
        };
        match stop_task(executor.as_ref(), &command, task.task.spec.limits.grace, now).await {
            Ok(what) => context.terminal.say(&format!("{id}: {what}")),
            Err(error) => {
                context.terminal.insist(&format!("error: {id}: {}", error_chain(&error)));
                code = Code::TaskFailed;
            }
        }
    }
    Ok(code)
}

async fn stop_task(
    executor: &dyn Executor,
    command: &CommandRef,
    grace: Duration,
    now: bool,
) -> Result<&'static str, ExecError> {
    let Reattached::Found(running) = executor.reattach(command).await? else { return Ok("it does not run any more") };
    running.stop(if now { Duration::ZERO } else { grace }).await?;
    running.wait().await?;
    Ok("stopped; `gadugi resume` records it and goes on with the others")
}
