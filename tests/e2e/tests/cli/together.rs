//! Several `gadugi` in one repository.

use crate::harness::{Going, Harness};

#[test]
fn two_runs_at_once_in_one_repository_both_work() {
    let harness = Harness::new();
    harness.repo.many_files(500);
    let before = harness.repo.fingerprint();
    for n in 0..6 {
        harness.script(&format!("t{n}"), &format!("echo {n} > {n}.txt"));
    }
    let folder = harness.repo.root().join("tasks");
    let args = ["run", "-j6", folder.to_str().expect("UTF-8")];
    let runs: Vec<_> = (0..3).map(|_| Going::start(harness.command(&args))).collect();
    for run in runs {
        run.end().expect(0);
    }
    let branches = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi"]);
    assert_eq!(branches.lines().count(), 18, "{branches}");
    assert_eq!(harness.repo.fingerprint(), before);
    harness.assert_sound();
}

#[test]
fn a_run_says_that_it_waits_for_another_gadugi_and_can_be_stopped_meanwhile() {
    let harness = Harness::new();
    let file = harness.script("a", "true");
    harness.gadugi(&["run", &file]).expect(0);
    // As long as somebody makes or removes worktrees, he holds this lock.
    let lock = std::fs::File::open(harness.repo.path().join(".git/gadugi/lock")).expect("it stays");
    lock.lock().expect("nobody holds it");
    let mut run = Going::start(harness.command(&["run", &file]));
    run.until("another gadugi changes the worktrees");
    harness.gadugi(&["stop", "--now"]).expect(0);
    assert_eq!(run.end().code, Some(130));
    lock.unlock().expect("it is ours");
    assert_eq!(harness.outcomes()["a"], "cancelled");
    harness.gadugi(&["run", &file]).expect(0);
    harness.assert_sound();
}

#[test]
fn a_run_that_goes_on_is_not_cleaned() {
    let harness = Harness::new();
    let gate = harness.repo.root().join("gate");
    let file = harness.script("a", &format!("while [ ! -e '{}' ]; do sleep 0.02; done", gate.display()));
    let mut run = Going::start(harness.command(&["run", &file]));
    run.until("a  started");
    harness.gadugi(&["clean"]).expect(4).says(&["goes on", "gadugi stop"]);
    harness.gadugi(&["clean", "--all"]).expect(0);
    assert!(harness.worktrees().join("a").exists());
    std::fs::write(&gate, "").expect("the gate opens");
    run.end().expect(0);
}

#[test]
fn cleaning_an_old_run_leaves_a_later_one_that_got_its_names() {
    let harness = Harness::new();
    let gate = harness.repo.root().join("gate");
    let wait = format!("echo new > new.txt\nwhile [ ! -e '{}' ]; do sleep 0.02; done\nexit 1", gate.display());
    let one = harness.script("one", "echo old > old.txt");
    harness.gadugi(&["run", &one]).expect(0);
    let old = harness.report()["run"].as_str().expect("an id").to_owned();
    harness.repo.git(&["merge", "-q", "--no-edit", "gadugi/one"]);
    let cleaned = harness.gadugi(&["clean"]).expect(0).out;
    assert!(cleaned.contains("gadugi/one"), "{cleaned}");
    assert_eq!(harness.gadugi(&["clean"]).expect(0).out, "", "what an earlier clean did is no news");

    let one = harness.script("one", &wait);
    let mut run = Going::start(harness.command(&["run", &one]));
    run.until("one  started");
    let branch = || harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi", "refs/gadugi"]);
    let stays = || {
        assert_eq!(harness.gadugi(&["clean", "--all"]).expect(0).out, "");
        assert_eq!(harness.gadugi(&["clean", &old, "--discard"]).expect(0).out, "");
        assert!(harness.worktrees().join("one").exists());
        assert_eq!(branch(), "refs/heads/gadugi/one");
    };
    stays();
    std::fs::write(&gate, "").expect("the gate opens");
    run.end().expect(1);
    assert_eq!(
        harness.gadugi(&["clean", &old, "--discard"]).expect(0).out,
        "",
        "its worktree is kept, and not the old run's"
    );
    assert_eq!(branch(), "refs/heads/gadugi/one");
    let file = harness.worktrees().join("one/new.txt");
    assert_eq!(std::fs::read_to_string(file).expect("it stays"), "new\n");
}

