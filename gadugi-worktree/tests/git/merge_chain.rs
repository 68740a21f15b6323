//! Chains of commits that put branches together, compared with what git makes.

use gadugi_core::merge::{AmendContent, Amended, Integration, LinkResult, Strategy};
use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use crate::harness::Harness;
use crate::merging::{conflict, harness, is_added, lines, merge_id, with_line};

const STRATEGIES: [Strategy; 3] = [Strategy::Merge, Strategy::Squash, Strategy::Rebase];

#[tokio::test]
async fn merging_makes_a_merge_commit_for_each_branch() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))], &[("new.txt", Some("new\n"))]]);
    let b = harness.branch("b", "main", &[&[("b.txt", Some(&with_line("b.txt", 3, "b")))]]);
    let chain = harness.chain(Strategy::Merge, &[&a, &b]).await;
    assert!(chain.links.iter().all(is_added), "{:?}", chain.links);
    assert_eq!(harness.rev(&format!("{}^{{tree}}", chain.tip)), chain.tree.as_str());
    let history = harness.repo.git(&[
        "log",
        "--first-parent",
        "--format=%s|%P|%an|%(trailers:unfold,separator=%x2C)",
        chain.tip.as_str(),
        "^main",
    ]);
    let LinkResult::Added { commit: first } = &chain.links[0] else { panic!("{:?}", chain.links) };
    let trailers = |task: &str| format!("Gadugi-Run: 20261122-083355-k7q,Gadugi-Task: {task}");
    let expected = [
        format!("Merge task 'b': Do b|{first} {}|gadugi|{}", b.tip, trailers("b")),
        format!("Merge task 'a': Do a|{} {}|gadugi|{}", harness.rev("main"), a.tip, trailers("a")),
    ];
    assert_eq!(history.lines().collect::<Vec<_>>(), expected);
    harness.repo.git(&["checkout", "-q", "--detach"]);
    harness.repo.git(&["merge", "-q", "--no-ff", "-m", "a", a.tip.as_str()]);
    harness.repo.git(&["merge", "-q", "--no-ff", "-m", "b", b.tip.as_str()]);
    assert_eq!(harness.rev("HEAD^{tree}"), chain.tree.as_str());
    harness.repo.git(&["checkout", "-q", "main"]);
    assert_eq!(harness.kept(), [chain.tip.to_string()]);
    harness.assert_sound();
}

#[tokio::test]
async fn a_chain_leaves_head_index_files_and_branches_as_they_were() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))]]);
    let b = harness.branch("b", "main", &[&[("a.txt", Some("b\n"))]]);
    harness.repo.write("a.txt", "not committed\n");
    let before = (harness.repo.fingerprint(), harness.branches());
    for strategy in STRATEGIES {
        let chain = harness.chain(strategy, &[&a, &b]).await;
        assert_eq!(chain.links[1], conflict(&["a.txt"], &["a"]), "{strategy:?}");
        harness.mark(strategy, &chain.tip, &b).await;
    }
    assert_eq!((harness.repo.fingerprint(), harness.branches()), before);
    harness.worktrees.forget(&merge_id()).await.expect("it is forgotten");
    harness.worktrees.forget(&merge_id()).await.expect("again");
    assert_eq!(harness.kept(), [""; 0]);
    assert_eq!((harness.repo.fingerprint(), harness.branches()), before);
}

#[tokio::test]
async fn squashing_makes_one_commit_for_each_task_with_its_title() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))], &[("new.txt", Some("new\n"))]]);
    let b = harness.branch("b", "main", &[&[("b.txt", Some("b\n"))]]);
    let chain = harness.chain(Strategy::Squash, &[&a, &b]).await;
    assert_eq!(harness.subjects(&format!("main..{}", chain.tip)), ["Do b", "Do a"]);
    let body = harness.repo.git(&["log", "-1", "--format=%b", chain.tip.as_str()]);
    assert_eq!(body.trim(), "Gadugi-Run: 20261122-083355-k7q\nGadugi-Task: b");
    assert_eq!(harness.repo.git(&["show", &format!("{}:new.txt", chain.tip)]), "new");
}

