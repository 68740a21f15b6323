//! Processes that die at a chosen step, and what is then found. The steps are there in debug builds only.

#![cfg(all(unix, debug_assertions))]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gadugi_core::registry::RegistryError;
use gadugi_core::{Event, EventKind, Phase, Registry, RunRecord, arm_crash_point};
use gadugi_registry::FsRegistry;

use crate::resuming::{Left, resumed_after};
use crate::sample::{CHILD_STATE, Story, attempt, child_state, let_go, resume, simple_header};

const POINT: &str = "GADUGI_TEST_CRASH_AT";
const DIED: i32 = 77;

/// Run by the tests below in a process of its own: makes or resumes a run, and drives it.
#[tokio::test]
#[ignore = "only makes sense in the processes that the next tests start"]
#[expect(clippy::exit, reason = "it dies as it was asked to")]
async fn in_a_process_that_dies() {
    let Some(state) = child_state() else { return };
    let registry = FsRegistry::new(&state);
    arm_crash_point(&std::env::var(POINT).expect("a point"), || std::process::exit(DIED));
    let first = simple_header('d', 1);
    let mut runs = registry.list().await.expect("runs");
    let (mut log, events) = match runs.pop() {
        None => (registry.create(&first).await.expect("a new run"), story()),
        Some(listing) => {
            let (history, log) = resume(&registry, &listing.run).await.expect("it is taken over");
            (log, vec![resumed_after(&history)])
        }
    };
    for event in &events {
        let ticket = match &event.kind {
            EventKind::AttemptIntended { .. } => log.intent(event),
            EventKind::CommandStarted { .. } => log.started(event),
            _ => log.note(event),
        };
        ticket.await.expect("it is kept");
        fs::write(state.join("confirmed"), event.seq.to_string()).expect("a small file");
    }
}

fn story() -> Vec<Event> {
    let mut story = Story::new(simple_header('d', 1).run);
    let t1 = attempt("t1", 1);
    story.then(EventKind::RunStarted).intent(&t1).worktree(&t1).started(&t1, Phase::Main);
    story.events
}

fn die_at(point: &str, state: &Path) {
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "dying::in_a_process_that_dies", "--ignored", "--quiet"])
        .env(CHILD_STATE, state)
        .env(POINT, point)
        .stdout(Stdio::null())
        .status();
    assert_eq!(status.expect("this program again").code(), Some(DIED), "{point} is not passed");
}

#[tokio::test]
async fn a_run_whose_maker_died_before_it_was_made_is_none() {
    for point in ["registry-run-folder-made", "registry-owner-written"] {
        let folder = tempfile::tempdir().expect("a folder");
        die_at(point, folder.path());
        let registry = FsRegistry::new(folder.path());
        assert_eq!(registry.list().await.expect("runs"), [], "{point}");
        let error = resume(&registry, &simple_header('d', 1).run).await.err().expect("there is none");
        assert!(matches!(error, RegistryError::NoSuchRun { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_run_whose_driver_died_at_any_step_has_all_that_was_confirmed_and_is_gone_on_with() {
    let points = (1..=4).map(|n| format!("registry-journal-written:{n}"));
    for point in std::iter::once("registry-run-created".to_owned()).chain(points) {
        let folder = tempfile::tempdir().expect("a folder");
        die_at(&point, folder.path());
        let registry = FsRegistry::new(folder.path());
        let run = simple_header('d', 1).run;
        let confirmed = fs::read_to_string(folder.path().join("confirmed")).map_or(0, |n| n.parse().expect("a number"));
        let_go(&registry, &run).await;
        let (history, log) = resume(&registry, &run).await.expect("it is taken over");
        assert_eq!(history.damage, Vec::<String>::new(), "{point}");
        assert!(history.events.len() >= confirmed, "{point}: {confirmed} were confirmed");
        assert!(story().starts_with(&history.events), "{point}");
        let record = RunRecord::fold(history.header, &history.events).expect("a run");
        for attempt in record.tasks[0].attempts.iter().map(|record| attempt("t1", record.number.get())) {
            assert!(log.attempt_folder(&attempt).join("intent.json").exists(), "{point}");
        }
    }
}

#[tokio::test]
async fn a_run_that_was_being_taken_over_when_its_driver_died_is_taken_over_again() {
    let left = Left::short().await;
    let whole = fs::read(left.journal()).expect("a journal");
    let text = String::from_utf8(whole).expect("text");
    let damaged = text.replacen("worktree_ready", "worktree_reads", 1);
    let state = left.file("").ancestors().nth(2).expect("the state").to_owned();
    for point in ["registry-owner-written", "registry-journal-rebuilt", "registry-journal-written"] {
        fs::write(left.journal(), &damaged).expect("a damaged journal");
        fs::remove_file(left.file("journal.damaged-1.jsonl")).ok();
        die_at(point, &state);
        let_go(&left.registry, &left.header.run).await;
        let history = left.resume_and_drive().await;
        assert!(!history.damage.is_empty());
        assert_eq!(history.events.iter().filter(|event| left.events.contains(event)).count(), left.events.len() - 1);
        assert_eq!(fs::read(left.file("journal.damaged-1.jsonl")).expect("it is kept"), damaged.as_bytes(), "{point}");
        assert!(!left.file("journal.damaged-2.jsonl").exists(), "{point}");
    }
}
