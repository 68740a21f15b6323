//! A repository and a command line that are cut off from the user's environment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gadugi_test_support::repo::TestRepo;
use serde_json::Value;

pub(crate) struct Harness {
    pub(crate) repo: TestRepo,
}

/// The answer of a call of the command line.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Every one of these stands somewhere in what was said.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in\n{}", self.err);
        }
        self
    }
}

impl Harness {
    /// A repository with a commit.
    pub(crate) fn new() -> Self {
        let harness = Self { repo: TestRepo::new() };
        harness.repo.commit_file("README.md", "# A project\n");
        harness
    }

    pub(crate) fn of(repo: TestRepo) -> Self {
        Self { repo }
    }

    /// A command line that works in the repository.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_in(self.repo.path(), args)
    }

    pub(crate) fn command_in(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gadugi-under-test"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let temp = std::env::temp_dir();
        command.args(args).current_dir(folder).env_clear().env("PATH", path).env("TMPDIR", temp);
        command.env("HOME", self.repo.root().join("home")).env("LANG", "C.UTF-8");
        command.env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
        command
    }

    pub(crate) fn gadugi(&self, args: &[&str]) -> Answer {
        self.command(args).output().expect("gadugi starts").into()
    }

    pub(crate) fn gadugi_reading(&self, args: &[&str], input: &[u8]) -> Answer {
        let mut command = self.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gadugi starts");
        child.stdin.take().expect("it was piped").write_all(input).expect("gadugi reads");
        child.wait_with_output().expect("gadugi ends").into()
    }

    /// Writes a task file beside the repository and gives its path.
    pub(crate) fn task(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let folder = self.repo.root().join("tasks");
        std::fs::create_dir_all(&folder).expect("a folder for tasks");
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a task file");
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// A task file with this script.
    pub(crate) fn script(&self, name: &str, script: &str) -> String {
        let script: String = script.lines().map(|line| format!("  {line}\n")).collect();
        self.task(&format!("{name}.md"), format!("---\nrun: |\n{script}---\n# The task {name}\n"))
    }

    pub(crate) fn report(&self) -> Value {
        let answer = self.gadugi(&["report", "--format", "json"]).expect(0);
        serde_json::from_str(&answer.out).expect("a report in JSON")
    }

    /// The outcome of each task of the latest run, by its name.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        Self::outcomes_in(&self.report())
    }

    /// The same, of those tasks that have one; `None` where there is no run.
    pub(crate) fn known_outcomes(&self) -> Option<BTreeMap<String, String>> {
        let answer = self.gadugi(&["report", "--format", "json"]);
        let report = serde_json::from_str(&answer.out).ok().filter(|_| answer.code == Some(0))?;
        Some(Self::outcomes_in(&report))
    }

    fn outcomes_in(report: &Value) -> BTreeMap<String, String> {
        let tasks = report["tasks"].as_array().expect("tasks").iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        tasks.map(|task| (text(&task["id"]), text(&task["outcome"]["kind"]))).collect()
    }

    /// The folder of the latest run in the registry.
    pub(crate) fn latest_run(&self) -> PathBuf {
        let runs = std::fs::read_dir(self.repo.path().join(".git/gadugi/runs")).expect("there are runs");
        runs.map(|run| run.expect("it can be read").path()).max().expect("there is a run")
    }

    pub(crate) fn worktrees(&self) -> PathBuf {
        self.repo.root().join("repo.gadugi")
    }

    /// `git fsck`, `git worktree list` and `git status` have nothing to complain about.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        let fsck = self.repo.git(&["fsck", "--full", "--no-dangling", "--no-progress"]);
        assert_eq!(fsck, "", "git fsck complains");
        let list = self.repo.git(&["worktree", "list", "--porcelain"]);
        assert!(!list.contains("prunable"), "{list}");
    }
}

/// A `gadugi` in the background, with its messages line by line.
pub(crate) struct Going {
    child: Option<Child>,
    err: BufReader<ChildStderr>,
    pub(crate) said: String,
}

impl Going {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gadugi starts");
        let err = BufReader::new(child.stderr.take().expect("it was piped"));
        Self { child: Some(child), err, said: String::new() }
    }

    /// Reads what it says until a line has these words.
    #[track_caller]
    pub(crate) fn until(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            let read = self.err.read_line(&mut line).expect("it can be read");
            self.said.push_str(&line);
            assert!(read > 0, "it ended without saying `{words}`:\n{}", self.said);
            if line.contains(words) {
                return;
            }
        }
    }

    /// Waits for the next line of its result.
    #[track_caller]
    pub(crate) fn next_line(&mut self) -> String {
        let out = self.child.as_mut().and_then(|child| child.stdout.as_mut()).expect("it was piped");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            std::io::Read::read_exact(out, &mut byte).expect("it prints a line");
            line.extend(byte);
        }
        String::from_utf8(line).expect("UTF-8")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("it runs");
    }

    /// Whether it has ended by now.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("it is a child").is_some())
    }

    pub(crate) fn end(mut self) -> Answer {
        let mut err = std::mem::take(&mut self.said);
        std::io::Read::read_to_string(&mut self.err, &mut err).expect("it can be read");
        let output = self.child.take().map(Child::wait_with_output).expect("it has not ended yet").expect("it ends");
        Answer { err, ..output.into() }
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().expect("it has not ended yet"))
    }
}

impl Drop for Going {
    /// A test that failed leaves neither gadugi nor its tasks behind.
    fn drop(&mut self) {
        use rustix::process::{Signal, kill_process};
        if self.child.is_some() {
            let pid = self.pid();
            for signal in [Signal::CONT, Signal::INT, Signal::INT] {
                kill_process(pid, signal).ok();
            }
            // What it still has to say is taken from it, so that nothing keeps it.
            let output = self.child.take().map(Child::wait_with_output);
            output.and_then(Result::ok);
        }
    }
}

impl Drop for Harness {
    /// A test that failed leaves no process behind: neither drivers, nor those that look after tasks, nor tasks.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for run in entries(&self.repo.path().join(".git/gadugi/runs")) {
            let owner = json(&run.join("owner.json"));
            kill(&owner["pid"], &owner["start_ticks"]);
            let attempts = entries(&run.join("tasks")).into_iter().flat_map(|task| entries(&task));
            for record in attempts
                .flat_map(|attempt| ["proc.json", "check-proc.json", "setup-proc.json"].map(|name| attempt.join(name)))
            {
                let record = json(&record);
                for process in [&record["shim"], &record["leader"]] {
                    kill(&process["pid"], &process["start"]);
                }
                if let Some(group) = record["cgroup"]["path"].as_str() {
                    end_group(Path::new(group));
                }
            }
        }
    }
}

/// Kills what is left in a control group, which can be removed once all of it is gone.
fn end_group(group: &Path) {
    std::fs::write(group.join("cgroup.kill"), "1").ok();
    let begun = Instant::now();
    while group.exists() && std::fs::remove_dir(group).is_err() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn json(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Kills a process and its group, if it is the one that was started then.
fn kill(pid: &Value, start: &Value) {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    let Some(pid) = pid.as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) else { return };
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let started = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(19)?.parse().ok());
    if started.is_some() && started == start.as_u64() {
        // It may have ended by itself, and need not lead a group.
        kill_process_group(pid, Signal::KILL).ok();
        kill_process(pid, Signal::KILL).ok();
    }
}
