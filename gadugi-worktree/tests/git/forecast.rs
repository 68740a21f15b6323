//! Forecasts of merges, compared with what git says.

use gadugi_core::worktrees::{Forecast, Side, Verdict};
use gadugi_core::{Lease, Worktrees};
use gadugi_test_support::repo::TestRepo;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::harness::{Harness, commit_id, write};

const FILES: [&str; 6] = ["a.txt", "b.txt", "dir/c.txt", "dir/d.txt", "dir.txt", "new"];

/// A change of one of the files on a branch.
#[derive(Debug, Clone)]
enum Edit {
    /// Changes a line of it.
    Line(usize, usize, u8),
    Remove(usize),
    /// Puts a folder with a file in its place.
    Folder(usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        6 => (0..FILES.len(), 0..12_usize, 0..3_u8).prop_map(|(file, line, text)| Edit::Line(file, line, text)),
        1 => (0..FILES.len()).prop_map(Edit::Remove),
        1 => (0..FILES.len()).prop_map(Edit::Folder),
    ];
    prop::collection::vec(edit, 1..4)
}

/// The lines of a file, which no other file has.
fn text(file: &str, changed: Option<(usize, u8)>) -> String {
    let line = |number: usize| match changed {
        Some((line, text)) if line == number => format!("line {number} of {file} is now {text}\n"),
        _ => format!("line {number} of {file}\n"),
    };
    (0..12).map(line).collect()
}

/// Commits the edits on a branch of its own, from `main` or from another branch.
fn branch(repo: &TestRepo, name: &str, from: &str, edits: &[Edit]) {
    repo.git(&["checkout", "-q", "-B", name, from]);
    for edit in edits {
        let (Edit::Line(file, ..) | Edit::Remove(file) | Edit::Folder(file)) = edit;
        let path = repo.path().join(FILES[*file]);
        // A folder that an earlier edit has put there stays.
        if path.is_dir() {
            continue;
        }
        std::fs::remove_file(&path).ok();
        match edit {
            Edit::Line(_, line, number) => repo.write(FILES[*file], text(FILES[*file], Some((*line, *number)))),
            Edit::Remove(_) => {}
            Edit::Folder(_) => repo.write(&format!("{}/inside", FILES[*file]), format!("inside {}\n", FILES[*file])),
        }
    }
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--allow-empty", "-m", name]);
}

fn side(repo: &TestRepo, name: &str) -> Side {
    Side { name: name.to_owned(), tip: commit_id(repo.git(&["rev-parse", name]).trim()), worktree: None }
}

fn begin() -> TestRepo {
    let repo = TestRepo::new();
    for file in &FILES[..5] {
        repo.write(file, text(file, None));
    }
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    repo.git(&["checkout", "-q", "-B", "trunk"]);
    repo
}

/// The files that git names as in conflict, in the words of `git merge-tree`.
fn by_git(repo: &TestRepo, ours: &str, theirs: &str) -> Vec<String> {
    let merged =
        repo.try_git_in(repo.path(), &["merge-tree", "--write-tree", "--name-only", "--no-messages", ours, theirs]);
    let files = String::from_utf8_lossy(&merged.stdout).lines().skip(1).map(str::to_owned).collect();
    assert_eq!(merged.status.code(), Some(i32::from(!Vec::is_empty(&files))), "{merged:?}");
    files
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn forecast(harness: &Harness, sides: Vec<Side>) -> Forecast {
    runtime().block_on(harness.worktrees.forecast(sides)).expect("a forecast")
}

fn objects(repo: &TestRepo) -> String {
    repo.git(&["count-objects"])
}

/// Five branches, each with its edits, from `trunk` or on the one before.
fn branches() -> impl Strategy<Value = Vec<(Vec<Edit>, bool)>> {
    prop::collection::vec((edits(), any::<bool>()), 5)
}

/// Compares the verdicts on every two branches, and on each with the target that has moved on, with those of git.
fn compare(branches: &[(Vec<Edit>, bool)], moved: &[Edit]) -> Result<(), TestCaseError> {
    let repo = begin();
    let names = ["b0", "b1", "b2", "b3", "b4"];
    for (number, (edits, is_stacked)) in branches.iter().enumerate() {
        let from = if *is_stacked && number > 0 { names[number - 1] } else { "trunk" };
        branch(&repo, names[number], from, edits);
    }
    branch(&repo, "trunk", "trunk", moved);
    let harness = Harness::on(repo);
    let before = objects(&harness.repo);
    let all = [&names[..], &["trunk"]].concat();
    let forecast = forecast(&harness, all.iter().map(|name| side(&harness.repo, name)).collect());
    prop_assert_eq!(objects(&harness.repo), before);
    for (one, ours) in all.iter().enumerate() {
        for (other, theirs) in all.iter().enumerate().skip(one + 1) {
            let is_in_conflict = match forecast.verdict(one, other) {
                Some(Verdict::MergesAsText) => false,
                Some(Verdict::Conflict { files }) => !files.is_empty(),
                verdict => panic!("{ours} and {theirs}: {verdict:?}"),
            };
            let files = by_git(&harness.repo, ours, theirs);
            prop_assert_eq!(is_in_conflict, !files.is_empty(), "{} and {}: git names {:?}", ours, theirs, files);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_forecast_finds_the_conflicts_that_git_finds(branches in branches(), moved in edits()) {
        compare(&branches, &moved)?;
    }
}

mod heavy {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() })]

        #[test]
        #[ignore = "heavy: merges the branches of 60 repositories"]
        fn forecasts_of_many_branches_find_the_conflicts_that_git_finds(branches in branches(), moved in edits()) {
            compare(&branches, &moved)?;
        }
    }
}