#[tokio::test]
async fn rebasing_keeps_each_commit_with_its_author_and_message_and_leaves_out_empty_ones() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))], &[("b.txt", Some("b\n"))], &[]]);
    let b = harness.branch("b", "main", &[&[("b.txt", Some("b\n"))], &[("c.txt", Some("c\n"))]]);
    let chain = harness.chain(Strategy::Rebase, &[&a, &b]).await;
    let log = harness.repo.git(&["log", "--format=%s|%an|%cn|%p", &format!("main..{}", chain.tip)]);
    let authors: Vec<_> = log.lines().map(|line| line.rsplit_once('|').expect("parents").0).collect();
    // Those of the first branch are its very commits; that of the second which changes nothing any more is left out.
    let expected = [
        "Commit 1 of b|An Agent|gadugi",
        "Commit 2 of a|An Agent|Test Committer",
        "Commit 1 of a|An Agent|Test Committer",
        "Commit 0 of a|An Agent|Test Committer",
    ];
    assert_eq!(authors, expected);
    assert!(harness.repo.git(&["rev-list", chain.tip.as_str()]).contains(a.tip.as_str()));
}

#[tokio::test]
async fn a_merge_within_a_branch_becomes_one_commit_with_all_that_it_has_brought() {
    let harness = harness();
    let side = harness.branch("side", "main", &[&[("c.txt", Some("side\n"))]]);
    let start = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))]]);
    harness.repo.git(&["checkout", "-q", "gadugi/a"]);
    harness.repo.git(&["merge", "-q", "--no-ff", "--no-commit", side.tip.as_str()]);
    // What is changed in the merge itself is on neither side.
    harness.repo.write("dir/d.txt", "in the merge\n");
    harness.repo.git(&["commit", "-q", "-a", "-m", "Merge the side"]);
    harness.repo.git(&["checkout", "-q", "main"]);
    harness.repo.commit_file("b.txt", "moved on\n");
    let a = harness.link("a", "gadugi/a", start.base.as_str());
    let chain = harness.chain(Strategy::Rebase, &[&a]).await;
    assert_eq!(harness.subjects(&format!("main..{}", chain.tip)), ["Merge the side", "Commit 0 of a"]);
    for (file, text) in [("a.txt", "a"), ("b.txt", "moved on"), ("c.txt", "side"), ("dir/d.txt", "in the merge")] {
        assert_eq!(harness.repo.git(&["show", &format!("{}:{file}", chain.tip)]), text);
    }
    assert_eq!(harness.repo.git(&["rev-list", "--merges", &format!("main..{}", chain.tip)]), "");
}

#[tokio::test]
async fn what_conflicts_is_set_aside_with_its_files_and_those_it_conflicts_with() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n")), ("b.txt", Some(&with_line("b.txt", 2, "a")))]]);
    let b = harness.branch("b", "main", &[&[("b.txt", Some(&with_line("b.txt", 9, "b")))]]);
    let with_a = harness.branch("with-a", "main", &[&[("a.txt", Some("other\n"))]]);
    let both = harness.branch("both", "main", &[&[("b.txt", Some("both\n"))]]);
    let target = harness.branch("target", "main", &[&[("c.txt", Some("task\n"))]]);
    let free = harness.branch("free", "main", &[&[("free.txt", Some("free\n"))]]);
    harness.repo.commit_file("c.txt", "user\n");
    for strategy in STRATEGIES {
        let chain = harness.chain(strategy, &[&a, &b, &with_a, &both, &target, &free]).await;
        assert!(is_added(&chain.links[0]) && is_added(&chain.links[1]) && is_added(&chain.links[5]), "{strategy:?}");
        assert_eq!(chain.links[2], conflict(&["a.txt"], &["a"]), "{strategy:?}");
        assert_eq!(chain.links[3], conflict(&["b.txt"], &["a", "b"]), "{strategy:?}");
        assert_eq!(chain.links[4], conflict(&["c.txt"], &[]), "{strategy:?}");
    }
    harness.assert_sound();
}

#[tokio::test]
async fn objects_of_what_is_set_aside_are_not_written() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))]]);
    let b = harness.branch("b", "main", &[&[("a.txt", Some("b\n")), ("b.txt", Some("b\n"))]]);
    let count = || {
        harness.repo.git(&["count-objects"]).split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
    };
    let before = count();
    harness.chain(Strategy::Merge, &[&a, &b]).await;
    // The merge commit, whose tree is that of the branch.
    assert_eq!(count() - before, 1);
}

