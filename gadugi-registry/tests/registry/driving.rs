//! The driver of a run, and the view of readers meanwhile.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gadugi_core::registry::{RegistryError, RunLog};
use gadugi_core::{Event, EventKind, Outcome, Registry};
use gadugi_registry::{FsRegistry, MemoryRegistry};
use tempfile::TempDir;

use crate::sample::{
    CHILD_STATE, Story, attempt, child_state, every_outcome, keep, let_go, load, simple_header, start_of_time, write,
};

fn fresh() -> (TempDir, FsRegistry) {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    (folder, registry)
}

#[tokio::test]
async fn a_run_is_driven_as_long_as_its_log_lives() {
    let (_folder, registry) = fresh();
    let header = simple_header('1', 1);
    let log = registry.create(&header).await.expect("a new run");
    assert!(registry.load(&header.run).await.expect("a run").driven);
    assert!(registry.list().await.expect("runs")[0].driven);
    drop(log);
    let_go(&registry, &header.run).await;
    assert!(!registry.list().await.expect("runs")[0].driven);
}

#[tokio::test]
async fn a_second_run_of_one_id_is_refused_with_the_name_of_its_holder() {
    let (_folder, registry) = fresh();
    let header = simple_header('2', 1);
    let log = registry.create(&header).await.expect("a new run");
    let Err(RegistryError::Held { run, holder }) = registry.create(&header).await else { panic!("it must be refused") };
    assert_eq!(run, header.run);
    assert!(holder.starts_with(&format!("process {}", std::process::id())), "{holder}");
    drop(log);
    let Err(RegistryError::Held { holder, .. }) = registry.create(&header).await else { panic!("it must be refused") };
    assert_eq!(holder, "an earlier run of that id");
}

#[tokio::test]
async fn of_many_that_create_one_run_at_once_one_wins() {
    let (_folder, registry) = fresh();
    let header = simple_header('3', 1);
    let tries = (0..32).map(|_| {
        let (registry, header) = (registry.clone(), header.clone());
        tokio::spawn(async move { registry.create(&header).await })
    });
    let mut winners = Vec::new();
    for each in tries.collect::<Vec<_>>() {
        match each.await.expect("no panic") {
            Ok(log) => winners.push(log),
            Err(error) => assert!(matches!(error, RegistryError::Held { .. }), "{error}"),
        }
    }
    assert_eq!(winners.len(), 1);
}
#[tokio::test]
async fn a_command_started_meanwhile_does_not_hold_the_run() {
    let (_folder, registry) = fresh();
    let header = simple_header('4', 1);
    let log = registry.create(&header).await.expect("a new run");
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
    drop(log);
    let_go(&registry, &header.run).await;
    drop(child.stdin.take());
    child.wait().expect("its end");
}

/// Run by the next test in a process of its own, which that kills.
#[tokio::test]
#[ignore = "only makes sense in the process that the next test starts"]
async fn in_a_process_that_is_killed() {
    let Some(state) = child_state() else { return };
    let registry = FsRegistry::new(state);
    let mut log = registry.create(&simple_header('k', 1)).await.expect("a new run");
    for seq in 1.. {
        log.note(&Event { seq, at: start_of_time(), kind: EventKind::RunStarted }).await.expect("it is kept");
        println!("kept {seq}");
    }
}

