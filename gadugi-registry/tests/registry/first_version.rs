//! Version 1 as it was when it was made. The fixture is never to be changed: users have such files.

use std::fs;
use std::path::Path;

use gadugi_core::run::TaskState;
use gadugi_core::{Event, EventKind, Report, RunRecord};
use gadugi_registry::FsRegistry;
use gadugi_registry::render::write_reports;
use tempfile::TempDir;

use crate::sample::{copy_folder, first_version, keep, load, resume, start_of_time, task};

fn fixture() -> (TempDir, FsRegistry) {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let (header, _) = first_version();
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1"), &registry.run_folder(&header.run));
    (folder, registry)
}

#[tokio::test]
async fn the_first_version_is_read_for_ever() {
    let (_folder, registry) = fixture();
    let (header, events) = first_version();
    let history = load(&registry, &header.run).await.expect("the run");
    assert_eq!((&history.header, &history.events, &history.damage), (&header, &events, &Vec::new()));
    let report = Report::from(RunRecord::fold(history.header, &history.events).expect("a run"));
    assert_eq!((report.totals.tasks, report.totals.succeeded), (15, 2));
    write_reports(&registry.run_folder(&header.run), &report).expect("reports");
}

#[tokio::test]
async fn the_starts_and_ends_in_its_attempt_files_are_put_back_into_a_journal_that_was_cut() {
    let (_folder, registry) = fixture();
    let (header, events) = first_version();
    let journal = registry.run_folder(&header.run).join("journal.jsonl");
    let text = fs::read_to_string(&journal).expect("a journal");
    // Up to the intent of the first attempt.
    let cut: String = text.split_inclusive('\n').take(3).collect();
    fs::write(&journal, cut).expect("a journal");
    let history = load(&registry, &header.run).await.expect("the run");
    let step = |event: &&Event| {
        matches!(
            event.kind,
            EventKind::AttemptIntended { .. } | EventKind::CommandStarted { .. } | EventKind::CommandEnded { .. }
        )
    };
    let steps = |events: &[Event]| events.iter().filter(step).count();
    assert_eq!(steps(&history.events), steps(&events), "{:?}", history.damage);
}

#[tokio::test]
async fn a_run_of_the_first_version_is_gone_on_with() {
    let (_folder, registry) = fixture();
    let (header, events) = first_version();
    let journal = registry.run_folder(&header.run).join("journal.jsonl");
    let text = fs::read_to_string(&journal).expect("a journal");
    // Up to the end of the command of `lost`, whose file says that it was started.
    let cut: String = text.split_inclusive('\n').take(101).collect();
    fs::write(&journal, cut).expect("a journal");
    let (history, mut log) = resume(&registry, &header.run).await.expect("it is taken over");
    let record = RunRecord::fold(history.header.clone(), &history.events).expect("a run");
    assert_eq!(history.events[..102], events[..102]);
    assert!(matches!(record.task(&task("lost")).expect("a task").state, TaskState::Running { .. }));
    let seq = history.events.last().expect("events").seq + 1;
    let resumed = Event { seq, at: start_of_time(), kind: EventKind::RunResumed { moment: None } };
    keep(&mut log, &resumed).await;
    drop(log);
    let again = load(&registry, &header.run).await.expect("the run");
    assert_eq!(again.events[..history.events.len()], history.events);
    assert_eq!((again.events.last(), again.damage), (Some(&resumed), Vec::new()));
}
