//! Merges as the registry keeps them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::merge::{
    Candidate, Check, Link, MergeEnd, MergeEvent, MergeEventKind, MergeHeader, MergeLog as _, MergeRecord,
    MergeSettings, Regenerate, Strategy, Trial, TrialResult,
};
use gadugi_core::registry::RegistryError;
use gadugi_core::{CommitId, MergeId, TaskId, TreeId};
use gadugi_registry::FsRegistry;
use gadugi_registry::format::merge_event_to_json;
use gadugi_registry::render::not_merged;
use jiff::Timestamp;

fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().expect("an id")
}

fn tree(digit: char) -> TreeId {
    digit.to_string().repeat(40).parse().expect("an id")
}

fn task(name: &str) -> TaskId {
    name.parse().expect("an id")
}

fn header() -> MergeHeader {
    let candidate = |name: &str, needs: &[usize]| Candidate {
        task: task(name),
        link: Link {
            name: name.to_owned(),
            title: format!("The task\u{202e} {name}"),
            run: "20261122-083355-k7q".parse().expect("an id"),
            tip: commit('1'),
            base: commit('2'),
        },
        needs: needs.to_vec(),
    };
    MergeHeader {
        merge: MergeId::new(Timestamp::now()),
        created: Timestamp::now(),
        run: "20261122-083355-k7q".parse().expect("an id"),
        target: "main".parse().expect("a branch"),
        settings: MergeSettings {
            strategy: Strategy::Squash,
            jobs: NonZeroUsize::MIN,
            check: Some(Check { script: "cargo test\n".to_owned(), key: "0c9fb6e1".to_owned() }),
            resolve: Some("claude".to_owned()),
            regenerate: vec![Regenerate { pattern: "Cargo.lock".to_owned(), script: "cargo check".to_owned() }],
        },
        candidates: vec![candidate("a", &[]), candidate("b", &[0])],
    }
}

/// An event of each kind, in an order that a merge may have.
fn events() -> Vec<MergeEvent> {
    let run = || "20261122-083355-k7q".parse().expect("an id");
    let trial = || Trial { commit: commit('3'), tree: tree('4'), tasks: vec![task("a"), task("b")] };
    let ended = |result, run| MergeEventKind::TrialEnded {
        trial: trial(),
        result,
        why: "exit code 1".to_owned(),
        took: Some(Duration::from_millis(2500)),
        run,
    };
    let ends = [
        MergeEnd::Landed,
        MergeEnd::Kept { branch: "gadugi/merged/x".parse().expect("a branch") },
        MergeEnd::UpToDate,
        MergeEnd::Nothing,
        MergeEnd::BaselineRed,
        MergeEnd::Environment { why: "exit code 127".to_owned() },
        MergeEnd::GaveUp,
        MergeEnd::TargetMoved,
        MergeEnd::TargetGone,
        MergeEnd::Cancelled,
        MergeEnd::Abandoned,
    ];
    let mut kinds = vec![
        MergeEventKind::TargetSeen { tip: commit('5') },
        MergeEventKind::ConflictFound { task: task("b"), with: vec![task("a")], files: vec!["src/ü.rs".to_owned()] },
        MergeEventKind::TrialsStarted { run: run(), trials: vec![trial(), trial()] },
        ended(Some(TrialResult::Red), Some(run())),
        ended(None, Some(run())),
        ended(Some(TrialResult::Green), None),
        ended(Some(TrialResult::Environment), None),
        MergeEventKind::Resumed,
        MergeEventKind::Contained { task: task("a") },
        MergeEventKind::Blamed { tasks: vec![task("a"), task("b")] },
        MergeEventKind::WorkStarted { run: run(), task: Some(task("b")) },
        MergeEventKind::WorkEnded { run: run(), task: Some(task("b")), tip: Some(commit('6')), why: String::new() },
        MergeEventKind::LandingIntended { old: commit('5'), new: commit('7'), tasks: vec![task("a")] },
        MergeEventKind::TargetMoved { now: None },
        MergeEventKind::LandingBlocked {
            worktree: PathBuf::from("/work"),
            reason: "it would be overwritten".to_owned(),
            files: vec!["README.md".to_owned()],
            kept: "gadugi/merged/x".parse().expect("a branch"),
        },
        MergeEventKind::Landed { new: commit('7'), followed: vec![PathBuf::from("/work")] },
    ];
    kinds.extend(ends.into_iter().map(|end| MergeEventKind::Ended { end, wall: Some(Duration::from_secs(3)) }));
    let number =
        |(at, kind)| MergeEvent { seq: at as u64 + 1, at: "2026-11-22T08:33:55Z".parse().expect("a time"), kind };
    kinds.into_iter().enumerate().map(number).collect()
}

