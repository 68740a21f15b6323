//! The commands around a run.

use crate::harness::{Going, Harness};
use crate::hostile_tasks::is_alive;

#[test]
fn init_writes_a_file_that_works_and_never_over_one_that_is_there() {
    let harness = Harness::new();
    harness.gadugi(&["init"]).expect(0);
    let file = harness.script("a", "true");
    harness.gadugi(&["run", &file]).expect(0);
    harness.repo.write("gadugi.toml", "jobs = 2\n");
    harness.gadugi(&["init"]).expect(2).says(&["gadugi.toml", "--force"]);
    assert_eq!(std::fs::read_to_string(harness.repo.path().join("gadugi.toml")).expect("it stays"), "jobs = 2\n");
    harness.gadugi(&["init", "--force"]).expect(0);
}

#[test]
fn init_writes_a_dockerfile_too_and_over_nothing_that_is_there() {
    let harness = Harness::new();
    let (config, dockerfile) = ("gadugi.toml", ".gadugi/Dockerfile");
    let path = |name: &str| harness.repo.path().join(name);
    let text = |name: &str| std::fs::read_to_string(path(name)).expect(name);
    let line = "image = \"gadugi/repo:latest\"";
    harness.gadugi(&["init", "--docker"]).expect(0).says(&[config, dockerfile, "next: ", "gadugi image build"]);
    assert!(text(config).lines().any(|written| written == line) && text(config).contains("`gadugi image build`"));
    assert!(text(dockerfile).contains("\nFROM debian:bookworm-slim\n"));
    harness.gadugi(&["plan", &harness.script("a", "true")]).expect(0);

    harness.repo.write(config, "jobs = 2\n");
    harness.repo.write(dockerfile, "FROM mine\n");
    harness.gadugi(&["init", "--docker"]).expect(2).says(&[dockerfile, "--force"]);
    std::fs::remove_file(path(dockerfile)).expect("it goes");
    harness.gadugi(&["init", "--docker"]).expect(0).says(&["kept ", "gadugi.toml", line, dockerfile]);
    assert_eq!((text(config).as_str(), path(dockerfile).exists()), ("jobs = 2\n", true));
    std::fs::remove_file(path(config)).expect("it goes");
    harness.repo.write(dockerfile, "FROM mine\n");
    let answer = harness.gadugi(&["init", "--docker"]).expect(2).says(&["Dockerfile exists", "--force"]);
    assert!(!answer.err.contains(line) && !path(config).exists());
    assert_eq!(text(dockerfile), "FROM mine\n");
    harness.gadugi(&["init", "--docker", "--force"]).expect(0);
    assert!(text(config).contains(line) && text(dockerfile).contains("FROM debian"));
}

#[test]
fn a_named_configuration_is_looked_for_from_the_folder_of_c() {
    let harness = Harness::new();
    harness.repo.write("other.toml", "jobs = 3\n");
    let file = harness.script("a", "true");
    let folder = harness.repo.path().to_str().expect("UTF-8").to_owned();
    let args = ["-C", &folder, "--config", "other.toml", "plan", &file];
    let answer: crate::harness::Answer =
        harness.command_in(&harness.repo.root(), &args).output().expect("it starts").into();
    assert!(answer.expect(0).out.contains("at most 3 at once"));
}

#[test]
fn doctor_says_what_works_and_how_to_mend_what_does_not() {
    let harness = Harness::new();
    let answer = harness.gadugi(&["doctor"]).expect(0);
    for word in ["git", "repository", "subprocess", "worktrees", "disk"] {
        assert!(answer.out.contains(word), "`{word}` is not in\n{}", answer.out);
    }
    let outside = tempfile::tempdir().expect("a folder");
    let answer: crate::harness::Answer =
        harness.command_in(outside.path(), &["doctor"]).output().expect("it starts").into();
    assert!(answer.expect(3).out.contains("git init"), "the remedy is named");
}

