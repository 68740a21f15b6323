//! Journals that are long.

use std::fs;
use std::process::Command;

use gadugi_core::{Event, EventKind, Registry};
use gadugi_registry::FsRegistry;

use crate::sample::{CHILD_STATE, child_state, let_go, simple_header, start_of_time};

const EVENTS: u64 = 100_000;

/// Run by the next test in a process of its own.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "only makes sense in the process that the next test starts"]
async fn in_a_process_that_reads() {
    let Some(state) = child_state() else { return };
    let registry = FsRegistry::new(&state);
    let run = simple_header('1', 1).run;
    assert_eq!(registry.load(&run).await.expect("a run").last, EVENTS);
    registry.earlier_durations(None).expect("runs");
    let mut follower = registry.follow(&run);
    while !follower.next_events().expect("sound lines").is_empty() {}
    let (history, log) = registry.resume(&run).await.expect("it is taken over");
    assert_eq!(history.last, EVENTS);
    drop(log);
    let status = fs::read_to_string("/proc/self/status").expect("of this process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    fs::write(state.join("peak"), peak.expect("a peak")).expect("a small file");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_length_of_a_journal_costs_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let header = simple_header('1', 1);
    let mut log = registry.create(&header).await.expect("a new run");
    for seq in 1..=EVENTS {
        // Of these the record keeps nothing.
        let kind = EventKind::StopRequested { tasks: Vec::new(), now: false };
        drop(log.note(&Event { seq, at: start_of_time(), kind }));
    }
    drop(log);
    let_go(&registry, &header.run).await;
    let journal = registry.run_folder(&header.run).join("journal.jsonl");
    assert!(fs::metadata(&journal).expect("a journal").len() > 9 << 20);
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "large::in_a_process_that_reads", "--ignored", "--quiet"])
        .env(CHILD_STATE, folder.path())
        .status();
    assert!(status.expect("this program again").success());
    let peak = fs::read_to_string(folder.path().join("peak")).expect("a figure");
    let peak: u64 = peak.parse().expect("kibibytes");
    // The program itself takes half of that.
    assert!(peak < 32 << 10, "{peak} KiB");
}
