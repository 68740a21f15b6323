//! The example tasks of the documentation do what they say, in any repository and in any shell.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use gadugi_cli::config::{Config, Environment};
use gadugi_cli::input::{TaskInput, read_tasks};
use gadugi_core::Plan;
use gadugi_core::plan::Program;
use gadugi_test_support::repo::TestRepo;
use insta::assert_snapshot;

fn example_plan() -> Plan {
    let raw = read_tasks(TaskInput {
        arguments: &[PathBuf::from("docs/examples/tasks")],
        texts: &[],
        folder: &PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
        stdin: &mut std::io::empty(),
        config: &Config::default(),
        environment: &Environment::new(),
        installed: &[],
        took_installed: &mut false,
        passed_over: &mut Vec::new(),
    });
    Plan::try_from(raw.expect("valid examples")).expect("a sound plan")
}

/// The search path with a `sleep` that returns at once: the pauses of the examples are for those who watch.
fn path_without_pauses(repo: &TestRepo) -> OsString {
    let folder = repo.root().join("bin");
    let sleep = folder.join("sleep");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(&sleep, "#!/bin/sh\n").expect("a program");
    fs::set_permissions(&sleep, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path))).expect("a search path")
}

/// Runs all examples in the work tree, one after the other, and gives what they printed.
fn run_all(repo: &TestRepo, shell: &str) -> String {
    let mut printed = String::new();
    let path = path_without_pauses(repo);
    for task in example_plan().tasks() {
        let Program::Script(script) = &task.spec.action.program else { panic!("a script") };
        let file = repo.root().join("script.sh");
        fs::write(&file, script).expect("a script");
        let mut command = Command::new(shell);
        command.arg("-e").arg(&file).current_dir(repo.path()).env_clear();
        command.env("PATH", &path).env("HOME", repo.root());
        let output = command.output().expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} in {shell}: {text}", task.spec.id);
        printed.push_str(&text);
    }
    printed
}

fn results(repo: &TestRepo) -> String {
    let files = ["GADUGI-INVENTORY.md", "TODO-LIST.md", "GADUGI-HISTORY.md"];
    let read = |file| fs::read(repo.path().join(file)).expect("a file that an example has written");
    files.map(|file| String::from_utf8_lossy(&read(file)).into_owned()).join("\n")
}

#[test]
fn the_examples_are_three_tasks_that_can_run_at_once() {
    let plan = example_plan();
    assert_eq!(plan.tasks().len(), 3);
    assert!(plan.tasks().iter().all(|task| task.needs.is_empty()));
    assert!(plan.overlaps().is_empty());
}