#[test]
fn plan_shows_order_and_overlaps_and_starts_nothing() {
    let harness = Harness::new();
    let before = harness.repo.fingerprint();
    let a = harness.task("a.md", "---\ntouches: [\"src/**\"]\nrun: 'true'\n---\n# First\n");
    let b = harness.task("b.md", "---\ntouches: [src/lib.rs]\nrun: 'true'\n---\n# Second\n");
    let c = harness.task("c.md", "---\nneeds: [a]\nrun: 'true'\n---\n# Third\n");
    let answer = harness.gadugi(&["plan", &c, &a, &b]).expect(0);
    let at = |word: &str| answer.out.find(word).unwrap_or_else(|| panic!("`{word}` is not in\n{}", answer.out));
    assert!(at("First") < at("Third"));
    assert!(answer.out.contains("a and b"), "{}", answer.out);
    assert_eq!(harness.repo.fingerprint(), before);
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists());
}

#[test]
fn plan_names_some_of_many_overlaps_and_counts_the_rest() {
    let harness = Harness::new();
    for n in 0..300 {
        harness.task(&format!("t{n}.md"), "---\ntouches: [src]\nrun: 'true'\n---\n");
    }
    let folder = harness.repo.root().join("tasks");
    let plan = harness.gadugi(&["plan", folder.to_str().expect("UTF-8")]).expect(0).out;
    assert_eq!(plan.matches("take turns").count(), 20, "{plan}");
    assert!(plan.contains("… and 44830 more pairs"), "{plan}");
}

#[test]
fn ps_and_logs_tell_the_truth_while_a_run_goes_on() {
    let harness = Harness::new();
    let gate = harness.repo.root().join("gate");
    let file = harness.script(
        "slow",
        &format!("echo first line\nwhile [ ! -e '{}' ]; do sleep 0.02; done\necho last line", gate.display()),
    );
    let after = harness.task("after.md", "---\nneeds: [slow]\nrun: 'true'\n---\n");
    let mut run = Going::start(harness.command(&["run", &file, &after]));
    run.until("slow   started");
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("slow") && ps.contains("running") && ps.contains("pid "), "{ps}");
    assert!(ps.contains("blocked"), "{ps}");
    let json: serde_json::Value = serde_json::from_str(&harness.gadugi(&["ps", "--json"]).expect(0).out).expect("JSON");
    let pid = json[0]["tasks"][0]["pid"].as_u64().expect("a pid").to_string();
    assert!(is_alive(&pid));
    let follow = Going::start(harness.command(&["logs", "-f", "slow"]));
    std::fs::write(&gate, "").expect("the gate opens");
    assert_eq!(follow.end().expect(0).out, "first line\nlast line\n");
    run.end().expect(0);
    assert!(!is_alive(&pid));
    let ps = harness.gadugi(&["ps", "latest"]).expect(0).out;
    assert_eq!(ps.matches("succeeded").count(), 3, "the run and both tasks:\n{ps}");
}

#[test]
fn logs_can_show_the_last_lines_of_any_attempt() {
    let harness = Harness::new();
    let file =
        harness.task("t.md", "---\nretries: 1\nrun: for i in 1 2 3; do echo $GADUGI_ATTEMPT.$i; done; exit 1\n---\n");
    harness.gadugi(&["run", &file]).expect(1);
    assert_eq!(harness.gadugi(&["logs", "t"]).expect(0).out, "2.1\n2.2\n2.3\n");
    assert_eq!(harness.gadugi(&["logs", "t", "-n", "2", "--attempt", "1"]).expect(0).out, "1.2\n1.3\n");
    harness.gadugi(&["logs", "tt"]).expect(2).says(&["`tt`", "`t`"]);
    harness.gadugi(&["logs", "t", "--attempt", "3"]).expect(2).says(&["attempt 3"]);
    harness.gadugi(&["logs", "t", "--run", "1999"]).expect(2).says(&["1999"]);
}

