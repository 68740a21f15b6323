//! `gadugi clean` of runs that somebody may still need.

use rustix::process::Signal;

use crate::hostile_tasks::is_alive;
use crate::stand::{Going, Stand};
use crate::waiting::{gated, gone, killed, open, pid};

/// A run whose driver has died between the start of its task and the record of that start.
fn unrecorded(stand: &Stand) -> String {
    let file = gated(stand, "a", "echo done > f.txt");
    let run = stand.command(&["run", &file]).env("GADUGI_CRASH_AT", "command-started").output().expect("it starts");
    assert_eq!(run.status.code(), None, "{}", String::from_utf8_lossy(&run.stderr));
    pid(stand, "a")
}

#[test]
fn a_command_whose_start_nobody_recorded_is_seen_kept_and_stopped() {
    let stand = Stand::new();
    let task = unrecorded(&stand);
    for args in [&["clean"][..], &["clean", "--discard"]] {
        stand.gadugi(args).expect(1).says(&["is not over", "gadugi resume", "gadugi stop"]);
    }
    stand.gadugi(&["clean", "--all", "--discard"]).expect(0).says(&["is not over", "left alone"]);
    assert!(stand.worktrees().join("a").exists());
    let ps = stand.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("a     running") && ps.contains("pid "), "{ps}");
    let mut attach = Going::start(stand.command(&["attach"]));
    attach.until("its tasks go on (a: pid ");
    attach.signal(Signal::INT);
    attach.end().expect(130);
    let mut logs = Going::start(stand.command(&["logs", "-f", "a"]));
    logs.until("nobody drives run");
    assert!(is_alive(&task));
    stand.gadugi(&["stop", "--now", "a"]).expect(0).says(&["a: stopped"]);
    gone(&task);
    logs.end().expect(0).says(&["does not run"]);
}

#[test]
fn a_garbled_journal_does_not_take_the_worktree_from_a_running_command() {
    let stand = Stand::new();
    let file = gated(&stand, "a", "echo done > f.txt");
    killed(&stand, Going::start(stand.command(&["run", &file])), &["a"]);
    std::fs::write(stand.latest_run().join("journal.jsonl"), "garbage\n").expect("it can be written");
    stand.gadugi(&["clean"]).expect(1);
    stand.gadugi(&["clean", "--all", "--discard"]).expect(0);
    let ps = stand.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("running") && ps.contains("pid "), "{ps}");
    open(&stand, "a");
    gone(&pid(&stand, "a"));
    assert_eq!(std::fs::read_to_string(stand.worktrees().join("a/f.txt")).expect("it is there"), "done\n");
}