#[test]
fn a_run_that_cannot_be_read_does_not_hinder_commands_about_others() {
    let harness = Harness::new();
    let one = harness.script("one", "echo 1 > 1.txt");
    harness.gadugi(&["run", &one]).expect(0);
    let readable = harness.report()["run"].as_str().expect("an id").to_owned();
    let two = harness.script("two", "echo 2 > 2.txt; exit 1");
    harness.gadugi(&["run", &two]).expect(1);
    let newer = harness.report()["run"].as_str().expect("an id").to_owned();
    for header in ["run.json", "run.copy.json"] {
        let header = harness.repo.path().join(".git/gadugi/runs").join(&newer).join(header);
        std::fs::write(header, "{\"v\":1").expect("half a header");
    }
    harness.repo.git(&["merge", "-q", "--no-edit", "gadugi/one"]);

    harness.gadugi(&["stop", &readable]).expect(0).says(&["is over"]);
    harness.gadugi(&["stop"]).expect(4).says(&["is damaged"]);
    harness.gadugi(&["clean"]).expect(4).says(&["is damaged"]);
    let answer = harness.gadugi(&["clean", "--all"]).expect(0).says(&["warning", "is damaged"]);
    assert!(answer.out.contains("gadugi/one"), "{}", answer.out);
    assert!(harness.worktrees().join("two/2.txt").exists(), "what belongs to a run that cannot be read stays");
}

#[test]
fn a_worktree_that_a_crash_kept_from_the_journal_is_cleaned_with_its_run() {
    let harness = Harness::new();
    let one = harness.script("one", "echo 1 > 1.txt; exit 1");
    harness.gadugi(&["run", &one]).expect(1);
    let run = harness.report()["run"].as_str().expect("an id").to_owned();
    let folder = harness.repo.path().join(".git/gadugi/runs").join(&run);
    // As after a crash right behind the making of the worktree.
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).expect("a journal");
    let intent = journal.find("attempt_intended").expect("an intent");
    let end = intent + journal[intent..].find('\n').expect("a whole line") + 1;
    std::fs::write(folder.join("journal.jsonl"), &journal[..end]).expect("a short journal");
    for file in ["proc.json", "exit.json"] {
        std::fs::remove_file(folder.join("tasks/one/1").join(file)).expect("it was there");
    }
    harness.gadugi(&["clean"]).expect(1).says(&["is not over", "gadugi stop"]);

    let away = harness.repo.root().join("away");
    std::fs::rename(&folder, &away).expect("the run is gone");
    let unknown = harness.gadugi(&["clean", "--all", "--discard"]).expect(0).out;
    assert!(unknown.contains("repo.gadugi/one: its run is not known"), "{unknown}");
    assert!(harness.worktrees().join("one/1.txt").exists());
    std::fs::rename(&away, &folder).expect("the run is there again");

    harness.gadugi(&["stop"]).expect(0);
    harness.gadugi(&["clean", "--all", "--discard"]).expect(0);
    assert!(!harness.worktrees().join("one").exists());
    assert_eq!(harness.repo.git(&["show", &format!("refs/gadugi/trash/{run}/one:1.txt")]), "1");
    harness.assert_sound();
}

#[test]
fn a_worktree_that_somebody_removed_is_told_of_until_git_forgets_it() {
    let harness = Harness::new();
    let one = harness.script("one", "echo 1 > 1.txt; exit 1");
    harness.gadugi(&["run", &one]).expect(1);
    std::fs::remove_dir_all(harness.worktrees().join("one")).expect("it was there");
    let first = harness.gadugi(&["clean"]).expect(0).out;
    assert_eq!(first.matches("`git worktree prune`").count(), 1, "{first}");
    harness.repo.git(&["worktree", "prune", "--expire", "now"]);
    let second = harness.gadugi(&["clean"]).expect(0).out;
    assert!(second.starts_with("removed  gadugi/one") && second.lines().count() == 1, "{second}");
    assert_eq!(harness.gadugi(&["clean"]).expect(0).out, "");
}