#[test]
fn a_conflict_names_its_files_and_unrelated_histories_are_not_judged() {
    let repo = begin();
    branch(&repo, "left", "trunk", &[Edit::Line(0, 3, 0), Edit::Line(2, 3, 0)]);
    branch(&repo, "right", "trunk", &[Edit::Line(0, 3, 1), Edit::Line(2, 3, 1), Edit::Line(3, 1, 1)]);
    repo.git(&["checkout", "-q", "--orphan", "other"]);
    repo.git(&["commit", "-q", "-m", "Other"]);
    let harness = Harness::on(repo);
    let names = ["left", "right", "other"];
    let forecast = forecast(&harness, names.iter().map(|name| side(&harness.repo, name)).collect());
    let files = vec!["a.txt".to_owned(), "dir/c.txt".to_owned()];
    assert_eq!(by_git(&harness.repo, "left", "right"), files);
    assert_eq!(forecast.verdict(0, 1), Some(&Verdict::Conflict { files }));
    assert!(matches!(forecast.verdict(1, 2), Some(Verdict::Unknown { .. })), "{forecast:?}");
}

#[test]
fn what_both_sides_have_changed_alike_and_one_has_renamed_is_no_conflict() {
    let repo = begin();
    for name in ["left", "right"] {
        repo.git(&["checkout", "-q", "-B", name, "trunk"]);
        repo.write("a.txt", text("a.txt", Some((3, 1))));
        repo.git(&["commit", "-q", "-a", "-m", name]);
    }
    repo.git(&["mv", "a.txt", "new"]);
    repo.git(&["commit", "-q", "--amend", "-m", "right"]);
    let harness = Harness::on(repo);
    let forecast = forecast(&harness, ["left", "right"].map(|name| side(&harness.repo, name)).to_vec());
    assert_eq!(by_git(&harness.repo, "left", "right"), [""; 0]);
    assert_eq!(forecast.verdict(0, 1), Some(&Verdict::MergesAsText));
}

#[test]
fn a_commit_that_is_not_there_leaves_the_verdicts_on_the_others() {
    let repo = begin();
    branch(&repo, "left", "trunk", &[Edit::Line(0, 3, 0)]);
    branch(&repo, "right", "trunk", &[Edit::Line(0, 3, 1)]);
    let harness = Harness::on(repo);
    let absent = Side { name: "absent".to_owned(), tip: commit_id(&"12".repeat(20)), worktree: None };
    let sides = vec![absent, side(&harness.repo, "left"), side(&harness.repo, "right")];
    let forecast = forecast(&harness, sides);
    assert!(matches!(forecast.verdict(0, 1), Some(Verdict::Unknown { .. })), "{forecast:?}");
    assert!(matches!(forecast.verdict(1, 2), Some(Verdict::Conflict { .. })), "{forecast:?}");
}