#[test]
fn logs_that_are_followed_show_every_attempt_whole() {
    let harness = Harness::new();
    let gate = harness.repo.root().join("gate");
    let script = [
        "if [ $GADUGI_ATTEMPT = 1 ]; then",
        "  echo before; echo begun",
        &format!("  while [ ! -e '{}' ]; do sleep 0.02; done", gate.display()),
        "fi",
        "printf \"$GADUGI_ATTEMPT: 10%%\\r$GADUGI_ATTEMPT: 20%%\\r\\nmiddle\\nlast\"; exit 1",
    ];
    let file = harness.task("t.md", format!("---\nretries: 3\nrun: |\n  {}\n---\n", script.join("\n  ")));
    let run = Going::start(harness.command(&["run", &file]));
    while harness.gadugi(&["logs", "t"]).out != "before\nbegun\n" {}
    let follow = |args: &[&str], first: &str| {
        let mut following = Going::start(harness.command(&[&["logs", "-f", "t"], args].concat()));
        assert_eq!(following.next_line(), first);
        following
    };
    let all = follow(&[], "before\n");
    let last = follow(&["-n", "1"], "begun\n");
    let first = follow(&["--attempt", "1"], "before\n");
    std::fs::write(&gate, "").expect("the gate opens");
    run.end().expect(1);
    let of = |n: u32| format!("{n}: 10%\n{n}: 20%\nmiddle\nlast");
    let whole = (1..=4).map(|n| of(n) + "\n").collect::<String>();
    assert_eq!(all.end().expect(0).out, format!("begun\n{whole}"));
    assert_eq!(last.end().expect(0).out, whole, "-n is about what was there at the beginning");
    assert_eq!(first.end().expect(0).out, format!("begun\n{}", of(1)));
}

#[test]
fn the_report_comes_in_three_formats_and_into_a_file() {
    let harness = Harness::new();
    let good = harness.script("good", "echo hello");
    let bad = harness.script("bad", "echo '<oops> | `x`'; exit 1");
    let printed = harness.gadugi(&["run", &good, &bad]).expect(1).out;
    assert_eq!(harness.gadugi(&["report"]).expect(0).out, printed, "it is the one that the run has printed");
    assert_eq!(harness.report()["schema"], "gadugi.report/1");
    let junit = harness.gadugi(&["report", "--format", "junit"]).expect(0).out;
    assert!(junit.contains("<testsuites") && junit.contains("failures=\"1\""), "{junit}");
    let file = harness.repo.root().join("r.md");
    let answer = harness.gadugi(&["report", "-o", file.to_str().expect("UTF-8")]).expect(0);
    assert_eq!((answer.out.as_str(), std::fs::read_to_string(&file).expect("it is there")), ("", printed));
}

#[test]
fn clean_removes_what_is_merged_and_says_why_it_keeps_the_rest() {
    let harness = Harness::new();
    let merged = harness.script("merged", "echo m > m.txt");
    let unmerged = harness.script("unmerged", "echo u > u.txt");
    let failed = harness.script("failed", "echo f > f.txt; exit 1");
    harness.gadugi(&["run", &merged, &unmerged, &failed]).expect(1);
    harness.repo.git(&["merge", "-q", "--no-edit", "gadugi/merged"]);
    let heads = || harness.repo.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/gadugi"]);
    let before = heads();
    let dry = harness.gadugi(&["clean", "--dry-run"]).expect(0).out;
    assert_eq!(heads(), before, "a dry run changes nothing");
    let wet = harness.gadugi(&["clean"]).expect(0).out;
    for text in [&dry, &wet] {
        assert!(text.contains("1 uncommitted file") && text.contains("on no other branch"), "{text}");
    }
    assert_eq!(heads(), "gadugi/failed\ngadugi/unmerged");
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("failed/f.txt")).expect("it stays"), "f\n");
    harness.gadugi(&["clean", "--discard"]).expect(0);
    assert_eq!(heads(), "");
    let trash = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/trash"]);
    assert_eq!(trash.lines().count(), 2, "{trash}");
    let ref_of = |task: &str| trash.lines().find(|line| line.ends_with(task)).expect(task).to_owned();
    assert_eq!(harness.repo.git(&["show", &format!("{}:f.txt", ref_of("failed"))]), "f");
    assert_eq!(harness.repo.git(&["show", &format!("{}:u.txt", ref_of("unmerged"))]), "u");
    assert!(!harness.worktrees().join("failed").exists());
    harness.assert_sound();
}

