//! A repository of its own for each round, and the command line that works on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The names that this program's executable has in the scratch folder.
pub(crate) const GADUGI: &str = "gadugi";
pub(crate) const FAKETASK: &str = "faketask";

/// What all rounds share: one executable, under the names of its parts.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
}

impl Ground {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        let bin = folder.join("bin");
        fs::create_dir(&bin)?;
        fs::create_dir(folder.join("home"))?;
        fs::copy(std::env::current_exe()?, bin.join(GADUGI))?;
        std::os::unix::fs::symlink(GADUGI, bin.join(FAKETASK))?;
        Ok(Self { folder })
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}

/// One round's repository, and everything that its tasks write down beside it.
pub(crate) struct Arena<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) folder: PathBuf,
}

/// How a call of the command line ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl<'a> Arena<'a> {
    /// A repository with two commits, a configuration and a hook that must never run.
    pub(crate) fn new(ground: &'a Ground, name: &str) -> io::Result<Self> {
        let arena = Self { ground, folder: ground.folder.join(name) };
        let repo = arena.repo();
        fs::create_dir_all(&repo)?;
        fs::write(arena.task_files_folder()?.join("readme"), "")?;
        arena.git(&["init", "-q", "-b", "main"])?;
        for (key, value) in [("user.name", "A. Tester"), ("user.email", "tester@example.org"), ("gc.auto", "0")] {
            arena.git(&["config", key, value])?;
        }
        fs::write(repo.join("README.md"), "# A project\n")?;
        fs::write(repo.join("untracked.txt"), "the user's own\n")?;
        arena.git(&["add", "README.md"])?;
        arena.git(&["commit", "-q", "-m", "First"])?;
        arena.git(&["commit", "-q", "--allow-empty", "-m", "Second"])?;
        Ok(arena)
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.folder.join("repo")
    }

    pub(crate) fn worktrees(&self) -> PathBuf {
        self.folder.join("repo.gadugi")
    }

    fn task_files_folder(&self) -> io::Result<PathBuf> {
        let folder = self.folder.join("tasks");
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Writes a task file.
    pub(crate) fn task(&self, name: &str, front_matter: &str, script: &str) -> io::Result<()> {
        let script: String = script.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("---\n{front_matter}run: |\n{script}---\n# The task {name}\n");
        fs::write(self.task_files_folder()?.join(format!("{name}.md")), text)
    }

    /// What tasks have written down, line by line; a last line without its end was never written.
    pub(crate) fn lines(&self, file: &str) -> io::Result<Vec<String>> {
        match fs::read_to_string(self.folder.join(file)) {
            Ok(text) => {
                Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn hermetic(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command.env("HOME", self.ground.folder.join("home")).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
        command.env("TMPDIR", &self.folder).current_dir(self.repo());
        command
    }

    /// What git prints, without the last line break.
    pub(crate) fn git(&self, args: &[&str]) -> io::Result<String> {
        let output = self.hermetic("git").args(args).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("git {args:?}: {}: {said}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.hermetic(self.ground.bin(GADUGI));
        command.args(args);
        command
    }

    /// Calls `gadugi` and waits for it.
    pub(crate) fn gadugi(&self, args: &[&str]) -> io::Result<Answer> {
        Ok(self.command(args).output()?.into())
    }

    /// As [`gadugi`](Arena::gadugi), with a crash point that it, or one of its shims, comes to.
    pub(crate) fn gadugi_dying_at(&self, point: &str, args: &[&str]) -> io::Result<Answer> {
        Ok(self.command(args).env("GADUGI_CRASH_AT", point).output()?.into())
    }

    /// Begins a call whose output nobody reads.
    pub(crate) fn begin(&self, args: &[&str]) -> io::Result<Child> {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Begins a call whose errors are kept.
    pub(crate) fn begin_heard(&self, args: &[&str]) -> io::Result<Child> {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }

    /// Begins the run of all task files.
    pub(crate) fn begin_run(&self) -> io::Result<Child> {
        self.begin(&["run", "../tasks"])
    }

    /// The report of the latest run.
    pub(crate) fn report(&self) -> io::Result<Value> {
        let answer = self.gadugi(&["report", "--format", "json"])?;
        serde_json::from_str(&answer.out).map_err(|_| io::Error::other(format!("no report: {}", answer.err)))
    }

    /// The folders of all runs, oldest first.
    pub(crate) fn run_folders(&self) -> io::Result<Vec<PathBuf>> {
        let runs = self.repo().join(".git/gadugi/runs");
        let mut folders = match fs::read_dir(&runs) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        folders.sort();
        Ok(folders)
    }

    /// A program that does what bad tasks do, for scripts.
    pub(crate) fn faketask(&self) -> String {
        self.ground.bin(FAKETASK).display().to_string()
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}