#[tokio::test]
async fn what_the_target_has_already_in_whatever_form_is_contained() {
    let harness = harness();
    let merged = harness.branch("merged", "main", &[&[("a.txt", Some("a\n"))]]);
    let squashed = harness.branch("squashed", "main", &[&[("b.txt", Some("b\n"))], &[("b.txt", Some("bb\n"))]]);
    let picked = harness.branch("picked", "main", &[&[("c.txt", Some("c\n"))], &[("dir/d.txt", Some("d\n"))]]);
    harness.repo.git(&["merge", "-q", "--no-ff", "-m", "Merge", merged.tip.as_str()]);
    harness.repo.git(&["merge", "-q", "--squash", squashed.tip.as_str()]);
    harness.repo.git(&["commit", "-q", "-m", "Squashed"]);
    harness.repo.git(&["cherry-pick", &format!("{}..{}", picked.base, picked.tip)]);
    // What was changed again since conflicts, and is still there.
    harness.repo.commit_file("b.txt", "bb\nand more\n");
    let twin = harness.branch("twin", "main", &[&[("new.txt", Some("new\n"))]]);
    let same = harness.branch("same", "main", &[&[("new.txt", Some("new\n"))]]);
    for strategy in STRATEGIES {
        let chain = harness.chain(strategy, &[&merged, &squashed, &picked, &twin, &same]).await;
        for (place, name) in [(0, "merged"), (1, "squashed"), (2, "picked"), (4, "same")] {
            assert_eq!(chain.links[place], LinkResult::Contained, "{name} {strategy:?}");
        }
        assert!(is_added(&chain.links[3]));
    }
    let nothing = harness.chain(Strategy::Merge, &[&merged]).await;
    assert_eq!(nothing.tip, harness.id("main"));
}

#[tokio::test]
async fn a_task_merges_after_its_need_was_squashed_or_rebased() {
    let harness = harness();
    let need = harness.branch("need", "main", &[&[("a.txt", Some("need\n"))], &[("a.txt", Some("need more\n"))]]);
    let task = harness.branch("task", "gadugi/need", &[&[("a.txt", Some("task\n"))]]);
    harness.repo.commit_file("b.txt", "the target has moved\n");
    for strategy in STRATEGIES {
        let chain = harness.chain(strategy, &[&need, &task]).await;
        assert!(chain.links.iter().all(is_added), "{strategy:?}: {:?}", chain.links);
        assert_eq!(harness.repo.git(&["show", &format!("{}:a.txt", chain.tip)]), "task", "{strategy:?}");
    }
}

#[tokio::test]
async fn generated_files_neither_conflict_nor_change_and_are_named() {
    let harness = harness();
    harness.repo.write("Cargo.lock", lines("lock"));
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Lock"]);
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n")), ("Cargo.lock", Some("a\n"))]]);
    let b = harness.branch("b", "main", &[&[("b.txt", Some("b\n")), ("Cargo.lock", Some("b\n"))]]);
    let new = harness.branch("new", "main", &[&[("sub/Cargo.lock", Some("new\n")), ("Cargo.lock", None)]]);
    let plain = harness.branch("plain", "main", &[&[("c.txt", Some("c\n"))]]);
    for strategy in STRATEGIES {
        let chain = harness.chain_with(strategy, &[&a, &b, &new, &plain], &["Cargo.lock"]).await;
        assert!(chain.links.iter().all(is_added), "{strategy:?}: {:?}", chain.links);
        assert_eq!(chain.to_regenerate, ["Cargo.lock", "sub/Cargo.lock"], "{strategy:?}");
        assert_eq!(harness.rev(&format!("{}:Cargo.lock", chain.tip)), harness.rev("main:Cargo.lock"));
        let paths = harness.repo.git(&["ls-tree", "-r", "--name-only", chain.tip.as_str()]);
        assert!(!paths.contains("sub/Cargo.lock"), "{strategy:?}: {paths}");
        assert_eq!(harness.repo.git(&["show", &format!("{}:b.txt", chain.tip)]), "b");
    }
    // Without a pattern the two conflict.
    let chain = harness.chain(Strategy::Merge, &[&a, &b]).await;
    assert_eq!(chain.links[1], conflict(&["Cargo.lock"], &["a"]));
    // What was made anew is added.
    let chain = harness.chain_with(Strategy::Merge, &[&a, &b], &["Cargo.lock"]).await;
    let anew =
        harness.branch("anew", chain.tip.as_str(), &[&[("Cargo.lock", Some("anew\n")), ("target.txt", Some("x\n"))]]);
    let files = AmendContent::Files { patterns: vec!["Cargo.lock".to_owned()], message: "Make anew\n".to_owned() };
    let amended = harness.amend(&chain.tip, anew.tip.as_str(), files.clone()).await;
    let Amended::Added { tip, .. } = amended else { panic!("{amended:?}") };
    assert_eq!(harness.repo.git(&["diff", "--name-only", chain.tip.as_str(), tip.as_str()]), "Cargo.lock");
    assert_eq!(harness.subjects(&format!("{}..{tip}", chain.tip)), ["Make anew"]);
    let again = harness.amend(&tip, anew.tip.as_str(), files).await;
    assert!(matches!(&again, Amended::Added { tip: same, .. } if *same == tip), "{again:?}");
}