/// What gadugi answers in a folder that is no repository.
fn outside_of_a_repository(harness: &Harness, args: &[&str]) -> crate::harness::Answer {
    let outside = tempfile::tempdir().expect("a folder");
    harness.command_in(outside.path(), args).output().expect("it starts").into()
}

#[test]
fn completions_and_the_manual_are_printed_outside_of_a_repository_too() {
    let harness = Harness::new();
    for (args, word) in [
        (vec!["completions", "bash"], "_gadugi"),
        (vec!["man"], ".TH gadugi 1"),
        (vec!["man", "run"], ".TH gadugi-run 1"),
        (vec!["man", "image", "build"], ".TH gadugi-image-build 1"),
        (vec!["--help"], "Exit codes"),
        (vec!["help"], "Exit codes"),
    ] {
        assert!(outside_of_a_repository(&harness, &args).expect(0).out.contains(word), "{args:?}");
    }
    outside_of_a_repository(&harness, &["man", "image", "eat"]).expect(2).says(&["`image eat`", "gadugi help"]);
}

#[test]
fn a_page_of_the_manual_is_written_for_every_command() {
    let harness = Harness::new();
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    let answer = harness.gadugi(&["man", "--output", pages.to_str().expect("UTF-8")]).expect(0);
    let written: Vec<_> = std::fs::read_dir(&pages).expect("it is there").map(|page| page.expect("a page")).collect();
    assert!(answer.out.contains(&format!("wrote {} pages", written.len())), "{}", answer.out);
    for name in ["gadugi", "gadugi-run", "gadugi-image", "gadugi-image-build", "gadugi-man"] {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).expect(name);
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains("gadugi 0."), "{page}");
        let last = if name == "gadugi" { ".SH \"EXIT STATUS\"" } else { ".SH EXAMPLES" };
        assert!(page.contains(last) && !page.contains(".SH EXTRA"), "{page}");
    }
    assert!(!pages.join("gadugi-help.1").exists(), "it would say the same as the others");
}

#[test]
fn help_shows_the_options_of_a_command_under_headings_with_examples() {
    let harness = Harness::new();
    let help = outside_of_a_repository(&harness, &["help", "run"]).expect(0).out;
    assert_eq!(help, outside_of_a_repository(&harness, &["run", "--help"]).expect(0).out);
    let headings: Vec<&str> = help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    let expected = [
        "Arguments:",
        "Task selection:",
        "Execution:",
        "Worktrees:",
        "Limits:",
        "Run control:",
        "Global options:",
        "Examples:",
    ];
    assert_eq!(headings, expected, "{help}");
    let short = outside_of_a_repository(&harness, &["run", "-h"]).expect(0).out;
    assert!(short.lines().count() < 60 && !short.contains("Examples:"), "{short}");
}

#[test]
fn zero_jobs_are_refused_with_the_least_that_is_allowed() {
    let harness = Harness::new();
    for command in ["run", "plan"] {
        harness.gadugi(&[command, "-j", "0", "-t", "x"]).expect(2).says(&["--jobs", "at least 1"]);
        harness.gadugi(&[command, "-j", "two", "-t", "x"]).expect(2).says(&["whole number of at least 1"]);
    }
    harness.gadugi(&["run", "--max-tokens", "0", "-t", "x"]).expect(2).says(&["--max-tokens", "at least 1"]);
}
