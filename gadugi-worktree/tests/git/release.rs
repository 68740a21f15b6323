use std::fs;

use gadugi_core::worktrees::{
    BranchFate, BranchRelease, KeepReason, MergedBy, Paths, Release, ReleaseRequest, SnapshotRequest, WorktreeError,
    WorktreeFate,
};
use gadugi_core::{CommitId, Lease, Worktrees};

use crate::harness::{DELETE, DISCARD, Harness, KEEP, RUN, branch, chain, commit_id, request, worktrees_of, write};

fn tip(harness: &Harness, name: &str) -> CommitId {
    commit_id(&harness.repo.git(&["rev-parse", name]))
}

fn commit_in(harness: &Harness, lease: &Lease, path: &str, text: &str) {
    write(lease, path, text);
    harness.git(lease, &["add", "--", path]);
    harness.git(lease, &["commit", "-q", "-m", "By the task"]);
}

/// Checks that a worktree stays for one reason, and is unchanged.
async fn assert_kept(harness: &Harness, lease: &Lease, reason: KeepReason) {
    let before = (harness.git(lease, &["status", "--porcelain"]), harness.listed(), harness.branches());
    let dry = harness.release(lease, ReleaseRequest { dry_run: true, ..DELETE }).await;
    let release = harness.release(lease, DELETE).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![reason]));
    assert_eq!(release.branch, BranchRelease::Kept(KeepReason::CheckedOut { path: lease.path.clone() }));
    assert_eq!(dry, release);
    assert_eq!((harness.git(lease, &["status", "--porcelain"]), harness.listed(), harness.branches()), before);
}

#[tokio::test]
async fn a_clean_worktree_goes_with_its_ignored_files_and_the_branch_stays() {
    let harness = Harness::new();
    let (lease, need) = harness.done("a", "a.txt", "a").await;
    write(&lease, "target/big.o", "ignored");
    let release = harness.release(&lease, KEEP).await;
    assert_eq!(release, Release::new(WorktreeFate::Removed, BranchRelease::Kept(KeepReason::Requested)));
    assert!(!lease.path.exists());
    assert!(harness.listed().is_empty());
    assert_eq!(tip(&harness, "gadugi/a"), need.tip);
    assert!(!harness.repo.path().join(".git/worktrees").exists());
    harness.assert_sound();
}

#[tokio::test]
async fn uncommitted_files_keep_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "src/lib.rs", "changed");
    write(&lease, "new/one.txt", "1");
    write(&lease, "new/two.txt", "2");
    assert_kept(&harness, &lease, KeepReason::Uncommitted { files: 3 }).await;
}

#[tokio::test]
async fn staged_files_keep_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "staged.txt", "staged");
    harness.git(&lease, &["add", "staged.txt"]);
    assert_kept(&harness, &lease, KeepReason::Uncommitted { files: 1 }).await;
}

#[tokio::test]
async fn a_file_that_looks_like_a_secret_keeps_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, ".env", "TOKEN=x");
    harness.commit(&lease).await;
    assert_kept(&harness, &lease, KeepReason::Uncommitted { files: 1 }).await;
}

#[tokio::test]
async fn commits_on_a_detached_head_keep_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.git(&lease, &["checkout", "-q", "--detach"]);
    commit_in(&harness, &lease, "a.txt", "a");
    assert_kept(&harness, &lease, KeepReason::HeadElsewhere).await;
}

#[tokio::test]
async fn a_head_on_another_branch_keeps_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.git(&lease, &["checkout", "-q", "-b", "other"]);
    commit_in(&harness, &lease, "a.txt", "a");
    assert_kept(&harness, &lease, KeepReason::HeadElsewhere).await;
}

#[tokio::test]
async fn a_detached_head_on_a_commit_of_the_branch_keeps_nothing() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    harness.git(&lease, &["checkout", "-q", "--detach", "HEAD~1"]);
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn a_head_on_a_branch_without_commits_keeps_the_worktree() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.git(&lease, &["checkout", "-q", "--orphan", "fresh"]);
    harness.git(&lease, &["rm", "-rfq", "."]);
    let release = harness.release(&lease, KEEP).await;
    assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::HeadElsewhere]));
}

