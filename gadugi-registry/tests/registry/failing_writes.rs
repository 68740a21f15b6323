//! Disks that are full, files that may not grow, folders that cannot be written.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use gadugi_core::registry::{RegistryError, RunLog};
use gadugi_core::run::WarningKind;
use gadugi_core::{Event, EventKind, Phase, Registry};
use gadugi_registry::FsRegistry;
use tempfile::TempDir;

use crate::sample::{
    CHILD_STATE, Story, attempt, child_state, keep, let_go, load, resume, simple_header, start_of_time,
};

/// A small file system in memory, taken away again at the end.
struct Tmpfs(TempDir);

impl Tmpfs {
    /// `None`, with a line that says so, where this process may not mount one.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                eprintln!("skipped: this process cannot mount a tmpfs");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        assert!(succeeds(mount.arg("-o").arg(format!("remount,{options}")).arg(self.path())), "it cannot be remounted");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        assert!(succeeds(Command::new("umount").arg(self.path())) || std::thread::panicking());
    }
}

/// Whether a command succeeds within some seconds. A process that another test starts at this moment has a copy
/// of every descriptor between its fork and its exec, and keeps a file system busy for that moment.
fn succeeds(command: &mut Command) -> bool {
    for _ in 0..500 {
        if command.status().expect("it can be started").success() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    false
}

fn big(seq: u64) -> Event {
    let message = "x".repeat(2000);
    let kind = EventKind::Warning { kind: WarningKind::Stop, task: None, message };
    Event { seq, at: start_of_time(), kind }
}

/// Writes until a write fails; gives the number of events that were kept, and the error.
async fn fill(log: &mut dyn RunLog) -> (u64, RegistryError) {
    for seq in 1.. {
        if let Err(error) = log.note(&big(seq)).await {
            return (seq - 1, error);
        }
    }
    unreachable!("a write fails before the numbers end")
}

fn write_error(error: &RegistryError) -> io::ErrorKind {
    match error {
        RegistryError::Write { source, .. } => source.kind(),
        other => panic!("{other}"),
    }
}

fn intent(seq: u64, task: &str) -> Event {
    let kind = EventKind::AttemptIntended { attempt: attempt(task, 1), executor: "fake".into() };
    Event { seq, at: start_of_time(), kind }
}

#[tokio::test]
async fn on_a_full_disk_nothing_new_begins_and_the_ends_of_what_runs_are_kept() {
    let Some(disk) = Tmpfs::new("size=512k") else { return };
    let registry = FsRegistry::new(disk.path());
    let header = simple_header('1', 7);
    let mut log = registry.create(&header).await.expect("a new run");
    let ballast = registry.run_folder(&header.run).join("ballast");
    assert_eq!(fs::metadata(&ballast).expect("a ballast").len(), 256 * 1024);
    let first = attempt("t1", 1);
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted).intent(&first).worktree(&first).started(&first, Phase::Main);
    for event in &story.events {
        keep(&mut log, event).await;
    }
    // Something else fills the disk.
    let mut other = fs::File::create(disk.path().join("other")).expect("a file");
    let full = std::iter::repeat_with(|| other.write_all(&[0; 4096])).find_map(Result::err).expect("the disk is full");
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    let mut told = Vec::new();
    for seq in 5..=60 {
        let event = if seq % 10 == 0 { intent(seq, &format!("t{}", seq / 10 + 1)) } else { big(seq) };
        let ticket = if seq % 10 == 0 { log.intent(&event) } else { log.note(&event) };
        told.push((event, ticket.await));
    }
    assert!(!ballast.exists());
    let (intents, notes): (Vec<_>, Vec<_>) = told.into_iter().partition(|(event, _)| event.seq % 10 == 0);
    assert!(notes.iter().all(|(_, told)| told.is_ok()), "{notes:?}");
    for (_, told) in intents {
        assert_eq!(write_error(&told.expect_err("nothing new begins")), io::ErrorKind::StorageFull);
    }
    let history = load(&registry, &header.run).await.expect("the run is readable");
    assert!(history.events.iter().map(|event| event.seq).eq(1..=60));
    drop(log);
    drop(other);

    // There is room again.
    fs::remove_file(disk.path().join("other")).expect("it was there");
    let_go(&registry, &header.run).await;
    let (_, mut log) = registry.resume(&header.run).await.expect("it is taken over");
    assert!(ballast.exists());
    log.note(&big(61)).await.expect("there is room");
    drop(log);
    assert!(!ballast.exists());
}

