//! Ctrl-C and `gadugi stop` of tasks in containers, and those that go on without a terminal.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::dock::{Dock, until};
use super::slow_daemon::SlowDaemon;
use crate::harness::Going;

/// The work of a task until it is stopped.
const HALF: &str = "echo half > half.txt\necho begun\n: > .signs/half";

fn slow(dock: &Dock, name: &str) -> String {
    dock.signed(name, "", &format!("{HALF}\nsleep 600"))
}

/// One that does not listen.
fn deaf(dock: &Dock, name: &str) -> String {
    dock.signed(name, "grace: 1h\n", &format!("trap '' TERM\n{HALF}\nwhile :; do sleep 0.05; done"))
}

fn half_made(dock: &Dock, task: &str) {
    let sign = dock.worktrees().join(task).join(".signs/half");
    until("a task is half done", || sign.exists());
}

#[track_caller]
fn assert_stopped(dock: &Dock, tasks: &[&str]) {
    dock.assert_clean();
    for task in tasks {
        assert_eq!(std::fs::read_to_string(dock.worktrees().join(task).join("half.txt")).expect("it stays"), "half\n");
        assert_eq!(dock.outcomes()[*task], "cancelled", "{task}");
    }
}

#[test]
fn ctrl_c_stops_containers_and_keeps_the_work() {
    let Some(dock) = Dock::new() else { return };
    let run = Going::start(dock.command(&["run", &slow(&dock, "a"), &slow(&dock, "b")]));
    half_made(&dock, "a");
    half_made(&dock, "b");
    run.signal(Signal::INT);
    run.end().expect(130);
    assert_stopped(&dock, &["a", "b"]);
}

#[test]
fn a_second_ctrl_c_kills_a_container_that_does_not_listen() {
    let Some(dock) = Dock::new() else { return };
    let mut run = Going::start(dock.command(&["run", &deaf(&dock, "a")]));
    half_made(&dock, "a");
    until("its start is recorded", || dock.gadugi(&["ps"]).expect(0).out.contains("container "));
    run.signal(Signal::INT);
    run.until("once more kills");
    run.signal(Signal::INT);
    run.end().expect(130);
    assert_stopped(&dock, &["a"]);
}

#[test]
fn a_container_that_is_just_being_started_is_not_left_by_a_second_ctrl_c() {
    let Some(dock) = Dock::new() else { return };
    let daemon = SlowDaemon::at(dock.repo.root().join("slow.sock"));
    let mut command = dock.command(&["run", &deaf(&dock, "a")]);
    command.env("DOCKER_HOST", format!("unix://{}", daemon.socket.display()));
    let mut run = Going::start(command);
    until("the daemon is asked", || daemon.is_asked());
    half_made(&dock, "a");
    run.signal(Signal::INT);
    run.until("once more kills");
    run.signal(Signal::INT);
    // The daemon answers when the start was given up, or is still waited for.
    let asked = Instant::now();
    while !run.has_ended() && asked.elapsed() < Duration::from_secs(1) {
        std::thread::yield_now();
    }
    daemon.let_go();
    run.end().expect(130);
    assert_eq!(dock.outcomes()["a"], "cancelled");
    assert_eq!(dock.containers(), Vec::<String>::new(), "what was cancelled goes on");
    dock.assert_clean();
}

#[test]
fn a_container_whose_time_is_up_before_its_start_is_known_is_not_left() {
    let Some(dock) = Dock::new() else { return };
    let daemon = SlowDaemon::at(dock.repo.root().join("slow.sock"));
    let mut command = dock.command(&["run", &dock.signed("a", "timeout: 1s\n", "sleep 600")]);
    command.env("DOCKER_HOST", format!("unix://{}", daemon.socket.display()));
    let mut run = Going::start(command);
    until("the daemon is asked", || daemon.is_asked());
    dock.begun("a");
    let asked = Instant::now();
    while !run.has_ended() && asked.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    daemon.let_go();
    run.end().expect(1);
    assert_eq!(dock.outcomes()["a"], "timed_out");
    assert_eq!(dock.containers(), Vec::<String>::new(), "what has timed out goes on");
    dock.assert_clean();
}

#[test]
fn stop_ends_one_container_or_all_of_a_run() {
    let Some(dock) = Dock::new() else { return };
    let run = Going::start(dock.command(&["run", &slow(&dock, "a"), &slow(&dock, "b")]));
    half_made(&dock, "a");
    half_made(&dock, "b");
    dock.gadugi(&["stop", "a"]).expect(0);
    assert_eq!(dock.containers().len(), 1, "stop returns when the task is over");
    dock.gadugi(&["stop"]).expect(0);
    run.end().expect(130);
    assert_stopped(&dock, &["a", "b"]);
}

#[test]
fn stop_ends_containers_of_a_run_that_nobody_drives() {
    let Some(dock) = Dock::new() else { return };
    let files = [slow(&dock, "a"), deaf(&dock, "b"), dock.scripted("c", "needs: [a]\n", "true")];
    dock.killed(Going::start(dock.command(&["run", &files[0], &files[1], &files[2]])), &["a", "b"]);
    half_made(&dock, "a");
    half_made(&dock, "b");
    dock.gadugi(&["clean", "--all", "--discard"]).expect(0).says(&["is not over", "left alone"]);
    assert_eq!(dock.containers().len(), 2, "what nobody drives is nobody's to clean");
    dock.gadugi(&["stop", "--now", "a"]).expect(0).says(&["a: stopped", "gadugi resume"]);
    dock.gadugi(&["stop", "--now"]).expect(0).says(&["a: cancelled", "b: cancelled", "c: cancelled"]);
    assert_stopped(&dock, &["a", "b"]);
    dock.gadugi(&["resume"]).expect(130).says(&["it was stopped"]);
}

#[test]
fn a_run_in_containers_goes_on_in_the_background_and_can_be_looked_at() {
    let Some(dock) = Dock::new() else { return };
    let file = dock.gated("a", "", "echo 'and on'");
    let answer = dock.gadugi(&["run", "--detach", &file]).expect(0).says(&["gadugi attach"]);
    dock.begun("a");
    let mut attach = Going::start(dock.command(&["attach", answer.out.trim_end()]));
    attach.until("started");
    let mut logs = Going::start(dock.command(&["logs", "-f", "a"]));
    dock.open("a");
    assert_eq!(logs.next_line(), "and on\n");
    logs.end().expect(0);
    attach.end().expect(0);
    assert_eq!(dock.outcomes()["a"], "succeeded");
    dock.assert_clean();
}

#[test]
fn containers_stand_still_while_gadugi_is_suspended() {
    let Some(dock) = Dock::new() else { return };
    let run = Going::start(dock.command(&["run", &dock.gated("a", "", "true")]));
    dock.begun("a");
    let container = dock.containers().remove(0);
    let state = || dock.docker.run(&["inspect", "--format", "{{.State.Status}}", &container]);
    run.signal(Signal::TSTP);
    until("it stands still", || state() == "paused");
    run.signal(Signal::CONT);
    until("it goes on", || state() == "running");
    dock.open("a");
    run.end().expect(0);
    let kinds = dock.of_run("journal.jsonl");
    assert!(kinds.contains("run_suspended") && kinds.contains("run_continued"), "{kinds}");
    dock.assert_clean();
}
