//! Commands that try to leave something behind, run by the subprocess executor with a shim: with a cgroup for
//! each where this user can make one, and without.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::{ExitStatus, RunningTask};
use gadugi_core::plan::Program;
use gadugi_exec::{ShimProgram, SubprocessExecutor, SubprocessSettings};
use gadugi_test_support::commands;
use tempfile::TempDir;

const FAKETASK: &str = env!("CARGO_BIN_EXE_gadugi-faketask");

struct Harness {
    root: TempDir,
    executor: SubprocessExecutor,
    /// A copy of the program, which only the processes of this test execute.
    program: String,
}

impl Harness {
    fn new(cgroups: bool) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["work", "files"] {
            fs::create_dir(root.path().join(folder)).expect("an empty folder");
        }
        let program = root.path().join("faketask");
        // By another process: a file that this one has written could still be open in a child of another test
        // at the moment when it is to be executed.
        let copied = std::process::Command::new("cp").arg(FAKETASK).arg(&program).status();
        assert!(copied.is_ok_and(|status| status.success()));
        let shim = ShimProgram::at(env!("CARGO_BIN_EXE_gadugi-faketask-shim"));
        let settings = SubprocessSettings::new(std::env::vars_os());
        let drain = Duration::from_millis(100);
        let settings = SubprocessSettings { shim: Some(shim), cgroups, drain, ..settings };
        let program = program.to_str().expect("text").to_owned();
        Self { root, executor: SubprocessExecutor::new(settings), program }
    }

    fn file(&self, name: &str) -> String {
        self.root.path().join("work").join(name).to_str().expect("text").to_owned()
    }

    async fn start(&self, verbs: &[&str]) -> Box<dyn RunningTask> {
        let argv = [self.program.as_str()].iter().chain(verbs).map(|&word| word.to_owned()).collect();
        let [folder, files] = ["work", "files"].map(|name| self.root.path().join(name));
        let request = commands::request("escape", Program::Argv(argv), folder, files);
        self.executor.start(&request).await.expect("the command starts")
    }

    /// The processes that execute the program of this harness.
    fn processes(&self) -> usize {
        let program = Path::new(&self.program);
        let entries = fs::read_dir("/proc").expect("procfs").flatten();
        let executes = |entry: &fs::DirEntry| fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program);
        entries.filter(executes).count()
    }

    /// Starts it, lets it end by itself, and looks for what is left.
    async fn leaves_nothing(&self, verbs: &[&str]) {
        let end = self.start(verbs).await.wait().await.expect("its end is seen");
        assert_eq!(end.status, ExitStatus::Code(3), "{verbs:?}");
        // One that is another process all the time is not there at every look.
        for _ in 0..20 {
            assert_eq!(self.processes(), 0, "{verbs:?}");
        }
    }
}