/// A side with what is in a worktree.
fn live(lease: &Lease) -> Side {
    let tip = lease.base.clone().expect("a base");
    Side { name: lease.attempt.task.to_string(), tip, worktree: Some(lease.clone()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_committed_yet_counts_and_stays_as_it_is() {
    let harness = Harness::on(begin());
    let (one, other, apart) =
        (harness.create("one").await, harness.create("other").await, harness.create("apart").await);
    write(&one, "fresh.txt", "of one\n");
    write(&other, "fresh.txt", "of other\n");
    harness.git(&other, &["add", "."]);
    write(&apart, "a.txt", "of apart\n");
    harness.git(&apart, &["commit", "-q", "-a", "-m", "Apart"]);
    let before = (
        objects(&harness.repo),
        harness.git(&one, &["status", "--short"]),
        harness.git(&other, &["status", "--short"]),
    );
    let sides = [&one, &other, &apart].map(live).to_vec();
    let forecast = harness.worktrees.forecast(sides).await.expect("a forecast");
    assert_eq!(forecast.verdict(0, 1), Some(&Verdict::Conflict { files: vec!["fresh.txt".to_owned()] }));
    assert_eq!(forecast.verdict(0, 2), Some(&Verdict::MergesAsText));
    assert_eq!(
        (
            objects(&harness.repo),
            harness.git(&one, &["status", "--short"]),
            harness.git(&other, &["status", "--short"])
        ),
        before
    );
}

/// Changes in a worktree, each of which another look than that at single files might miss.
type Change = fn(&Harness, &Lease);

const CHANGES: [(&str, Change); 9] = [
    ("nothing", |_, _| {}),
    ("elsewhere", |_, lease| write(lease, "dir/d.txt", "elsewhere\n")),
    ("edited", |_, lease| write(lease, "a.txt", "edited\n")),
    ("removed", |_, lease| std::fs::remove_file(lease.path.join("a.txt")).expect("it is there")),
    ("staged", |harness, lease| {
        harness.git(lease, &["rm", "-q", "--cached", "a.txt"]);
    }),
    ("committed", |harness, lease| {
        write(lease, "dir/c.txt", "committed\n");
        harness.git(lease, &["commit", "-q", "-a", "-m", "Committed"]);
    }),
    ("new", |_, lease| write(lease, "fresh.txt", "of another\n")),
    ("folder", |_, lease| write(lease, "fresh.txt/inside", "a folder in its place\n")),
    ("file", |_, lease| {
        std::fs::remove_dir_all(lease.path.join("dir")).expect("it is there");
        write(lease, "dir", "a file in the place of a folder\n");
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worktree_beside_what_is_asked_about_is_judged_as_if_it_were_asked_about() {
    let repo = begin();
    branch(&repo, "ended", "trunk", &[Edit::Line(0, 3, 0), Edit::Line(2, 3, 0)]);
    repo.commit_file("fresh.txt", "of the branch\n");
    repo.git(&["checkout", "-q", "trunk"]);
    let harness = Harness::on(repo);
    let mut sides = vec![side(&harness.repo, "ended")];
    for (name, change) in CHANGES {
        let lease = harness.create(name).await;
        change(&harness, &lease);
        sides.push(live(&lease));
    }
    let first = harness.worktrees.forecast_of_first(1, sides.clone()).await.expect("a forecast");
    let all = harness.worktrees.forecast(sides).await.expect("a forecast");
    let mut in_conflict = Vec::new();
    for (place, (name, _)) in CHANGES.iter().enumerate() {
        let verdict = first.verdict(0, place + 1);
        assert_eq!(verdict, all.verdict(0, place + 1), "{name}");
        if matches!(verdict, Some(Verdict::Conflict { .. })) {
            in_conflict.push(*name);
        }
    }
    assert_eq!(in_conflict, ["edited", "removed", "committed", "new", "folder", "file"]);
    assert_eq!(first.verdict(1, 2), None);
    assert_eq!((all.is_beyond_tip(1), all.is_beyond_tip(2)), (false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_another_contains_is_named() {
    let repo = begin();
    branch(&repo, "need", "trunk", &[Edit::Line(0, 3, 0)]);
    branch(&repo, "dependant", "need", &[Edit::Line(0, 3, 1)]);
    let harness = Harness::on(repo);
    let sides = ["need", "dependant", "trunk"].map(|name| side(&harness.repo, name)).to_vec();
    let forecast = harness.worktrees.forecast(sides).await.expect("a forecast");
    assert_eq!(
        [(0, 1), (1, 0), (1, 2), (2, 1)].map(|(one, other)| forecast.contains(one, other)),
        [false, true, true, false]
    );
    assert_eq!(forecast.verdict(0, 1), Some(&Verdict::MergesAsText));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_uncommitted_files_than_memory_is_for_leave_a_verdict_unknown_only_where_they_matter() {
    let harness = Harness::on(begin());
    let (large, other, apart) =
        (harness.create("large").await, harness.create("other").await, harness.create("apart").await);
    std::fs::write(large.path.join("new"), vec![b'x'; 30 << 20]).expect("a large file");
    write(&other, "new", "of other\n");
    write(&apart, "a.txt", "of apart\n");
    let sides = [&large, &other, &apart].map(live).to_vec();
    let forecast = harness.worktrees.forecast(sides).await.expect("a forecast");
    let Some(Verdict::Unknown { reason }) = forecast.verdict(0, 1) else { panic!("{forecast:?}") };
    assert!(reason.contains("not committed by large") && reason.contains("30 MiB"), "{reason}");
    assert_eq!(forecast.verdict(0, 2), Some(&Verdict::MergesAsText));
    assert_eq!(forecast.verdict(1, 2), Some(&Verdict::MergesAsText));
}