/// A process that drives a run in this folder until it is killed.
fn driver_in_a_process(folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "driving::in_a_process_that_is_killed", "--ignored", "--nocapture", "--quiet"])
        .env(CHILD_STATE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again")
}
#[tokio::test]
async fn what_a_killed_driver_had_confirmed_is_found_and_nobody_drives_its_run() {
    let (folder, registry) = fresh();
    let run = simple_header('k', 1).run;
    let mut child = driver_in_a_process(folder.path());
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut kept = |wanted: u64| {
        let seen = lines.by_ref().map_while(Result::ok).filter_map(|line| line.strip_prefix("kept ")?.parse().ok());
        seen.take_while(|seq| *seq <= wanted).last()
    };
    assert_eq!(kept(100), Some(100));
    assert!(registry.load(&run).await.expect("a run").driven);
    assert_eq!(registry.owner(&run).expect("readable").expect("the child").pid, child.id());
    child.kill().expect("it runs");
    child.wait().expect("its end");
    let last = kept(u64::MAX).unwrap_or(101);
    let history = load(&registry, &run).await.expect("a run");
    assert_eq!((history.driven, history.damage), (false, Vec::new()));
    assert!(history.events.len() as u64 >= last, "{} of {last}", history.events.len());
    assert_eq!(registry.owner(&run).expect("readable"), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_whose_lock_was_deleted_is_not_driven_by_a_second_process() {
    let (folder, registry) = fresh();
    let run = simple_header('k', 1).run;
    let mut child = driver_in_a_process(folder.path());
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("kept ")));
    // It goes on to print.
    let reader = thread::spawn(move || lines.map_while(Result::ok).count());
    let lock = registry.run_folder(&run).join("lock");
    let take = || fs::remove_file(&lock).expect("it goes");
    let put = || fs::write(&lock, "").expect("another one");
    let deeds: [&dyn Fn(); 2] = [&take, &put];
    let mut seen = Vec::new();
    for deed in deeds {
        deed();
        let resumed = registry.resume(&run).await.map(|_| ());
        let owner = registry.owner(&run).expect("readable").map(|owner| owner.pid);
        assert!(registry.hold(&run).expect("readable").is_none());
        seen.push((resumed, registry.load(&run).await.expect("a run").driven, owner));
    }
    child.kill().expect("it runs");
    child.wait().expect("its end");
    reader.join().expect("no panic");
    for (resumed, driven, owner) in seen {
        let Err(RegistryError::Held { holder, .. }) = resumed else { panic!("it must be refused: {resumed:?}") };
        assert!(holder.starts_with(&format!("process {}", child.id())), "{holder}");
        assert_eq!((driven, owner), (true, Some(child.id())));
    }
    registry.resume(&run).await.expect("its driver has ended");
}
#[tokio::test]
async fn a_driver_whose_lock_was_deleted_or_replaced_starts_nothing_more_and_keeps_what_ends() {
    for (replaced, what) in [(false, "removed"), (true, "replaced")] {
        let (_folder, registry) = fresh();
        let header = simple_header('l', 2);
        let mut story = Story::new(header.run.clone());
        let (first, second) = (attempt("t1", 1), attempt("t2", 1));
        story.then(EventKind::RunStarted).intent(&first);
        story.over(&first, Outcome::Cancelled).intent(&second);
        let mut log = registry.create(&header).await.expect("a new run");
        let (intent, before) = story.events.split_last().expect("events");
        let (end, before) = before.split_last().expect("events");
        for event in before {
            keep(&mut log, event).await;
        }
        let lock = registry.run_folder(&header.run).join("lock");
        // The new one is there first, so that it cannot be the same file.
        fs::write(lock.with_file_name("another"), "").expect("a file");
        match replaced {
            true => fs::rename(lock.with_file_name("another"), &lock).expect("it takes its place"),
            false => fs::remove_file(&lock).expect("it goes"),
        }
        log.ended(end).await.expect("it is kept");
        let error = log.intent(intent).await.expect_err("nothing is started");
        let RegistryError::Write { path, source } = &error else { panic!("{error}") };
        assert_eq!(*path, lock);
        assert!(source.to_string().starts_with(&format!("the lock was {what}")), "{source}");
        assert!(!log.attempt_folder(&second).exists());
        drop(log);
        assert_eq!(load(&registry, &header.run).await.expect("a run").events, story.events);
    }
}