#[tokio::test]
async fn a_conflict_is_shown_and_its_resolution_is_added_if_it_does_no_more() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))]]);
    let b = harness.branch("b", "main", &[&[("a.txt", Some("b\n")), ("b.txt", Some("b\n"))]]);
    for strategy in STRATEGIES {
        let chain = harness.chain(strategy, &[&a]).await;
        let marked = harness.mark(strategy, &chain.tip, &b).await;
        assert_eq!(marked.files, ["a.txt"]);
        let shown = harness.repo.git(&["show", &format!("{}:a.txt", marked.commit)]);
        assert!(shown.starts_with("<<<<<<<") && shown.ends_with(">>>>>>> b"), "{shown}");
        let resolution = || AmendContent::Resolution { link: b.clone(), strategy };
        // Nothing was done.
        let refused = harness.amend(&chain.tip, marked.commit.as_str(), resolution()).await;
        assert_eq!(refused, Amended::Refused { markers: vec!["a.txt".to_owned()], unrelated: Vec::new() });
        let more =
            harness.branch("more", marked.commit.as_str(), &[&[("a.txt", Some("a b\n")), ("c.txt", Some("c\n"))]]);
        let refused = harness.amend(&chain.tip, more.tip.as_str(), resolution()).await;
        assert_eq!(refused, Amended::Refused { markers: Vec::new(), unrelated: vec!["c.txt".to_owned()] });
        let good = harness.branch("good", marked.commit.as_str(), &[&[("a.txt", Some("a b\n"))]]);
        let added = harness.amend(&chain.tip, good.tip.as_str(), resolution()).await;
        let Amended::Added { tip, tree } = added else { panic!("{added:?}") };
        assert_eq!(harness.rev(&format!("{tip}^{{tree}}")), tree.as_str());
        let parents = harness.repo.git(&["log", "-1", "--format=%P", tip.as_str()]);
        match strategy {
            Strategy::Merge => assert_eq!(parents, format!("{} {}", chain.tip, b.tip)),
            _ => assert_eq!(parents, chain.tip.to_string()),
        }
        assert_eq!(harness.repo.git(&["show", &format!("{tip}:b.txt")]), "b");
    }
    harness.assert_sound();
}

#[tokio::test]
async fn a_chain_outlives_a_collection_of_garbage_and_goes_with_its_merge() {
    let harness = harness();
    let a = harness.branch("a", "main", &[&[("a.txt", Some("a\n"))]]);
    let b = harness.branch("b", "main", &[&[("b.txt", Some("b\n"))]]);
    let chain = harness.chain(Strategy::Squash, &[&a, &b]).await;
    let Harness { repo, worktrees } = harness;
    drop(worktrees);
    repo.git(&["gc", "-q", "--prune=now"]);
    let harness = Harness::on(repo);
    assert_eq!(harness.subjects(&format!("main..{}", chain.tip)), ["Do b", "Do a"]);
    harness.worktrees.forget(&merge_id()).await.expect("it is forgotten");
    let Harness { repo, worktrees } = harness;
    drop(worktrees);
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "-q", "--prune=now"]);
    assert!(!repo.try_git_in(repo.path(), &["cat-file", "-e", chain.tip.as_str()]).status.success());
}

/// A change of a branch: of a line of a file, of a whole file, or its deletion.
#[derive(Debug, Clone)]
enum Change {
    Line(usize, usize, u8),
    Whole(usize, u8),
    Delete(usize),
}

const FILES: [&str; 7] = ["a.txt", "b.txt", "c.txt", "dir/d.txt", "dir/e.txt", "f.txt", "dir/sub/g.txt"];

fn changes() -> impl Generator<Value = Change> {
    prop_oneof![
        6 => (0..FILES.len(), 0..12_usize, 0..3_u8).prop_map(|(file, line, text)| Change::Line(file, line, text)),
        1 => (0..FILES.len(), 0..2_u8).prop_map(|(file, text)| Change::Whole(file, text)),
        1 => (0..FILES.len()).prop_map(Change::Delete),
    ]
}