#[tokio::test]
async fn operations_under_way_keep_the_worktree_and_are_named() {
    let harness = Harness::new();
    let (other, _) = harness.done("other", "src/lib.rs", "theirs\n").await;
    let other = branch(&other);
    for (task, command, name) in [
        ("merge", vec!["merge", "-q", other], "a merge"),
        ("rebase", vec!["rebase", "-q", other], "a rebase"),
        ("pick", vec!["cherry-pick", other], "a cherry-pick"),
        ("revert", vec!["revert", "--no-edit", "HEAD~1"], "a revert"),
        ("bisect", vec!["bisect", "start"], "a bisect"),
    ] {
        let lease = harness.create(task).await;
        commit_in(&harness, &lease, "src/lib.rs", "ours\n");
        commit_in(&harness, &lease, "src/lib.rs", "ours again\n");
        harness.repo.try_git_in(&lease.path, &command);
        let release = harness.release(&lease, DELETE).await;
        let WorktreeFate::Kept(reasons) = &release.worktree else { panic!("{task}: {release:?}") };
        let operation = KeepReason::OperationInProgress { operation: name.into() };
        assert!(reasons.contains(&operation), "{task}: {reasons:?}");
        assert!(lease.path.exists());
    }
}

#[tokio::test]
async fn a_locked_worktree_stays_even_when_its_work_is_discarded() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.repo.git(&["worktree", "lock", "--reason", "on a stick", &lease.path.to_string_lossy()]);
    assert_kept(&harness, &lease, KeepReason::Locked { reason: "on a stick".into() }).await;
    let fate = harness.release(&lease, DISCARD).await.worktree;
    assert_eq!(fate, WorktreeFate::Kept(vec![KeepReason::Locked { reason: "on a stick".into() }]));
}

#[tokio::test]
async fn an_initialised_submodule_keeps_the_worktree() {
    let harness = Harness::new();
    let sub = harness.repo.root().join("sub");
    fs::create_dir(&sub).expect("a folder");
    harness.repo.git_in(&sub, &["init", "-q", "-b", "main"]);
    harness.repo.git_in(&sub, &["commit", "-q", "--allow-empty", "-m", "Begin"]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", "sub"];
    harness.repo.git(&add);
    harness.repo.git(&["commit", "-q", "-m", "With a submodule"]);
    let harness = Harness::on(harness.repo);
    let lease = harness.create("a").await;
    harness.git(&lease, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    assert_kept(&harness, &lease, KeepReason::Submodule { path: "sub".into() }).await;
}

#[tokio::test]
async fn files_in_the_folder_of_a_submodule_that_was_never_initialised_keep_the_worktree() {
    let harness = Harness::new();
    let head = harness.repo.git(&["rev-parse", "HEAD"]);
    harness.repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},sub")]);
    harness.repo.git(&["commit", "-q", "-m", "With a submodule"]);
    let harness = Harness::on(harness.repo);
    let lease = harness.create("a").await;
    write(&lease, "sub/written.txt", "git does not see it");
    assert_kept(&harness, &lease, KeepReason::Submodule { path: "sub".into() }).await;
}

#[tokio::test]
async fn an_unmerged_branch_stays_and_the_commits_at_stake_are_counted() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    commit_in(&harness, &lease, "a.txt", "1");
    commit_in(&harness, &lease, "a.txt", "2");
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.worktree, WorktreeFate::Removed);
    assert_eq!(release.branch, BranchRelease::Kept(KeepReason::Unmerged { commits: 2 }));
    assert_eq!(harness.branches(), ["gadugi/a", "main"]);
}