async fn both(verbs: impl Fn(&Harness) -> Vec<String>) {
    for cgroups in [true, false] {
        let harness = Harness::new(cgroups);
        let verbs = verbs(&harness);
        harness.leaves_nothing(&verbs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_daemon_does_not_outlive_its_command() {
    both(|harness| words(&format!("daemon 600000 {} exit 3", harness.file("daemon")))).await;
}

#[tokio::test]
async fn nor_one_without_environment_and_output() {
    both(|harness| words(&format!("ignore-term bare mute daemon 600000 {} exit 3", harness.file("daemon")))).await;
}

#[tokio::test]
async fn nor_one_that_holds_the_output_open() {
    both(|_| words("hold-output 600000 exit 3")).await;
}

#[tokio::test]
async fn nor_a_process_that_is_another_one_all_the_time() {
    both(|_| words("hop 60000 sleep 20 exit 3")).await;
}

#[tokio::test]
async fn nor_a_storm_of_processes() {
    both(|_| words("ignore-term storm 200 sleep 50 exit 3")).await;
}

#[tokio::test]
async fn all_of_it_is_there_before_the_end() {
    let harness = Harness::new(true);
    let verbs = format!("storm 50 hop 60000 bare daemon 600000 {} print ready sleep 600000", harness.file("daemon"));
    let verbs = words(&verbs);
    let task = harness.start(&verbs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut output = task.output().expect("its output is seen");
    output.wait_for(|&printed| printed >= 6).await.expect("it speaks");
    while harness.processes() < 52 {
        tokio::task::yield_now().await;
    }
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Signal(9));
    assert_eq!(harness.processes(), 0);
}

#[tokio::test]
async fn what_ignores_the_request_to_stop_dies_after_the_grace() {
    for cgroups in [true, false] {
        let harness = Harness::new(cgroups);
        let verbs = words("ignore-term storm 20 hop 60000 print ready sleep 600000");
        let task = harness.start(&verbs.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut output = task.output().expect("its output is seen");
        output.wait_for(|&printed| printed >= 6).await.expect("it speaks");
        task.stop(Duration::from_millis(20)).await.expect("it can be stopped");
        let end = task.wait().await.expect("its end is seen");
        assert_eq!((end.status, end.stopped), (ExitStatus::Signal(9), true));
        assert_eq!(harness.processes(), 0);
    }
}

#[tokio::test]
async fn what_the_killed_shim_leaves_is_killed_by_whoever_notices() {
    let harness = Harness::new(true);
    let verbs = words("ignore-term storm 20 hop 60000 print ready sleep 600000");
    let task = harness.start(&verbs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let record = fs::read_to_string(harness.root.path().join("files/proc.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let mut output = task.output().expect("its output is seen");
    output.wait_for(|&printed| printed >= 6).await.expect("it speaks");
    let shim = record["shim"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    let shim = rustix::process::Pid::from_raw(shim).expect("a pid");
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).expect("it runs");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Unknown);
    if record["cgroup"].is_null() {
        println!("skipped: without a cgroup, what has no environment is not found when its shim is killed");
        return;
    }
    assert_eq!(harness.processes(), 0);
}

/// Lets a tracer hold a process of a command, and asserts that the command is stopped all the same.
async fn is_stopped_while_it_is_traced(pid: impl Fn(&str) -> String, grace: Duration) {
    for cgroups in [true, false] {
        let harness = Harness::new(cgroups);
        let task = harness.start(&["sleep", "600000"]).await;
        let held = harness.file("held");
        let mut tracer = std::process::Command::new(FAKETASK);
        tracer.args(["trace", &pid(&task.identity().token), "touch", &held, "sleep", "600000"]);
        let mut tracer = tracer.spawn().expect("the tracer starts");
        while !Path::new(&held).exists() {
            assert!(tracer.try_wait().expect("it is a child").is_none(), "it cannot trace");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        task.stop(grace).await.expect("it can be stopped");
        let end = tokio::time::timeout(Duration::from_secs(60), task.wait()).await;
        let left = harness.processes();
        tracer.kill().expect("it runs");
        tracer.wait().expect("it ends");
        end.expect("it ends while it is traced").expect("its end is known");
        // Whoever traces a process has its last word; that of the leader is there until it is taken.
        assert!(left <= 1, "{left}");
        assert_eq!(harness.processes(), 0);
    }
}

/// A word of a token: `pid 4711 v2 shim=4710:918272 …`.
fn word(token: &str, n: usize) -> String {
    token.split([' ', ':']).nth(n).expect("a token of the second version").replace("shim=", "")
}

#[tokio::test]
async fn a_command_whose_shim_is_traced_is_stopped() {
    is_stopped_while_it_is_traced(|token| word(token, 3), Duration::from_millis(10)).await;
    is_stopped_while_it_is_traced(|token| word(token, 3), Duration::ZERO).await;
}

#[tokio::test]
async fn a_command_that_is_traced_is_stopped() {
    is_stopped_while_it_is_traced(|token| word(token, 1), Duration::from_millis(10)).await;
}

#[tokio::test]
async fn a_command_that_traces_its_own_shim_is_stopped() {
    let harness = Harness::new(true);
    let held = harness.file("held");
    let task = harness.start(&["trace", "parent", "touch", &held, "sleep", "600000"]).await;
    while !Path::new(&held).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    let end = tokio::time::timeout(Duration::from_secs(60), task.wait()).await.expect("it ends");
    end.expect("its end is known");
    assert_eq!(harness.processes(), 0);
}
