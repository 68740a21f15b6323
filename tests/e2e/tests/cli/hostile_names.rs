//! Names and texts that are made to control the terminal of whoever reads them.

use std::fs;

use gadugi_test_support::repo::TestRepo;

use crate::stand::{Answer, Stand};

/// What clears a screen, begins a line, turns the direction of writing, and draws nothing.
const NASTY: &str = "x\u{1b}[2J\u{1b}]0;t\u{7}\nFORGED\r\tFORGED\u{202e}\u{200b}\u{2066}\u{feff}\u{61c}\u{9b}31m";

/// That nothing of what was printed is obeyed by a terminal, or stands on a line of its own.
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

fn tame(stand: &Stand, args: &[&str]) -> Answer {
    let answer = stand.gadugi(args);
    assert_tame(&answer, args);
    answer
}

#[test]
fn names_of_files_and_reasons_of_locks_cannot_control_the_terminal_of_a_clean() {
    let stand = Stand::new();
    fs::write(stand.repo.root().join("nasty"), NASTY).expect("a file");
    let name = "n=$(cat ../../nasty)";
    let files = [
        stand.script("files", &format!("{name}; echo x > \"$n\"; mkdir \"d$n\"; echo x > \"d$n/$n\"; exit 1")),
        stand.script("secret", &format!("{name}; echo x > \".env$n\"; exit 1")),
        stand.script("nested", &format!("{name}; git init -q \"$n\"; echo x > \"$n/f\"; exit 1")),
        stand.script("locked", "exit 1"),
        stand.script("stray", &format!("{name}; echo x > \"$n\"; exit 1")),
        stand.script("submodule", &format!("{name}; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),\"$n\"; mkdir -p \"$n\"; echo x > \"$n/f\"; exit 1")),
    ];
    let run: Vec<&str> = std::iter::once("run").chain(files.iter().map(String::as_str)).collect();
    tame(&stand, &run).expect(1);
    let lock = ["worktree", "lock", "--reason", NASTY, &*stand.worktrees().join("locked").to_string_lossy()]
        .map(str::to_owned);
    stand.repo.git(&lock.each_ref().map(String::as_str));
    fs::remove_dir_all(stand.repo.path().join(".git/worktrees/stray")).expect("the entry goes");
    for args in [&["clean", "--dry-run"][..], &["clean"], &["clean", "--discard", "--dry-run"], &["clean", "--discard"]]
    {
        let said = tame(&stand, args).out;
        assert!(
            said.contains("FORGED") && said.contains("\\u{1b}[2J") && said.contains("it is locked"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn what_tasks_and_configurations_say_cannot_control_the_terminal() {
    let stand = Stand::of(TestRepo::init("re\u{1b}[2J\u{202e}po", &[]));
    stand.repo.commit_file("README.md", "# A project\n");
    stand.repo.git(&["checkout", "-q", "-b", "b\u{202e}\u{200b}c"]);
    let text = NASTY.replace(['\n', '\r'], "");
    let quoted: String = NASTY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let quoted = format!("\"{quoted}\"");
    let octal: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let files = [
        stand.task(
            "title.md",
            format!("---\nrun: \"printf '{}'; exit 1\"\n---\n# A title {text}\n", octal.replace('\\', "\\\\")),
        ),
        stand.task("missing.md", format!("---\ncommand: [{quoted}, a]\n---\n")),
        stand.task("talk.md", format!("---\nagent: shell\n---\nprintf '{octal}' >&2\n# {text}\n")),
        stand.task(
            "check.md",
            format!("---\nrun: 'true'\ncheck: \"printf '{}'; exit 1\"\n---\n", octal.replace('\\', "\\\\")),
        ),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    tame(&stand, &[&["plan", "-v"], &files[..]].concat()).expect(0);
    tame(&stand, &["plan", "--prompt", "talk", files[2]]);
    tame(&stand, &[&["run", "-v"], &files[..]].concat()).expect(1);
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
        tame(&stand, &args.split(' ').collect::<Vec<_>>());
    }
    for format in ["json", "junit"] {
        tame(&stand, &["report", "--format", format]).expect(0);
    }
    for args in [["logs", NASTY], ["ps", NASTY], ["stop", NASTY], ["run", NASTY], ["report", NASTY]] {
        assert!(!tame(&stand, &args).err.is_empty());
    }
    stand.repo.write("gadugi.toml", format!("{quoted} = 1\nagent = {quoted}\nimage = {quoted}\nbase = {quoted}\n"));
    for args in [&["plan", files[0]][..], &["run", files[0]], &["doctor"]] {
        tame(&stand, args);
    }
    let broken = stand.task("broken.md", format!("---\nneeds: [{quoted}]\nid: {quoted}\n{quoted}: 1\n---\n"));
    tame(&stand, &["run", &broken]).expect(2);
}
