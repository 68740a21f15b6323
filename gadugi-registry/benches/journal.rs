//! The cost of the journal: `cargo bench -p gadugi-registry`. The folder is made under `TMPDIR`.

#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::time::{Duration, Instant};

use gadugi_core::executor::{ExecEnd, ExecIdentity, ExecUsage, ExitStatus, OutputSummary};
use gadugi_core::plan::{Program, RawPlan, RawTask};
use gadugi_core::registry::{RunLog, Ticket};
use gadugi_core::run::WarningKind;
use gadugi_core::{
    AttemptNo, AttemptRef, Event, EventKind, Phase, Plan, Registry, RunHeader, RunSettings, TaskId, TaskSpec,
};
use gadugi_registry::FsRegistry;
use jiff::Timestamp;
use tokio::task::JoinSet;

const NOTES: u64 = 10_000;
const ATTEMPTS: u64 = 1_000;
const AT_ONCE: usize = 8;
const NOTED: &str = "20261122-083355-001";
const DURABLE: &str = "20261122-083355-002";

fn id(n: u64) -> TaskId {
    format!("task-{n}").parse().expect("a task id")
}

fn header(run: &str) -> RunHeader {
    let task = |n| RawTask { spec: TaskSpec::new(id(n), Program::Argv(vec!["true".into()])), needs: Vec::new() };
    RunHeader {
        run: run.parse().expect("a run id"),
        created: Timestamp::UNIX_EPOCH,
        moment: None,
        base: None,
        executor: None,
        base_name: None,
        link: None,
        settings: RunSettings::default(),
        plan: Plan::try_from(RawPlan { tasks: (0..ATTEMPTS).map(task).collect() }).expect("a plan"),
    }
}

/// The log, with the numbers of its events.
struct Numbered {
    log: Box<dyn RunLog>,
    seq: u64,
}

impl Numbered {
    fn write(&mut self, kind: EventKind) -> Ticket {
        self.seq += 1;
        let event = Event { seq: self.seq, at: Timestamp::now(), kind };
        match event.kind {
            EventKind::AttemptIntended { .. } => self.log.intent(&event),
            EventKind::CommandStarted { .. } => self.log.started(&event),
            EventKind::CommandEnded { .. } => self.log.ended(&event),
            _ => self.log.note(&event),
        }
    }
}

/// The three durable steps of an attempt.
fn steps(n: u64) -> [EventKind; 3] {
    let attempt = AttemptRef { task: id(n), number: AttemptNo::FIRST };
    let identity = ExecIdentity { executor: "subprocess".into(), token: "pid 4711 start 123456".into() };
    let end = ExecEnd {
        status: ExitStatus::Code(0),
        took: Duration::from_micros(700),
        output: OutputSummary::default(),
        usage: ExecUsage::default(),
        stopped: false,
    };
    [
        EventKind::AttemptIntended { attempt: attempt.clone(), executor: "subprocess".into() },
        EventKind::CommandStarted {
            attempt: attempt.clone(),
            phase: Phase::Main,
            identity,
            took: Some(Duration::from_micros(500)),
        },
        EventKind::CommandEnded { attempt, phase: Phase::Main, end },
    ]
}

fn show(what: &str, operations: u64, took: Duration) {
    println!(
        "{what}: {:.1} µs each, {:.3} s together",
        took.as_secs_f64() * 1e6 / operations as f64,
        took.as_secs_f64()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());

    let mut log = Numbered { log: registry.create(&header(NOTED)).await.expect("a new run"), seq: 0 };
    let begun = Instant::now();
    let message = "something that the user should know";
    let note = || EventKind::Warning { kind: WarningKind::Stop, task: None, message: message.into() };
    let tickets: Vec<Ticket> = (0..NOTES).map(|_| log.write(note())).collect();
    for ticket in tickets {
        ticket.await.expect("it is kept");
    }
    show("10,000 noted events", NOTES, begun.elapsed());
    drop(log);
    let begun = Instant::now();
    let events = registry.load(&header(NOTED).run).await.expect("the run").last;
    show("reading them", events, begun.elapsed());

    let log = Numbered { log: registry.create(&header(DURABLE)).await.expect("a new run"), seq: 0 };
    let log = std::rc::Rc::new(std::cell::RefCell::new(log));
    let begun = Instant::now();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let mut running = JoinSet::new();
            for n in 0..ATTEMPTS {
                if running.len() == AT_ONCE {
                    running.join_next().await.expect("one runs").expect("no panic");
                }
                let log = std::rc::Rc::clone(&log);
                running.spawn_local(async move {
                    for step in steps(n) {
                        let ticket = log.borrow_mut().write(step);
                        ticket.await.expect("it is kept");
                    }
                });
            }
            while let Some(joined) = running.join_next().await {
                joined.expect("no panic");
            }
        })
        .await;
    show("1,000 attempts of 3 durable steps, 8 at once, each step", ATTEMPTS * 3, begun.elapsed());
}
