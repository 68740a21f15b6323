//! Starting commands, each once.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecRequest, ExitStatus, Reattached};
use gadugi_exec::{ShimProgram, SubprocessSettings};
use gadugi_test_support::commands::printed;
use gadugi_test_support::contract::ending;

use crate::harness::Harness;
use crate::supervised::{find, harness, names, pids, shimmed};

#[tokio::test]
async fn a_command_is_not_started_twice() {
    let harness = harness();
    let request = harness.script("echo once; sleep 1000");
    let task = harness.start(&request).await;
    printed(&*task, 5).await;
    for _ in 0..2 {
        let error = harness.executor.start(&request).await.err().expect("it has been started");
        let source = std::error::Error::source(&error).expect("a reason").to_string();
        let record = harness.files().join("proc.json");
        assert_eq!(source, format!("it has been started before: {} says so", record.display()));
        task.stop(Duration::ZERO).await.expect("it can be stopped");
    }
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Signal(9));
    assert_eq!(harness.log(), b"once\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_starts_at_once_one_wins() {
    let mut met = false;
    for _ in 0..20 {
        let harness = harness();
        let request = harness.script("echo once >> lines; cat");
        let request = ExecRequest { stdin: Some("text".to_owned()), ..request };
        let (one, other) = tokio::join!(harness.executor.start(&request), harness.executor.start(&request));
        let started: Vec<_> = [one, other].into_iter().filter_map(Result::ok).collect();
        // One that comes late is refused; one that was under way finds the command of the other.
        assert!(started.iter().all(|task| task.identity() == started[0].identity()));
        met |= started.len() == 2;
        assert!(started[0].wait().await.expect("its end is seen").status.success());
        assert_eq!(fs::read_to_string(harness.folder().join("lines")).expect("it ran"), "once\n");
        assert_eq!(harness.log(), b"text", "the loser leaves the winner's files alone");
        assert_eq!(names(&harness.files()), ["exit.json", "output.log", "proc.json", "prompt.md", "script.sh"]);
    }
    assert!(met, "two were under way at once");
}

#[tokio::test]
async fn after_a_start_that_was_made_void_the_command_can_be_started() {
    let harness = harness();
    let request = harness.script("exit 3");
    for _ in 0..2 {
        assert!(matches!(find(&harness, &request).await, Reattached::NeverStarted));
    }
    assert_eq!(names(&harness.files()), ["proc.2.json", "proc.json"], "each answer has made a start void");
    assert_eq!(harness.run(&request).await.status, ExitStatus::Code(3));
    assert_eq!(
        names(&harness.files()),
        ["exit.3.json", "output.log", "proc.2.json", "proc.3.json", "proc.json", "script.sh"],
        "a void start stays void"
    );
    let Reattached::Found(task) = find(&harness, &request).await else { panic!("it was started") };
    assert_eq!(task.wait().await.expect("its end is known").status, ExitStatus::Code(3));
}

