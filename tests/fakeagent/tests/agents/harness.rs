//! The fake agents in a folder of a test's own.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use gadugi_core::agent::{AgentReport, Lines, OutputReader};
use gadugi_exec::agent_output::{TimeZones, formats};
use gadugi_fakeagent::Installed;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    Claude,
    Codex,
}

pub(crate) const BOTH: [Agent; 2] = [Agent::Claude, Agent::Codex];

impl Agent {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// Its command line for a prompt on standard input.
    pub(crate) fn args(self) -> Vec<&'static str> {
        match self {
            Self::Claude => {
                vec!["-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits"]
            }
            Self::Codex => vec!["exec", "--json", "--sandbox", "workspace-write", "-"],
        }
    }

    pub(crate) fn resuming(self, session: &str) -> Vec<&str> {
        match self {
            Self::Claude => [&self.args()[..], &["--resume", session]].concat(),
            Self::Codex => vec!["exec", "resume", session, "--json", "-"],
        }
    }

    fn reader(self) -> Box<dyn OutputReader> {
        let format = match self {
            Self::Claude => "claude-stream-json",
            Self::Codex => "codex-json",
        };
        formats(&TimeZones::default())[format].reader()
    }
}

pub(crate) struct Harness {
    root: TempDir,
    pub(crate) agents: Installed,
}

/// The answer of a call.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    pub(crate) report: AgentReport,
}

impl Answer {
    fn of(agent: Agent, output: Output) -> Self {
        let (mut reader, mut lines) = (agent.reader(), Lines::default());
        lines.feed(&output.stdout, |line| reader.read(line));
        lines.finish(|line| reader.read(line));
        Self {
            code: output.status.code(),
            report: reader.report().clone(),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn session(&self) -> &str {
        let session = self.report.session.as_deref();
        session.unwrap_or_else(|| panic!("it tells its session: {:?}, {}", self.code, self.err))
    }
}

impl Harness {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().expect("a temporary folder");
        std::fs::create_dir(root.path().join("work")).expect("a working folder");
        let program = Path::new(env!("CARGO_BIN_EXE_gadugi-fakeagent"));
        let agents = Installed::new(program, &root.path().join("bin")).expect("they are installed");
        Self { root, agents }
    }

    /// The folder that the agents work in.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().canonicalize().expect("it is there").join("work")
    }

    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = self.agents.search_path().expect("a path");
        command.args(args).env_clear().env("PATH", path).current_dir(self.work());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Asks an agent, by its name on the `PATH`.
    pub(crate) fn ask(&self, agent: Agent, prompt: &str) -> Answer {
        self.ask_with(agent, &agent.args(), prompt)
    }

    pub(crate) fn ask_with(&self, agent: Agent, args: &[&str], prompt: &str) -> Answer {
        self.ask_together(agent, args, prompt, || ())
    }

    /// Asks an agent, and waits before its prompt ends, and so before it begins.
    pub(crate) fn ask_together(&self, agent: Agent, args: &[&str], prompt: &str, wait: impl FnOnce()) -> Answer {
        let child = spawn(self.command(agent.name(), args), prompt, wait);
        Answer::of(agent, child.wait_with_output().expect("it ends"))
    }

    /// Starts an agent, and reads its output while it runs.
    pub(crate) fn begin(&self, agent: Agent, prompt: &str) -> Going {
        let mut child = spawn(self.command(agent.name(), &agent.args()), prompt, || ());
        let out = BufReader::new(child.stdout.take().expect("it was piped"));
        Going { child, out, reader: agent.reader() }
    }
}

fn spawn(mut command: Command, prompt: &str, before_its_end: impl FnOnce()) -> Child {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    let written = stdin.write_all(prompt.as_bytes());
    // One that was given its prompt otherwise, or is asked nothing, may be gone by then.
    assert!(!written.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe), "its prompt cannot be written");
    before_its_end();
    drop(stdin);
    child
}

/// An agent that may go on for ever; it is killed with this.
pub(crate) struct Going {
    child: Child,
    out: BufReader<ChildStdout>,
    reader: Box<dyn OutputReader>,
}

impl Going {
    /// Reads lines until what they tell is so.
    #[track_caller]
    pub(crate) fn until(&mut self, is_so: impl Fn(&AgentReport) -> bool) {
        while !is_so(self.reader.report()) {
            assert!(self.line(), "it ended before: {:?}", self.reader.report());
        }
    }

    /// Reads a line, unless there is no more.
    pub(crate) fn line(&mut self) -> bool {
        let mut line = Vec::new();
        let count = self.out.read_until(b'\n', &mut line).expect("it can be read");
        self.reader.read(&line);
        count > 0
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    /// Kills it, and gives what it had told.
    pub(crate) fn kill(mut self) -> AgentReport {
        self.child.kill().expect("it has not been waited for");
        while self.line() {}
        self.reader.report().clone()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
