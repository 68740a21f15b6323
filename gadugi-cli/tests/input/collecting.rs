//! The files that are collected, and their order.

use insta::assert_snapshot;

use crate::fixture::{Folder, called};

fn folder_of(files: &[&str]) -> Folder {
    let folder = Folder::new();
    for file in files {
        folder.write(file, "---\nrun: x\n---\n");
    }
    folder
}

#[test]
fn a_folder_gives_its_own_task_files_by_name() {
    let folder = folder_of(&["t/b.md", "t/a.MD", "t/README.md", "t/.hidden.md", "t/notes.txt", "t/deeper/c.md"]);
    folder.write("t/tasks.toml", "[[task]]\nid = 'batch'\nrun = 'x'\n");
    folder.write("t/other.toml", "[[task]]\nid = 'other'\nrun = 'x'\n");
    assert_eq!(folder.ids(&["t"]), ["a", "b", "batch"]);
    assert_eq!(folder.ids(&["t/"]), ["a", "b", "batch"]);
}

#[test]
fn files_about_a_folder_or_for_all_agents_are_no_tasks_of_it() {
    let folder = folder_of(&["a.md", "b.mdc", "c.markdown", "README.de.md", "CHANGELOG.md", "CLAUDE.md", "AGENTS.md"]);
    folder.write("CONTRIBUTING.md", "# How to contribute\n");
    folder.write("tasks.yaml", "- run: x\n");
    assert_eq!(folder.ids(&["."]), ["a", "b", "c"]);
    assert_eq!(folder.passed_over(&["."]), "./tasks.yaml: all of it (a batch is a file tasks.toml)\n");
    assert_eq!(folder.ids(&["CLAUDE.md"]), ["claude"]);
}

#[test]
fn what_is_named_itself_is_taken_whatever_it_is_called() {
    let folder = folder_of(&["README.md", ".hidden.md", "prompt.txt", "Makefile"]);
    folder.write("other.toml", "[[task]]\nid = 'other'\nrun = 'x'\n");
    let ids = folder.ids(&["README.md", ".hidden.md", "prompt.txt", "Makefile", "other.toml"]);
    assert_eq!(ids, ["readme", "hidden", "prompt", "makefile", "other"]);
}

#[test]
fn arguments_keep_their_order_and_a_file_counts_once() {
    let folder = folder_of(&["t/a.md", "t/b.md", "t/c.md"]);
    assert_eq!(folder.ids(&["t/c.md", "t", "./t/../t/a.md", "t/*.md"]), ["c", "a", "b"]);
    let absolute = folder.path().join("t/b.md");
    assert_eq!(folder.ids(&["t/b.md", absolute.to_str().unwrap()]), ["b"]);
}

#[test]
fn patterns_match_as_those_of_a_shell_do() {
    let folder =
        folder_of(&["t/a.md", "t/b.md", "t/x/c.md", "t/x/y/d.md", "t/.hid/e.md", "t/.f.md", "t/g.txt", "h.md"]);
    for (pattern, expected) in [
        ("t/*.md", &["a", "b"][..]),
        ("t/**/*.md", &["a", "b", "c", "d"]),
        ("**/[bd].md", &["b", "d"]),
        ("t/?.md", &["a", "b"]),
        ("t/{a,x/c}.md", &["a", "c"]),
        ("./t/*/*.md", &["c"]),
        ("t/.*.md", &["f"]),
        ("t/.hid/*.md", &["e"]),
        ("*.md", &["h"]),
        ("t/x/../*.md", &["a", "b"]),
    ] {
        assert_eq!(folder.ids(&[pattern]), expected, "{pattern}");
    }
    let absolute = format!("{}/t/x/**", folder.path().display());
    assert_eq!(folder.ids(&[&absolute]), ["c", "d"]);
}

#[test]
fn a_file_that_is_called_like_a_pattern_is_that_file() {
    let folder = folder_of(&["a[1].md", "a1.md"]);
    assert_eq!(folder.ids(&["a[1].md"]), ["a-1"]);
}

