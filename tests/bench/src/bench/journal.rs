//! A run with a long journal: what it takes to read it, beside a program that only counts its lines.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::executor::{ExecEnd, ExecIdentity, ExitStatus};
use gadugi_core::plan::{Program, RawPlan, RawTask, SourceLocation};
use gadugi_core::run::Failure;
use gadugi_core::worktrees::KeepReason;
use gadugi_core::{
    AttemptNo, AttemptRef, Event, EventKind, Lease, Outcome, Phase, Plan, Registry, RunHeader, RunSettings, TaskId,
    TaskSpec,
};
use gadugi_registry::FsRegistry;
use gadugi_test_support::repo::TestRepo;
use jiff::Timestamp;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::process::{Measured, gadugi, hermetic, peak};
use crate::sample::Sample;
use crate::scratch::repository;
use crate::table::Table;

/// Number of failed attempts of each of a hundred tasks, with six events for each.
const ATTEMPTS: u32 = 301;
const TASKS: usize = 100;

/// The task that has not begun, which `resume` runs.
const LAST: &str = "last";

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let attempts = if effort.small { 3 } else { ATTEMPTS };
    let long = Long::new(attempts)?;
    writeln!(out, "## journal: {} events, {} rounds\n", long.events, effort.rounds)?;
    let commands: [&[&str]; 4] = [&["ps", "--all"], &["report"], &["report", "--format", "json"], &["resume"]];
    let mut table = Table::new(["command", "wall s", "`grep -c` s", "ratio", "peak memory MiB"]);
    let mut rounds: [Vec<(Measured, f64)>; 4] = Default::default();
    for _ in 0..effort.rounds {
        for (command, rounds) in commands.into_iter().zip(&mut rounds) {
            let grep = long.grep()?;
            let mut process = gadugi(long.repo.path())?;
            process.args(command);
            rounds.push((peak(process)?, grep));
            long.restore()?;
        }
    }
    for (command, rounds) in commands.iter().zip(&rounds) {
        let of = |figure: fn(&(Measured, f64)) -> f64| rounds.iter().map(figure).collect::<Sample>();
        table.row([
            format!("`gadugi {}`", command.join(" ")),
            format!("{:.3}", of(|(measured, _)| measured.wall)),
            format!("{:.3}", of(|(_, grep)| *grep)),
            format!("{:.1}", of(|(measured, grep)| measured.wall / grep)),
            format!("{:.1}", of(|(measured, _)| measured.peak_mib)),
        ]);
    }
    Ok(table.write(out)?)
}

/// A run whose driver has ended before its last task began.
struct Long {
    repo: TestRepo,
    folder: PathBuf,
    events: u64,
    /// The length of its journal.
    length: u64,
}

impl Long {
    fn new(attempts: u32) -> Result<Self, BenchError> {
        let repo = repository(20);
        let registry = FsRegistry::new(repo.path().join(".git/gadugi"));
        let header = header(&repo, attempts)?;
        let folder = registry.run_folder(&header.run);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let events = runtime.block_on(write(&registry, &header, attempts))?;
        let journal = folder.join("journal.jsonl");
        let length = fs::metadata(&journal).map_err(|source| BenchError::File { path: journal, source })?.len();
        Ok(Self { repo, folder, events, length })
    }

    /// Time to count the ends of attempts without parsing them.
    fn grep(&self) -> Result<f64, BenchError> {
        let mut grep = hermetic("grep");
        grep.args(["-c", "\"kind\":\"attempt_ended\""]).arg(self.folder.join("journal.jsonl"));
        Ok(peak(grep)?.wall)
    }

    /// Makes the run what it was before it was resumed.
    fn restore(&self) -> Result<(), BenchError> {
        let journal = self.folder.join("journal.jsonl");
        let cut = OpenOptions::new().write(true).open(&journal).and_then(|file| file.set_len(self.length));
        cut.map_err(|source| BenchError::File { path: journal, source })?;
        let attempts = self.folder.join("tasks").join(LAST);
        match fs::remove_dir_all(&attempts) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(BenchError::File { path: attempts, source })
            }
            _ => Ok(()),
        }
    }
}

