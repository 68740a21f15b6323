//! The messages of `gadugi clean` about each worktree and each branch, and the deletion of those that it removes.

use std::fs::{self, File};

use crate::harness::{Going, Harness};
use crate::waiting::{gated, open, pid};

/// The printed lines, without parts that differ from run to run.
pub(crate) fn plain(harness: &Harness, text: &str) -> Vec<String> {
    let run = harness.latest_run();
    let run = run.file_name().expect("a name").to_string_lossy().into_owned();
    let text = text.replace(&*harness.worktrees().to_string_lossy(), "WT").replace(&run, "RUN");
    let is_id = |word: &str| word.len() >= 7 && word.chars().all(|char| char.is_ascii_hexdigit());
    let id = |word: &str| {
        let core = word.trim_matches(|char: char| !char.is_ascii_alphanumeric());
        if is_id(core) { word.replace(core, "ID") } else { word.to_owned() }
    };
    text.lines().map(|line| line.split(' ').map(id).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_dry_run_says_of_each_worktree_and_branch_why_it_goes_or_stays() {
    let harness = Harness::new();
    let git = "git -c user.name=t -c user.email=t@t";
    let commit = |file: &str| format!("echo {file} > {file}; git add {file}; {git} commit -qm {file}");
    let scripts = [
        ("clean", "exit 1".to_owned()),
        ("dirty", "echo x >> README.md; for n in 1 2 3 4; do echo $n > $n.txt; done; exit 1".to_owned()),
        ("detached", format!("git checkout -q --detach; {}; exit 1", commit("d.txt"))),
        ("locked", "exit 1".to_owned()),
        ("merged", "echo m > m.txt".to_owned()),
        ("picked", format!("{}; {}", commit("p.txt"), commit("q.txt"))),
        ("searching", "git bisect start; exit 1".to_owned()),
        ("squashed", format!("{}; {}", commit("s.txt"), commit("t.txt"))),
        ("stashed", format!("echo x >> README.md; {git} stash -q; exit 1")),
        ("unmerged", format!("{}; {}", commit("u.txt"), commit("v.txt"))),
    ];
    let files = scripts.map(|(name, script)| harness.script(name, &script));
    let files: Vec<&str> = ["run", "-j2"].into_iter().chain(files.iter().map(String::as_str)).collect();
    harness.gadugi(&files).expect(1);
    let locked = harness.worktrees().join("locked");
    harness.repo.git(&["worktree", "lock", "--reason", "on a stick", &locked.to_string_lossy()]);
    harness.repo.git(&["merge", "-q", "--no-edit", "gadugi/merged"]);
    harness.repo.git(&["cherry-pick", "gadugi/picked~2..gadugi/picked"]);
    harness.repo.git(&["merge", "-q", "--squash", "gadugi/squashed"]);
    harness.repo.git(&["commit", "-q", "-m", "All at once"]);
    let lines = plain(&harness, &harness.gadugi(&["clean", "--dry-run"]).expect(0).out);
    let expected = [
        "would go WT/clean: everything is on gadugi/clean",
        "would go gadugi/clean (was ID): merged into main",
        "kept     WT/dirty: 5 uncommitted files (1 changed: README.md; 4 untracked: 1.txt, 2.txt, 3.txt, …)",
        "kept     gadugi/dirty: it is checked out in WT/dirty",
        "kept     WT/detached: its HEAD is not on the task's branch",
        "kept     gadugi/detached: it is checked out in WT/detached",
        "kept     WT/locked: it is locked: on a stick",
        "kept     gadugi/locked: it is checked out in WT/locked",
        "would go gadugi/merged (was ID): merged into main",
        "would go gadugi/picked (was ID): its changes are in main (2 commits, rebased); \
         it stays as refs/gadugi/trash/RUN/picked for 14 days",
        "kept     WT/searching: a bisect is in progress",
        "kept     gadugi/searching: it is checked out in WT/searching",
        "would go gadugi/squashed (was ID): its changes are in main (squashed as ID); \
         it stays as refs/gadugi/trash/RUN/squashed for 14 days",
        "kept     WT/stashed: 1 stash entry was made there",
        "kept     gadugi/stashed: it is checked out in WT/stashed",
        "kept     gadugi/unmerged: 2 commits on no other branch, and not all that it changes is in main",
    ];
    assert_eq!(lines, expected);
    // What is said before is what is done.
    let done = plain(&harness, &harness.gadugi(&["clean", "--wait"]).expect(0).out);
    let expected: Vec<_> = expected.iter().map(|line| line.replace("would go", "removed ")).collect();
    assert_eq!(done, expected);
    let branches = harness.repo.git(&["for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/gadugi"]);
    assert_eq!(
        branches.lines().collect::<Vec<_>>(),
        ["detached", "dirty", "locked", "searching", "stashed", "unmerged"]
    );
    harness.assert_sound();
}

#[test]
fn a_dry_run_lists_what_stays_since_its_run_goes_on() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "echo done > f.txt");
    let mut run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    for args in [&["clean", "--dry-run"][..], &["clean", "--dry-run", "--all"]] {
        let lines = plain(&harness, &harness.gadugi(args).expect(0).out);
        assert_eq!(lines, ["kept     WT/a: run RUN goes on"], "{args:?}");
    }
    harness.gadugi(&["clean"]).expect(4).says(&["goes on"]);
    assert!(!run.has_ended());
    open(&harness, "a");
    run.end().expect(0);
}