#[test]
fn a_bad_pattern_is_told() {
    let folder = folder_of(&["a.md"]);
    assert_snapshot!(folder.errors(&["a[.md", "{a.md", "x/*.md"]), @"
    error: a[.md: this is not a valid pattern: unclosed character class; missing ']'
     hint: `*`, `?`, `[a-z]`, `{a,b}` and `**` are understood
    error: {a.md: this is not a valid pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
     hint: `*`, `?`, `[a-z]`, `{a,b}` and `**` are understood
    error: x/*.md: no file matches
     hint: check the pattern; `*` stays within a folder, `**` goes through all
    ");
}

#[test]
fn files_of_one_name_get_ids_of_their_own() {
    let folder = folder_of(&["a/fix.md", "b/fix.md", "c/fix.md", "c/Fix.md", "b-fix.md"]);
    let ids = folder.ids(&["b-fix.md", "**/*.md"]);
    assert_eq!(ids[..2], ["b-fix", "fix"]);
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 5, "{ids:?}");
}

#[test]
fn the_standard_input_is_a_task_file() {
    let mut folder = folder_of(&["a.md"]);
    folder.stdin = b"---\nrun: make\n---\n# From elsewhere\n".to_vec();
    let tasks = folder.read(&["-", "a.md", "-"]);
    assert_eq!(tasks.len(), 2);
    assert_eq!((tasks[0].spec.id.as_str(), tasks[0].spec.title.as_str()), ("stdin", "From elsewhere"));
    folder.stdin = b"---\nrum: make\n---\n".to_vec();
    assert_snapshot!(folder.errors(&["-"]), @"
    error: <stdin>:2: unknown key `rum` (did you mean `run`?)
     hint: write `run`, or remove it
    ");
    folder.stdin = vec![b'x'; 2 << 20];
    assert_snapshot!(folder.errors(&["-"]), @"
    error: <stdin>: is too large: more than 1048576 bytes (the limit is 1 MiB)
     hint: split it, or put what is long into a file of the repository and name that file in the task
    ");
    folder.stdin = Vec::new();
    assert_snapshot!(folder.errors(&["-"]), @"
    error: <stdin>: is empty
     hint: write the task into it, or leave it out
    ");
}

#[test]
fn texts_are_tasks_for_the_default_agent() {
    let folder = Folder::configured("agent = 'a'\n[agents.a]\ncommand = ['a']\n");
    let texts = ["Fix the login and then, when that works, the logout", "Fix the login and then", "日本", "---\nx"];
    let tasks = folder.try_read(&[], &texts).unwrap().tasks;
    let shown: Vec<_> = tasks
        .iter()
        .map(|task| format!("{} | {} | {:?}", task.spec.id, task.spec.title, called(&task.spec.action).1))
        .collect();
    assert_snapshot!(shown.join("\n"), @r#"
    fix-the-login-and-then-when | Fix the login and then, when that works, the logout | Some("Fix the login and then, when that works, the logout\n")
    fix-the-login-and-then | Fix the login and then | Some("Fix the login and then\n")
    task-fb495be3 | 日本 | Some("日本\n")
    task-9a475952 | --- | Some("---\nx\n")
    "#);
    assert_snapshot!(folder.try_read(&[], &["x", " "]).unwrap_err(), @"<text 2>: is empty");
}

#[test]
fn a_run_takes_a_thousand_tasks() {
    let folder = Folder::new();
    for number in 0..1000 {
        folder.write(&format!("t/{number:04}.md"), "---\nrun: x\n---\n");
    }
    assert_eq!(folder.read(&["t"]).len(), 1000);
    folder.write("one-more.md", "---\nrun: x\n---\n");
    assert_snapshot!(folder.errors(&["t", "one-more.md"]), @"
    error: there are 1001 tasks (the limit is 1000)
     hint: split them into several runs
    ");
    folder.write("batch.toml", "[[task]]\nrun = 'x'\n".repeat(1001));
    assert_snapshot!(folder.errors(&["batch.toml"]), @"
    error: there are 1001 tasks (the limit is 1000)
     hint: split them into several runs
    ");
}

#[test]
fn nothing_named_is_an_empty_plan() {
    assert!(Folder::new().read(&[]).is_empty());
}