#[tokio::test]
async fn a_branch_goes_when_a_branch_a_tag_a_remote_branch_or_a_detached_head_keeps_its_tip() {
    let harness = Harness::new();
    let head = format!("the HEAD of {}", harness.repo.path().display());
    let keepers: [(&str, &[&str], &str); 5] = [
        ("branch", &["branch", "keeper-1", "gadugi/branch"], "keeper-1"),
        ("merged", &["merge", "-q", "--no-ff", "-m", "Merge", "gadugi/merged"], "main"),
        ("tag", &["tag", "-a", "-m", "keeper", "keeper-2", "gadugi/tag"], "the tag keeper-2"),
        ("remote", &["update-ref", "refs/remotes/origin/keeper", "gadugi/remote"], "origin/keeper"),
        ("head", &["checkout", "-q", "--detach", "gadugi/head"], &head),
    ];
    for (task, keeper, from) in keepers {
        let (lease, need) = harness.done(task, &format!("{task}.txt"), task).await;
        harness.repo.git(keeper);
        let dry = harness.release(&lease, ReleaseRequest { dry_run: true, ..DELETE }).await;
        let release = harness.release(&lease, DELETE).await;
        let by = MergedBy::Reachable { from: from.into() };
        assert_eq!(release.branch, BranchRelease::Deleted { tip: need.tip, by }, "{task}");
        assert_eq!(dry, release);
        assert!(!harness.branches().contains(&format!("gadugi/{task}")));
    }
    harness.assert_sound();
}

#[tokio::test]
async fn a_branch_without_commits_of_its_own_goes() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let base = lease.base.clone().expect("a base");
    let by = MergedBy::Reachable { from: "main".into() };
    assert_eq!(harness.release(&lease, DELETE).await.branch, BranchRelease::Deleted { tip: base, by });
    assert_eq!(harness.branches(), ["main"]);
}

#[tokio::test]
async fn of_two_branches_on_one_commit_one_stays() {
    let harness = Harness::new();
    let (first, need) = harness.done("a", "a.txt", "a").await;
    let mut request = crate::harness::request("b");
    request.needs = vec![need];
    let second = harness.try_create(request).await.expect("a worktree");
    assert!(matches!(harness.release(&first, DELETE).await.branch, BranchRelease::Deleted { .. }));
    let last = harness.release(&second, DELETE).await.branch;
    assert_eq!(last, BranchRelease::Kept(KeepReason::Unmerged { commits: 1 }));
}

#[tokio::test]
async fn a_symbolic_reference_to_the_branch_does_not_keep_its_commits() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    harness.repo.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/gadugi/a"]);
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.branch, BranchRelease::Kept(KeepReason::Unmerged { commits: 1 }));
}

#[tokio::test]
async fn a_branch_that_is_checked_out_elsewhere_stays() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
    harness.repo.git(&["checkout", "-q", "gadugi/a"]);
    let release = harness.release(&lease, DELETE).await;
    let path = harness.repo.path().to_owned();
    assert_eq!(release.branch, BranchRelease::Kept(KeepReason::CheckedOut { path }));
}

#[tokio::test]
async fn a_packed_branch_is_deleted_from_the_pack() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.repo.git(&["pack-refs", "--all", "--prune"]);
    assert!(matches!(harness.release(&lease, DELETE).await.branch, BranchRelease::Deleted { .. }));
    assert_eq!(harness.branches(), ["main"]);
    harness.assert_sound();
}

#[tokio::test]
async fn an_absent_worktree_is_absent_and_its_entry_goes_when_git_would_prune_it() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    harness.repo.git(&["config", "gc.worktreePruneExpire", "now"]);
    let dry = harness.release(&lease, ReleaseRequest { dry_run: true, ..DELETE }).await;
    assert_eq!(harness.listed().len(), 1);
    let release = harness.release(&lease, DELETE).await;
    assert_eq!(release.worktree, WorktreeFate::Absent);
    assert!(matches!(release.branch, BranchRelease::Deleted { .. }));
    assert_eq!(dry, release);
    assert!(harness.listed().is_empty());
    let again = harness.release(&lease, DELETE).await;
    assert_eq!(again, Release::new(WorktreeFate::Absent, BranchRelease::Absent));
    harness.assert_sound();
}