/// Tells a shim by hand what to do, and gives its answer.
fn ask_shim(harness: &Harness, generation: u32, program: &str) -> String {
    let (files, folder) = (harness.files(), harness.folder());
    let spec = format!(
        "{{\"v\":2,\"run\":\"20261122-083355-k7q\",\"task\":\"fix-login\",\"attempt\":1,\"files\":{files:?},\
         \"phase\":\"main\",\"generation\":{generation},\"nonce\":\"00000000000000aa\",\"program\":{program:?},\
         \"argv\":[\"touch\",\"made\"],\"env\":[],\"folder\":{folder:?},\"stdin\":null,\"log\":{:?},\
         \"head_bytes\":100,\"tail_bytes\":100,\"grace_ms\":0,\"drain_ms\":0,\"die_with_parent\":false,\
         \"cgroups\":true}}",
        files.join("output.log")
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_gadugi-shim"));
    let mut shim = command.arg("__shim").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the shim starts");
    write!(shim.stdin.take().expect("it was piped"), "{}\n{spec}", spec.len()).expect("it listens");
    let mut said = String::new();
    shim.stdout.take().expect("it was piped").read_to_string(&mut said).expect("it answers");
    assert!(shim.wait().expect("it ends").success());
    said
}

#[tokio::test]
async fn a_shim_that_comes_too_late_starts_nothing() {
    let harness = harness();
    let request = harness.script("exit 3");
    assert!(matches!(find(&harness, &request).await, Reattached::NeverStarted));
    assert_eq!(ask_shim(&harness, 1, "/usr/bin/touch"), "{\"kind\":\"refused\"}\n");
    assert!(!harness.folder().join("made").exists());
    assert_eq!(names(&harness.files()), ["proc.json"]);
}

#[tokio::test]
async fn a_start_that_failed_unseen_is_known_to_have_failed() {
    let harness = harness();
    let request = harness.script("exit 3");
    let said = ask_shim(&harness, 1, "/nonexistent");
    assert_eq!(said, "{\"kind\":\"failed\",\"step\":\"exec\",\"errno\":2}\n");
    let command = crate::supervised::command(&request, None);
    let error = harness.executor.reattach(&command).await.expect_err("it failed");
    assert_eq!(error.to_string(), "cannot start `fix-login#1`");
    let source = std::error::Error::source(&error).expect("a reason").to_string();
    assert_eq!(source, "cannot execute its program");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_leaves_nothing() {
    let harness = harness();
    let script = "printf 'no program' > garbage && chmod +x garbage";
    let made = Command::new("sh").args(["-c", script]).current_dir(harness.folder()).status();
    assert!(made.is_ok_and(|status| status.success()));
    let garbage = harness.folder().join("./garbage");
    let reason = "is neither a program for this machine nor a script with a `#!` line";
    let expected = ["cannot start `./garbage`".to_owned(), format!("{} {reason}", garbage.display())];
    assert_eq!(harness.failure(&harness.argv(&["./garbage"])).await, expected);
    let long = "x".repeat(3 << 20);
    assert_eq!(harness.failure(&harness.argv(&["true", &long])).await[1], "Argument list too long (os error 7)");
    assert_eq!(
        harness.failure(&harness.argv(&["true", "a\0b"])).await[1],
        "an argument or a variable holds a zero byte"
    );
    let request = ExecRequest { stdin: Some("text".to_owned()), ..harness.argv(&["./garbage"]) };
    assert_eq!(harness.failure(&request).await, expected);
    assert_eq!(harness.run(&harness.argv(&["true"])).await.status, ExitStatus::Code(0), "it can be tried again");
}

#[tokio::test]
async fn a_shim_that_cannot_be_started_is_named() {
    for path in ["/nonexistent/shim", "/bin/true"] {
        let settings = SubprocessSettings { shim: Some(ShimProgram::at(path)), ..shimmed() };
        let harness = Harness::with(settings);
        let failure = harness.failure(&harness.argv(&["true"])).await;
        assert_eq!(failure[1], format!("cannot have it looked after by {path}"));
    }
}

#[tokio::test]
async fn a_command_sees_its_variables_and_three_files_and_hears_every_signal() {
    let harness = harness();
    // The C library keeps the signals 32 and 33 to itself, and they stay as they were.
    let script = "env | sort; ls -l /proc/self/fd | grep -c -v total; \
                  grep -E 'SigBlk|SigIgn' /proc/self/status | sed 's/0000000180000000/0000000000000000/'";
    let _held = fs::File::open("/dev/null").expect("the device");
    let request = ExecRequest { stdin: Some("text".to_owned()), ..harness.argv(&["sh", "-c", script]) };
    let printed = harness.print(&request).await;
    let hidden = ["PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="];
    let lines: Vec<&str> = printed.lines().filter(|line| !hidden.iter().any(|name| line.starts_with(name))).collect();
    let nonce = lines[1].strip_prefix("GADUGI_NONCE=").expect("its nonce");
    assert_eq!(nonce.len(), 16);
    let expected = [
        "GADUGI_ATTEMPT=1",
        lines[1],
        "GADUGI_RUN=20261122-083355-k7q",
        "GADUGI_TASK=fix-login",
        "HOME=/home/kana",
        "LC_ALL=C",
        "4",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
    ];
    assert_eq!(lines, expected, "the fourth file is the folder that is listed");
}

#[tokio::test]
async fn a_secret_is_in_no_file_and_in_nothing_that_others_see_of_the_shim() {
    let harness = harness();
    let mut request = harness.script("echo ${#CANARY}; sleep 1000");
    request.secrets.push("CANARY".to_owned());
    let task = harness.start(&request).await;
    printed(&*task, 2).await;
    assert_eq!(harness.log(), b"5\n", "the command has it");
    let (_, shim) = pids(&*task);
    let seen = ["cmdline", "environ"].map(|file| format!("/proc/{shim}/{file}").into());
    let files = names(&harness.files()).into_iter().filter(|name| !name.starts_with("progress"));
    for path in files.map(|name| harness.files().join(name)).chain(seen) {
        let text = fs::read(&path).expect("a file");
        assert!(!text.windows(5).any(|piece| piece == b"tweet"), "{}", path.display());
    }
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    assert!(!task.wait().await.expect("its end is seen").status.success());
}

#[tokio::test]
async fn what_a_command_reads_is_kept_for_its_owner_only() {
    let harness = harness();
    let request = ExecRequest { stdin: Some("Fix the bug.\n".to_owned()), ..harness.argv(&["cat"]) };
    assert_eq!(harness.print(&request).await, "Fix the bug.\n");
    for name in ["prompt.md", "output.log", "proc.json", "exit.json"] {
        let mode = fs::metadata(harness.files().join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_leaves_nothing_running() {
    let harness = harness();
    ending::a_start_that_is_given_up_leaves_nothing_running(&harness.executor, &harness.scratch()).await;
}
