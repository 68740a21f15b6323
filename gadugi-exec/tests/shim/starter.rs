//! A process of its own that starts commands, to be killed: this test binary, asked for a single test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use gadugi_core::Executor;
use gadugi_core::plan::Program;
use gadugi_exec::{SubprocessExecutor, SubprocessSettings};
use gadugi_test_support::commands;

use crate::harness::Harness;
use crate::supervised::shimmed;

const PLACE: &str = "GADUGI_TEST_STARTER_PLACE";
const SCRIPT: &str = "GADUGI_TEST_STARTER_SCRIPT";
const WITH_PARENT: &str = "GADUGI_TEST_STARTER_DIE_WITH_PARENT";

/// Killed when dropped.
pub(crate) struct Starter {
    process: Child,
    pub(crate) token: Option<String>,
}

impl Starter {
    /// Starts the script as the command of the harness's requests, by another process, and waits until it is.
    pub(crate) fn start(harness: &Harness, script: &str, die_with_parent: bool, crash_at: Option<&str>) -> Self {
        let mut command = Self::command(harness, script);
        if die_with_parent {
            command.env(WITH_PARENT, "");
        }
        if let Some(point) = crash_at {
            command.env("GADUGI_CRASH_AT", point);
        }
        Self::begun(command)
    }

    fn begun(mut command: Command) -> Self {
        let mut process = command.spawn().expect("this test can be started");
        let said = BufReader::new(process.stdout.take().expect("it was piped"));
        // The harness says something first, on the same line.
        let token = |line: String| line.split_once("started ").map(|(_, token)| token.to_owned());
        let token = said.lines().map_while(Result::ok).find_map(token);
        Self { process, token }
    }

    /// The same by a process that ignores the ends of its children, as it had it from its own starter.
    pub(crate) fn ignoring_its_children(harness: &Harness, script: &str) -> Self {
        let command = Self::command(harness, script);
        let mut ignoring = Command::new("bash");
        ignoring.args(["-c", "trap '' CHLD; exec \"$@\"", "bash"]).arg(command.get_program()).args(command.get_args());
        ignoring.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        ignoring.stdout(Stdio::piped()).stderr(Stdio::null());
        Self::begun(ignoring)
    }

    /// The same without waiting.
    pub(crate) fn spawn(harness: &Harness, script: &str) -> Self {
        Self { process: Self::command(harness, script).spawn().expect("this test can be started"), token: None }
    }

    fn command(harness: &Harness, script: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "starter::starts_a_command_and_waits_to_be_killed", "--ignored", "--nocapture"]);
        let place = harness.folder().parent().expect("the folder of the harness").to_owned();
        command.env(PLACE, place).env(SCRIPT, script).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it is a child of this process");
        self.process.wait().expect("it is a child of this process");
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn die() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    loop {
        kill_process(getpid(), Signal::KILL).expect("a process can kill itself");
    }
}

#[tokio::test]
#[ignore = "a part of other tests"]
async fn starts_a_command_and_waits_to_be_killed() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let mut settings = SubprocessSettings { die_with_parent: std::env::var_os(WITH_PARENT).is_some(), ..shimmed() };
    if let Some(point) = std::env::var_os("GADUGI_CRASH_AT") {
        gadugi_core::arm_crash_point(point.to_str().expect("a name"), die);
        settings.environment.insert("GADUGI_CRASH_AT".into(), point);
    }
    let program = Program::Script(std::env::var(SCRIPT).expect("a script"));
    let request = commands::request("fix-login", program, place.join("work"), place.join("files"));
    let executor = SubprocessExecutor::new(settings);
    match executor.start(&request).await {
        Ok(task) => {
            println!("started {}", task.identity().token);
            std::future::pending::<()>().await;
        }
        Err(error) => println!("failed {error}"),
    }
}
