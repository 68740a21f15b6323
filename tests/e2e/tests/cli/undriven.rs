//! Runs without a driver, among others and when they are stopped.

use std::fs::File;

use rustix::process::Signal;

use crate::harness::{Going, Harness};
use crate::waiting::{gated, gone, killed, open, pid};

#[test]
fn tasks_that_are_stopped_while_nobody_drives_the_run_are_not_started_by_the_next_driver() {
    let harness = Harness::new();
    let (a, b, c) = (gated(&harness, "a", "true"), harness.script("b", "true"), harness.script("c", "true"));
    killed(&harness, Going::start(harness.command(&["run", "-j1", &a, &b, &c])), &["a"]);
    harness.gadugi(&["stop", "b"]).expect(0).says(&["b: does not run", "gadugi resume"]);
    open(&harness, "a");
    harness.gadugi(&["resume"]).expect(1);
    let outcomes = harness.outcomes();
    assert_eq!(["a", "b", "c"].map(|task| outcomes[task].as_str()), ["succeeded", "cancelled", "succeeded"]);
}

#[test]
fn a_run_that_nobody_drives_is_stopped_also_while_the_repository_is_busy() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let lock = File::open(harness.repo.path().join(".git/gadugi/lock")).expect("it stays");
    lock.lock().expect("nobody holds it");
    let stop = Going::start(harness.command(&["stop", "--now"]));
    gone(&pid(&harness, "a"));
    lock.unlock().expect("it is ours");
    stop.end().expect(0);
    assert_eq!(harness.outcomes()["a"], "cancelled");
}

#[test]
fn an_older_run_that_is_not_over_is_shown_and_resumed_without_its_name() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let old = harness.latest_run().file_name().and_then(|name| name.to_str()).expect("an id").to_owned();
    open(&harness, "a");
    gone(&pid(&harness, "a"));
    harness.gadugi(&["run", &harness.script("b", "true")]).expect(0);
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains(&old), "{ps}");
    harness.gadugi(&["attach"]).expect(1).says(&["is the latest that is not over"]);
    harness.gadugi(&["resume"]).expect(0).says(&[&old, "is the latest that is not over"]);
    harness.gadugi(&["ps"]).expect(0).says(&["nothing is going on"]);
}

#[test]
fn a_stop_whose_driver_dies_meanwhile_says_what_can_be_done() {
    let harness = Harness::new();
    let file = crate::waiting::gated_with(&harness, "a", "grace: 1h\n", "true");
    let file = {
        std::fs::write(
            &file,
            std::fs::read_to_string(&file).expect("it is there").replace("  echo $$", "  trap '' TERM\n  echo $$"),
        )
        .expect("it can be written");
        file
    };
    let mut run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    let stop = Going::start(harness.command(&["stop", "a"]));
    run.until("asked to stop");
    run.signal(Signal::KILL);
    drop(run.end());
    stop.end().expect(1).says(&["a: not over", "gadugi stop", "gadugi resume"]);
    harness.gadugi(&["stop", "--now"]).expect(0);
    gone(&pid(&harness, "a"));
}

#[test]
fn the_last_lines_of_a_log_are_those_of_the_command_and_its_check_together() {
    let harness = Harness::new();
    let file = harness.task("a.md", "---\nrun: printf '1\\n2\\n3\\n'\ncheck: printf '4\\n5\\n'\n---\n# a\n");
    harness.gadugi(&["run", &file]).expect(0);
    assert_eq!(harness.gadugi(&["logs", "-n", "1", "a"]).expect(0).out, "5\n");
    assert_eq!(harness.gadugi(&["logs", "-n", "3", "a"]).expect(0).out, "3\n4\n5\n");
}

#[test]
fn a_run_can_be_resumed_from_within_a_worktree_of_it_that_is_given_back_meanwhile() {
    let harness = Harness::new();
    let first = gated(&harness, "a", "true");
    let second = harness.task("b.md", "---\nneeds: [a]\nrun: touch made-by-b\n---\n");
    killed(&harness, Going::start(harness.command(&["run", &first, &second])), &["a"]);
    let resume = Going::start(harness.command_in(&harness.worktrees().join("a"), &["resume"]));
    open(&harness, "a");
    resume.end().expect(0);
    assert!(!harness.worktrees().join("a").exists(), "it was given back");
    assert_eq!(harness.outcomes()["b"], "succeeded");
}

/// Runs a task in a PID namespace of its own, as a container has, and ends that with all that is in it; `None` where this
/// process may not make one.
#[cfg(target_os = "linux")]
fn run_in_a_namespace_that_goes(harness: &Harness) -> Option<()> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let file = gated(harness, "a", "true");
    let gadugi = harness.command(&["run", &file]);
    let mut inside = std::process::Command::new("unshare");
    inside.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(gadugi.get_program()).args(gadugi.get_args());
    inside.current_dir(harness.repo.path()).env_clear();
    inside.envs(gadugi.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = Going::start(inside);
    pid(harness, "a");
    // A start is in the journal a moment after it.
    let started =
        || harness.gadugi(&["logs", "a"]).code == Some(0) && harness.latest_run().join("tasks/a/1/proc.json").exists();
    while !started() {}
    run.signal(Signal::KILL);
    drop(run.end());
    Some(())
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_pid_namespace_has_run_that_is_gone_is_lost_and_the_run_goes_on() {
    let harness = Harness::new();
    if run_in_a_namespace_that_goes(&harness).is_none() {
        return;
    }
    harness.gadugi(&["resume"]).expect(1);
    let outcome = harness.report()["tasks"][0]["outcome"].clone();
    assert_eq!(outcome["kind"], "lost", "{outcome}");
    assert!(outcome["why"].as_str().is_some_and(|why| why.contains("namespace")), "{outcome}");
    harness.gadugi(&["clean", "--discard", "--wait"]).expect(0);
    assert!(!harness.worktrees().join("a").exists(), "it could be removed");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_judged_from_another_pid_namespace_can_be_given_up() {
    let harness = Harness::new();
    if run_in_a_namespace_that_goes(&harness).is_none() {
        return;
    }
    // From within another namespace nobody can see what the first one has, or had.
    let elsewhere = |args: &[&str]| -> crate::harness::Answer {
        let gadugi = harness.command(args);
        let mut inside = std::process::Command::new("unshare");
        inside.args(["--pid", "--fork", "--mount-proc"]).arg(gadugi.get_program()).args(gadugi.get_args());
        inside.current_dir(harness.repo.path()).env_clear();
        inside.envs(gadugi.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.output().expect("unshare starts").into()
    };
    elsewhere(&["resume"]).expect(4).says(&["another PID namespace", "gadugi stop --forget"]);
    elsewhere(&["stop", "--now"]).expect(1).says(&["another PID namespace"]);
    elsewhere(&["stop", "--forget", "a"]).expect(2).says(&["whole run"]);
    elsewhere(&["stop", "--forget"]).expect(0).says(&["warning: a: given up", "is not known", "a: lost"]);
    assert_eq!(harness.outcomes()["a"], "lost");
    assert!(harness.worktrees().join("a").exists(), "it stays: something may still write there");
    // Nor does gadugi know from there whether the task's control group is in use.
    let record = std::fs::read(harness.latest_run().join("tasks/a/1/proc.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
    if let Some(group) = record["cgroup"]["path"].as_str() {
        std::fs::remove_dir(group).expect("nothing runs in it");
    }
}
