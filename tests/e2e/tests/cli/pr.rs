//! `gadugi pr`: branches on a real remote, and pull requests by the real `gh`.

use std::path::PathBuf;

use crate::forge::{Forge, HOST};
use crate::harness::{Answer, Harness};

/// A bare remote `origin` with the branch `main`, at an address of the forge.
fn remote(harness: &Harness) -> PathBuf {
    let bare = harness.repo.root().join("remote.git");
    let path = bare.to_str().expect("UTF-8").to_owned();
    harness.repo.git(&["init", "-q", "--bare", "-b", "main", &path]);
    let address = format!("https://{HOST}/o/r.git");
    harness.repo.git(&["config", &format!("url.{path}.insteadOf"), &address]);
    harness.repo.git(&["remote", "add", "origin", &address]);
    harness.repo.git(&["push", "-q", "origin", "main"]);
    bare
}

fn pr(harness: &Harness, forge: &Forge, args: &[&str]) -> Answer {
    let mut command = harness.command(&[&["pr"], args].concat());
    forge.known_to(&mut command).output().expect("gadugi starts").into()
}

/// The branches of the remote, with their commits.
fn heads(harness: &Harness, bare: &std::path::Path) -> Vec<String> {
    let heads = harness.repo.git_in(bare, &["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"]);
    heads.lines().map(str::to_owned).collect()
}

fn local(harness: &Harness, branches: &[&str]) -> Vec<String> {
    branches.iter().map(|branch| format!("{branch} {}", harness.repo.git(&["rev-parse", branch]))).collect()
}

#[test]
fn what_succeeded_is_pushed_and_proposed_as_drafts_and_again_only_updated() {
    let harness = Harness::new();
    let Some(forge) = Forge::start(&harness.repo.root()) else { return };
    let bare = remote(&harness);
    let good = harness.task("fix.md", "---\nrun: echo 1 > one\ncheck: test -e one\n---\n# Fix \"the\" login\n");
    let [bad, idle] = [("bad", "exit 1"), ("idle", "true")].map(|(name, script)| harness.script(name, script));
    harness.gadugi(&["run", &good, &bad, &idle]).expect(1);
    let before = harness.repo.fingerprint();
    let planned = pr(&harness, &forge, &["--dry-run"]).expect(0).out;
    let push = "fix: git push origin gadugi/fix:gadugi/fix\n";
    assert_eq!(planned, format!("{push}fix: pull request into main, a draft: Fix \"the\" login\n"));
    assert_eq!(heads(&harness, &bare), local(&harness, &["main"]));
    let answer = pr(&harness, &forge, &[]).expect(0);
    let url = format!("https://{HOST}/o/r/pull/1");
    assert_eq!(answer.out, format!("fix: {url} (opened against main, a draft)\n"));
    answer.says(&[
        "bad is passed over: it has not succeeded",
        "idle is passed over: it has no commits",
        "pushed gadugi/fix",
    ]);
    assert_eq!(heads(&harness, &bare), local(&harness, &["gadugi/fix", "main"]));
    forge.with(|state| {
        let pull = &state.pulls[0];
        assert_eq!((&pull["title"], &pull["draft"]), (&"Fix \"the\" login".into(), &true.into()));
        assert_eq!((&pull["head"]["ref"], &pull["base"]["ref"]), (&"gadugi/fix".into(), &"main".into()));
        let body = pull["body"].as_str().expect("a text");
        assert!(body.contains("- Outcome: succeeded\n") && body.contains("test -e one"), "{body}");
        assert!(!body.contains(harness.repo.root().to_str().expect("UTF-8")), "{body}");
        // A person writes around it, and changes the title.
        state.pulls[0]["body"] = format!("Closes #7\n\n{}\nSeen.", body.replace("succeeded", "old")).into();
        state.pulls[0]["title"] = "A better title".into();
        state.calls.clear();
    });
    let worktree = harness.repo.root().join("again");
    harness.repo.git(&["worktree", "add", "-q", worktree.to_str().expect("UTF-8"), "gadugi/fix"]);
    harness.repo.git_in(&worktree, &["commit", "-q", "--allow-empty", "-m", "More"]);
    harness.repo.git(&["worktree", "remove", worktree.to_str().expect("UTF-8")]);
    let answer = pr(&harness, &forge, &["fix"]).expect(0);
    assert_eq!(answer.out, format!("fix: {url} (updated, a draft)\n"));
    assert_eq!(heads(&harness, &bare), local(&harness, &["gadugi/fix", "main"]));
    forge.with(|state| {
        let body = state.pulls[0]["body"].as_str().expect("a text");
        assert!(body.starts_with("Closes #7\n") && body.ends_with("Seen.") && body.contains("Outcome: succeeded"));
        assert_eq!(state.pulls[0]["title"], "A better title");
        assert_eq!(state.calls, ["GET /api/v3/repos/o/r/pulls", "PATCH /api/v3/repos/o/r/pulls/1"]);
        state.pulls[0]["body"] = "All by a person".into();
    });
    let kept = pr(&harness, &forge, &["fix"]).expect(0).says(&["gadugi/fix is up to date on origin"]).out;
    assert_eq!(kept, format!("fix: {url} (up to date; its text is not gadugi's, and stays, a draft)\n"));
    // As after any push.
    harness.repo.git(&["update-ref", "-d", "refs/remotes/origin/gadugi/fix"]);
    assert_eq!(harness.repo.fingerprint(), before);
}

