//! Setups and seeded files, in the journal and in reports.

use std::path::PathBuf;

use gadugi_core::executor::ExitStatus;
use gadugi_core::plan::Setup;
use gadugi_core::run::{Clock, Failure, StopReason};
use gadugi_core::worktrees::Seeded;
use gadugi_core::{AttemptRef, EventKind, Outcome, Phase, Report, RunHeader, RunRecord};
use gadugi_registry::FsRegistry;
use gadugi_registry::format::event_to_json;
use gadugi_registry::render::{json, junit, markdown};
use insta::assert_snapshot;

use crate::sample::{Story, attempt, header, load, raw, write};
use crate::schema;

fn path(attempt: &AttemptRef, phase: Phase) -> Option<PathBuf> {
    Some(PathBuf::from(format!("/state/{}/{}", attempt.task, phase.output_file())))
}

/// A task whose worktree was prepared, one where that failed, and one where it took too long.
fn story() -> (RunHeader, Story) {
    let mut tasks = ["prepared", "broken", "slow"].map(|id| raw(id, &[]));
    for task in &mut tasks {
        task.spec.setup = Some(Setup { script: "npm ci\n".into(), timeout: None });
    }
    let header = header('s', tasks.to_vec());
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    let prepared = attempt("prepared", 1);
    story.intent(&prepared).worktree(&prepared);
    let Some(EventKind::WorktreeReady { seeded, .. }) = story.events.last_mut().map(|event| &mut event.kind) else {
        panic!("its worktree is the last event");
    };
    *seeded = Some(Seeded { files: 2, bytes: 1 });
    story.started(&prepared, Phase::Setup).ended(&prepared, Phase::Setup, ExitStatus::Code(0));
    story.started(&prepared, Phase::Main).ended(&prepared, Phase::Main, ExitStatus::Code(0)).work(&prepared, 1);
    story.over(&prepared, Outcome::Succeeded).finished("prepared", Outcome::Succeeded);
    let broken = attempt("broken", 1);
    let failed = Outcome::Failed(Failure::Setup(ExitStatus::Code(1)));
    story.intent(&broken).worktree(&broken).started(&broken, Phase::Setup);
    story.ended(&broken, Phase::Setup, ExitStatus::Code(1)).over(&broken, failed.clone()).finished("broken", failed);
    let slow = attempt("slow", 1);
    let late = Outcome::TimedOut(Clock::Setup);
    story.intent(&slow).worktree(&slow).started(&slow, Phase::Setup);
    story.then(EventKind::StopSent { attempt: slow.clone(), reason: StopReason::TimedOut(Clock::Setup) });
    story.ended(&slow, Phase::Setup, ExitStatus::Signal(15)).over(&slow, late.clone()).finished("slow", late);
    (header, story)
}

fn report() -> Report {
    let (header, story) = story();
    RunRecord::fold(header, &story.events).expect("a sound story").into()
}

#[tokio::test]
async fn setups_and_what_was_seeded_come_back_from_the_disk_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path().join("gadugi"));
    let (header, story) = story();
    write(&registry, &header, &story.events).await;
    let history = load(&registry, &header.run).await.expect("the run");
    assert_eq!((history.header, history.events), (header, story.events));
}

#[test]
fn a_worktree_in_which_nothing_was_copied_is_written_as_before() {
    let (_, story) = story();
    let ready = story.events.iter().filter(|event| matches!(event.kind, EventKind::WorktreeReady { .. }));
    let lines: Vec<String> = ready.map(|event| event_to_json(event).expect("it has a format")).collect();
    assert!(lines[0].ends_with(r#""took_seconds":0.06,"seeded_files":2,"seeded_bytes":1}"#), "{}", lines[0]);
    assert!(lines[1].ends_with(r#""took_seconds":0.06}"#), "{}", lines[1]);
}

#[test]
fn a_report_tells_the_time_of_setups_apart_from_that_of_tasks() {
    let text = markdown(&report(), &path);
    let told = |words: &str| text.lines().filter(|line| line.contains(words)).collect::<Vec<_>>().join("\n");
    assert_snapshot!(told("Outcome: "), @r"
    - Outcome: succeeded
    - Outcome: failed (setup: exit code 1)
    - Outcome: timed out (setup)
    ");
    assert_snapshot!(told("Setup: "), @r"
    - Setup: 2.0 s
    - Setup: failed (exit code 1)
    - Setup: failed (signal 15)
    ");
    assert_snapshot!(told("- Attempt "), @r"
    - Attempt 1: succeeded, 2.0 s, setup 2.0 s, subprocess
    - Attempt 1: failed (setup: exit code 1), setup 2.0 s, subprocess
    - Attempt 1: timed out (setup), setup 2.0 s, subprocess
    ");
    assert_snapshot!([told("log of").trim_start().to_owned(), told("| `broken` |"), told("Sum of "), told("gadugi logs ")].join("\n"), @r"
    - log of the setup: `/state/prepared/setup.log` (1234 bytes)
      - log of the setup: `/state/broken/setup.log` (1234 bytes)
      - log of the setup: `/state/slow/setup.log` (1234 bytes)
    | failed | `broken` | Make broken | `gadugi/broken` | unknown | unknown | - | subprocess |
    | Sum of task times | 2.0 s |
    | Sum of setup times, which are no task times | 6.0 s |
    gadugi logs broken --run 20261122-083355-00s
    gadugi logs slow --run 20261122-083355-00s
    ");
    assert_snapshot!(told("Seeded: "), @"- Seeded: 2 files of 1 byte");
}

#[test]
fn a_report_for_programs_has_the_setups_among_its_commands_and_their_sum() {
    let report: serde_json::Value = serde_json::from_str(&json(&report(), &path)).expect("JSON");
    schema::check(&report);
    let figures = &report["performance"];
    assert_eq!((&figures["task_seconds_sum"], &figures["setup_seconds_sum"]), (&2.00025.into(), &6.00075.into()));
    let tasks = &report["tasks"];
    let commands = &tasks[0]["attempts"][0]["commands"];
    assert_eq!((&commands[0]["phase"], &commands[1]["phase"]), (&"setup".into(), &"main".into()));
    assert_eq!(tasks[0]["attempts"][0]["worktree"]["seeded_files"], 2);
    assert_eq!(tasks[1]["attempts"][0]["worktree"].get("seeded_files"), None);
    assert_eq!(
        tasks[1]["outcome"]["failure"],
        serde_json::json!({"kind": "setup", "status": {"kind": "code", "code": 1}})
    );
    assert_eq!(tasks[1]["task_seconds"], serde_json::Value::Null);
    assert_eq!(tasks[2]["outcome"]["clock"], "setup");
}

#[test]
fn for_a_ci_server_a_setup_that_failed_is_an_error_and_no_failure_of_the_task() {
    let output = |_: &AttemptRef, phase: Phase| Some(format!("printed by {}", phase.word()).into_bytes());
    let xml = junit(&report(), &output);
    let count = |part: &str| xml.matches(part).count();
    assert_eq!((count("<error "), count("<failure ")), (2, 0), "{xml}");
    assert_eq!((count("printed by setup"), count("printed by main")), (2, 1), "{xml}");
}
