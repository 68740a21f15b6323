//! A repository of its own for each round, and the command line that works on it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The names that this program's executable has in the scratch folder.
pub(crate) const GADUGI: &str = "gadugi";
pub(crate) const FAKETASK: &str = "faketask";

/// The parts that all rounds share: one executable, under the names of its parts.
pub(crate) struct Installation {
    pub(crate) folder: PathBuf,
    /// A repository with the files of this project, made on first use.
    project: Mutex<Option<PathBuf>>,
}

impl Installation {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        let bin = folder.join("bin");
        fs::create_dir(&bin)?;
        fs::create_dir(folder.join("home"))?;
        fs::copy(std::env::current_exe()?, bin.join(GADUGI))?;
        std::os::unix::fs::symlink(GADUGI, bin.join(FAKETASK))?;
        Ok(Self { folder, project: Mutex::new(None) })
    }

    /// A bare repository with the commits of this project, or, where there are none as in a source archive, with its files.
    fn project(&self) -> io::Result<PathBuf> {
        let mut project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(project) = &*project {
            return Ok(project.clone());
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let path = self.folder.join("project.git");
        let (from, to) = (source.display().to_string(), path.display().to_string());
        let clone = ["clone", "-q", "--bare", "--no-local", &from, &to];
        // Git refuses to clone one that belongs to somebody else.
        if !source.join(".git").exists() || self.git(&self.folder, &clone).is_err() {
            self.git(&self.folder, &["init", "-q", "--bare", "-b", "main", &to])?;
            let place = ["--git-dir", &to, "--work-tree", &from];
            let who = ["-c", "user.name=A. Tester", "-c", "user.email=tester@example.org"];
            self.git(&source, &[&place[..], &["add", "-A"]].concat())?;
            self.git(&source, &[&place[..], &who, &["commit", "-q", "-m", "All"]].concat())?;
        }
        Ok(project.insert(path).clone())
    }

    fn hermetic(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command.env("HOME", self.folder.join("home")).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
        command
    }

    /// The output of git, without the last line break. Its index is not refreshed by that.
    fn git(&self, folder: &Path, args: &[&str]) -> io::Result<String> {
        let mut git = self.hermetic("git");
        let output = git.args(args).current_dir(folder).env("GIT_OPTIONAL_LOCKS", "0").output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("git {args:?}: {}: {said}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}

/// One round's repository, and everything that its tasks write down beside it.
pub(crate) struct Harness<'a> {
    pub(crate) installation: &'a Installation,
    pub(crate) folder: PathBuf,
}

/// The result of a call of the command line.
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

impl<'a> Harness<'a> {
    /// A repository with two commits, a configuration and a hook that must never run.
    pub(crate) fn new(installation: &'a Installation, name: &str) -> io::Result<Self> {
        let harness = Self { installation, folder: installation.folder.join(name) };
        let repo = harness.repo();
        fs::create_dir_all(&repo)?;
        harness.git(&["init", "-q", "-b", "main"])?;
        harness.prepare()?;
        fs::write(repo.join("README.md"), "# A project\n")?;
        harness.git(&["add", "README.md"])?;
        harness.git(&["commit", "-q", "-m", "First"])?;
        harness.git(&["commit", "-q", "--allow-empty", "-m", "Second"])?;
        Ok(harness)
    }

    /// A clone of this project's own repository, with everything that [`new`](Harness::new) has beside the commits.
    pub(crate) fn of_this_project(installation: &'a Installation, name: &str) -> io::Result<Self> {
        let harness = Self { installation, folder: installation.folder.join(name) };
        fs::create_dir_all(&harness.folder)?;
        let (project, repo) = (installation.project()?.display().to_string(), harness.repo().display().to_string());
        installation.git(&harness.folder, &["clone", "-q", "--no-local", &project, &repo])?;
        harness.git(&["switch", "-q", "-C", "main"])?;
        harness.prepare()?;
        Ok(harness)
    }

    fn prepare(&self) -> io::Result<()> {
        fs::write(self.task_files_folder()?.join("readme"), "")?;
        for (key, value) in [("user.name", "A. Tester"), ("user.email", "tester@example.org"), ("gc.auto", "0")] {
            self.git(&["config", key, value])?;
        }
        fs::write(self.repo().join("untracked.txt"), "the user's own\n")
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

    /// The notes of tasks, line by line; a last line without its end was never written.
    pub(crate) fn lines(&self, file: &str) -> io::Result<Vec<String>> {
        match fs::read_to_string(self.folder.join(file)) {
            Ok(text) => {
                Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The output of git in the repository, without the last line break.
    pub(crate) fn git(&self, args: &[&str]) -> io::Result<String> {
        self.installation.git(&self.repo(), args)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.installation.hermetic(self.installation.bin(GADUGI));
        command.env("TMPDIR", &self.folder).current_dir(self.repo()).args(args);
        command
    }

    /// Calls `gadugi` and waits for it.
    pub(crate) fn gadugi(&self, args: &[&str]) -> io::Result<Answer> {
        Ok(self.command(args).output()?.into())
    }

    /// As [`gadugi`](Harness::gadugi), with a crash point that it, or one of its shims, comes to.
    pub(crate) fn gadugi_dying_at(&self, point: &str, args: &[&str]) -> io::Result<Answer> {
        Ok(self.command(args).env("GADUGI_CRASH_AT", point).output()?.into())
    }

    /// Starts a call without reading its output.
    pub(crate) fn start(&self, args: &[&str]) -> io::Result<Child> {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Starts a call, and keeps its errors.
    pub(crate) fn start_with_errors(&self, args: &[&str]) -> io::Result<Child> {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }

    /// Begins the run of all task files.
    pub(crate) fn start_run(&self) -> io::Result<Child> {
        self.start(&["run", "../tasks"])
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
        self.installation.bin(FAKETASK).display().to_string()
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}
