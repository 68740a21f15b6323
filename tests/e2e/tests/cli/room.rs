//! Runs whose worktrees do not fit on their disk.

use std::fs;
use std::path::PathBuf;

use gadugi_test_support::small_disk::SmallDisk;

use crate::harness::{Answer, Harness};

/// A repository of ten files of 40 KB, whose worktrees lie on a disk with these options, and tasks `a` to `d`.
struct Tight {
    harness: Harness,
    disk: SmallDisk,
    tasks: Vec<String>,
}

impl Tight {
    fn new(options: &str) -> Option<Self> {
        let disk = SmallDisk::new(options)?;
        let harness = Harness::new();
        for number in 0..10 {
            harness.repo.write(&format!("folder-{number}/file"), format!("{number:07}\n").repeat(5_000));
        }
        harness.repo.write("gadugi.toml", format!("worktrees = \"{}\"\n", disk.path().join("trees").display()));
        harness.repo.git(&["add", "."]);
        harness.repo.git(&["commit", "-q", "-m", "Ten"]);
        let tasks = ["a", "b", "c", "d"].map(|name| harness.script(name, "true")).to_vec();
        Some(Self { harness, disk, tasks })
    }

    fn folder(&self) -> PathBuf {
        self.disk.path().join("trees")
    }

    fn gadugi(&self, args: &[&str]) -> Answer {
        let tasks = self.tasks.iter().map(String::as_str);
        self.harness.gadugi(&args.iter().copied().chain(tasks).collect::<Vec<_>>())
    }

    #[track_caller]
    fn assert_nothing_was_made(&self) {
        assert!(!self.folder().exists(), "a folder was made");
        let references = self.harness.repo.git(&["for-each-ref", "--format=%(refname)"]);
        assert_eq!(references, "refs/heads/main");
        assert!(!self.harness.repo.path().join(".git/gadugi/runs").exists(), "a run was made");
        assert!(!self.harness.repo.path().join(".git/worktrees").exists(), "an entry was made");
    }
}

#[test]
fn worktrees_that_do_not_fit_are_refused_before_anything_is_made() {
    let Some(tight) = Tight::new("size=1300k") else { return };
    let folder = tight.folder();
    let answer = tight.gadugi(&["run"]).expect(3);
    let folder = folder.to_str().expect("UTF-8");
    answer.says(&[
        &format!("error: there is too little room in {folder}: 4 worktrees take 1.8 MiB, and 1.3 MiB are free"),
        "hint: --jobs 2 fits",
        "`worktrees = \"…\"`",
        "`gadugi clean`",
        "--force",
    ]);
    tight.assert_nothing_was_made();
    let detached = tight.gadugi(&["run", "--detach"]).expect(3).says(&["too little room"]);
    assert_eq!(detached.out, "");
    tight.assert_nothing_was_made();
    // While two are removed, the next two are made: whether that fits depends on who is faster.
    let answer = tight.gadugi(&["run", "--jobs", "2"]);
    assert!(matches!(answer.code, Some(0 | 4)), "it was begun: {}", answer.err);
    answer.says(&["warning: there may be too little room", "those of tasks that fail are kept"]);
    tight.harness.assert_sound();
}

#[test]
fn what_is_copied_into_worktrees_counts_too() {
    let Some(tight) = Tight::new("size=1300k") else { return };
    tight.harness.repo.write(".gitignore", "cache/\n");
    tight.harness.repo.write(".worktreeinclude", "cache/\n");
    tight.harness.repo.write("cache/large", "x".repeat(1_000_000));
    let answer = tight.gadugi(&["run", "--jobs", "1"]).expect(3);
    answer.says(&["error: there is too little room in", "1 worktree takes 1.4 MiB, and 1.3 MiB are free"]);
    tight.assert_nothing_was_made();
}

#[test]
fn force_begins_all_the_same_and_what_does_not_fit_can_be_resumed() {
    let Some(tight) = Tight::new("size=1300k") else { return };
    let answer = tight.gadugi(&["run", "--force"]).expect(4);
    assert!(answer.err.contains("warning: there is too little room in"), "{}", answer.err);
    answer.says(&["there is no room on the disk, so the run stopped early", "`gadugi resume` continues the run"]);
    let outcomes = tight.harness.outcomes();
    let succeeded = outcomes.values().filter(|outcome| *outcome == "succeeded").count();
    assert!(succeeded > 0 && succeeded < 4, "{outcomes:?}");
    assert_eq!(outcomes.values().filter(|outcome| outcome.is_empty()).count(), 4 - succeeded, "{outcomes:?}");
    tight.harness.assert_sound();
    // What fitted was given back.
    tight.harness.gadugi(&["resume"]).expect(0);
    assert!(tight.harness.outcomes().values().all(|outcome| outcome == "succeeded"));
    tight.harness.assert_sound();
}

/// A repository whose objects are on a disk with these options, and tasks that each leave a new file.
fn with_objects_on(options: &str) -> Option<(Harness, SmallDisk, Vec<String>)> {
    let harness = Harness::new();
    let objects = harness.repo.path().join(".git/objects");
    let kept = tempfile::tempdir().expect("a folder");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
        assert!(copied.expect("cp starts").success());
    };
    copy(&objects, kept.path());
    let disk = SmallDisk::over(&objects, options)?;
    copy(kept.path(), &objects);
    let tasks = (0..6).map(|n| harness.script(&format!("t{n}"), &format!("echo {n} > made-{n}"))).collect();
    Some((harness, disk, tasks))
}

