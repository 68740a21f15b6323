//! `gadugi stop`, from any terminal.

use std::sync::Arc;
use std::time::Duration;

use gadugi_core::executor::{CommandRef, ExecError, ExecIdentity, Reattached};
use gadugi_core::run::TaskRecord;
use gadugi_core::{Executor, RunId, TaskId, error_chain};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::interval;

use crate::args::StopArgs;
use crate::config::Config;
use crate::context::Context;
use crate::drive::{Audience, Driver, Purpose, TakeOver, TakeOverSettings, take_over};
use crate::executors::{TaskLifetime, executors};
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::site::{Activity, FollowedRun, LoadedRun, Question, Site, is_suspended};

/// Interval between polls of the journal for the ends of tasks. Polling works on every file system.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn stop(context: &Context, args: &StopArgs) -> Result<Code, Failure> {
    let site = Arc::new(Site::open(&context.surroundings)?);
    let (run, names) = site.unfinished_run_and_tasks(&context.terminal, &args.what).await?;
    let run = site.follow(&run).await?;
    let id = run.run().record.header.run.clone();
    let tasks: Vec<TaskId> = names.iter().map(|name| run.run().task(name)).collect::<Result<_, _>>()?;
    if run.run().record.ended.is_some() {
        context.terminal.say(&format!("run {id} is over"));
        return Ok(Code::Success);
    }
    if args.forget && !tasks.is_empty() {
        return Err(Failure::usage("--forget ends a whole run").hint("leave the names of tasks out"));
    }
    let stop = Stop { context, site: &site, id: &id, tasks: &tasks, now: args.now };
    if run.run().driven {
        return stop.by_driver(run).await;
    }
    let config = prepare::config_or_default(context, &site);
    let executors = executors(context, Some(&site), &config, TaskLifetime::Own);
    if !tasks.is_empty() {
        // The next driver of the run records what is stopped now, and does not start tasks that have not started.
        site.request_stop_of_next(&id, tasks.clone(), args.now)?;
        if site.is_driven(&id)? {
            return stop.by_driver(run).await;
        }
        stop.say_what_does_not_run(&executors, run.run()).await;
        return stop.by_executors(&executors, run.run()).await;
    }
    let purpose = if args.forget { Purpose::Forget } else { Purpose::Stop };
    match stop.by_take_over(&config, purpose).await {
        // Another process has taken it over first.
        Err(failure) if failure.code == Code::Registry && site.is_driven(&id)? => {
            context.terminal.detail(&failure.texts().0);
            stop.by_driver(run).await
        }
        Err(failure) => {
            // A run that cannot be taken over is not left running for that.
            failure.print(&context.terminal);
            stop.by_executors(&executors, run.run()).await?;
            Ok(Code::TaskFailed)
        }
        code => code,
    }
}

/// A stop of a run, or of some of its tasks.
struct Stop<'a> {
    context: &'a Context,
    site: &'a Arc<Site>,
    id: &'a RunId,
    /// The tasks to stop; all if there are none.
    tasks: &'a [TaskId],
    /// Without grace.
    now: bool,
}