fn header(repo: &TestRepo, attempts: u32) -> Result<RunHeader, BenchError> {
    let task = |id: &str, script: &str| {
        let mut spec = TaskSpec::new(id.parse::<TaskId>()?, Program::Script(script.to_owned()));
        spec.source = SourceLocation { file: format!("{id}.md").into(), line: 1 };
        spec.retries = attempts;
        Ok::<_, BenchError>(RawTask { spec, needs: Vec::new() })
    };
    let mut tasks = (0..TASKS).map(|n| task(&format!("task-{n}"), "false")).collect::<Result<Vec<_>, _>>()?;
    tasks.push(task(LAST, "true")?);
    let mut header = RunHeader::new(Plan::try_from(RawPlan { tasks })?, RunSettings::default());
    header.base = Some(repo.git(&["rev-parse", "HEAD"]).trim().parse()?);
    header.executor = Some("subprocess".to_owned());
    Ok(header)
}

/// Writes the run as its driver would have, and gives the number of events.
async fn write(registry: &FsRegistry, header: &RunHeader, attempts: u32) -> Result<u64, BenchError> {
    let mut log = registry.create(header).await?;
    let mut seq = 0;
    let mut event = |kind| {
        seq += 1;
        Event { seq, at: Timestamp::now(), kind }
    };
    let chosen = EventKind::ExecutorChosen { executor: "subprocess".to_owned(), reason: "as asked".to_owned() };
    let mut tickets = vec![log.note(&event(EventKind::RunStarted)), log.note(&event(chosen))];
    for task in header.plan.tasks().iter().filter(|task| task.spec.id.as_str() != LAST) {
        for number in (1..=attempts).filter_map(AttemptNo::new) {
            let attempt = AttemptRef { task: task.spec.id.clone(), number };
            let [intent, steps @ ..] = kinds(header, &attempt)?;
            tickets.push(log.intent(&event(intent)));
            tickets.extend(steps.into_iter().map(|kind| log.note(&event(kind))));
        }
        let outcome = Outcome::Failed(Failure::ExitCode(1));
        tickets.push(log.note(&event(EventKind::TaskFinished { task: task.spec.id.clone(), outcome })));
    }
    for ticket in tickets {
        ticket.await?;
    }
    Ok(seq)
}

/// An attempt that fails.
fn kinds(header: &RunHeader, attempt: &AttemptRef) -> Result<[EventKind; 6], BenchError> {
    let name = format!("{}-{}", attempt.task, attempt.number);
    let lease = Lease {
        run: header.run.clone(),
        attempt: attempt.clone(),
        path: Path::new("/src/app.gadugi").join(&name),
        branch: Some(format!("gadugi/{name}").parse()?),
        base: header.base.clone(),
    };
    let attempt = || attempt.clone();
    let took = Some(Duration::from_micros(1250));
    let identity = ExecIdentity { executor: "subprocess".into(), token: "pid 4711 boot 5d0c start 918273".into() };
    Ok([
        EventKind::AttemptIntended { attempt: attempt(), executor: "subprocess".into() },
        EventKind::WorktreeReady { lease, seeded: None, took },
        EventKind::CommandStarted { attempt: attempt(), phase: Phase::Main, identity, took },
        EventKind::CommandEnded {
            attempt: attempt(),
            phase: Phase::Main,
            end: ExecEnd::new(ExitStatus::Code(1), Duration::from_millis(20)),
        },
        EventKind::AttemptEnded { attempt: attempt(), outcome: Outcome::Failed(Failure::ExitCode(1)), said: None },
        EventKind::WorktreeKept { attempt: attempt(), reasons: vec![KeepReason::Requested] },
    ])
}
