//! Readers of gadugi's output, and readers that stop reading.

use std::fs::File;
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::{Answer, Going, Harness};

#[test]
fn a_reader_that_does_not_read_holds_up_neither_the_tasks_nor_ctrl_c() {
    let harness = Harness::new();
    for n in 0..120 {
        harness.task(&format!("t{n}.md"), "---\ncommand: ['true']\n---\n");
    }
    let folder = harness.repo.root().join("tasks");
    let run = Going::start(harness.command(&["run", "--json", "-j8", folder.to_str().expect("UTF-8")]));
    // Its events are more than a pipe takes, and nobody reads them; the run ends all the same.
    while !harness.gadugi(&["ps", "--all"]).expect(0).out.contains("succeeded  120/120 tasks") {}
    run.signal(Signal::INT);
    assert_eq!(run.end().code, Some(130));
}

#[test]
fn a_report_that_cannot_be_printed_changes_nothing_of_how_the_tasks_ended() {
    let harness = Harness::new();
    let (good, bad) = (harness.script("good", "true"), harness.script("bad", "exit 1"));
    for (file, code) in [(&good, 0), (&bad, 1)] {
        let full = File::options().write(true).open("/dev/full").expect("it can be opened");
        let mut run = harness.command(&["run", file]);
        let answer: Answer = run.stdout(full).stderr(Stdio::piped()).output().expect("it starts").into();
        answer.expect(code).says(&["cannot write to the standard output"]);
    }
    assert_eq!(harness.outcomes()["bad"], "failed");
}

#[test]
fn what_comes_from_a_task_cannot_control_the_terminal() {
    let harness = Harness::new();
    let file = harness.task("t.md", "---\ncommand: [\"no\\u001b]0;owned\\u0007such\\nthing\"]\n---\n");
    let answer = harness.gadugi(&["run", &file]).expect(1);
    assert!(!answer.err.contains('\u{1b}') && !answer.out.contains('\u{1b}'), "{:?}", answer.err);
    let file = harness.task("u.md", "---\nneeds: [\"a\\u001b[31mb\"]\nrun: 'true'\n---\n");
    let answer = harness.gadugi(&["run", &file]).expect(2);
    assert!(!answer.err.contains('\u{1b}'), "{:?}", answer.err);
}

#[test]
fn a_reader_that_does_not_read_does_not_hold_attach() {
    let harness = Harness::new();
    for n in 0..120 {
        harness.task(&format!("t{n}.md"), "---\ncommand: ['true']\n---\n");
    }
    let folder = harness.repo.root().join("tasks");
    harness.gadugi(&["run", "-q", "-j8", folder.to_str().expect("UTF-8")]).expect(0);
    let mut attach = Going::start(harness.command(&["attach", "--json"]));
    // It listens from before it prints, and what it prints is more than a pipe takes.
    attach.next_line();
    attach.signal(Signal::INT);
    while !attach.has_ended() {
        std::thread::yield_now();
    }
    assert_eq!(attach.end().code, Some(130));
}