#[test]
fn a_merge_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let header = header();
    let mut log = registry.create_merge(&header).expect("a merge");
    for event in events() {
        log.write(&event).expect("it is written");
    }
    let history = registry.load_merge(&header.merge).expect("it is read");
    assert!(history.driven && history.damage.is_empty());
    assert_eq!(history.record, MergeRecord::fold(header.clone(), &events()));
    assert!(matches!(registry.resume_merge(&header.merge), Err(RegistryError::MergeHeld { .. })));
    drop(log);
    assert!(!registry.load_merge(&header.merge).expect("it is read").driven);
    assert_eq!(registry.merges().expect("a list"), [header.merge]);
}

#[test]
fn a_line_that_was_being_written_is_left_out_and_a_damaged_one_ends_what_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let header = header();
    let mut log = registry.create_merge(&header).expect("a merge");
    let events = events();
    for event in &events[..4] {
        log.write(event).expect("it is written");
    }
    drop(log);
    let path = registry.merge_folder(&header.merge).join("journal.jsonl");
    let sound = std::fs::read(&path).expect("a journal");
    let mut journal = OpenOptions::new().append(true).open(&path).expect("a journal");
    journal.write_all(b"{\"v\":2,\"seq\":5,\"at\"").expect("a torn line");
    let (history, mut log) = registry.resume_merge(&header.merge).expect("it is resumed");
    assert!(history.damage.is_empty());
    assert_eq!((history.record.last, std::fs::read(&path).expect("a journal")), (4, sound.clone()));
    log.write(&events[4]).expect("it is written");
    drop(log);
    let mut damaged = std::fs::read(&path).expect("a journal");
    let second = damaged.iter().position(|byte| *byte == b'\n').expect("a line") + 40;
    damaged[second] ^= 1;
    std::fs::write(&path, &damaged).expect("damage");
    let (history, _log) = registry.resume_merge(&header.merge).expect("it is resumed");
    assert_eq!((history.record.last, history.damage.len()), (1, 1));
    let kept = registry.merge_folder(&header.merge).join("journal.damaged.jsonl");
    assert_eq!(std::fs::read(kept).expect("a copy"), damaged);
}

#[test]
fn a_check_is_kept_for_its_tree_and_its_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = FsRegistry::new(folder.path()).create_merge(&header()).expect("a merge");
    log.keep_check(&tree('4'), "0c9fb6e1").expect("it is kept");
    assert_eq!(log.kept_check(&tree('4'), "0c9fb6e1"), Some(TrialResult::Green));
    assert_eq!(log.kept_check(&tree('4'), "0c9fb6e2"), None);
    assert_eq!(log.kept_check(&tree('5'), "0c9fb6e1"), None);
}

#[test]
fn a_program_reads_an_event_without_its_checksum() {
    let json = merge_event_to_json(&events()[1]).expect("an event");
    insta::assert_snapshot!(json, @r#"{"v":2,"seq":2,"at":"2026-11-22T08:33:55Z","kind":"conflict_found","task":"b","with":["a"],"files":["src/ü.rs"]}"#);
}

#[test]
fn of_two_that_conflict_the_one_that_was_left_out_has_the_reason() {
    let conflict =
        MergeEventKind::ConflictFound { task: task("b"), with: vec![task("a")], files: vec!["f".to_owned()] };
    let record_of = |landed: &str| {
        let kinds = [
            conflict.clone(),
            MergeEventKind::LandingIntended { old: commit('5'), new: commit('7'), tasks: vec![task(landed)] },
            MergeEventKind::Landed { new: commit('7'), followed: Vec::new() },
        ];
        let events: Vec<MergeEvent> =
            (1..).zip(kinds).map(|(seq, kind)| MergeEvent { seq, at: Timestamp::UNIX_EPOCH, kind }).collect();
        MergeRecord::fold(header(), &events)
    };
    assert_eq!(not_merged(&record_of("a"), &task("b")), "conflicts with a in f");
    assert_eq!(not_merged(&record_of("b"), &task("a")), "conflicts with b in f");
}