/// The files of a branch after each of its commits, from changes of the files that it began with.
fn contents(commits: &[Vec<Change>]) -> Vec<Vec<(&'static str, Option<String>)>> {
    let mut now: Vec<Option<String>> =
        FILES.iter().map(|name| (!matches!(*name, "f.txt" | "dir/sub/g.txt")).then(|| lines(name))).collect();
    let mut all = Vec::new();
    for commit in commits {
        let mut touched = Vec::new();
        for change in commit {
            let (file, content) = match change {
                Change::Line(file, line, text) => {
                    let before = now[*file].clone().unwrap_or_else(|| lines(FILES[*file]));
                    let wanted = format!("{} {line}\n", FILES[*file]);
                    (*file, Some(before.replace(&wanted, &format!("changed {line} {text}\n"))))
                }
                Change::Whole(file, text) => (*file, Some(format!("whole {text}\n"))),
                Change::Delete(file) => (*file, None),
            };
            now[file] = content;
            touched.push(file);
        }
        all.push(touched.into_iter().map(|file| (FILES[file], now[file].clone())).collect());
    }
    all
}

/// What git makes of the same branches, one after the other: the tree at the end, and which were added or have nothing to add.
fn by_git(harness: &Harness, strategy: Strategy, tips: &[String], base: &str) -> (String, Vec<bool>) {
    let git = |args: &[&str]| harness.repo.try_git_in(harness.repo.path(), args).status.success();
    harness.repo.git(&["checkout", "-q", "--detach", "main"]);
    let mut merged = Vec::new();
    for tip in tips {
        let before = harness.rev("HEAD");
        let done = match strategy {
            Strategy::Merge => git(&["merge", "-q", "--no-ff", "-m", "merged", tip]),
            Strategy::Squash => {
                git(&["merge", "-q", "--squash", tip])
                    && (git(&["diff", "--cached", "--quiet"]) || git(&["commit", "-q", "-m", "squashed"]))
            }
            Strategy::Rebase => {
                let done = git(&["rebase", "-q", "--onto", &before, base, tip]);
                if !done {
                    git(&["rebase", "--abort"]);
                }
                done
            }
        };
        if !done {
            harness.repo.git(&["reset", "-q", "--hard", &before]);
            harness.repo.git(&["checkout", "-q", "--detach", &before]);
        }
        merged.push(done);
    }
    let tree = harness.rev("HEAD^{tree}");
    harness.repo.git(&["checkout", "-q", "main"]);
    (tree, merged)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_has_the_tree_that_git_makes(
        target in prop::collection::vec(changes(), 0..3),
        branches in prop::collection::vec(prop::collection::vec(prop::collection::vec(changes(), 1..3), 1..4), 1..4),
    ) {
        let harness = harness();
        let base = harness.rev("main");
        let mut links = Vec::new();
        for (number, commits) in branches.iter().enumerate() {
            let contents = contents(commits);
            let commits: Vec<Vec<(&str, Option<&str>)>> =
                contents.iter().map(|files| files.iter().map(|(name, text)| (*name, text.as_deref())).collect()).collect();
            let commits: Vec<&[(&str, Option<&str>)]> = commits.iter().map(Vec::as_slice).collect();
            links.push(harness.branch(&format!("t{number}"), &base, &commits));
        }
        for (path, text) in contents(&[target]).pop().into_iter().flatten() {
            match text {
                Some(text) => harness.repo.write(path, text),
                None => drop(std::fs::remove_file(harness.repo.path().join(path))),
            }
        }
        harness.repo.git(&["add", "-A"]);
        harness.repo.git(&["commit", "-q", "--allow-empty", "-m", "The target moves"]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime");
        for strategy in STRATEGIES {
            let tips: Vec<String> = links.iter().map(|link| link.tip.to_string()).collect();
            let chain = runtime.block_on(harness.chain(strategy, &links.iter().collect::<Vec<_>>()));
            let (tree, merged) = by_git(&harness, strategy, &tips, &base);
            let ours: Vec<bool> = chain.links.iter().map(|link| !matches!(link, LinkResult::Conflict { .. })).collect();
            prop_assert_eq!(&ours, &merged, "{:?} {:?}", strategy, chain.links);
            prop_assert_eq!(chain.tree.as_str(), &tree, "{:?} {:?}", strategy, chain.links);
        }
    }
}