impl Stop<'_> {
    fn concerned<'a>(&'a self, run: &'a LoadedRun) -> impl Iterator<Item = &'a TaskRecord> {
        run.record.tasks.iter().filter(|task| self.tasks.is_empty() || self.tasks.contains(&task.task.spec.id))
    }

    /// Asks executors about all concerned tasks at the same time.
    fn ask_all<'a>(&'a self, executors: &[Arc<dyn Executor>], run: &'a LoadedRun) -> Vec<(&'a TaskRecord, Question)> {
        self.concerned(run).map(|task| (task, self.site.ask(executors, &run.record, task))).collect()
    }

    async fn say_what_does_not_run(&self, executors: &[Arc<dyn Executor>], run: &LoadedRun) {
        let id = self.id;
        for (task, question) in self.ask_all(executors, run) {
            if !task.state.is_finished() && !question.answer().await.may_run() {
                let task = &task.task.spec.id;
                self.context.terminal.say(&format!("{task}: does not run; `gadugi resume {id}` records it as stopped"));
            }
        }
    }

    /// Leaves a request for the process that drives the run, wakes it, and waits until the tasks are over.
    async fn by_driver(&self, mut run: FollowedRun<'_>) -> Result<Code, Failure> {
        let Self { context, id, tasks, .. } = self;
        self.site.request_stop(id, tasks.to_vec(), self.now)?;
        let driver = wake(self.site, id)?;
        let mut ticks = interval(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            run.read_on().await?;
            let over = self.concerned(run.run()).all(|task| task.state.is_finished());
            // The end of the whole run is the end of its driver, which first writes the report.
            if !run.run().driven || (over && !tasks.is_empty()) {
                say_outcomes(context, self.concerned(run.run()));
                if !over {
                    let names: String = tasks.iter().map(|task| format!(" {task}")).collect();
                    context
                        .terminal
                        .insist(&format!("the process that drove run {id} has ended before it stopped them"));
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

    /// Takes over a run without a driver to end it: its tasks are stopped, their ends and their work are
    /// recorded, and no more tasks are started.
    async fn by_take_over(&self, config: &Config, purpose: Purpose) -> Result<Code, Failure> {
        let Self { context, site, .. } = self;
        let run = site.load(self.id).await?;
        let driver = Driver::new(context, Arc::clone(site), Audience::Nobody, TaskLifetime::Own, None)?;
        let settings = TakeOverSettings { config, lifetime: TaskLifetime::Own, purpose };
        let record = match take_over(context, site, run, driver, settings).await? {
            TakeOver::Ended(record) => Some(*record),
            TakeOver::Ours { driver, run, record } => {
                driver.stop_at_once(self.now);
                driver.drive_quietly(*run, *record).await?
            }
        };
        let Some(record) = record else { return Ok(Code::Interrupted) };
        say_outcomes(context, record.tasks.iter());
        Ok(Code::Success)
    }

    /// Stops the processes of a run without a driver, and does not take it over. Their work stays where it is. A process that cannot be
    /// stopped does not keep the others from it.
    async fn by_executors(&self, executors: &[Arc<dyn Executor>], run: &LoadedRun) -> Result<Code, Failure> {
        let terminal = &self.context.terminal;
        let mut code = Code::Success;
        for (task, question) in self.ask_all(executors, run) {
            let id = &task.task.spec.id;
            let stopped = match running_command(question.answer().await) {
                Ok(None) => continue,
                Ok(Some((command, identity))) => {
                    let grace = if self.now { Duration::ZERO } else { task.task.spec.limits.grace };
                    stop_command(executors, &command, &identity, grace).await
                }
                Err(why) => Err(why),
            };
            match stopped {
                Ok(what) => terminal.say(&format!("{id}: {what}")),
                Err(why) => {
                    terminal.insist(&format!("error: {id}: {why}"));
                    code = Code::TaskFailed;
                }
            }
        }
        Ok(code)
    }
}

/// Wakes the process that drives a run; `None` when it has just ended.
fn wake(site: &Site, run: &RunId) -> Result<Option<Pid>, Failure> {
    let Some(owner) = site.owner(run)? else {
        if !site.is_driven(run)? {
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

fn say_outcomes<'a>(context: &Context, tasks: impl Iterator<Item = &'a TaskRecord>) {
    for task in tasks {
        let outcome = task.outcome().map_or("not over".to_owned(), ToString::to_string);
        context.terminal.say(&format!("{}: {outcome}", task.task.spec.id));
    }
}

/// The command to stop and its identity; `None` if none runs. An unknown command with an identity is tried too: its own executor
/// can tell.
fn running_command(activity: Activity) -> Result<Option<(Box<CommandRef>, ExecIdentity)>, String> {
    match activity {
        Activity::Still => Ok(None),
        Activity::Runs { command, identity } => Ok(Some((command, identity))),
        Activity::Unknown { command, why } => match command.identity.clone() {
            Some(identity) => Ok(Some((command, identity))),
            None => Err(why),
        },
    }
}

/// Stops a command by the executor that started it. Returns what was done, or why it failed.
async fn stop_command(
    executors: &[Arc<dyn Executor>],
    command: &CommandRef,
    identity: &ExecIdentity,
    grace: Duration,
) -> Result<&'static str, String> {
    let executor = executors.iter().find(|executor| executor.name() == identity.executor);
    let executor = executor.ok_or_else(|| format!("this build has no executor `{}`", identity.executor))?;
    let stopped = stop_by(executor.as_ref(), command, grace).await;
    stopped.map_err(|error| error_chain(&error))
}

async fn stop_by(executor: &dyn Executor, command: &CommandRef, grace: Duration) -> Result<&'static str, ExecError> {
    let Reattached::Found(running) = executor.reattach(command).await? else { return Ok("it does not run any more") };
    running.stop(grace).await?;
    running.wait().await?;
    Ok("stopped; `gadugi resume` records it and goes on with the others")
}
