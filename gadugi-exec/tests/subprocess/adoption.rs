//! Commands that other processes have started. A child that the test makes by itself stands for those:
//! the executor knows nothing of it but its identity.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecError, ExecIdentity, ExitStatus, Reattached, RunningTask};
use gadugi_exec::is_alive;
use gadugi_test_support::commands::command;
use gadugi_test_support::commands::printed;
use rustix::process::WaitIdOptions;

use crate::harness::Harness;
use crate::processes::{Process, wait_for_child};

/// A foreign command, and what its token is made of.
struct Foreign {
    child: Child,
    boot: String,
    start: u64,
}

impl Foreign {
    fn command(script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().expect("sh starts");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it is there");
        let (_, fields) = stat.rsplit_once(')').expect("the end of the name");
        let start = fields.split_whitespace().nth(19).and_then(|start| start.parse().ok()).expect("field 22");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it is there");
        Self { child, boot: boot.trim().to_owned(), start }
    }

    fn identity(&self) -> ExecIdentity {
        identity(&format!("pid {} v1 boot={} start={} nonce=0", self.child.id(), self.boot, self.start))
    }

    /// Its first line.
    fn says(&mut self) -> String {
        use std::io::{BufRead, BufReader};
        let mut line = String::new();
        let output = self.child.stdout.as_mut().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("it speaks");
        line
    }
}

fn identity(token: &str) -> ExecIdentity {
    ExecIdentity { executor: "subprocess".to_owned(), token: token.to_owned() }
}

async fn find(identity: &ExecIdentity) -> Option<Box<dyn RunningTask>> {
    let harness = Harness::new();
    let request = harness.script("exit 0");
    let command = command(&request, Some(identity));
    match harness.executor.reattach(&command).await.expect("it can be looked for") {
        Reattached::Found(task) => Some(task),
        Reattached::Gone { .. } => None,
        other => panic!("a command with an identity was started: {other:?}"),
    }
}

async fn is_found(identity: &ExecIdentity) -> bool {
    let found = find(identity).await.is_some();
    assert_eq!(is_alive(identity).expect("it can be looked for"), found, "both say the same");
    found
}

#[tokio::test]
async fn a_running_command_is_found_until_it_has_ended() {
    let mut foreign = Foreign::command("read line");
    let identity = foreign.identity();
    assert!(is_found(&identity).await);
    drop(foreign.child.stdin.take());
    wait_for_child(&foreign.child.id().to_string(), WaitIdOptions::EXITED);
    assert!(!is_found(&identity).await, "one that nobody has waited for yet has ended too");
    foreign.child.wait().expect("it has ended");
    assert!(!is_found(&identity).await);
}

#[tokio::test]
async fn another_process_with_the_same_pid_is_not_taken_for_it() {
    let mut foreign = Foreign::command("read line");
    let (pid, boot, start) = (foreign.child.id(), foreign.boot.clone(), foreign.start);
    for token in [
        format!("pid {pid} v1 boot={boot} start={} nonce=0", start + 1),
        format!("pid {pid} v1 boot=00000000-0000-0000-0000-000000000000 start={start} nonce=0"),
        format!("pid {pid} v1 boot=- start={start} nonce=0"),
        format!("pid {} v1 boot={boot} start={start} nonce=0", i32::MAX),
    ] {
        assert!(!is_found(&identity(&token)).await, "{token}");
    }
    foreign.child.kill().expect("it runs");
    foreign.child.wait().expect("it has ended");
}

#[tokio::test]
async fn an_adopted_command_ends_without_its_status() {
    let mut foreign = Foreign::command("read line; exit 3");
    let adopted = find(&foreign.identity()).await.expect("it runs");
    assert_eq!(adopted.identity(), &foreign.identity());
    assert!(adopted.usage().await.cpu.is_some());
    assert!(adopted.output().is_none(), "its output is not seen here");
    drop(foreign.child.stdin.take());
    let end = adopted.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Unknown);
    assert_eq!((end.output.bytes, end.usage.cpu), (0, None));
    assert_eq!(foreign.child.wait().expect("it has ended").code(), Some(3));
}

#[tokio::test]
async fn an_adopted_command_can_be_stopped_with_all_its_group() {
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done'; exit 3";
    for (grace, signal) in [(Duration::from_secs(3600), 15), (Duration::ZERO, 9)] {
        let mut foreign = Foreign::command(script);
        let stubborn = Process::named(&foreign.says());
        let adopted = find(&foreign.identity()).await.expect("it runs");
        adopted.stop(grace).await.expect("it can be stopped");
        assert_eq!(adopted.wait().await.expect("its end is seen").status, ExitStatus::Unknown);
        assert_eq!(foreign.child.wait().expect("it has ended").signal(), Some(signal));
        assert!(stubborn.ends(), "what is left of the group dies with its leader");
        adopted.stop(Duration::ZERO).await.expect("stopping what has ended is no error");
    }
}

#[tokio::test]
async fn a_command_of_this_executor_is_alive_as_long_as_it_runs() {
    let harness = Harness::new();
    let task = harness.start(&harness.script("echo ready; sleep 1000")).await;
    printed(&*task, 6).await;
    assert!(is_alive(task.identity()).expect("it can be looked for"));
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    task.wait().await.expect("its end is seen");
    assert!(!is_alive(task.identity()).expect("it can be looked for"));
}

#[tokio::test]
async fn an_identity_of_a_newer_version_is_refused() {
    for token in ["pid 4711 v2 boot=b start=1 nonce=0", "pid 4711", ""] {
        assert!(matches!(is_alive(&identity(token)), Err(ExecError::Identity { .. })), "{token}");
    }
}

#[tokio::test]
async fn an_identity_without_a_start_time_is_not_guessed_about() {
    let own = std::process::id();
    let unknown = identity(&format!("pid {own} v1 boot=- start=- nonce=0"));
    assert!(matches!(is_alive(&unknown), Err(ExecError::Watch { .. })));
}