#[tokio::test]
async fn the_entry_of_an_absent_worktree_stays_when_it_alone_keeps_a_commit() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.git(&lease, &["checkout", "-q", "--detach"]);
    commit_in(&harness, &lease, "a.txt", "a");
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Absent);
    assert_eq!(harness.listed().len(), 1);
}

#[tokio::test]
async fn a_folder_that_is_no_worktree_is_an_error_and_stays() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    harness.release(&lease, KEEP).await;
    write(&lease, "somebody-elses.txt", "precious");
    for request in [KEEP, DISCARD] {
        let error = harness.worktrees.release(&lease, request).await.expect_err("it is no worktree");
        assert!(matches!(error, WorktreeError::Release { .. }));
        assert!(chain(&error).contains("is not a worktree of this repository"), "{}", chain(&error));
    }
    assert!(lease.path.join("somebody-elses.txt").exists());
}

#[tokio::test]
async fn a_worktree_of_an_earlier_process_can_be_released() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    let later = worktrees_of(&harness.repo.path().join("src"));
    let release = later.release(&lease, KEEP).await.expect("a release");
    assert_eq!(release.worktree, WorktreeFate::Removed);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let harness = Harness::new();
    let (lease, _) = harness.done("a", "a.txt", "a").await;
    write(&lease, "b.txt", "b");
    let before = (harness.git(&lease, &["status", "--porcelain"]), harness.listed(), harness.branches());
    let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: true, dry_run: true };
    let dry = harness.release(&lease, request).await;
    assert_eq!((harness.git(&lease, &["status", "--porcelain"]), harness.listed(), harness.branches()), before);
    assert_eq!(harness.repo.git(&["for-each-ref", "refs/gadugi"]), "");
    assert_eq!(harness.release(&lease, ReleaseRequest { dry_run: false, ..request }).await, dry);
}

