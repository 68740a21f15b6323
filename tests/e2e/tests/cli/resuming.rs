//! `gadugi resume`, and the end of runs without a driver.

use rustix::process::Signal;

use crate::harness::{Going, Harness};
use crate::hostile_tasks::is_alive;
use crate::waiting::{gated, gated_with, gone, killed, open, pid};

#[test]
fn resume_finishes_a_run_with_the_true_exit_codes_and_names_the_interruption() {
    let harness = Harness::new();
    let files = [
        gated(&harness, "ended", "exit 3"),
        gated(&harness, "runs", "echo made > made.txt"),
        harness.task("after.md", "---\nneeds: [runs]\nrun: test -e made.txt\n---\n"),
        harness.task("never.md", "---\nneeds: [ended]\nrun: 'true'\n---\n"),
    ];
    let run = Going::start(harness.command(&["run", &files[0], &files[1], &files[2], &files[3]]));
    killed(&harness, run, &["ended", "runs"]);
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("interrupted: nobody drives it") && ps.contains("gadugi resume"), "{ps}");
    let report = harness.gadugi(&["report"]).expect(0).out;
    assert!(report.contains("gadugi resume"), "{report}");
    open(&harness, "ended");
    gone(&pid(&harness, "ended"));
    let mut resume = Going::start(harness.command(&["resume"]));
    resume.until("the process that drove the run ended");
    open(&harness, "runs");
    let answer = resume.end().expect(1);
    assert!(answer.out.contains("the process that drove the run ended"), "{}", answer.out);
    let outcomes = harness.outcomes();
    let of = |task: &str| outcomes[task].clone();
    assert_eq!([of("ended"), of("runs"), of("after"), of("never")], ["failed", "succeeded", "succeeded", "skipped"]);
    let report = harness.report();
    let tasks = report["tasks"].as_array().expect("tasks");
    let ended = tasks.iter().find(|task| task["id"] == "ended").expect("the task");
    assert_eq!(ended["outcome"]["failure"], serde_json::json!({ "kind": "exit_code", "code": 3 }));
    assert!(tasks.iter().all(|task| task["attempts"].as_array().is_none_or(|attempts| attempts.len() <= 1)));
    harness.gadugi(&["resume"]).expect(1).says(&["is over", "report.md"]);
    harness.assert_sound();
}

#[test]
fn of_two_that_resume_a_run_at_once_one_does() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let mut both = [0, 1].map(|_| Going::start(harness.command(&["resume"])));
    let loser = loop {
        if let Some(loser) = both.iter_mut().position(Going::has_ended) {
            break loser;
        }
        std::thread::yield_now();
    };
    let [first, second] = both;
    let (loser, winner) = if loser == 0 { (first, second) } else { (second, first) };
    loser.end().expect(4).says(&["held by process", "gadugi attach"]);
    harness.gadugi(&["resume"]).expect(4).says(&["held by process"]);
    open(&harness, "a");
    winner.end().expect(0);
}

#[test]
fn a_run_that_is_over_is_not_resumed() {
    let harness = Harness::new();
    harness.gadugi(&["run", &harness.script("a", "true")]).expect(0);
    let report = harness.latest_run().join("report.md");
    std::fs::remove_file(&report).expect("as after a crash right behind the end");
    harness.gadugi(&["resume"]).expect(0).says(&["is over", "report.md"]);
    assert!(report.exists());
    harness.gadugi(&["run", &harness.script("b", "false")]).expect(1);
    harness.gadugi(&["resume"]).expect(1).says(&["is over"]);
}

#[test]
fn secrets_are_brought_by_whoever_resumes() {
    let harness = Harness::new();
    let file = gated_with(&harness, "a", "secrets: [TOKEN]\nretries: 1\nretry_delay: 0s\n", "test \"$TOKEN\" = new");
    let mut run = harness.command(&["run", &file]);
    killed(
        &harness,
        Going::start({
            run.env("TOKEN", "old");
            run
        }),
        &["a"],
    );
    harness.gadugi(&["resume"]).expect(2).says(&["a: `TOKEN`"]);
    open(&harness, "a");
    let resumed = harness.command(&["resume"]).env("TOKEN", "new").output().expect("it starts");
    assert_eq!(resumed.status.code(), Some(0));
    assert_eq!(harness.report()["tasks"][0]["attempts"].as_array().map(Vec::len), Some(2));
}

#[test]
fn stop_ends_a_run_that_nobody_drives_with_everything_recorded() {
    let harness = Harness::new();
    let a = gated(&harness, "a", "true");
    let b = harness.task("b.md", "---\nneeds: [a]\nrun: 'true'\n---\n");
    killed(&harness, Going::start(harness.command(&["run", &a, &b])), &["a"]);
    let task = pid(&harness, "a");
    harness.gadugi(&["stop"]).expect(0).says(&["a: cancelled", "b: cancelled"]);
    assert!(!is_alive(&task));
    let outcomes = harness.outcomes();
    assert_eq!((outcomes["a"].as_str(), outcomes["b"].as_str()), ("cancelled", "cancelled"));
    harness.gadugi(&["resume"]).expect(130).says(&["it was stopped"]);
    assert!(harness.latest_run().join("report.md").exists());
}

#[test]
fn a_task_that_was_stopped_while_nobody_drove_its_run_is_recorded_as_cancelled_by_resume() {
    let harness = Harness::new();
    let (a, b) = (gated(&harness, "a", "true"), gated(&harness, "b", "true"));
    killed(&harness, Going::start(harness.command(&["run", &a, &b])), &["a", "b"]);
    harness.gadugi(&["stop", "a"]).expect(0).says(&["a: stopped"]);
    assert!(!is_alive(&pid(&harness, "a")) && is_alive(&pid(&harness, "b")));
    open(&harness, "b");
    harness.gadugi(&["resume"]).expect(1);
    let outcomes = harness.outcomes();
    assert_eq!((outcomes["a"].as_str(), outcomes["b"].as_str()), ("cancelled", "succeeded"));
}

#[test]
fn a_resumed_run_can_be_resumed_and_interrupted_again() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let mut resume = Going::start(harness.command(&["resume"]));
    resume.until("the process that drove the run ended");
    killed(&harness, resume, &["a"]);
    let mut resume = Going::start(harness.command(&["resume"]));
    resume.until("the process that drove the run ended");
    resume.signal(Signal::INT);
    resume.end().expect(130);
    assert!(!is_alive(&pid(&harness, "a")));
    assert_eq!(harness.outcomes()["a"], "cancelled");
}

#[test]
fn what_was_asked_of_a_driver_that_ended_is_not_asked_of_the_next_one() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    let run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    run.signal(Signal::STOP);
    harness.gadugi(&["stop"]).expect(1).says(&["is suspended"]);
    run.signal(Signal::KILL);
    drop(run.end());
    let mut resume = Going::start(harness.command(&["resume"]));
    resume.until("the process that drove the run ended");
    open(&harness, "a");
    resume.end().expect(0);
}
