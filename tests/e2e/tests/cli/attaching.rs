//! `gadugi attach` and `--detach`.

use rustix::process::Signal;

use crate::harness::{Going, Harness};
use crate::hostile_tasks::is_alive;
use crate::waiting::{gated, killed, open, pid};

#[test]
fn attach_shows_a_run_leaves_it_alone_and_ends_with_it() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "exit 1");
    let run = Going::start(harness.command(&["run", &file]));
    let task = pid(&harness, "a");
    let mut attach = Going::start(harness.command(&["attach"]));
    attach.until("started");
    attach.signal(Signal::INT);
    attach.end().expect(130).says(&["goes on", "gadugi stop"]);
    assert!(is_alive(&task));
    let mut attach = Going::start(harness.command(&["attach"]));
    attach.until("started");
    open(&harness, "a");
    let answer = attach.end().expect(1).says(&["exit code 1"]);
    assert_eq!(answer.out, run.end().expect(1).out, "both print the same report");
    let over = harness.gadugi(&["attach"]).expect(1);
    assert_eq!(over.out, answer.out);
    assert_eq!(over.err, "");
}

#[test]
fn attach_gives_every_event_to_programs() {
    let harness = Harness::new();
    let ran = harness.gadugi(&["run", "--json", &harness.script("a", "true")]).expect(0);
    assert_eq!(harness.gadugi(&["attach", "--json"]).expect(0).out, ran.out);
}

#[test]
fn attach_says_that_nobody_drives_a_run_and_goes_on_with_it() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let mut attach = Going::start(harness.command(&["attach"]));
    attach.until("nobody drives run");
    let resume = Going::start(harness.command(&["resume"]));
    attach.until("resumed");
    open(&harness, "a");
    resume.end().expect(0);
    attach.end().expect(0);
}

#[test]
fn attach_ends_when_nothing_of_a_run_runs_that_nobody_drives() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let mut attach = Going::start(harness.command(&["attach"]));
    let mut logs = Going::start(harness.command(&["logs", "-f", "a"]));
    attach.until("nobody drives run");
    logs.until("nobody drives run");
    open(&harness, "a");
    attach.end().expect(1).says(&["nothing of it runs", "gadugi resume"]);
    logs.end().expect(0).says(&["a is not over and does not run"]);
    harness.gadugi(&["resume"]).expect(0);
}

#[test]
fn detach_gives_the_id_of_a_run_that_goes_on_without_a_terminal() {
    let harness = Harness::new();
    harness.repo.write("gadugi.toml", "env = ['GADUGI_*']\n");
    let file = gated(&harness, "a", "env | grep BACKGROUND || echo unseen");
    let answer = harness.gadugi(&["run", "--detach", &file]).expect(0).says(&["1 task", "gadugi attach"]);
    let run = answer.out.trim_end();
    assert_eq!(harness.latest_run().file_name().and_then(|name| name.to_str()), Some(run));
    let task = pid(&harness, "a");
    assert!(harness.gadugi(&["ps"]).expect(0).out.contains("running"));
    assert!(is_alive(&task));
    let attach = Going::start(harness.command(&["attach", run]));
    open(&harness, "a");
    attach.end().expect(0);
    assert_eq!(harness.gadugi(&["logs", "a"]).expect(0).out, "unseen\n");
    let log = std::fs::read_to_string(harness.latest_run().join("driver.log")).expect("what it has said");
    assert!(log.contains("succeeded"), "{log}");
}

#[test]
fn detach_fails_in_the_foreground_as_run_does() {
    let harness = Harness::new();
    harness.gadugi(&["run", "--detach", "nothing.md"]).expect(2).says(&["error:", "nothing.md"]);
    harness.gadugi(&["run", "--detach", "--executor", "docker", "-t", "x"]).expect(2);
    let file = harness.script("a", "true");
    harness.gadugi(&["run", "--detach", "--executor", "docker", &file]).expect(3).says(&["docker"]);
    harness.gadugi(&["run", "--detach", "--json", &file]).expect(2);
    harness.gadugi(&["resume", "--detach"]).expect(2).says(&["gadugi run"]);
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists(), "nothing was begun");
    harness.gadugi(&["run", &file]).expect(0);
    harness.gadugi(&["resume", "--detach"]).expect(0).says(&["is over"]);
}

#[test]
fn detach_reads_tasks_from_the_standard_input() {
    let harness = Harness::new();
    harness.gadugi_reading(&["run", "--detach", "-"], b"---\nid: a\nrun: 'true'\n---\n").expect(0);
    harness.gadugi(&["attach"]).expect(0);
    assert_eq!(harness.outcomes()["a"], "succeeded");
}

#[test]
fn resume_can_go_on_in_the_background() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let answer = harness.gadugi(&["resume", "--detach"]).expect(0).says(&["resumed", "gadugi attach"]);
    harness.gadugi(&["resume", "--detach", answer.out.trim_end()]).expect(4).says(&["held by process"]);
    let attach = Going::start(harness.command(&["attach"]));
    open(&harness, "a");
    attach.end().expect(0);
}
