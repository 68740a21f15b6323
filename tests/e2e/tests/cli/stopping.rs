//! Ctrl-C and `gadugi stop`.

use rustix::process::Signal;

use crate::harness::{Going, Harness};
use crate::hostile_tasks::is_alive;
use crate::waiting::pid;

fn slow(harness: &Harness, name: &str) -> String {
    harness.script(name, &format!("echo half > half.txt\necho begun\necho $$ > ../../pid-{name}\nsleep 600"))
}

#[test]
fn ctrl_c_stops_all_keeps_the_work_and_exits_with_130() {
    let harness = Harness::new();
    let (a, b) = (slow(&harness, "a"), slow(&harness, "b"));
    let run = Going::start(harness.command(&["run", "-j1", &a, &b]));
    let task = pid(&harness, "a");
    run.signal(Signal::INT);
    let answer = run.end().expect(130);
    assert!(answer.out.contains("cancelled"), "{}", answer.out);
    assert!(!is_alive(&task));
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("a/half.txt")).expect("it stays"), "half\n");
    let outcomes = harness.outcomes();
    assert_eq!((outcomes["a"].as_str(), outcomes["b"].as_str()), ("cancelled", "cancelled"));
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_listen() {
    let harness = Harness::new();
    let file = harness.task(
        "deaf.md",
        "---\ngrace: 1h\nrun: |\n  trap '' TERM\n  echo $$ > ../../pid-deaf\n  while :; do sleep 0.05; done\n---\n",
    );
    let mut run = Going::start(harness.command(&["run", &file]));
    let task = pid(&harness, "deaf");
    run.signal(Signal::INT);
    run.until("once more kills");
    run.signal(Signal::INT);
    run.end().expect(130);
    assert!(!is_alive(&task));
}

/// Gives the repository a hook that git runs in each new worktree and that does not end.
fn endless_hook(harness: &Harness) {
    use std::os::unix::fs::PermissionsExt;
    let hook = harness.repo.path().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    let pid = harness.repo.root().join("pid-hook");
    std::fs::write(&hook, format!("#!/bin/sh\necho $$ > '{}'\nsleep 600\n", pid.display())).expect("a hook");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn ctrl_c_ends_also_a_worktree_whose_hook_does_not_end() {
    let harness = Harness::new();
    endless_hook(&harness);
    let run = Going::start(harness.command(&["run", &harness.script("a", "true")]));
    let hook = pid(&harness, "hook");
    run.signal(Signal::INT);
    run.end().expect(130);
    assert!(!is_alive(&hook));
    assert!(!harness.worktrees().exists());
}

#[test]
fn a_hook_that_does_not_end_fails_its_task_when_the_time_for_worktrees_is_up() {
    let harness = Harness::new();
    endless_hook(&harness);
    harness.repo.write("gadugi.toml", "worktree_timeout = \"500ms\"\n");
    let answer = harness.gadugi(&["run", &harness.script("a", "true")]).expect(1);
    assert!(answer.out.contains("took longer than 500ms"), "{}", answer.out);
    assert!(!is_alive(&pid(&harness, "hook")));
}

#[test]
fn a_third_ctrl_c_leaves_a_run_that_waits_to_give_a_worktree_back() {
    let harness = Harness::new();
    let file = harness.script("a", "echo $$ > ../../pid-a\nwhile [ ! -e ../../gate ]; do sleep 0.02; done");
    let mut run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    let lock = std::fs::File::open(harness.repo.path().join(".git/gadugi/lock")).expect("a lock");
    lock.lock().expect("no worktree is being made");
    std::fs::write(harness.repo.root().join("gate"), "").expect("the gate opens");
    run.until("succeeded");
    for _ in 0..3 {
        run.signal(Signal::INT);
        // Signals that come together are heard as one.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    run.end().expect(130);
}

#[test]
fn a_lost_terminal_leaves_the_tasks_running() {
    let harness = Harness::new();
    let gate = harness.repo.root().join("gate");
    let file = harness
        .script("a", &format!("echo $$ > ../../pid-a\nwhile [ ! -e '{}' ]; do sleep 0.02; done", gate.display()));
    let run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    run.signal(Signal::HUP);
    std::fs::write(&gate, "").expect("the gate opens");
    run.end().expect(0);
}

#[test]
fn stop_from_another_terminal_stops_one_task_or_the_run() {
    let harness = Harness::new();
    let (a, b) = (slow(&harness, "a"), slow(&harness, "b"));
    let run = Going::start(harness.command(&["run", &a, &b]));
    let (first, second) = (pid(&harness, "a"), pid(&harness, "b"));
    harness.gadugi(&["stop", "c"]).expect(2).says(&["`c`"]);
    harness.gadugi(&["stop", "a"]).expect(0);
    assert!(!is_alive(&first), "stop returns when the task is over");
    assert!(is_alive(&second));
    harness.gadugi(&["stop"]).expect(0);
    assert!(!is_alive(&second));
    run.end().expect(130);
    harness.gadugi(&["stop"]).expect(0).says(&["is over"]);
}

#[test]
fn after_a_kill_of_gadugi_ps_says_that_nobody_drives_the_run_and_stop_ends_it() {
    let harness = Harness::new();
    let file = slow(&harness, "a");
    let run = Going::start(harness.command(&["run", &file]));
    let task = pid(&harness, "a");
    // Its start is in the journal a moment after it.
    while !harness.gadugi(&["ps"]).expect(0).out.contains("pid ") {}
    run.signal(Signal::KILL);
    drop(run.end());
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("nobody drives it") && ps.contains("running"), "{ps}");
    harness.gadugi(&["clean"]);
    assert!(harness.worktrees().join("a/half.txt").exists(), "a worktree in use stays");
    harness.gadugi(&["stop"]).expect(0);
    assert!(!is_alive(&task));
    harness.gadugi(&["ps"]).expect(0).says(&["nothing is going on"]);
    assert_eq!(harness.outcomes()["a"], "cancelled");
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("a/half.txt")).expect("it stays"), "half\n");
}

#[test]
fn stop_says_so_when_the_driver_is_suspended() {
    let harness = Harness::new();
    let file = slow(&harness, "a");
    let run = Going::start(harness.command(&["run", &file]));
    let task = pid(&harness, "a");
    run.signal(Signal::STOP);
    harness.gadugi(&["stop"]).expect(1).says(&["is suspended", "-CONT"]);
    assert!(is_alive(&task));
    run.signal(Signal::CONT);
    run.end().expect(130);
    assert!(!is_alive(&task), "the request was left for the driver");
}

#[test]
fn times_of_a_run_that_nobody_drives_stand_still() {
    let harness = Harness::new();
    let file = slow(&harness, "a");
    let run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    while !harness.gadugi(&["ps"]).expect(0).out.contains("pid ") {}
    run.signal(Signal::KILL);
    drop(run.end());
    harness.gadugi(&["stop", "--now", "a"]).expect(0).says(&["a: stopped", "gadugi resume"]);
    let json: serde_json::Value = serde_json::from_str(&harness.gadugi(&["ps", "--json"]).expect(0).out).expect("JSON");
    let task = &json[0]["tasks"][0];
    assert_eq!((task["state"].as_str(), task["command_seconds"].as_f64()), (Some("ended unseen"), None));
}
