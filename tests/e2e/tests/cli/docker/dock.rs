//! A repository whose tasks run in containers, and that leaves nothing in Docker.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gadugi_test_support::docker::{Docker, ToolsImage};
use gadugi_test_support::repo::TestRepo;
use rustix::process::Signal;

use crate::harness::{Going, Harness};

/// The folder in the worktree, ignored by git, for signals between a task and its test.
const SIGNS: &str = ".signs";

/// Longer than anything takes here, also on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct Dock {
    pub(crate) harness: Harness,
    pub(crate) docker: Docker,
    pub(crate) image: ToolsImage,
}

impl Deref for Dock {
    type Target = Harness;

    fn deref(&self) -> &Harness {
        &self.harness
    }
}

impl Dock {
    /// A repository that names an image and no network, which not every machine has to give; `None` where there is no daemon.
    pub(crate) fn new() -> Option<Self> {
        Some(Self::at(Docker::of_machine()?, TestRepo::new(), "[docker]\nnetwork = \"none\"\n"))
    }

    /// With these lines at the end of the configuration.
    pub(crate) fn at(docker: Docker, repo: TestRepo, config: &str) -> Self {
        let image = docker.tools();
        repo.write("README.md", "# A project\n");
        repo.write(".gitignore", format!("{SIGNS}/\n"));
        let config = format!("executor = \"docker\"\nimage = \"{}\"\n{config}", image.name());
        repo.write("gadugi.toml", config);
        repo.git(&["add", "."]);
        repo.git(&["commit", "-q", "-m", "Begin"]);
        Self { harness: Harness::of(repo), docker, image }
    }

    /// The ids of all containers that work for the repository.
    pub(crate) fn containers(&self) -> Vec<String> {
        let git_folder = format!(":{}", self.repo.path().join(".git").display());
        let format = "{{.ID}} {{.Label \"gadugi.repo\"}}";
        let listed = self.docker.run(&["ps", "-a", "--filter", "label=gadugi.repo", "--format", format]);
        let of_this =
            listed.lines().filter_map(|line| line.split_once(' ')).filter(|(_, of)| of.ends_with(&git_folder));
        of_this.map(|(id, _)| id.to_owned()).collect()
    }

    /// A task file whose script waits for [`open`](Self::open), and then runs `then`. Each of its starts is a line in
    /// `starts.txt`.
    pub(crate) fn gated(&self, name: &str, front_matter: &str, then: &str) -> String {
        let wait = format!("while [ ! -e {SIGNS}/gate ]; do sleep 0.02; done");
        self.signed(name, front_matter, &format!("{wait}\n{then}"))
    }

    /// The same that does not wait.
    pub(crate) fn signed(&self, name: &str, front_matter: &str, script: &str) -> String {
        let begin = format!("echo begun >> starts.txt\nmkdir -p {SIGNS}\n: > {SIGNS}/begun");
        self.scripted(name, front_matter, &format!("{begin}\n{script}"))
    }

    /// A task file with this script and more front matter, in whole lines.
    pub(crate) fn scripted(&self, name: &str, front_matter: &str, script: &str) -> String {
        let script: String = script.lines().map(|line| format!("  {line}\n")).collect();
        self.task(&format!("{name}.md"), format!("---\n{front_matter}run: |\n{script}---\n# The task {name}\n"))
    }

    fn sign(&self, task: &str, name: &str) -> PathBuf {
        self.worktrees().join(task).join(SIGNS).join(name)
    }

    pub(crate) fn open(&self, task: &str) {
        std::fs::write(self.sign(task, "gate"), "").expect("the gate opens");
    }

    /// Waits until a task has begun.
    #[track_caller]
    pub(crate) fn begun(&self, task: &str) {
        let sign = self.sign(task, "begun");
        until(&format!("{task} begins"), || sign.exists());
    }

    /// Kills a gadugi once it has recorded that these tasks run, so that its run has no driver.
    #[track_caller]
    pub(crate) fn killed(&self, run: Going, tasks: &[&str]) {
        for task in tasks {
            self.begun(task);
        }
        // A start is in the journal a moment after it.
        let recorded = || self.gadugi(&["ps"]).expect(0).out.matches("container ").count() >= tasks.len();
        until("the starts are recorded", recorded);
        run.signal(Signal::KILL);
        drop(run.end());
    }

    /// The number of starts of a task, by its worktree or else its branch.
    pub(crate) fn starts(&self, task: &str) -> usize {
        let starts = std::fs::read_to_string(self.worktrees().join(task).join("starts.txt"));
        let starts = starts.unwrap_or_else(|_| self.repo.git(&["show", &format!("gadugi/{task}:starts.txt")]));
        starts.lines().count()
    }

    /// The text of the files that match in the folder of the latest run.
    pub(crate) fn of_run(&self, file: &str) -> String {
        std::fs::read_to_string(self.latest_run().join(file)).expect("a file of the run")
    }

    /// Nothing to complain about for git, and no container.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        self.assert_sound();
        let fsck = self.repo.try_git_in(self.repo.path(), &["fsck", "--strict", "--full", "--no-progress"]);
        let said = [fsck.stdout, fsck.stderr].concat();
        assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&said));
        assert_eq!(self.containers(), Vec::<String>::new(), "containers are left");
    }
}

impl Drop for Dock {
    /// No test leaves a container, and one that has failed removes it.
    fn drop(&mut self) {
        // What still drives a run has ended before: it is dropped before this.
        let left = self.containers();
        for container in &left {
            self.docker.command().args(["rm", "-fv", container]).output().ok();
        }
        assert!(std::thread::panicking() || left.is_empty(), "containers were left: {left:?}");
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All files below a folder, with what is in them.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = path.symlink_metadata().expect("it is there").file_type();
        if kind.is_dir() {
            files.extend(files_below(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            files.push((path, bytes));
        }
    }
    files
}