#[tokio::test]
async fn a_run_can_be_taken_over_on_a_full_disk_when_its_driver_was_killed() {
    let Some(disk) = Tmpfs::new("size=512k") else { return };
    let registry = FsRegistry::new(disk.path());
    let header = simple_header('2', 2);
    drop(registry.create(&header).await.expect("a new run"));
    let_go(&registry, &header.run).await;
    let folder = registry.run_folder(&header.run);
    // As a killed driver leaves it.
    fs::write(folder.join("ballast"), vec![0; 256 * 1024]).expect("a ballast");
    let mut other = fs::File::create(disk.path().join("other")).expect("a file");
    std::iter::repeat_with(|| other.write_all(&[0; 4096])).find_map(Result::err).expect("the disk is full");
    let (_, mut log) = registry.resume(&header.run).await.expect("it is taken over");
    assert_eq!(registry.owner(&header.run).expect("readable").expect("this process").pid, std::process::id());
    for seq in 1..20 {
        log.note(&big(seq)).await.expect("there is room");
    }
    assert!(!folder.join("ballast").exists());
    drop(other);
}

#[tokio::test]
async fn on_a_disk_that_fills_at_any_moment_all_that_was_confirmed_is_found() {
    fill_disks_of((272..=672).step_by(20)).await;
}

/// Makes a run on disks of these sizes in KiB, until they are full.
async fn fill_disks_of(sizes: impl Iterator<Item = u32>) {
    let mut filled = 0;
    for size in sizes {
        let Some(disk) = Tmpfs::new(&format!("size={size}k")) else { return };
        let registry = FsRegistry::new(disk.path());
        let header = simple_header('3', 40);
        let mut log = match registry.create(&header).await {
            Ok(log) => log,
            Err(error) => {
                assert_eq!(write_error(&error), io::ErrorKind::StorageFull, "with {size} KiB: {error}");
                assert_eq!(registry.list().await.expect("readable"), [], "with {size} KiB");
                continue;
            }
        };
        let mut confirmed = Vec::new();
        for seq in 1..=240 {
            let (event, ticket) = match seq % 6 {
                1 => {
                    let event = intent(seq, &format!("t{}", seq / 6 + 1));
                    (event.clone(), log.intent(&event))
                }
                _ => (big(seq), log.note(&big(seq))),
            };
            match ticket.await {
                Ok(()) => confirmed.push(event),
                Err(error) => assert_eq!(write_error(&error), io::ErrorKind::StorageFull, "with {size} KiB: {error}"),
            }
        }
        filled += usize::from(confirmed.len() < 240);
        drop(log);
        let_go(&registry, &header.run).await;
        let history = load(&registry, &header.run).await.expect("the run is readable");
        assert_eq!(history.damage, Vec::<String>::new(), "with {size} KiB");
        assert!(history.events.iter().map(|event| event.seq).eq(1..=history.events.len() as u64), "with {size} KiB");
        for event in &confirmed {
            assert!(history.events.contains(event), "{event:?} is lost with {size} KiB");
        }
        // Whatever it says, it can be taken over, or says that there is no room.
        match resume(&registry, &header.run).await {
            Ok((again, _)) => assert_eq!(again.events, history.events),
            Err(error) => assert_eq!(write_error(&error), io::ErrorKind::StorageFull, "with {size} KiB: {error}"),
        }
    }
    assert!(filled > 5, "{filled}");
}

#[tokio::test]
async fn a_run_that_does_not_fit_on_the_disk_is_no_run() {
    for size in (4..=340).step_by(16) {
        let Some(disk) = Tmpfs::new(&format!("size={size}k")) else { return };
        let registry = FsRegistry::new(disk.path());
        let header = simple_header('4', 100);
        match registry.create(&header).await {
            Ok(_) => assert!(load(&registry, &header.run).await.expect("a run").driven),
            Err(error) => {
                assert_eq!(write_error(&error), io::ErrorKind::StorageFull, "with {size} KiB: {error}");
                assert_eq!(registry.list().await.expect("readable"), [], "with {size} KiB");
                assert!(!registry.run_folder(&header.run).join("ballast").exists(), "with {size} KiB");
            }
        }
    }
}

