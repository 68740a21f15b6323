//! Repositories of every kind that a user may stand in.

use gadugi_test_support::repo::TestRepo;

use crate::harness::Harness;

#[test]
fn branches_and_folders_that_exist_are_never_taken_over() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "gadugi/a"]);
    std::fs::create_dir_all(harness.worktrees().join("b")).expect("a folder");
    let (a, b) = (harness.script("a", "echo a > a.txt"), harness.script("b", "echo b > b.txt"));
    harness.gadugi(&["run", &a, &b]).expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/a-2:a.txt"]), "a");
    assert_eq!(harness.repo.git(&["show", "gadugi/b-2:b.txt"]), "b");
    assert_eq!(harness.repo.git(&["rev-parse", "gadugi/a"]), harness.repo.git(&["rev-parse", "main"]));
    assert!(harness.worktrees().join("b").read_dir().expect("it stays").next().is_none());
}

#[test]
fn a_branch_that_keeps_those_of_tasks_from_being_made_is_named_before_anything() {
    let harness = Harness::new();
    harness.repo.git(&["branch", "gadugi"]);
    let file = harness.script("a", "true");
    for command in [&["plan", &file][..], &["run", &file]] {
        let answer = harness.gadugi(command).expect(3);
        assert!(answer.err.contains("the branch `gadugi` is in the way"), "{}", answer.err);
        assert!(answer.err.contains("hint: rename it, or set another `branch_prefix`"), "{}", answer.err);
    }
    let found = harness.gadugi(&["doctor"]).expect(3).out;
    assert!(found.lines().any(|line| line.starts_with("BAD") && line.contains("branch_prefix")), "{found}");
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists());
    harness.repo.write("gadugi.toml", "branch_prefix = \"tasks/\"\n");
    harness.gadugi(&["run", &file]).expect(0);
}

#[test]
fn the_branch_of_a_task_has_never_the_name_of_a_tag() {
    let harness = Harness::new();
    harness.repo.git(&["tag", "gadugi/a"]);
    let file = harness.script("a", "echo a > a.txt");
    let report = harness.gadugi(&["run", &file]).expect(0).out;
    assert!(report.contains("..gadugi/a-2\n"), "{report}");
    assert_eq!(harness.repo.git(&["show", "gadugi/a-2:a.txt"]), "a");
}

#[test]
fn who_commits_is_told_by_the_configuration_that_git_is_told_of() {
    let harness = Harness::new();
    let global = harness.repo.root().join("global");
    std::fs::write(&global, "[user]\nname = Ada\nemail = ada@example.org\n").expect("a file");
    let file = harness.script("a", "echo a > a.txt");
    let mut run = harness.command(&["run", &file]);
    run.env("GIT_CONFIG_GLOBAL", &global);
    crate::harness::Answer::from(run.output().expect("it starts")).expect(0);
    assert_eq!(harness.repo.git(&["log", "-1", "--format=%an", "gadugi/a"]), "Ada");
}

#[test]
fn a_bare_repository_beside_its_worktrees_leads_to_one_of_them() {
    let harness = Harness::new();
    let project = harness.repo.root().join("project");
    let bare = project.join(".bare");
    harness.repo.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]);
    let told = |folder: &std::path::Path| {
        let answer: crate::harness::Answer = harness.command_in(folder, &["ps"]).output().expect("it starts").into();
        answer.expect(3).err
    };
    let bare_path = bare.display();
    assert!(told(&project).contains(&format!("git -C {bare_path} worktree add ../work")), "{}", told(&project));
    let work = project.join("work");
    harness.repo.git(&["-C", bare.to_str().expect("UTF-8"), "worktree", "add", "-q", "../work", "main"]);
    assert!(told(&project).contains(&format!("-C {}", work.display())), "{}", told(&project));
    std::fs::write(project.join(".git"), "gitdir: ./.bare\n").expect("a file");
    assert!(told(&project).contains(&format!("-C {}", work.display())), "{}", told(&project));
}

