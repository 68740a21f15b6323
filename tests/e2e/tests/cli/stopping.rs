//! Ctrl-C and `gadugi stop`.

use rustix::process::Signal;

use crate::hostile_tasks::is_alive;
use crate::stand::{Going, Stand};
use crate::waiting::pid;

fn slow(stand: &Stand, name: &str) -> String {
    stand.script(name, &format!("echo $$ > ../../pid-{name}\necho half > half.txt\necho begun\nsleep 600"))
}

#[test]
fn ctrl_c_stops_all_keeps_the_work_and_exits_with_130() {
    let stand = Stand::new();
    let (a, b) = (slow(&stand, "a"), slow(&stand, "b"));
    let run = Going::start(stand.command(&["run", "-j1", &a, &b]));
    let task = pid(&stand, "a");
    run.signal(Signal::INT);
    let answer = run.end().expect(130);
    assert!(answer.out.contains("cancelled"), "{}", answer.out);
    assert!(!is_alive(&task));
    assert_eq!(std::fs::read_to_string(stand.worktrees().join("a/half.txt")).expect("it stays"), "half\n");
    let outcomes = stand.outcomes();
    assert_eq!((outcomes["a"].as_str(), outcomes["b"].as_str()), ("cancelled", "cancelled"));
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_listen() {
    let stand = Stand::new();
    let file = stand.task(
        "deaf.md",
        "---\ngrace: 1h\nrun: |\n  trap '' TERM\n  echo $$ > ../../pid-deaf\n  while :; do sleep 0.05; done\n---\n",
    );
    let mut run = Going::start(stand.command(&["run", &file]));
    let task = pid(&stand, "deaf");
    run.signal(Signal::INT);
    run.until("once more kills");
    run.signal(Signal::INT);
    run.end().expect(130);
    assert!(!is_alive(&task));
}

/// Gives the repository a hook that git runs in each new worktree and that does not end.
fn endless_hook(stand: &Stand) {
    use std::os::unix::fs::PermissionsExt;
    let hook = stand.repo.path().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    let pid = stand.repo.root().join("pid-hook");
    std::fs::write(&hook, format!("#!/bin/sh\necho $$ > '{}'\nsleep 600\n", pid.display())).expect("a hook");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn ctrl_c_ends_also_a_worktree_whose_hook_does_not_end() {
    let stand = Stand::new();
    endless_hook(&stand);
    let run = Going::start(stand.command(&["run", &stand.script("a", "true")]));
    let hook = pid(&stand, "hook");
    run.signal(Signal::INT);
    run.end().expect(130);
    assert!(!is_alive(&hook));
    assert!(!stand.worktrees().exists());
}

#[test]
fn a_hook_that_does_not_end_fails_its_task_when_the_time_for_worktrees_is_up() {
    let stand = Stand::new();
    endless_hook(&stand);
    stand.repo.write("gadugi.toml", "worktree_timeout = \"500ms\"\n");
    let answer = stand.gadugi(&["run", &stand.script("a", "true")]).expect(1);
    assert!(answer.out.contains("took longer than 500ms"), "{}", answer.out);
    assert!(!is_alive(&pid(&stand, "hook")));
}

#[test]
fn a_third_ctrl_c_leaves_a_run_that_waits_to_give_a_worktree_back() {
    let stand = Stand::new();
    let file = stand.script("a", "echo $$ > ../../pid-a\nwhile [ ! -e ../../gate ]; do sleep 0.02; done");
    let mut run = Going::start(stand.command(&["run", &file]));
    pid(&stand, "a");
    let lock = std::fs::File::open(stand.repo.path().join(".git/gadugi/lock")).expect("a lock");
    lock.lock().expect("no worktree is being made");
    std::fs::write(stand.repo.root().join("gate"), "").expect("the gate opens");
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
    let stand = Stand::new();
    let gate = stand.repo.root().join("gate");
    let file =
        stand.script("a", &format!("echo $$ > ../../pid-a\nwhile [ ! -e '{}' ]; do sleep 0.02; done", gate.display()));
    let run = Going::start(stand.command(&["run", &file]));
    pid(&stand, "a");
    run.signal(Signal::HUP);
    std::fs::write(&gate, "").expect("the gate opens");
    run.end().expect(0);
}

#[test]
fn stop_from_another_terminal_stops_one_task_or_the_run() {
    let stand = Stand::new();
    let (a, b) = (slow(&stand, "a"), slow(&stand, "b"));
    let run = Going::start(stand.command(&["run", &a, &b]));
    let (first, second) = (pid(&stand, "a"), pid(&stand, "b"));
    stand.gadugi(&["stop", "c"]).expect(2).says(&["`c`"]);
    stand.gadugi(&["stop", "a"]).expect(0);
    assert!(!is_alive(&first), "stop returns when the task is over");
    assert!(is_alive(&second));
    stand.gadugi(&["stop"]).expect(0);
    assert!(!is_alive(&second));
    run.end().expect(130);
    stand.gadugi(&["stop"]).expect(0).says(&["is over"]);
}

#[test]
fn after_a_kill_of_gadugi_ps_says_that_nobody_drives_the_run_and_stop_ends_it() {
    let stand = Stand::new();
    let file = slow(&stand, "a");
    let run = Going::start(stand.command(&["run", &file]));
    let task = pid(&stand, "a");
    // Its start is in the journal a moment after it.
    while !stand.gadugi(&["ps"]).expect(0).out.contains("pid ") {}
    run.signal(Signal::KILL);
    drop(run.end());
    let ps = stand.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("nobody drives it") && ps.contains("running"), "{ps}");
    stand.gadugi(&["clean"]);
    assert!(stand.worktrees().join("a/half.txt").exists(), "a worktree in use stays");
    stand.gadugi(&["stop"]).expect(0);
    assert!(!is_alive(&task));
    stand.gadugi(&["ps"]).expect(0).says(&["nothing is going on"]);
    assert_eq!(stand.outcomes()["a"], "cancelled");
    assert_eq!(std::fs::read_to_string(stand.worktrees().join("a/half.txt")).expect("it stays"), "half\n");
}

#[test]
fn stop_says_so_when_the_driver_is_suspended() {
    let stand = Stand::new();
    let file = slow(&stand, "a");
    let run = Going::start(stand.command(&["run", &file]));
    let task = pid(&stand, "a");
    run.signal(Signal::STOP);
    stand.gadugi(&["stop"]).expect(1).says(&["is suspended", "-CONT"]);
    assert!(is_alive(&task));
    run.signal(Signal::CONT);
    run.end().expect(130);
    assert!(!is_alive(&task), "the request was left for the driver");
}

#[test]
fn times_of_a_run_that_nobody_drives_stand_still() {
    let stand = Stand::new();
    let file = slow(&stand, "a");
    let run = Going::start(stand.command(&["run", &file]));
    pid(&stand, "a");
    while !stand.gadugi(&["ps"]).expect(0).out.contains("pid ") {}
    run.signal(Signal::KILL);
    drop(run.end());
    stand.gadugi(&["stop", "--now", "a"]).expect(0).says(&["a: stopped", "gadugi resume"]);
    let json: serde_json::Value = serde_json::from_str(&stand.gadugi(&["ps", "--json"]).expect(0).out).expect("JSON");
    let task = &json[0]["tasks"][0];
    assert_eq!((task["state"].as_str(), task["command_seconds"].as_f64()), (Some("ended unseen"), None));
}
