//! Input that cannot work is refused with a clear error, the right exit code, and nothing made.

use std::os::unix::fs::PermissionsExt;

use gadugi_test_support::repo::TestRepo;

use crate::harness::Harness;

/// Neither branches, nor worktrees, nor a run.
#[track_caller]
fn nothing_was_made(harness: &Harness) {
    assert_eq!(harness.repo.git(&["for-each-ref", "refs/heads/gadugi", "refs/gadugi"]), "");
    assert!(!harness.worktrees().exists(), "a folder for worktrees was made");
    let runs = harness.repo.path().join(".git/gadugi/runs");
    assert!(!runs.exists() || runs.read_dir().expect("a folder").next().is_none(), "a run was made");
}

#[track_caller]
fn refused(harness: &Harness, args: &[&str], code: i32, words: &[&str]) {
    let answer = harness.gadugi(args).expect(code).says(words).says(&["error: "]);
    assert_eq!(answer.out, "", "nothing is said on the standard output");
    nothing_was_made(harness);
}

#[test]
fn a_folder_without_a_repository_is_refused() {
    let harness = Harness::new();
    let outside = tempfile::tempdir().expect("a folder");
    let output = harness.command_in(outside.path(), &["run", "-t", "x"]).output().expect("it starts");
    let answer: crate::harness::Answer = output.into();
    answer.expect(3).says(&["not in a git repository", "git init"]);
}

#[test]
fn a_bare_repository_and_one_without_commits_are_refused() {
    let bare = Harness::of(TestRepo::init("bare", &["--bare"]));
    bare.gadugi(&["run", "-t", "x"]).expect(3).says(&["bare"]);
    let empty = Harness::of(TestRepo::new());
    refused(&empty, &["run", "-t", "x"], 3, &["no commit", "hint: "]);
}

#[test]
fn a_base_that_does_not_exist_is_named() {
    let harness = Harness::new();
    let file = harness.script("a", "true");
    refused(&harness, &["run", "--base", "no-such-branch", &file], 2, &["no-such-branch", "hint: "]);
}

#[test]
fn task_files_that_cannot_be_read_are_all_named_at_once() {
    let harness = Harness::new();
    let empty = harness.task("empty.md", "");
    let blank = harness.task("blank.md", " \n\n");
    let huge = harness.task("huge.md", "x".repeat((1 << 20) + 1));
    let latin = harness.task("latin.md", b"# Gr\xfc\xdfe\n");
    let args = ["run", &empty, &blank, &huge, &latin, "no-such-file.md"];
    refused(&harness, &args, 2, &["empty.md", "blank.md", "huge.md", "1 MiB", "latin.md", "UTF-8", "no-such-file.md"]);
}

#[test]
fn a_file_without_permission_to_read_is_named() {
    let harness = Harness::new();
    let file = harness.script("secret", "true");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).expect("it is ours");
    if std::fs::read(&file).is_ok() {
        // Root reads everything; a folder in the place of a file is refused to root too.
        refused(&harness, &["run", "/proc/self/mem"], 2, &["/proc/self/mem"]);
    } else {
        refused(&harness, &["run", &file], 2, &["secret.md"]);
    }
}

#[test]
fn unknown_keys_get_a_line_and_a_suggestion() {
    let harness = Harness::new();
    let file = harness.task("t.md", "---\nrun: 'true'\nnedds: [a]\n---\n");
    refused(&harness, &["run", &file], 2, &["t.md:3", "nedds", "needs"]);
    let batch = harness.task("tasks.toml", "[[task]]\nid = \"a\"\nrunn = \"true\"\n");
    refused(&harness, &["run", &batch], 2, &["tasks.toml:3", "runn", "run"]);
    harness.repo.write("gadugi.toml", "\njbos = 3\n");
    refused(&harness, &["run", "-t", "x"], 2, &["gadugi.toml:2", "jbos", "jobs"]);
}

#[test]
fn cycles_duplicates_and_unknown_needs_are_spelled_out() {
    let harness = Harness::new();
    let a = harness.task("a.md", "---\nneeds: [b]\nrun: 'true'\n---\n");
    let b = harness.task("b.md", "---\nneeds: [a]\nrun: 'true'\n---\n");
    refused(&harness, &["run", &a, &b], 2, &["a -> b -> a"]);
    let c = harness.task("c.md", "---\nid: same\nrun: 'true'\n---\n");
    let d = harness.task("d.md", "---\nid: same\nrun: 'true'\nneeds: [smae]\n---\n");
    refused(
        &harness,
        &["run", &c, &d],
        2,
        &["`same` is taken", "d.md", "`smae`, which does not exist", "did you mean `same`"],
    );
}

#[test]
fn a_task_without_anything_to_run_says_how_to_give_it_something() {
    let harness = Harness::new();
    refused(&harness, &["run", "-t", "Fix the bug"], 2, &["agent"]);
    refused(&harness, &["run", "-t", "Fix the bug", "--agent", "cluade"], 2, &["cluade"]);
    refused(&harness, &["run"], 2, &["no task"]);
}

#[test]
fn names_of_any_form_become_ids_that_git_takes() {
    let harness = Harness::new();
    let long = format!("{}.md", "n".repeat(240));
    let names = ["two words.md", "日本語.md", "a..b.md", "line\nbreak.md", "-dash.md", "ends.lock.md", &long];
    for name in names {
        harness.task(name, "---\nrun: echo x > x.txt\n---\n");
    }
    let folder = harness.repo.root().join("tasks");
    harness.gadugi(&["run", folder.to_str().expect("UTF-8")]).expect(0);
    let branches = harness.repo.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/gadugi"]);
    assert_eq!(branches.lines().count(), names.len(), "{branches}");
    for branch in branches.lines() {
        assert_eq!(harness.repo.git(&["show", &format!("{branch}:x.txt")]), "x");
    }
    harness.assert_sound();
}

#[test]
fn an_explicit_id_that_is_none_is_refused_with_one_that_is() {
    let harness = Harness::new();
    let file = harness.task("t.md", "---\nid: Fix The Bug\nrun: 'true'\n---\n");
    refused(&harness, &["run", &file], 2, &["Fix The Bug", "fix-the-bug"]);
    let file = harness.task("u.md", format!("---\nid: {}\nrun: 'true'\n---\n", "x".repeat(300)));
    refused(&harness, &["run", &file], 2, &["64 characters"]);
}

#[test]
fn an_executor_that_is_not_there_is_an_error_and_never_a_downgrade() {
    let harness = Harness::new();
    let file = harness.script("a", "true");
    refused(&harness, &["run", "--executor", "docker", &file], 3, &["docker", "hint: "]);
    let file = harness.task("b.md", "---\nexecutor: docker\nrun: 'true'\n---\n");
    refused(&harness, &["run", &file], 3, &["docker"]);
}

#[test]
fn flags_that_make_no_sense_are_refused_by_name() {
    let harness = Harness::new();
    let file = harness.script("a", "true");
    for (args, word) in [
        (["run", "-j0", &file], "--jobs"),
        (["run", "--timeout=soon", &file], "soon"),
        (["run", "--keep=some", &file], "--keep"),
    ] {
        harness.gadugi(&args).expect(2).says(&[word]);
        nothing_was_made(&harness);
    }
}

#[test]
fn a_secret_that_is_not_in_the_environment_is_named() {
    let harness = Harness::new();
    let file = harness.task("t.md", "---\nsecrets: [NO_SUCH_TOKEN]\nrun: 'true'\n---\n");
    refused(&harness, &["run", &file], 2, &["NO_SUCH_TOKEN"]);
}
