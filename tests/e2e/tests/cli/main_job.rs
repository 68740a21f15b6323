//! A batch of task files, from the files to branches, a registry and a report.

use crate::harness::Harness;

#[test]
fn three_tasks_run_side_by_side_and_end_in_branches_and_a_report() {
    let harness = Harness::new();
    let before = harness.repo.fingerprint();
    // Each waits for the other two to have begun: they can only end if all three run at once.
    let meet = |me: &str, others: &str| {
        format!(
            "mkdir -p \"$TMPDIR/{{dir}}\"; touch \"$TMPDIR/{{dir}}/{me}\"\nfor o in {others}; do while [ ! -e \"$TMPDIR/{{dir}}/$o\" ]; do sleep 0.02; done; done\necho {me} > {me}.txt\n"
        )
    };
    let meeting = tempfile::tempdir().expect("a folder");
    let place = |script: String| script.replace("$TMPDIR/{dir}", &meeting.path().to_string_lossy());
    let files = [
        harness.script("a", &place(meet("a", "b c"))),
        harness.script("b", &place(meet("b", "a c"))),
        harness.script("c", &place(meet("c", "a b"))),
    ];
    let answer = harness.gadugi(&["run", "-j3", &files[0], &files[1], &files[2]]).expect(0);
    for task in ["a", "b", "c"] {
        assert_eq!(harness.repo.git(&["show", &format!("gadugi/{task}:{task}.txt")]), task);
        let message = harness.repo.git(&["log", "-1", "--format=%B", &format!("gadugi/{task}")]);
        assert!(message.contains("Gadugi-Run: ") && message.contains(&format!("Gadugi-Task: {task}")), "{message}");
    }
    assert!(answer.out.contains("Speed-up, measured"), "{}", answer.out);
    assert_eq!(harness.report()["performance"]["peak_parallelism"], 3);
    assert_eq!(harness.repo.fingerprint(), before, "the user's repository has changed");
    harness.assert_sound();
    assert!(!harness.repo.git(&["worktree", "list"]).contains("repo.gadugi"), "worktrees of succeeded tasks go");
}

#[test]
fn a_task_starts_from_the_merged_branches_of_those_that_it_needs() {
    let harness = Harness::new();
    let a = harness.script("a", "echo a > a.txt");
    let b = harness
        .script("b", "echo b > b.txt; git add b.txt; git -c user.name=t -c user.email=t@t commit -qm 'by the task'");
    let c = harness.task("c.md", "---\nneeds: [a, b]\nrun: cat a.txt b.txt > c.txt\n---\n");
    harness.gadugi(&["run", &a, &b, &c]).expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/c:c.txt"]), "a\nb");
    harness.assert_sound();
}

#[test]
fn branches_that_do_not_merge_are_an_outcome_that_names_the_files() {
    let harness = Harness::new();
    let a = harness.script("a", "echo a > same.txt");
    let b = harness.script("b", "echo b > same.txt");
    let c = harness.task("c.md", "---\nneeds: [a, b]\nrun: 'true'\n---\n");
    let answer = harness.gadugi(&["run", &a, &b, &c]).expect(1);
    assert_eq!(harness.outcomes()["c"], "conflict");
    assert!(answer.out.contains("same.txt"), "{}", answer.out);
}

#[test]
fn a_failed_task_keeps_its_worktree_and_what_is_in_it() {
    let harness = Harness::new();
    let file = harness.script("bad", "echo half > half.txt; exit 3");
    harness.gadugi(&["run", &file]).expect(1);
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("bad/half.txt")).expect("it is there"), "half\n");
    let report = harness.report();
    assert_eq!(report["tasks"][0]["outcome"]["kind"], "failed");
    assert_eq!(report["tasks"][0]["outcome"]["failure"]["code"], 3);
}