/// The lock of the process that deletes removed worktrees.
fn sweep_lock(harness: &Harness) -> File {
    let path = harness.repo.path().join(".git/gadugi/sweep");
    File::options().create(true).truncate(false).read(true).write(true).open(path).expect("a lock")
}

#[test]
fn what_was_removed_is_deleted_by_a_process_that_ends_by_itself() {
    let harness = Harness::new();
    harness.repo.many_files(500);
    let file = harness.script("a", "exit 1");
    harness.gadugi(&["run", &file]).expect(1);
    harness.gadugi(&["clean"]).expect(0);
    assert!(!harness.worktrees().join("a").exists());
    // That process has held it since before the command returned, and lets go of it when it is done.
    sweep_lock(&harness).lock().expect("it ends");
    assert!(!harness.worktrees().exists());
}

#[test]
fn what_nobody_could_delete_is_told_of_and_deleted_by_the_next_command() {
    let harness = Harness::new();
    let file = harness.script("a", "exit 1");
    harness.gadugi(&["run", &file]).expect(1);
    let lock = sweep_lock(&harness);
    lock.lock().expect("nobody holds it");
    harness.gadugi(&["clean"]).expect(0);
    assert!(!harness.worktrees().join("a").exists());
    let doctor = harness.gadugi(&["doctor"]).out;
    assert!(doctor.contains("1 removed folder is being deleted in the background"), "{doctor}");
    drop(lock);
    let doctor = harness.gadugi(&["doctor"]).out;
    assert!(doctor.contains("1 removed folder is not deleted yet -> gadugi clean --wait"), "{doctor}");
    harness.gadugi(&["clean", "--wait"]).expect(0);
    assert!(!harness.worktrees().exists());
    assert!(!harness.gadugi(&["doctor"]).out.contains("removed folder"));
}

#[test]
fn a_folder_that_git_has_forgotten_is_told_of_and_stays_with_its_work() {
    let harness = Harness::new();
    let file = harness.script("a", "echo work > work.txt; exit 1");
    harness.gadugi(&["run", &file]).expect(1);
    fs::remove_dir_all(harness.repo.path().join(".git/worktrees/a")).expect("the entry goes");
    let lines = plain(&harness, &harness.gadugi(&["clean", "--dry-run"]).expect(0).out);
    let said = "kept     WT/a, which git does not know any more: 1 file not as on gadugi/a (work.txt); \
                copy out what you need, and delete it";
    assert_eq!(lines.first().map(String::as_str), Some(said), "{lines:?}");
    assert_eq!(fs::read_to_string(harness.worktrees().join("a/work.txt")).expect("it stays"), "work\n");
}