#[test]
fn a_detached_head_and_a_dirty_work_tree_are_left_alone() {
    let harness = Harness::new();
    harness.repo.commit_file("second.txt", "2\n");
    harness.repo.git(&["checkout", "-q", "--detach", "HEAD~1"]);
    harness.repo.write("README.md", "changed and not committed\n");
    harness.repo.write("staged.txt", "staged\n");
    harness.repo.git(&["add", "staged.txt"]);
    let before = harness.repo.fingerprint();
    let file = harness.script("a", "ls > ls.txt");
    let answer = harness.gadugi(&["run", &file]).expect(0);
    assert!(answer.err.contains("uncommitted"), "a dirty work tree is worth a word:\n{}", answer.err);
    assert_eq!(harness.repo.git(&["show", "gadugi/a:ls.txt"]), "README.md\nls.txt");
    assert_eq!(harness.repo.git(&["show", "gadugi/a:README.md"]), "# A project");
    assert_eq!(harness.repo.fingerprint(), before);
}

#[test]
fn it_works_from_a_subfolder_from_a_linked_worktree_and_in_a_path_with_spaces() {
    let harness = Harness::of(TestRepo::init("my project ü", &[]));
    harness.repo.commit_file("deep/er/file.txt", "x\n");
    let file = harness.script("a", "echo a > a.txt");
    let below: crate::harness::Answer =
        harness.command_in(&harness.repo.path().join("deep/er"), &["run", &file]).output().expect("it starts").into();
    below.expect(0);
    let linked = harness.repo.root().join("linked");
    harness.repo.git(&["worktree", "add", "-q", linked.to_str().expect("UTF-8")]);
    let there: crate::harness::Answer =
        harness.command_in(&linked, &["run", &file]).output().expect("it starts").into();
    there.expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/a:a.txt"]), "a");
    assert_eq!(harness.repo.git(&["show", "gadugi/a-2:a.txt"]), "a");
    let ps: crate::harness::Answer = harness.command_in(&linked, &["ps", "--all"]).output().expect("it starts").into();
    assert_eq!(ps.expect(0).out.matches("run 2").count(), 2, "both runs are seen from everywhere");
    harness.assert_sound();
}

#[test]
fn the_base_can_be_a_tag_a_branch_or_a_commit() {
    let harness = Harness::new();
    harness.repo.git(&["tag", "-a", "-m", "one", "v1"]);
    let first = harness.repo.git(&["rev-parse", "HEAD"]);
    harness.repo.commit_file("later.txt", "later\n");
    for base in ["v1", &first, "main~1"] {
        let file = harness.script("a", "ls > ls.txt");
        harness.gadugi(&["run", "--base", base, &file]).expect(0);
        let report = harness.report();
        assert_eq!(report["base"], first, "{base}");
    }
}

#[test]
fn hooks_of_the_user_are_not_run_by_what_gadugi_commits() {
    let harness = Harness::new();
    let canary = harness.repo.root().join("canary");
    for hook in ["pre-commit", "commit-msg", "post-commit", "reference-transaction"] {
        let path = harness.repo.path().join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, format!("#!/bin/sh\necho {hook} >> '{}'\n", canary.display())).expect("a hook");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    }
    let file = harness.script("a", "echo a > a.txt");
    harness.gadugi(&["run", &file]).expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/a:a.txt"]), "a");
    assert!(!canary.exists(), "{}", std::fs::read_to_string(&canary).unwrap_or_default());
}

#[test]
fn files_that_look_like_secrets_are_left_out_named_and_kept() {
    let harness = Harness::new();
    let file = harness.script("a", "echo K=1 > .env; echo a > a.txt");
    let answer = harness.gadugi(&["run", &file]).expect(0);
    assert_eq!(harness.repo.git(&["ls-tree", "--name-only", "gadugi/a"]), "README.md\na.txt");
    assert!(answer.out.contains(".env"), "{}", answer.out);
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("a/.env")).expect("it stays"), "K=1\n");
    let kept = harness.gadugi(&["clean"]).expect(0).out;
    assert!(kept.contains("1 uncommitted file"), "{kept}");
    let gone = harness.gadugi(&["clean", "--discard"]).expect(0).out;
    assert!(gone.contains("for good: .env"), "what is kept nowhere is named: {gone}");
}
