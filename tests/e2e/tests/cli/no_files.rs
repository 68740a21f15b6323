//! Pipes, links to endless devices and folders in the place of Gadugi's files and of git's files of a worktree. Nothing is
//! waited for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Answer, Harness};

/// Longer than any of these commands takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The files of a run with the finished attempt `a` and the task `b` that has not begun.
const OF_RUN: [&str; 13] = [
    "run.json",
    "run.copy.json",
    "journal.jsonl",
    "lock",
    "owner.json",
    "ballast",
    "requests",
    "report.md",
    "driver.log",
    "tasks/a/1/intent.json",
    "tasks/a/1/proc.json",
    "tasks/a/1/exit.json",
    "tasks/a/1/output.log",
];

/// The files that all runs share, below the git folder.
const OF_REPOSITORY: [&str; 4] = ["gadugi/lock", "gadugi/sweep", "gadugi/making", "gadugi/locks"];

/// Git's own files of the worktree of `a`.
const OF_WORKTREE: [&str; 8] = ["gitdir", "commondir", "HEAD", "index", "gadugi", "locked", "config.worktree", "logs"];

/// Puts something else in the place of a file. Files that git itself would fail on are left out.
fn put(path: &Path, kind: &str) {
    remove(path);
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo starts").success()),
        "endless" => symlink("/dev/zero", path).expect("a link"),
        _ => fs::create_dir(path).expect("a folder"),
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("it goes");
    } else {
        // Most are there.
        fs::remove_file(path).ok();
    }
}

/// A run whose driver was killed when `a` had ended.
fn interrupted() -> Harness {
    let harness = Harness::new();
    let (a, b) = (harness.script("a", "echo made > made"), harness.script("b", "true"));
    let mut command = harness.command(&["run", "-j1", &a, &b]);
    let answer: Answer = command.env("GADUGI_CRASH_AT", "attempt-ended").output().expect("it starts").into();
    assert_eq!(answer.code, None, "it was killed: {}", answer.err);
    harness
}

/// The answer of a command; `None` when it did not end.
fn bounded(harness: &Harness, args: &[&str]) -> Option<Answer> {
    let mut command = harness.command(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gadugi starts");
    let pid = Pid::from_child(&child);
    let (sender, ended) = mpsc::channel();
    let waiting = std::thread::spawn(move || sender.send(child.wait_with_output().expect("it ends")));
    let answer = ended.recv_timeout(LIMIT).ok().map(Answer::from);
    if answer.is_none() {
        kill_process(pid, Signal::KILL).expect("it runs");
    }
    drop(waiting.join().expect("no panic"));
    answer
}

/// Puts something in the place of a file of that run, and asks all commands.
fn attack(file: &dyn Fn(&Harness) -> PathBuf, kind: &str, ending: &str) -> Vec<String> {
    let harness = interrupted();
    let path = file(&harness);
    put(&path, kind);
    let mut wrong = Vec::new();
    let commands: [&[&str]; 7] = [
        &["ps", "--all"],
        &["logs", "a"],
        &["logs", "-n", "3", "a"],
        &["report"],
        &["attach"],
        &["clean", "--all", "--dry-run"],
        &[ending],
    ];
    for args in commands {
        let what = format!("`{}` with a {kind} as {}", args.join(" "), path.display());
        match bounded(&harness, args) {
            None => wrong.push(format!("{what} does not end")),
            Some(answer) if answer.code.is_none_or(|code| code > 4) || answer.err.contains("panicked") => {
                wrong.push(format!("{what}: {:?} {}", answer.code, answer.err));
            }
            Some(answer) if args == ["resume"] && answer.code == Some(0) => {
                let is_there = harness.repo.git(&["ls-tree", "--name-only", "gadugi/a"]).contains("made");
                if !is_there || harness.outcomes().values().any(|outcome| outcome != "succeeded") {
                    wrong.push(format!("{what} succeeds falsely: {}", answer.err));
                }
            }
            Some(_) => {}
        }
    }
    // What looks after failed tests reads some of these files.
    remove(&path);
    wrong
}

fn attack_all(files: &[&str], below: impl Fn(&Harness) -> PathBuf, kinds: &[&str]) {
    let mut wrong = Vec::new();
    for (n, name) in files.iter().enumerate() {
        let ending = if n % 4 == 3 { "stop" } else { "resume" };
        // A pipe everywhere, and one of the others.
        for kind in [kinds[0], kinds[1 + n % (kinds.len() - 1)]] {
            wrong.extend(attack(&|harness| below(harness).join(name), kind, ending));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_waits_for_a_pipe_or_a_device_in_the_place_of_a_file_of_a_run() {
    attack_all(&OF_RUN, Harness::latest_run, &["pipe", "endless", "folder"]);
}

#[test]
fn nothing_waits_for_a_pipe_or_a_device_in_the_place_of_a_file_that_all_runs_share() {
    attack_all(&OF_REPOSITORY, |harness| harness.repo.path().join(".git"), &["pipe", "endless", "folder"]);
}

#[test]
fn nothing_waits_for_a_pipe_or_a_device_in_the_place_of_a_file_of_git_for_a_worktree() {
    attack_all(&OF_WORKTREE, |harness| harness.repo.path().join(".git/worktrees/a"), &["pipe", "endless"]);
}

#[test]
fn a_hole_in_a_log_is_neither_printed_nor_waited_for() {
    let harness = Harness::new();
    let file = harness.script("a", "echo first; echo second");
    harness.gadugi(&["run", &file]).expect(0);
    let log = harness.latest_run().join("tasks/a/1/output.log");
    let mut options = fs::OpenOptions::new();
    let hole = options.write(true).open(&log).expect("a log");
    hole.set_len(6 << 30).expect("it takes no room");
    let whole = bounded(&harness, &["logs", "a"]).expect("it ends").expect(0);
    assert_eq!(whole.out, "first\nsecond\n");
    whole.says(&["bytes of the log are a hole"]);
    let last = bounded(&harness, &["logs", "-n", "1", "a"]).expect("it ends").expect(0);
    assert_eq!(last.out, "second\n");
    bounded(&harness, &["report"]).expect("it ends").expect(0);
}