#[tokio::test]
async fn the_owner_is_known_while_it_drives() {
    let (_folder, registry) = fresh();
    let header = simple_header('5', 1);
    let log = registry.create(&header).await.expect("a new run");
    let owner = registry.owner(&header.run).expect("readable").expect("this process");
    assert_eq!((owner.pid, owner.version.as_str()), (std::process::id(), env!("CARGO_PKG_VERSION")));
    drop(log);
    assert_eq!(registry.owner(&header.run).expect("readable"), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_process_of_the_same_number_is_not_taken_for_the_owner() {
    let (_folder, registry) = fresh();
    let header = simple_header('6', 1);
    let _log = registry.create(&header).await.expect("a new run");
    let path = registry.run_folder(&header.run).join("owner.json");
    let owner = registry.owner(&header.run).expect("readable").expect("this process");
    let ticks = owner.start_ticks.expect("Linux tells");
    let json = fs::read_to_string(&path).expect("an owner");
    fs::write(&path, json.replace(&ticks.to_string(), &(ticks - 1).to_string())).expect("another start");
    assert_eq!(registry.owner(&header.run).expect("readable"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_the_writer_see_a_beginning_of_what_it_writes() {
    let (_folder, registry) = fresh();
    let (header, story) = every_outcome();
    let mut log = registry.create(&header).await.expect("a new run");
    let done = AtomicBool::new(false);
    let event = |seq: u64| Event { seq, ..story[seq as usize % story.len()].clone() };
    let tickets: Vec<_> = (1..=3000).map(|seq| log.note(&event(seq))).collect();
    let followed = thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut follower = registry.follow(&header.run);
            let mut seen = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                let news = follower.next_events().expect("sound lines");
                let is_all = news.is_empty();
                seen.extend(news);
                if last && is_all {
                    return seen;
                }
            }
        });
        let loader = scope.spawn(|| {
            let mut lengths = Vec::new();
            while !done.load(Ordering::SeqCst) {
                // The same events come again and again, so they are no run.
                let events = registry.events(&header.run).expect("a run");
                assert!(events.iter().enumerate().all(|(n, event)| event.seq == n as u64 + 1));
                lengths.push(events.len());
            }
            assert!(lengths.is_sorted());
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let kept = scope.spawn(move || tickets.into_iter().all(|ticket| runtime.block_on(ticket).is_ok()));
        let kept = kept.join();
        done.store(true, Ordering::SeqCst);
        assert!(kept.expect("no panic"));
        loader.join().expect("no panic");
        follower.join().expect("no panic")
    });
    assert_eq!(followed, (1..=3000).map(event).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_follower_gives_a_line_only_when_it_is_whole() {
    let (_folder, registry) = fresh();
    let (header, events) = every_outcome();
    write(&registry, &header, &events[..3]).await;
    let path = registry.run_folder(&header.run).join("journal.jsonl");
    let bytes = fs::read(&path).expect("a journal");
    let mut follower = registry.follow(&header.run);
    let mut seen = Vec::new();
    for length in 0..=bytes.len() {
        fs::write(&path, &bytes[..length]).expect("a journal that grows");
        let more = follower.next_events().expect("sound lines");
        assert!(more.is_empty() || bytes[length - 1] == b'\n');
        seen.extend(more);
    }
    assert_eq!(seen, events[..3]);
}

#[tokio::test]
async fn a_follower_tells_of_a_damaged_line_once_and_goes_on_behind_it() {
    let (_folder, registry) = fresh();
    let (header, events) = every_outcome();
    write(&registry, &header, &events[..3]).await;
    let path = registry.run_folder(&header.run).join("journal.jsonl");
    let mut bytes = fs::read(&path).expect("a journal");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("a damaged journal");
    let mut follower = registry.follow(&header.run);
    assert_eq!(follower.next_events().expect("the line before"), events[..1]);
    let error = follower.next_events().expect_err("the damage");
    assert!(
        error.to_string().ends_with("is damaged: line 2 of journal.jsonl is damaged: its checksum is wrong"),
        "{error}"
    );
    assert_eq!(follower.next_events().expect("the line behind"), events[2..3]);
}

#[tokio::test]
async fn dropping_a_log_writes_what_was_handed_to_it() {
    let (_folder, registry) = fresh();
    let header = simple_header('7', 1);
    let mut log = registry.create(&header).await.expect("a new run");
    for seq in 1..=500 {
        drop(log.note(&Event { seq, at: start_of_time(), kind: EventKind::RunStarted }));
    }
    drop(log);
    assert_eq!(load(&registry, &header.run).await.expect("a run").events.len(), 500);
}

#[tokio::test]
async fn an_attempt_has_its_folder_when_its_intent_is_kept() {
    let (_folder, registry) = fresh();
    let files = tempfile::tempdir().expect("a folder");
    let memory = MemoryRegistry::new(files.path().join("attempts"));
    let header = simple_header('8', 1);
    let registries: [&dyn Registry; 2] = [&registry, &memory];
    for registry in registries {
        let mut log: Box<dyn RunLog> = registry.create(&header).await.expect("a new run");
        let attempt = attempt("t1", 1);
        let folder = log.attempt_folder(&attempt);
        assert!(!folder.exists());
        let kind = EventKind::AttemptIntended { attempt, executor: "fake".into() };
        keep(&mut log, &Event { seq: 1, at: start_of_time(), kind }).await;
        assert!(folder.is_dir());
    }
}

#[tokio::test]
async fn the_memory_remembers_as_the_disk_does() {
    let (_folder, disk) = fresh();
    let files = tempfile::tempdir().expect("a folder");
    let memory = MemoryRegistry::new(files.path());
    let (header, events) = every_outcome();
    write(&disk, &header, &events).await;
    write(&memory, &header, &events).await;
    assert_eq!(memory.load(&header.run).await.expect("a run"), disk.load(&header.run).await.expect("a run"));
    assert_eq!(memory.list().await.expect("runs"), disk.list().await.expect("runs"));
    assert!(matches!(memory.create(&header).await.err(), Some(RegistryError::Held { .. })));
    let other = simple_header('9', 1).run;
    for registry in [&disk as &dyn Registry, &memory] {
        let error = registry.load(&other).await.expect_err("no such run");
        assert!(matches!(error, RegistryError::NoSuchRun { .. }), "{error}");
    }
}
