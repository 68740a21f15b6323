//! Finding programs, and the errors of those that cannot be started.

use std::fs::OpenOptions;
use std::process::Command;

use gadugi_core::executor::ExecRequest;

use crate::harness::Harness;

/// Writes an executable file, by a process of its own: a file that this process has written could still
/// be open in a child of another test at the moment when it is to be executed.
fn executable(harness: &Harness, name: &str, text: &str) {
    let script = "printf '%s' \"$2\" > \"$1\" && chmod +x \"$1\"";
    let written = Command::new("sh").args(["-c", script, "sh", name, text]).current_dir(harness.folder()).status();
    assert!(written.is_ok_and(|status| status.success()));
}

fn with_path(mut request: ExecRequest, path: &str) -> ExecRequest {
    request.env.insert("PATH".to_owned(), path.to_owned());
    request
}

#[tokio::test]
async fn a_relative_program_is_found_from_the_folder_of_the_task() {
    let harness = Harness::new();
    executable(&harness, "tool", "#!/bin/sh\necho \"$0\" \"$@\"\n");
    let printed = harness.print(&harness.argv(&["./tool", "a"])).await;
    assert_eq!(printed, format!("{} a\n", harness.folder().join("./tool").display()));
}

#[tokio::test]
async fn a_program_is_looked_for_on_the_path_of_the_task() {
    let harness = Harness::new();
    std::fs::create_dir(harness.folder().join("bin")).expect("a folder");
    executable(&harness, "bin/gadugi-tool", "#!/bin/sh\necho found\n");
    let request = harness.argv(&["gadugi-tool"]);
    assert_eq!(harness.failure(&request).await, ["the command `gadugi-tool` was not found"]);
    assert_eq!(harness.print(&with_path(request, "/nonexistent:bin")).await, "found\n");
}

#[tokio::test]
async fn a_program_that_is_not_on_the_path_of_the_task_is_not_found() {
    let harness = Harness::new();
    let request = with_path(harness.argv(&["ls"]), "/nonexistent");
    assert_eq!(harness.failure(&request).await, ["the command `ls` was not found"]);
    let script = with_path(harness.script("true"), "/nonexistent");
    assert_eq!(harness.failure(&script).await, ["the command `sh` was not found"]);
}

#[tokio::test]
async fn a_program_sees_the_name_that_it_was_called_by() {
    let harness = Harness::new();
    std::os::unix::fs::symlink("/bin/sh", harness.folder().join("speak")).expect("a link");
    let request = with_path(harness.argv(&["speak", "-c", "echo $0"]), ".");
    assert_eq!(harness.print(&request).await, "speak\n");
}

#[tokio::test]
async fn a_file_that_may_not_be_executed_is_not_called_missing() {
    let harness = Harness::new();
    harness.put("tool", "#!/bin/sh\n");
    let path = harness.folder().join("./tool");
    let reason = format!("{} is not executable", path.display());
    assert_eq!(harness.failure(&harness.argv(&["./tool"])).await, ["cannot start `./tool`".to_owned(), reason]);
    let reason = format!("{} is not executable", harness.folder().join("tool").display());
    let request = with_path(harness.argv(&["tool"]), "");
    assert_eq!(harness.failure(&request).await, ["cannot start `tool`".to_owned(), reason]);
}

#[tokio::test]
async fn a_folder_is_no_program() {
    let harness = Harness::new();
    assert_eq!(harness.failure(&harness.argv(&["/"])).await, ["cannot start `/`", "/ is a folder"]);
}

#[tokio::test]
async fn a_file_of_an_unknown_format_is_told_from_one_without_its_interpreter() {
    let harness = Harness::new();
    executable(&harness, "garbage", "no program at all\n");
    executable(&harness, "orphan", "#!/nonexistent/interpreter\n");
    let path = |name: &str| harness.folder().join(name).display().to_string();
    let garbage = harness.failure(&harness.argv(&["./garbage"])).await;
    let reason = "is neither a program for this machine nor a script with a `#!` line";
    assert_eq!(garbage[1], format!("{} {reason}", path("./garbage")));
    let orphan = harness.failure(&harness.argv(&["./orphan"])).await;
    let reason = "needs an interpreter or a dynamic loader that does not exist";
    assert_eq!(orphan[1], format!("{} {reason}", path("./orphan")));
}

#[tokio::test]
async fn a_program_that_stays_open_for_writing_is_an_error() {
    let harness = Harness::new();
    executable(&harness, "tool", "#!/bin/sh\n");
    let _writer = OpenOptions::new().append(true).open(harness.folder().join("tool")).expect("it is there");
    assert_eq!(harness.failure(&harness.argv(&["./tool"])).await[1], "Text file busy (os error 26)");
}

#[tokio::test]
async fn a_missing_folder_is_not_taken_for_a_missing_program() {
    let harness = Harness::new();
    let gone = harness.folder().join("gone");
    for (request, name) in [(harness.argv(&["true"]), "true"), (harness.script("true"), "script.sh")] {
        let request = ExecRequest { folder: gone.clone(), ..request };
        let expected = [
            format!("cannot start `{name}`"),
            format!("cannot work in the folder {}", gone.display()),
            "No such file or directory (os error 2)".to_owned(),
        ];
        assert_eq!(harness.failure(&request).await, expected);
    }
    harness.put("file", "");
    let request = ExecRequest { folder: harness.folder().join("file"), ..harness.argv(&["true"]) };
    assert_eq!(harness.failure(&request).await[2], "not a directory");
}

#[tokio::test]
async fn arguments_that_the_system_does_not_take_are_an_error() {
    let harness = Harness::new();
    assert_eq!(harness.failure(&harness.argv(&["true", "a\0b"])).await[0], "cannot start `true`");
    assert_eq!(harness.failure(&harness.argv(&[])).await, ["cannot start ``", "the command is empty"]);
    let long = "x".repeat(3 << 20);
    assert_eq!(harness.failure(&harness.argv(&["true", &long])).await[1], "Argument list too long (os error 7)");
}