#[test]
fn tasks_that_need_one_another_become_a_stack() {
    let harness = Harness::new();
    let Some(forge) = Forge::start(&harness.repo.root()) else { return };
    remote(&harness);
    let task = |name: &str, needs: &str| {
        harness.task(&format!("{name}.md"), format!("---\nrun: echo 1 > {name}\nneeds: [{needs}]\n---\n# Do {name}\n"))
    };
    let idle = harness.task("idle.md", "---\nrun: true\nneeds: [b]\n---\n");
    let tasks = [task("c", "idle"), task("d", "b, x"), task("b", "a"), task("a", ""), task("x", ""), idle];
    let args: Vec<&str> = std::iter::once("run").chain(tasks.iter().map(String::as_str)).collect();
    harness.gadugi(&args).expect(0);
    pr(&harness, &forge, &["c"])
        .expect(0)
        .says(&["c needs b, whose branch is not on origin", "publish b first for a stack"]);
    forge.with(|state| state.pulls.clear());
    let answer = pr(&harness, &forge, &["--ready"]).expect(0);
    let lines: Vec<&str> =
        answer.out.lines().map(|line| line.split_once("pull/").map_or(line, |(_, line)| line)).collect();
    let expected = [
        "1 (opened against main)",
        "2 (opened against gadugi/a)",
        "3 (opened against gadugi/b)",
        "4 (opened against main)",
        "5 (opened against main)",
    ];
    assert_eq!(lines.len(), expected.len(), "{}", answer.out);
    assert!(lines.contains(&expected[0]), "{}", answer.out);
    answer.says(&["d needs b and x: its pull request is opened against main"]);
    let bases = forge.with(|state| {
        let base =
            |pull: &serde_json::Value| format!("{} <- {}", pull["base"]["ref"], pull["head"]["ref"]).replace('"', "");
        let mut bases: Vec<String> = state.pulls.iter().map(base).collect();
        bases.sort();
        bases
    });
    let stack =
        ["gadugi/a <- gadugi/b", "gadugi/b <- gadugi/c", "main <- gadugi/a", "main <- gadugi/d", "main <- gadugi/x"];
    assert_eq!(bases, stack);
    // Once the first is in the target, the next one is against that.
    harness.repo.git(&["push", "-q", "origin", "gadugi/a:main"]);
    forge.with(|state| state.pulls.clear());
    let answer =
        pr(&harness, &forge, &["a", "b"]).expect(0).says(&["a is passed over: main of origin has its commits"]);
    assert!(answer.out.starts_with("b: ") && answer.out.contains("opened against main"), "{}", answer.out);
}

#[test]
fn a_task_that_was_retried_is_stacked_on_the_branch_that_it_needs_of_the_earlier_run() {
    let harness = Harness::new();
    let Some(forge) = Forge::start(&harness.repo.root()) else { return };
    remote(&harness);
    let allowed = harness.repo.root().join("allowed");
    let second = format!("---\nrun: echo 1 > b; test -e {}\nneeds: [a]\n---\n# Do b\n", allowed.display());
    harness.gadugi(&["run", &harness.script("a", "echo 1 > a"), &harness.task("b.md", second)]).expect(1);
    pr(&harness, &forge, &[]).expect(0);
    std::fs::write(&allowed, "").expect("a file");
    harness.gadugi(&["retry"]).expect(0);
    let answer = pr(&harness, &forge, &[]).expect(0);
    assert!(answer.out.contains("(opened against gadugi/a, a draft)"), "{}", answer.out);
}