#[tokio::test]
async fn in_a_read_only_place_nothing_can_be_created_and_everything_can_be_read() {
    let Some(disk) = Tmpfs::new("size=1m") else { return };
    let registry = FsRegistry::new(disk.path());
    let (first, second) = (simple_header('5', 1), simple_header('6', 1));
    drop(registry.create(&first).await.expect("a new run"));
    disk.remount("ro");
    let error = registry.create(&second).await.err().expect("it cannot be made");
    assert_eq!(write_error(&error), io::ErrorKind::ReadOnlyFilesystem);
    let_go(&registry, &first.run).await;
    assert_eq!(registry.list().await.expect("runs").len(), 1);
    assert_eq!(registry.find("latest").expect("one"), first.run);
    assert_eq!(load(&registry, &first.run).await.expect("a run").damage, Vec::<String>::new());
    let error = registry.resume(&first.run).await.err().expect("it cannot be taken over");
    assert_eq!(write_error(&error), io::ErrorKind::ReadOnlyFilesystem);
}

#[tokio::test]
async fn a_state_folder_that_is_a_file_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("gadugi");
    fs::write(&state, "a file").expect("a file");
    let registry = FsRegistry::new(&state);
    let error = registry.create(&simple_header('6', 1)).await.err().expect("it cannot be made");
    assert!(matches!(error, RegistryError::Write { .. }), "{error}");
    assert!(matches!(registry.list().await, Err(RegistryError::Read { .. })));
}

#[tokio::test]
async fn an_attempt_file_that_says_something_else_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let header = simple_header('7', 1);
    let mut log = registry.create(&header).await.expect("a new run");
    let attempt = attempt("t1", 1);
    let files = log.attempt_folder(&attempt);
    fs::create_dir_all(&files).expect("a folder");
    fs::write(files.join("intent.json"), "theirs").expect("a file");
    let kind = EventKind::AttemptIntended { attempt, executor: "fake".into() };
    let error = log.intent(&Event { seq: 1, at: start_of_time(), kind }).await.expect_err("the name is taken");
    assert_eq!(write_error(&error), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(files.join("intent.json")).expect("a file"), "theirs");
    assert_eq!(load(&registry, &header.run).await.expect("a run").events, []);
}

/// Run by the next test in a process of its own, whose files may not grow beyond some size.
#[tokio::test]
#[ignore = "only makes sense in the process that the next test starts"]
async fn in_a_process_whose_files_may_not_grow() {
    let Some(state) = child_state() else { return };
    let registry = FsRegistry::new(&state);
    let mut log = registry.create(&simple_header('8', 1)).await.expect("a new run");
    let (kept, error) = fill(log.as_mut()).await;
    assert_eq!(write_error(&error), io::ErrorKind::FileTooLarge);
    fs::write(state.join("kept"), kept.to_string()).expect("a small file");
}
#[tokio::test]
async fn what_was_confirmed_before_a_file_could_not_grow_is_found_by_another_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new("sh")
        // The signal that comes with the error would end the process.
        .args(["-c", "trap '' XFSZ; ulimit -f 800; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "failing_writes::in_a_process_whose_files_may_not_grow", "--ignored", "--quiet"])
        .env(CHILD_STATE, folder.path())
        .status();
    assert!(status.expect("sh").success());
    let kept: usize = fs::read_to_string(folder.path().join("kept")).expect("a count").parse().expect("a number");
    let registry = FsRegistry::new(folder.path());
    let history = load(&registry, &simple_header('8', 1).run).await.expect("a run");
    assert_eq!((history.events.len(), history.driven, history.damage), (kept, false, Vec::new()));
    assert!(kept > 10);
}

mod heavy {
    #[tokio::test]
    #[ignore = "heavy: fills a hundred disks"]
    async fn on_a_hundred_disks_that_fill_at_any_moment_all_that_was_confirmed_is_found() {
        super::fill_disks_of((272..=672).step_by(4)).await;
    }
}
