//! The variables and files that commands inherit.

use std::fs;

use gadugi_core::Executor;
use gadugi_core::plan::Program;
use gadugi_exec::SubprocessSettings;

use crate::harness::{Harness, settings};

#[tokio::test]
async fn a_command_sees_what_is_let_through_and_its_own_names_and_nothing_else() {
    let harness = Harness::new();
    let printed = harness.print(&harness.argv(&["env"])).await;
    let mut seen: Vec<&str> = printed.lines().filter(|line| !line.starts_with("PATH=")).collect();
    seen.sort_unstable();
    let expected =
        ["GADUGI_ATTEMPT=1", "GADUGI_RUN=20261122-083355-k7q", "GADUGI_TASK=fix-login", "HOME=/home/kana", "LC_ALL=C"];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_let_through_can_be_extended() {
    let mut settings = settings();
    settings.passed.push("CAN*".to_owned());
    let harness = Harness::with(settings);
    assert_eq!(harness.print(&harness.argv(&["printenv", "CANARY"])).await, "tweet\n");
}

#[tokio::test]
async fn the_variables_of_a_task_win() {
    let harness = Harness::new();
    let mut request = harness.script("echo $HOME $CANARY $GADUGI_TASK");
    request.secrets.push("CANARY".to_owned());
    for (name, value) in [("HOME", "/elsewhere"), ("CANARY", "chirp"), ("GADUGI_TASK", "a lie")] {
        request.env.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(harness.print(&request).await, "/elsewhere chirp fix-login\n");
}

#[tokio::test]
async fn a_secret_reaches_the_command_and_no_file() {
    let harness = Harness::new();
    let mut request = harness.script("echo ${#CANARY}");
    request.secrets.push("CANARY".to_owned());
    request.stdin = Some("text".to_owned());
    let task = harness.start(&request).await;
    task.wait().await.expect("its end is seen");
    assert_eq!(harness.log(), b"5\n", "the command has it");
    assert!(!task.identity().token.contains("tweet"));
    assert!(!format!("{:?}", harness.executor).contains("tweet"));
    for file in fs::read_dir(harness.files()).expect("the folder") {
        let path = file.expect("a file").path();
        let text = fs::read(&path).expect("a file");
        assert!(!text.windows(5).any(|piece| piece == b"tweet"), "{}", path.display());
    }
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_named() {
    let harness = Harness::new();
    let mut request = harness.argv(&["true"]);
    request.secrets.push("API_KEY".to_owned());
    let expected = ["cannot start `true`", "the secret `API_KEY` is not set in the environment of the caller"];
    assert_eq!(harness.failure(&request).await, expected);
}

/// Whether this process was started with that file and hands it on by its starter's will.
fn is_handed_on(file: &str) -> bool {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{file}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).is_ok_and(|flags| flags & O_CLOEXEC == 0))
}

#[tokio::test]
async fn a_command_inherits_no_files_but_its_three() {
    let harness = Harness::new();
    let _held = fs::File::open("/dev/null").expect("the device");
    let mut request = harness.argv(&["ls", "/proc/self/fd"]);
    request.stdin = Some("text".to_owned());
    let printed = harness.print(&request).await;
    let others: Vec<&str> =
        printed.lines().filter(|file| !["0", "1", "2"].contains(file) && !is_handed_on(file)).collect();
    assert_eq!(others.len(), 1, "only the folder that is listed: {others:?}");
}

#[tokio::test]
async fn a_command_is_not_deaf_to_signals() {
    let harness = Harness::new();
    let printed = harness.print(&harness.argv(&["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"])).await;
    let masks: Vec<u64> = printed
        .lines()
        .map(|line| u64::from_str_radix(line.split_whitespace().nth(1).expect("a mask"), 16).expect("a mask"))
        .collect();
    let pipe = 1 << (rustix::process::Signal::PIPE.as_raw() - 1);
    assert_eq!((masks[0], masks[1] & pipe), (0, 0));
}

#[tokio::test]
async fn scripts_are_run_by_bash_where_it_is_and_else_by_sh() {
    let harness = Harness::new();
    assert_ne!(harness.print(&harness.script("printf '%s' \"$BASH_VERSION\"")).await, "");
    let bin = harness.folder().join("bin");
    fs::create_dir(&bin).expect("a folder");
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).expect("a link");
    let mut request = harness.request(Program::Script("printf ' %s:' \"$0\"; false; echo never".to_owned()));
    request.env.insert("PATH".to_owned(), "bin".to_owned());
    let log = harness.print(&request).await;
    assert!(log.ends_with(&format!(" {}:", harness.files().join("script.sh").display())), "{log}");
}

#[tokio::test]
async fn without_a_shell_the_executor_says_that_it_cannot_be_used() {
    assert_eq!(Harness::new().executor.probe().await, Ok(()));
    let harness = Harness::with(SubprocessSettings::new([("PATH".into(), "/nonexistent".into())]));
    let refusal = harness.executor.probe().await.expect_err("there is no shell");
    assert_eq!(refusal.reason, "there is no shell `sh` on the PATH");
}