#[tokio::test]
async fn discarded_work_stays_under_the_trash_reference_without_secrets() {
    let harness = Harness::new();
    let (lease, need) = harness.done("a", "a.txt", "committed").await;
    write(&lease, "b.txt", "uncommitted");
    write(&lease, ".env", "TOKEN=x");
    let release = harness.release(&lease, DISCARD).await;
    let deleted = BranchRelease::Deleted { tip: need.tip.clone(), by: MergedBy::Discarded };
    assert_eq!((release.worktree, release.branch), (WorktreeFate::Removed, deleted));
    assert_eq!(release.dropped, [".env"]);
    assert_eq!(release.details.untracked, Paths { count: 2, first: vec![".env".into(), "b.txt".into()] });
    assert!(!lease.path.exists());
    assert_eq!(harness.branches(), ["main"]);
    let trash = format!("refs/gadugi/trash/{RUN}/a");
    assert_eq!(harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi"]), trash);
    assert_eq!(harness.repo.git(&["show", &format!("{trash}:b.txt")]), "uncommitted");
    assert_eq!(tip(&harness, &format!("{trash}~1")), need.tip);
    assert_eq!(harness.repo.git(&["ls-tree", "--name-only", &trash]), ".gitignore\na.txt\nb.txt\nsrc");
    harness.assert_sound();
}

#[tokio::test]
async fn two_discarded_attempts_of_one_task_both_stay_in_the_trash() {
    let harness = Harness::new();
    let (first, one) = harness.done("a", "a.txt", "first").await;
    let (second, two) = harness.done("a", "a.txt", "second").await;
    harness.release(&first, DISCARD).await;
    harness.release(&second, DISCARD).await;
    let trash = format!("refs/gadugi/trash/{RUN}/a");
    assert_eq!((tip(&harness, &trash), tip(&harness, &format!("{trash}@2"))), (one.tip, two.tip));
}

#[tokio::test]
async fn discarding_with_a_head_elsewhere_keeps_both_histories_in_the_trash() {
    let harness = Harness::new();
    let (lease, need) = harness.done("a", "a.txt", "on the branch").await;
    harness.git(&lease, &["checkout", "-q", "--detach", "HEAD~1"]);
    commit_in(&harness, &lease, "elsewhere.txt", "elsewhere");
    let elsewhere = commit_id(&harness.git(&lease, &["rev-parse", "HEAD"]));
    write(&lease, "uncommitted.txt", "uncommitted");
    harness.release(&lease, DISCARD).await;
    let trash = format!("refs/gadugi/trash/{RUN}/a");
    assert_eq!((tip(&harness, &format!("{trash}^1")), tip(&harness, &format!("{trash}^2"))), (elsewhere, need.tip));
    assert_eq!(harness.repo.git(&["show", &format!("{trash}:uncommitted.txt")]), "uncommitted");
}

#[tokio::test]
async fn discarding_an_absent_worktree_keeps_its_branch_in_the_trash() {
    let harness = Harness::new();
    let (lease, need) = harness.done("a", "a.txt", "a").await;
    fs::remove_dir_all(&lease.path).expect("the folder goes");
    let release = harness.release(&lease, DISCARD).await;
    let deleted = BranchRelease::Deleted { tip: need.tip.clone(), by: MergedBy::Discarded };
    let trash = format!("refs/gadugi/trash/{RUN}/a");
    assert_eq!(tip(&harness, &trash), need.tip);
    assert_eq!(release, Release { kept_as: Some(trash), ..Release::new(WorktreeFate::Absent, deleted) });
}

/// A lease whose folder and branch were given to another attempt, and that attempt's lease, with work.
async fn a_place_that_is_another_attempts_now(harness: &Harness) -> (Lease, Lease) {
    let old = harness.create("a").await;
    harness.release(&old, DELETE).await;
    let mut request = request("a");
    request.run = "20261123-083355-k7q".parse().expect("a run id");
    let new = harness.try_create(request).await.expect("a worktree");
    assert_eq!((&new.path, &new.branch), (&old.path, &old.branch));
    commit_in(harness, &new, "new.txt", "by the newer run");
    write(&new, "uncommitted.txt", "by the newer run");
    (old, new)
}

#[tokio::test]
async fn an_old_lease_does_not_touch_the_worktree_and_the_branch_that_a_newer_run_has_in_its_place() {
    let harness = Harness::new();
    let (old, new) = a_place_that_is_another_attempts_now(&harness).await;
    let before = (harness.git(&new, &["status", "--porcelain"]), harness.listed(), tip(&harness, "gadugi/a"));
    let unwanted = ReleaseRequest { branch: BranchFate::Delete, ..DISCARD };
    for request in [KEEP, DELETE, DISCARD, ReleaseRequest { dry_run: true, ..DISCARD }, unwanted] {
        let release = harness.release(&old, request).await;
        assert_eq!(release.worktree, WorktreeFate::Absent);
        let reason = match request.branch {
            BranchFate::Keep => KeepReason::Requested,
            BranchFate::DeleteIfMerged | BranchFate::Delete => KeepReason::CheckedOut { path: new.path.clone() },
        };
        assert_eq!(release.branch, BranchRelease::Kept(reason));
        assert_eq!(harness.repo.git(&["for-each-ref", "refs/gadugi"]), "");
    }
    let collected =
        harness.worktrees.snapshot(&old, SnapshotRequest { commit: true, subject: None, since: None }).await;
    let error = collected.expect_err("the place is another attempt's");
    assert!(chain(&error).contains("made for this attempt"), "{}", chain(&error));
    assert_eq!((harness.git(&new, &["status", "--porcelain"]), harness.listed(), tip(&harness, "gadugi/a")), before);
}

#[tokio::test]
async fn an_old_lease_does_not_touch_the_branch_of_a_newer_worktree_whose_head_is_elsewhere_or_whose_folder_is_gone() {
    let harness = Harness::new();
    let (old, new) = a_place_that_is_another_attempts_now(&harness).await;
    harness.git(&new, &["checkout", "-q", "--detach"]);
    let kept = BranchRelease::Kept(KeepReason::CheckedOut { path: new.path.clone() });
    assert_eq!(harness.release(&old, DISCARD).await.branch, kept);
    fs::remove_dir_all(&new.path).expect("the folder goes");
    assert_eq!(harness.release(&old, DISCARD).await.branch, kept);
    assert_eq!(harness.listed(), [new.path]);
}

#[tokio::test]
async fn an_earlier_attempt_does_not_touch_the_worktree_that_a_later_one_has_in_its_place() {
    let harness = Harness::new();
    let first = harness.create("a").await;
    harness.release(&first, DELETE).await;
    let mut request = request("a");
    request.attempt.number = request.attempt.number.next();
    let second = harness.try_create(request).await.expect("a worktree");
    assert_eq!(harness.release(&first, DISCARD).await.worktree, WorktreeFate::Absent);
    assert_eq!(harness.listed(), [second.path]);
}

#[tokio::test]
async fn a_worktree_that_an_older_version_made_without_the_number_of_the_attempt_is_of_its_task() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    let note = harness.repo.path().join(".git/worktrees/a/gadugi");
    let text = fs::read_to_string(&note).expect("a note");
    assert!(text.contains("attempt 1\n"), "{text}");
    fs::write(&note, text.replace("attempt 1\n", "")).expect("a note");
    assert_eq!(harness.release(&lease, DELETE).await.worktree, WorktreeFate::Removed);
}