#[test]
fn a_push_that_is_refused_is_named_with_its_remedy_and_the_others_go_on() {
    let harness = Harness::new();
    let Some(forge) = Forge::start(&harness.repo.root()) else { return };
    let bare = remote(&harness);
    let tasks = ["a", "b"].map(|name| harness.script(name, &format!("echo {name} > {name}")));
    let refused = harness.task("refused.md", "---\nrun: echo 1 > r\n---\n# Nothing new\n");
    harness.gadugi(&["run", &tasks[0], &tasks[1], &refused]).expect(0);
    let theirs = harness.repo.git(&["commit-tree", "-m", "Theirs", "main^{tree}", "-p", "main"]);
    harness.repo.git(&["push", "-q", "origin", &format!("{theirs}:refs/heads/gadugi/a")]);
    let answer = pr(&harness, &forge, &[]).expect(1);
    let answer = answer.says(&[
        "a: origin refuses gadugi/a: its branch there has commits that are not in yours",
        "git fetch origin gadugi/a",
        "refused: its pull request could not be opened",
        "No commits between main and gadugi/refused",
    ]);
    assert!(answer.out.starts_with("b: https://") && answer.out.lines().count() == 1, "{}", answer.out);
    assert!(heads(&harness, &bare).contains(&format!("gadugi/a {theirs}")));
}

#[test]
fn without_gh_or_its_login_branches_are_pushed_and_the_commands_are_printed() {
    let harness = Harness::new();
    let bare = remote(&harness);
    harness.gadugi(&["run", &harness.task("fix.md", "---\nrun: echo 1 > one\n---\n# It's \"fixed\"\n")]).expect(0);
    // Only what Gadugi itself calls.
    let programs = harness.repo.root().join("programs");
    std::fs::create_dir(&programs).expect("a folder");
    let path = std::env::var_os("PATH").expect("a path");
    for name in ["git", "sh"] {
        let path = std::env::split_paths(&path).map(|folder| folder.join(name));
        std::os::unix::fs::symlink({ path }.find(|path| path.exists()).expect("it is installed"), programs.join(name))
            .expect("a link");
    }
    let mut command = harness.command(&["pr"]);
    let answer = Answer::from(command.env("PATH", &programs).output().expect("gadugi starts")).expect(0);
    let text = harness.latest_run().join("pull-requests/fix.md");
    let title = r#"'It'\''s "fixed"'"#;
    let expected = format!(
        "gh pr create --repo {HOST}/o/r --draft --base main --head gadugi/fix --title {title} --body-file {}\n\
         # or in a browser: https://{HOST}/o/r/compare/main...gadugi/fix?expand=1\n",
        text.display()
    );
    assert_eq!(answer.out, expected);
    answer.says(&["gh is not installed"]);
    assert!(std::fs::read_to_string(&text).expect("a text").contains("Outcome: succeeded"));
    assert_eq!(heads(&harness, &bare), local(&harness, &["gadugi/fix", "main"]));
    let Some(forge) = Forge::start(&harness.repo.root()) else { return };
    let mut command = harness.command(&["pr"]);
    forge.known_to(&mut command).env_remove("GH_ENTERPRISE_TOKEN");
    let answer = Answer::from(command.output().expect("gadugi starts"))
        .expect(0)
        .says(&["gh is not logged in", "gh auth login"]);
    assert_eq!(answer.out, expected);
    let mut command = harness.command(&["pr"]);
    forge.known_to(&mut command).env("GH_ENTERPRISE_TOKEN", "wrong");
    Answer::from(command.output().expect("gadugi starts")).expect(1).says(&["Bad credentials"]);
}

#[test]
fn what_cannot_be_published_is_said_before_anything_is_pushed() {
    let harness = Harness::new();
    let tasks = [harness.script("good", "echo 1 > one"), harness.script("bad", "exit 1")];
    harness.gadugi(&["run", &tasks[0], &tasks[1]]).expect(1);
    let pr = |args: &[&str]| harness.gadugi(&[&["pr"], args].concat());
    pr(&[]).expect(3).says(&["no remote", "git remote add origin"]);
    let bare = remote(&harness);
    pr(&["--remote", "nowhere"]).expect(2).says(&["no remote `nowhere`"]);
    pr(&["--base", "nowhere"]).expect(2).says(&["origin has no branch `nowhere`"]);
    pr(&["bad"]).expect(1).says(&["bad has not succeeded: failed (exit code 1)"]);
    harness.repo.git(&["branch", "-D", "gadugi/good"]);
    pr(&["good"]).expect(1).says(&["its branch gadugi/good is gone", "git branch gadugi/good"]);
    assert_eq!(heads(&harness, &bare), local(&harness, &["main"]));
}
