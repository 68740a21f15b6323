//! Names and texts that are made to control a terminal.

use std::fs;

use gadugi_test_support::repo::TestRepo;

use crate::harness::{Answer, Harness};

/// Characters that clear a screen, begin a line, turn the direction of writing, and draw nothing.
const NASTY: &str = "x\u{1b}[2J\u{1b}]0;t\u{7}\nFORGED\r\tFORGED\u{202e}\u{200b}\u{2066}\u{feff}\u{61c}\u{9b}31m";

/// Checks that a terminal obeys no part of the output, and that none of it stands on a line of its own.
#[track_caller]
fn assert_tame(answer: &Answer, of: &[&str]) {
    for text in [&answer.out, &answer.err] {
        let wild = |c: char| {
            let is_unseen = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            (c.is_control() && c != '\n') || is_unseen
        };
        assert!(!text.contains(wild), "{of:?}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{of:?}: {text}");
    }
}

fn tame(harness: &Harness, args: &[&str]) -> Answer {
    let answer = harness.gadugi(args);
    assert_tame(&answer, args);
    answer
}

#[test]
fn names_of_files_and_reasons_of_locks_cannot_control_the_terminal_of_a_clean() {
    let harness = Harness::new();
    fs::write(harness.repo.root().join("nasty"), NASTY).expect("a file");
    let name = "n=$(cat ../../nasty)";
    let files = [
        harness.script("files", &format!("{name}; echo x > \"$n\"; mkdir \"d$n\"; echo x > \"d$n/$n\"; exit 1")),
        harness.script("secret", &format!("{name}; echo x > \".env$n\"; exit 1")),
        harness.script("nested", &format!("{name}; git init -q \"$n\"; echo x > \"$n/f\"; exit 1")),
        harness.script("locked", "exit 1"),
        harness.script("stray", &format!("{name}; echo x > \"$n\"; exit 1")),
        harness.script("submodule", &format!("{name}; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),\"$n\"; mkdir -p \"$n\"; echo x > \"$n/f\"; exit 1")),
    ];
    let run: Vec<&str> = std::iter::once("run").chain(files.iter().map(String::as_str)).collect();
    tame(&harness, &run).expect(1);
    let lock = ["worktree", "lock", "--reason", NASTY, &*harness.worktrees().join("locked").to_string_lossy()]
        .map(str::to_owned);
    harness.repo.git(&lock.each_ref().map(String::as_str));
    fs::remove_dir_all(harness.repo.path().join(".git/worktrees/stray")).expect("the entry goes");
    for args in [&["clean", "--dry-run"][..], &["clean"], &["clean", "--discard", "--dry-run"], &["clean", "--discard"]]
    {
        let said = tame(&harness, args).out;
        assert!(
            said.contains("FORGED") && said.contains("\\u{1b}[2J") && said.contains("it is locked"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn what_tasks_and_configurations_say_cannot_control_the_terminal() {
    let harness = Harness::of(TestRepo::init("re\u{1b}[2J\u{202e}po", &[]));
    harness.repo.commit_file("README.md", "# A project\n");
    harness.repo.git(&["checkout", "-q", "-b", "b\u{202e}\u{200b}c"]);
    let text = NASTY.replace(['\n', '\r'], "");
    let quoted: String = NASTY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let quoted = format!("\"{quoted}\"");
    let octal: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let files = [
        harness.task(
            "title.md",
            format!("---\nrun: \"printf '{}'; exit 1\"\n---\n# A title {text}\n", octal.replace('\\', "\\\\")),
        ),
        harness.task("missing.md", format!("---\ncommand: [{quoted}, a]\n---\n")),
        harness.task("talk.md", format!("---\nagent: shell\n---\nprintf '{octal}' >&2\n# {text}\n")),
        harness.task(
            "check.md",
            format!("---\nrun: 'true'\ncheck: \"printf '{}'; exit 1\"\n---\n", octal.replace('\\', "\\\\")),
        ),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    tame(&harness, &[&["plan", "-v"], &files[..]].concat()).expect(0);
    tame(&harness, &["plan", "--prompt", "talk", files[2]]);
    tame(&harness, &[&["run", "-v"], &files[..]].concat()).expect(1);
    for args in [
        "ps --all",
        "ps --all --json",
        "report",
        "attach",
        "logs title",
        "logs check",
        "logs talk",
        "stop",
        "resume",
        "clean",
        "doctor",
    ] {
        tame(&harness, &args.split(' ').collect::<Vec<_>>());
    }
    for format in ["json", "junit"] {
        tame(&harness, &["report", "--format", format]).expect(0);
    }
    for args in [["logs", NASTY], ["ps", NASTY], ["stop", NASTY], ["run", NASTY], ["report", NASTY]] {
        assert!(!tame(&harness, &args).err.is_empty());
    }
    harness.repo.write("gadugi.toml", format!("{quoted} = 1\nagent = {quoted}\nimage = {quoted}\nbase = {quoted}\n"));
    for args in [&["plan", files[0]][..], &["run", files[0]], &["doctor"]] {
        tame(&harness, args);
    }
    let broken = harness.task("broken.md", format!("---\nneeds: [{quoted}]\nid: {quoted}\n{quoted}: 1\n---\n"));
    tame(&harness, &["run", &broken]).expect(2);
}