#[test]
fn the_examples_write_one_file_each() {
    let repo = TestRepo::new();
    repo.commit_file("src/main.rs", "fn main() {\n    // TODO: everything\n}\n");
    repo.commit_file("README", "Read me.\n");
    repo.commit_file("src/lib.rs", "//! FIXME\n");
    repo.commit_file("src/lib.rs", "//! FIXME: words\n");
    for shell in ["bash", "sh"] {
        let printed = run_all(&repo, shell);
        insta::allow_duplicates! {
            assert_snapshot!(printed, @"
            commits: 4
            counting the commits
            counting their authors
            counting the changes of each file
            | **all** | **3** | **5** |
            listing the files
            counting their lines
            adding up
            2 places:
            reading the files
            searching them
            writing the list
            ");
            assert_snapshot!(repo.git(&["status", "--short"]), @"
            ?? GADUGI-HISTORY.md
            ?? GADUGI-INVENTORY.md
            ?? TODO-LIST.md
            ");
            assert_snapshot!(results(&repo), @"
            # Inventory

            The files that git knows here, by kind. Lines are counted in text files only.

            | Kind | Files | Lines |
            |---|---:|---:|
            | rs | 2 | 4 |
            | (other) | 1 | 1 |
            | **all** | **3** | **5** |

            # What is left to do

            2 places:

            ```text
            src/lib.rs:1://! FIXME: words
            src/main.rs:2:    // TODO: everything
            ```

            # History

            Commits: 4 (at most 1000 are counted), from 2026-01-02 to 2026-01-02.

            ## Who

            | Author | Commits |
            |---|---:|
            | Test Author | 4 |

            ## When

            | Month | Commits |
            |---|---:|
            | 2026-01 | 4 |

            ## What changes most

            | File | Commits of the last 300 |
            |---|---:|
            | src/lib.rs | 2 |
            | README | 1 |
            | src/main.rs | 1 |
            ");
        }
    }
}

#[test]
fn the_examples_succeed_where_there_is_nothing_to_find() {
    let repo = TestRepo::new();
    repo.git(&["commit", "--quiet", "--allow-empty", "--message", "Nothing"]);
    for shell in ["bash", "sh"] {
        let printed = run_all(&repo, shell);
        insta::allow_duplicates! { assert_snapshot!(printed, @"
        commits: 1
        counting the commits
        counting their authors
        counting the changes of each file
        | **all** | **0** | **0** |
        listing the files
        counting their lines
        adding up
        Nothing: no `TODO`, no `FIXME`, no `XXX`.
        reading the files
        searching them
        writing the list
        "); }
    }
}

#[test]
fn the_examples_take_files_of_any_name_and_content() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let repo = TestRepo::new();
    let long_line = [vec![b'x'; 400], b" TODO\n".to_vec()].concat();
    let files: [(&[u8], &[u8]); 11] = [
        (b"line\nbreak.txt", b"TODO: a\n"),
        (b"-rf.md", b"x TODO `tick`\n"),
        (b"pi|pe.md", b"FIXME|bar\n"),
        (b"tab\there.rs", b"a\nb\n"),
        (b"caf\xe9.c", b"caf\xe9 TODO\n"),
        ("größe.TXT".as_bytes(), b"no line end"),
        (b"binary.dat", b"\0TODO\n"),
        (b"empty.txt", b""),
        (b"spaces and \"quotes\".md", b"XXX\n"),
        (b".hidden", b"x\n"),
        (b"long.js", &long_line),
    ];
    for (name, content) in files {
        fs::write(repo.path().join(OsStr::from_bytes(name)), content).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", repo.path().join("link.md")).unwrap();
    repo.git(&["add", "--all"]);
    repo.git(&["commit", "--quiet", "--message", "Odd names"]);
    for shell in ["bash", "sh"] {
        run_all(&repo, shell);
        insta::allow_duplicates! { assert_snapshot!(results(&repo), @r#"
        # Inventory

        The files that git knows here, by kind. Lines are counted in text files only.

        | Kind | Files | Lines |
        |---|---:|---:|
        | md | 4 | 3 |
        | rs | 1 | 2 |
        | txt | 3 | 2 |
        | (other) | 1 | 1 |
        | c | 1 | 1 |
        | js | 1 | 1 |
        | dat | 1 | 0 |
        | **all** | **12** | **10** |

        # What is left to do

        6 places:

        ```text
        -rf.md:1:x TODO `tick`
        "caf\351.c":1:caf� TODO
        "line\nbreak.txt":1:TODO: a
        long.js:1: (a long line)
        pi|pe.md:1:FIXME|bar
        "spaces and \"quotes\".md":1:XXX
        ```

        # History

        Commits: 1 (at most 1000 are counted), from 2026-01-02 to 2026-01-02.

        ## Who

        | Author | Commits |
        |---|---:|
        | Test Author | 1 |

        ## When

        | Month | Commits |
        |---|---:|
        | 2026-01 | 1 |

        ## What changes most

        | File | Commits of the last 300 |
        |---|---:|
        | -rf.md | 1 |
        | .hidden | 1 |
        | binary.dat | 1 |
        | caf�.c | 1 |
        | empty.txt | 1 |
        | größe.TXT | 1 |
        | line?break.txt | 1 |
        | link.md | 1 |
        | long.js | 1 |
        | pi\|pe.md | 1 |
        "#); }
    }
}
