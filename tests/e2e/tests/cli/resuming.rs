//! `gadugi resume`, and the end of runs that nobody drives.

use rustix::process::Signal;

use crate::hostile_tasks::is_alive;
use crate::stand::{Going, Stand};
use crate::waiting::{gated, gated_with, gone, killed, open, pid};

#[test]
fn resume_finishes_a_run_with_the_true_exit_codes_and_names_the_interruption() {
    let stand = Stand::new();
    let files = [
        gated(&stand, "ended", "exit 3"),
        gated(&stand, "runs", "echo made > made.txt"),
        stand.task("after.md", "---\nneeds: [runs]\nrun: test -e made.txt\n---\n"),
        stand.task("never.md", "---\nneeds: [ended]\nrun: 'true'\n---\n"),
    ];
    let run = Going::start(stand.command(&["run", &files[0], &files[1], &files[2], &files[3]]));
    killed(&stand, run, &["ended", "runs"]);
    let ps = stand.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("interrupted: nobody drives it") && ps.contains("gadugi resume"), "{ps}");
    let report = stand.gadugi(&["report"]).expect(0).out;
    assert!(report.contains("gadugi resume"), "{report}");
    open(&stand, "ended");
    gone(&pid(&stand, "ended"));
    let mut resume = Going::start(stand.command(&["resume"]));
    resume.until("the process that drove the run ended");
    open(&stand, "runs");
    let answer = resume.end().expect(1);
    assert!(answer.out.contains("the process that drove the run ended"), "{}", answer.out);
    let outcomes = stand.outcomes();
    let of = |task: &str| outcomes[task].clone();
    assert_eq!([of("ended"), of("runs"), of("after"), of("never")], ["failed", "succeeded", "succeeded", "skipped"]);
    let report = stand.report();
    let tasks = report["tasks"].as_array().expect("tasks");
    let ended = tasks.iter().find(|task| task["id"] == "ended").expect("the task");
    assert_eq!(ended["outcome"]["failure"], serde_json::json!({ "kind": "exit_code", "code": 3 }));
    assert!(tasks.iter().all(|task| task["attempts"].as_array().is_none_or(|attempts| attempts.len() <= 1)));
    stand.gadugi(&["resume"]).expect(1).says(&["is over", "report.md"]);
    stand.assert_sound();
}

#[test]
fn of_two_that_resume_a_run_at_once_one_does() {
    let stand = Stand::new();
    let file = gated(&stand, "a", "true");
    killed(&stand, Going::start(stand.command(&["run", &file])), &["a"]);
    let mut both = [0, 1].map(|_| Going::start(stand.command(&["resume"])));
    let loser = loop {
        if let Some(loser) = both.iter_mut().position(Going::has_ended) {
            break loser;
        }
        std::thread::yield_now();
    };
    let [first, second] = both;
    let (loser, winner) = if loser == 0 { (first, second) } else { (second, first) };
    loser.end().expect(4).says(&["held by process", "gadugi attach"]);
    stand.gadugi(&["resume"]).expect(4).says(&["held by process"]);
    open(&stand, "a");
    winner.end().expect(0);
}

#[test]
fn a_run_that_is_over_is_not_resumed() {
    let stand = Stand::new();
    stand.gadugi(&["run", &stand.script("a", "true")]).expect(0);
    let report = stand.latest_run().join("report.md");
    std::fs::remove_file(&report).expect("as after a crash right behind the end");
    stand.gadugi(&["resume"]).expect(0).says(&["is over", "report.md"]);
    assert!(report.exists());
    stand.gadugi(&["run", &stand.script("b", "false")]).expect(1);
    stand.gadugi(&["resume"]).expect(1).says(&["is over"]);
}

#[test]
fn secrets_are_brought_by_whoever_resumes() {
    let stand = Stand::new();
    let file = gated_with(&stand, "a", "secrets: [TOKEN]\nretries: 1\nretry_delay: 0s\n", "test \"$TOKEN\" = new");
    let mut run = stand.command(&["run", &file]);
    killed(
        &stand,
        Going::start({
            run.env("TOKEN", "old");
            run
        }),
        &["a"],
    );
    stand.gadugi(&["resume"]).expect(2).says(&["a: `TOKEN`"]);
    open(&stand, "a");
    let resumed = stand.command(&["resume"]).env("TOKEN", "new").output().expect("it starts");
    assert_eq!(resumed.status.code(), Some(0));
    assert_eq!(stand.report()["tasks"][0]["attempts"].as_array().map(Vec::len), Some(2));
}

#[test]
fn stop_ends_a_run_that_nobody_drives_with_everything_recorded() {
    let stand = Stand::new();
    let a = gated(&stand, "a", "true");
    let b = stand.task("b.md", "---\nneeds: [a]\nrun: 'true'\n---\n");
    killed(&stand, Going::start(stand.command(&["run", &a, &b])), &["a"]);
    let task = pid(&stand, "a");
    stand.gadugi(&["stop"]).expect(0).says(&["a: cancelled", "b: cancelled"]);
    assert!(!is_alive(&task));
    let outcomes = stand.outcomes();
    assert_eq!((outcomes["a"].as_str(), outcomes["b"].as_str()), ("cancelled", "cancelled"));
    stand.gadugi(&["resume"]).expect(130).says(&["it was stopped"]);
    assert!(stand.latest_run().join("report.md").exists());
}

#[test]
fn a_task_that_was_stopped_while_nobody_drove_its_run_is_recorded_as_cancelled_by_resume() {
    let stand = Stand::new();
    let (a, b) = (gated(&stand, "a", "true"), gated(&stand, "b", "true"));
    killed(&stand, Going::start(stand.command(&["run", &a, &b])), &["a", "b"]);
    stand.gadugi(&["stop", "a"]).expect(0).says(&["a: stopped"]);
    assert!(!is_alive(&pid(&stand, "a")) && is_alive(&pid(&stand, "b")));
    open(&stand, "b");
    stand.gadugi(&["resume"]).expect(1);
    let outcomes = stand.outcomes();
    assert_eq!((outcomes["a"].as_str(), outcomes["b"].as_str()), ("cancelled", "succeeded"));
}

#[test]
fn a_resumed_run_can_be_resumed_and_interrupted_again() {
    let stand = Stand::new();
    let file = gated(&stand, "a", "true");
    killed(&stand, Going::start(stand.command(&["run", &file])), &["a"]);
    let mut resume = Going::start(stand.command(&["resume"]));
    resume.until("the process that drove the run ended");
    killed(&stand, resume, &["a"]);
    let mut resume = Going::start(stand.command(&["resume"]));
    resume.until("the process that drove the run ended");
    resume.signal(Signal::INT);
    resume.end().expect(130);
    assert!(!is_alive(&pid(&stand, "a")));
    assert_eq!(stand.outcomes()["a"], "cancelled");
}

#[test]
fn what_was_asked_of_a_driver_that_ended_is_not_asked_of_the_next_one() {
    let stand = Stand::new();
    let file = gated(&stand, "a", "true");
    let run = Going::start(stand.command(&["run", &file]));
    pid(&stand, "a");
    run.signal(Signal::STOP);
    stand.gadugi(&["stop"]).expect(1).says(&["is suspended"]);
    run.signal(Signal::KILL);
    drop(run.end());
    let mut resume = Going::start(stand.command(&["resume"]));
    resume.until("the process that drove the run ended");
    open(&stand, "a");
    resume.end().expect(0);
}