#[test]
fn tasks_come_from_text_from_standard_input_from_folders_globs_and_batches() {
    let harness = Harness::new();
    harness
        .repo
        .write("gadugi.toml", "agent = \"cat\"\n[agents.cat]\ncommand = [\"sh\", \"-c\", \"cat > prompt.txt\"]\n");
    harness.gadugi(&["run", "-t", "- Write the changelog"]).expect(0);
    let branch = harness.repo.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/gadugi"]);
    assert!(harness.repo.git(&["show", &format!("{branch}:prompt.txt")]).contains("Write the changelog"));
    harness.gadugi_reading(&["run", "-"], b"# From a pipe\nDo it.\n").expect(0);
    harness.script("x1", "true");
    harness.script("x2", "true");
    let folder = harness.repo.root().join("tasks");
    let folder = folder.to_str().expect("UTF-8");
    harness.gadugi(&["run", folder]).expect(0);
    assert_eq!(harness.outcomes().len(), 2);
    harness.gadugi(&["run", &format!("{folder}/x*.md")]).expect(0);
    assert_eq!(harness.outcomes().len(), 2);
    let batch = harness.task(
        "tasks.toml",
        "[[task]]\nid = \"one\"\nrun = \"true\"\n[[task]]\nid = \"two\"\nneeds = [\"one\"]\ncommand = [\"true\"]\n",
    );
    harness.gadugi(&["run", &batch]).expect(0);
    assert_eq!(harness.outcomes().into_keys().collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn what_an_executor_does_not_hold_is_said_before_and_in_the_report() {
    let harness = Harness::new();
    let file = harness.task("t.md", "---\nrun: 'true'\nmemory: 1GiB\nimage: debian\n---\n");
    let answer = harness.gadugi(&["run", &file]).expect(0).says(&["does not hold its image, memory"]);
    assert!(answer.out.contains("t: the executor subprocess does not hold its image, memory"), "{}", answer.out);
}

#[test]
fn a_check_decides_and_a_retry_starts_from_the_base_again() {
    let harness = Harness::new();
    let mark = harness.repo.root().join("second");
    let file = harness.task(
        "t.md",
        format!("---\nretries: 1\nrun: echo x >> tried.txt\ncheck: if [ -e '{0}' ]; then exit 0; fi; touch '{0}'; exit 1\n---\n", mark.display()),
    );
    harness.gadugi(&["run", &file]).expect(0);
    assert_eq!(harness.report()["tasks"][0]["attempts"].as_array().map(Vec::len), Some(2));
    let branch =
        harness.report()["tasks"][0]["attempts"][1]["worktree"]["branch"].as_str().expect("a branch").to_owned();
    assert_eq!(
        harness.repo.git(&["show", &format!("{branch}:tried.txt")]),
        "x",
        "the first attempt's work is not in it"
    );
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("t/tried.txt")).expect("it stays"), "x\n");
}

#[test]
fn sixteen_tasks_at_once_leave_a_repository_of_thousands_of_files_as_it_was_again_and_again() {
    let harness = Harness::new();
    harness.repo.many_files(3000);
    harness.repo.write("dirty.txt", "the user's own\n");
    let before = harness.repo.fingerprint();
    for n in 0..16 {
        harness.script(&format!("t{n:02}"), &format!("echo {n} > made-by-{n}.txt"));
    }
    let folder = harness.repo.root().join("tasks");
    for round in 1..=3 {
        harness.gadugi(&["run", "-j16", folder.to_str().expect("UTF-8")]).expect(0);
        assert_eq!(harness.repo.fingerprint(), before, "round {round}");
        harness.assert_sound();
        let branches = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi"]);
        assert_eq!(branches.lines().count(), 16 * round);
    }
    assert_eq!(harness.repo.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn only_and_skip_choose_among_the_tasks() {
    let harness = Harness::new();
    let a = harness.script("a", "true");
    let b = harness.task("b.md", "---\nneeds: [a]\nrun: 'true'\n---\n");
    let c = harness.script("c", "true");
    harness.gadugi(&["run", &a, &b, &c, "--only", "b"]).expect(0);
    assert_eq!(harness.outcomes().into_keys().collect::<Vec<_>>(), ["a", "b"]);
    harness.gadugi(&["run", &a, &b, &c, "--skip", "c"]).expect(0);
    assert_eq!(harness.outcomes().into_keys().collect::<Vec<_>>(), ["a", "b"]);
    harness.gadugi(&["run", &a, &b, "--skip", "a"]).expect(2).says(&["`b` needs `a`"]);
    harness.gadugi(&["run", &a, "--only", "aa"]).expect(2).says(&["`aa`"]);
}

#[test]
fn json_gives_every_event_as_a_line() {
    let harness = Harness::new();
    let file = harness.script("a", "true");
    let answer = harness.gadugi(&["run", "--json", &file]).expect(0);
    let kinds: Vec<String> = answer
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
        .map(|event| event["kind"].as_str().expect("a kind").to_owned())
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("run_started"));
    assert_eq!(kinds.last().map(String::as_str), Some("run_ended"));
    assert!(kinds.iter().any(|kind| kind == "command_ended"));
}

#[test]
fn a_retry_can_go_on_from_what_the_attempt_before_has_left() {
    let harness = Harness::new();
    let file = harness.task(
        "t.md",
        "---\nretries: 2\nretry_delay: 50ms\nretry_from: previous\nrun: |\n  echo x >> tried.txt\n  test $(wc -l < tried.txt) = 3\n---\n",
    );
    harness.gadugi(&["run", &file]).expect(0);
    let attempts = &harness.report()["tasks"][0]["attempts"];
    assert_eq!(attempts.as_array().map(Vec::len), Some(3));
    let branch = |at: usize| attempts[at]["worktree"]["branch"].as_str().expect("a branch").to_owned();
    assert_eq!(harness.repo.git(&["show", &format!("{}:tried.txt", branch(2))]), "x\nx\nx");
    assert_eq!(harness.repo.git(&["show", &format!("{}:tried.txt", branch(0))]), "x", "the first one is kept");
}