/// Writes a `.gitignore` that hides all files of its folder, and itself.
fn hide_everything(lease: &Lease, folder: &str) {
    write(lease, &format!("{folder}x"), "x");
    write(lease, &format!("{folder}hidden.txt"), "y");
    write(lease, &format!("{folder}.gitignore"), "*\n");
}

#[tokio::test]
async fn files_that_a_gitignore_of_the_task_hides_with_itself_keep_the_worktree() {
    let harness = Harness::new();
    for (task, folder) in [("root", ""), ("folder", "one/two/")] {
        let lease = harness.create(task).await;
        if folder.is_empty() {
            fs::remove_file(lease.path.join(".gitignore")).expect("the committed rules go");
            harness.git(&lease, &["rm", "-q", "--cached", ".gitignore"]);
            harness.git(&lease, &["commit", "-q", "-m", "Without rules"]);
        }
        hide_everything(&lease, folder);
        let work = harness.commit(&lease).await;
        assert_eq!((work.files, work.uncommitted), (u64::from(folder.is_empty()), 3), "{task}");
        let release = harness.release(&lease, DELETE).await;
        assert_eq!(release.worktree, WorktreeFate::Kept(vec![KeepReason::Uncommitted { files: 3 }]), "{task}");
        assert!(lease.path.join(format!("{folder}hidden.txt")).exists());
    }
}

#[tokio::test]
async fn hidden_files_that_are_discarded_stay_in_the_trash() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    hide_everything(&lease, "new/");
    write(&lease, "new/.env", "TOKEN=x");
    write(&lease, "target/big.o", "ignored by a committed rule");
    let release = harness.release(&lease, DISCARD).await;
    assert_eq!((release.worktree, release.dropped), (WorktreeFate::Removed, vec!["new/.env".to_owned()]));
    let trash = format!("refs/gadugi/trash/{RUN}/a");
    let files = harness.repo.git(&["ls-tree", "-r", "--name-only", &trash, "new", "target"]);
    assert_eq!(files, "new/.gitignore\nnew/hidden.txt\nnew/x");
}

#[tokio::test]
async fn files_that_a_gitignore_of_the_task_hides_go_once_it_is_committed_itself() {
    let harness = Harness::new();
    let lease = harness.create("a").await;
    write(&lease, "new/.gitignore", "cache/\n");
    write(&lease, "new/cache/big.o", "ignored");
    write(&lease, "target/.gitignore", "*\n");
    write(&lease, "target/big.o", "ignored by a committed rule");
    let work = harness.commit(&lease).await;
    assert_eq!((work.files, work.uncommitted), (1, 0));
    assert_eq!(harness.release(&lease, KEEP).await.worktree, WorktreeFate::Removed);
}