/// Fills it to the last byte, or with as many files as it takes.
fn fill(disk: &SmallDisk, with_files: bool) -> PathBuf {
    let filler = disk.path().join("filler");
    fs::create_dir(&filler).expect("there is room for it");
    let is_room = |n: usize| fs::write(filler.join(n.to_string()), vec![0; if with_files { 0 } else { 4096 }]).is_ok();
    assert!((0..1_000_000).any(|n| !is_room(n)), "it becomes full");
    filler
}

fn runs_into_a_full_disk_of_objects(options: &str, with_files: bool) {
    let Some((harness, disk, tasks)) = with_objects_on(options) else { return };
    let filler = fill(&disk, with_files);
    let args =
        |first: &[&'static str]| first.iter().copied().chain(tasks.iter().map(String::as_str)).collect::<Vec<_>>();
    let answer = harness.gadugi(&args(&["run", "--force", "-j2"])).expect(4);
    answer.says(&["there is no room on the disk, so the run stopped early", "`gadugi resume` continues the run"]);
    let outcomes = harness.outcomes();
    assert!(outcomes.values().all(String::is_empty), "no task has failed by that: {outcomes:?}");
    assert!(!harness.latest_run().join("tasks/t5").exists(), "nothing new was started");
    // Without room it ends in the same way.
    harness.gadugi(&["resume"]).expect(4).says(&["there is no room on the disk"]);
    fs::remove_dir_all(filler).expect("it goes");
    harness.gadugi(&["resume"]).expect(0);
    assert!(harness.outcomes().values().all(|outcome| outcome == "succeeded"));
    for n in 0..6 {
        let files = harness.repo.git(&["ls-tree", "--name-only", &format!("gadugi/t{n}")]);
        assert!(files.contains(&format!("made-{n}")), "{files}");
    }
    harness.assert_sound();
}

#[test]
fn where_no_object_can_be_written_nothing_new_starts_and_all_can_be_resumed() {
    runs_into_a_full_disk_of_objects("size=512k", false);
}

#[test]
fn where_no_more_files_can_be_made_for_objects_nothing_new_starts_either() {
    runs_into_a_full_disk_of_objects("size=16m,nr_inodes=64", true);
}

#[test]
fn a_run_that_stopped_for_want_of_room_can_be_ended_without_room() {
    let Some((harness, disk, tasks)) = with_objects_on("size=512k") else { return };
    fill(&disk, false);
    harness.gadugi(&["run", "--force", &tasks[0], &tasks[1]]).expect(4);
    harness.gadugi(&["stop"]);
    let answer = harness.gadugi(&["ps", "--all"]).expect(0);
    assert!(!answer.out.contains("interrupted"), "{}", answer.out);
    // The work is kept.
    assert!(harness.worktrees().join("t0/made-0").is_file());
}

#[test]
fn a_disk_that_has_bytes_and_no_room_for_files_is_refused_too() {
    let Some(tight) = Tight::new("size=64m,nr_inodes=60") else { return };
    let answer = tight.gadugi(&["run"]).expect(3);
    answer.says(&["4 worktrees take 96 files and folders, and the disk has room for 59", "--jobs 2 fits"]);
    tight.assert_nothing_was_made();
}

#[test]
fn worktrees_that_all_stay_have_to_fit_together() {
    let Some(tight) = Tight::new("size=1300k") else { return };
    let answer = tight.gadugi(&["run", "--jobs", "1", "--keep", "always"]).expect(3);
    answer.says(&["4 worktrees take 1.8 MiB", "--keep failed"]);
    tight.assert_nothing_was_made();
    let never = tight.gadugi(&["run", "--jobs", "1", "--keep", "never"]).expect(0);
    assert!(!never.err.contains("too little room"), "{}", never.err);
}

#[test]
fn tasks_that_run_one_after_the_other_need_room_for_one() {
    let Some(tight) = Tight::new("size=1000k") else { return };
    let first = tight.harness.script("first", "true");
    let second = tight.harness.task("second.md", "---\nneeds: [first]\nrun: 'true'\n---\n");
    let third = tight.harness.task("third.md", "---\nneeds: [second]\nrun: 'true'\n---\n");
    tight.harness.gadugi(&["run", &first, &second, &third]).expect(0);
}

#[test]
fn plan_and_doctor_tell_what_worktrees_take_and_what_is_free() {
    let Some(tight) = Tight::new("size=1300k") else { return };
    let plan = tight.gadugi(&["plan"]).expect(0);
    let line = plan.out.lines().find(|line| line.starts_with("worktrees: ")).expect("a line");
    let folder = tight.folder();
    let expected = format!("worktrees: 456.0 KiB each, 4 at first 1.8 MiB; 1.3 MiB free in {}", folder.display());
    assert_eq!(line, expected);
    plan.says(&["warning: there is too little room"]);
    let doctor = tight.harness.gadugi(&["doctor"]).expect(0).out;
    let line = doctor.lines().find(|line| line.contains(" disk ")).expect("a line");
    assert!(line.starts_with("note") && line.contains("1.3 MiB free for worktrees, each 456.0 KiB: 4 worktrees take"));
    tight.assert_nothing_was_made();
}

#[test]
fn a_run_that_is_resumed_is_warned_of_and_not_refused() {
    let Some(tight) = Tight::new("size=1300k") else { return };
    let mut run = tight.harness.command(&["run", "-j2", &tight.tasks[0], &tight.tasks[1]]);
    let run: Answer = run.env("GADUGI_CRASH_AT", "run-started").output().expect("it starts").into();
    assert_eq!(run.code, None, "it was killed");
    fs::write(tight.disk.path().join("filler"), vec![0; 600_000]).expect("there is room for it");
    let answer = tight.harness.gadugi(&["resume"]).expect(4);
    answer.says(&["warning: there may be too little room", "2 worktrees take 912.0 KiB"]);
    tight.harness.assert_sound();
}
