//! The state that must hold after every round, whatever was killed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::Harness;
use crate::plan::Expected;
use crate::processes::{self, describe};

/// The harm that tasks may have suffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Only Gadugi itself was killed: every task ends as it would have.
    None,
    /// Tasks or shims were killed too, or files damaged: a task may be lost, killed or skipped, but never ends
    /// in a way that it did not.
    Tasks,
}

/// The user's files, as they were before.
#[derive(Debug, PartialEq)]
pub(crate) struct Mine(BTreeMap<String, Vec<u8>>);

impl Mine {
    pub(crate) fn of(harness: &Harness<'_>) -> io::Result<Self> {
        let repo = harness.repo();
        let mut files = BTreeMap::new();
        for name in [".git/HEAD", ".git/config", ".git/index", "README.md", "untracked.txt"] {
            files.insert(name.to_owned(), fs::read(repo.join(name))?);
        }
        let hooks: Vec<_> =
            fs::read_dir(repo.join(".git/hooks"))?.map(|hook| Ok(hook?.path())).collect::<io::Result<_>>()?;
        for hook in hooks {
            files.insert(hook.display().to_string(), fs::read(hook)?);
        }
        files.insert("main".to_owned(), harness.git(&["rev-parse", "main"])?.into_bytes());
        files.insert("status".to_owned(), harness.git(&["status", "--porcelain"])?.into_bytes());
        Ok(Self(files))
    }
}

/// Checks everything that is left after a run, which is over.
pub(crate) struct Oracle<'a> {
    pub(crate) harness: &'a Harness<'a>,
    pub(crate) mine: &'a Mine,
    pub(crate) expected: &'a Expected,
    pub(crate) harm: Harm,
}

impl Oracle<'_> {
    /// A sentence for each promise that was broken.
    pub(crate) fn broken(&self) -> io::Result<Vec<String>> {
        let mut broken = Vec::new();
        self.nothing_runs(&mut broken);
        self.no_commit_is_lost(&mut broken)?;
        self.nothing_began_twice(&mut broken)?;
        self.journals_tell_each_end_once(&mut broken)?;
        self.ends_are_true(&mut broken)?;
        self.what_is_mine_is_as_it_was(&mut broken)?;
        self.worktrees_are_those_of_the_report(&mut broken)?;
        Ok(broken)
    }

    /// Every run is over, so no process of it may be there.
    fn nothing_runs(&self, broken: &mut Vec<String>) {
        for pid in processes::that_stay(&self.harness.folder) {
            broken.push(format!("an orphan: {}", describe(pid)));
            processes::kill(pid);
        }
    }

    fn no_commit_is_lost(&self, broken: &mut Vec<String>) -> io::Result<()> {
        let reachable = self.harness.git(&["rev-list", "--all"])?;
        let reachable: HashSet<&str> = reachable.lines().collect();
        for commit in self.harness.lines("commits")? {
            if !reachable.contains(commit.as_str()) {
                broken.push(format!("a lost commit: {commit}"));
            }
        }
        Ok(())
    }

    fn nothing_began_twice(&self, broken: &mut Vec<String>) -> io::Result<()> {
        let mut seen = BTreeSet::new();
        for begun in self.harness.lines("begun")? {
            if !seen.insert(begun.clone()) {
                broken.push(format!("a double start: {begun}"));
            }
        }
        Ok(())
    }

    fn journals_tell_each_end_once(&self, broken: &mut Vec<String>) -> io::Result<()> {
        for folder in self.harness.run_folders()? {
            let mut ends = BTreeSet::new();
            for event in journal(&folder)? {
                let kind = event["kind"].as_str().unwrap_or_default();
                if matches!(kind, "attempt_ended" | "command_ended" | "task_finished" | "run_ended") {
                    let end = format!("{kind} {} {} {}", event["task"], event["attempt"], event["phase"]);
                    if !ends.insert(end.clone()) {
                        broken.push(format!("a second end: {end}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn ends_are_true(&self, broken: &mut Vec<String>) -> io::Result<()> {
        let report = self.harness.report()?;
        if !report["ended"].as_bool().unwrap_or(false) {
            broken.push("the run has no end".to_owned());
        }
        let told: BTreeSet<String> = self.harness.lines("ended")?.into_iter().collect();
        for task in report["tasks"].as_array().into_iter().flatten() {
            let (id, outcome) = (task["id"].as_str().unwrap_or_default(), &task["outcome"]);
            let kind = outcome["kind"].as_str().unwrap_or("none");
            if self.harm == Harm::None && self.expected.get(id).is_some_and(|expected| *expected != kind) {
                broken.push(format!("{id} ended as {outcome}, not as {}", self.expected[id]));
            }
            for attempt in task["attempts"].as_array().into_iter().flatten() {
                let outcome = &attempt["outcome"];
                let code = match (outcome["kind"].as_str(), outcome["failure"]["code"].as_i64()) {
                    (Some("succeeded"), _) => Some(0),
                    (Some("failed"), code) => code,
                    _ => None,
                };
                let end = code.map(|code| format!("{id} {} {code}", attempt["number"]));
                if let Some(end) = end.filter(|end| !told.contains(end)) {
                    broken.push(format!("a false end: {end}, which the task never came to"));
                }
            }
        }
        Ok(())
    }

    fn what_is_mine_is_as_it_was(&self, broken: &mut Vec<String>) -> io::Result<()> {
        let now = Mine::of(self.harness)?;
        for (name, before) in &self.mine.0 {
            if now.0.get(name) != Some(before) {
                broken.push(format!("{name} of the user has changed"));
            }
        }
        if let Err(error) = self.harness.git(&["fsck", "--strict", "--no-dangling"]) {
            broken.push(format!("the repository is damaged: {error}"));
        }
        Ok(())
    }

    /// Of tasks that succeeded no worktree is left, and git knows every folder that is.
    fn worktrees_are_those_of_the_report(&self, broken: &mut Vec<String>) -> io::Result<()> {
        let list = self.harness.git(&["worktree", "list", "--porcelain"])?;
        let known: BTreeSet<PathBuf> =
            list.lines().filter_map(|line| line.strip_prefix("worktree ")).map(PathBuf::from).collect();
        let folders = match fs::read_dir(self.harness.worktrees()) {
            Ok(folders) => folders.map(|folder| Ok(folder?.path())).collect::<io::Result<BTreeSet<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        for folder in folders.difference(&known) {
            broken.push(format!("a folder that git does not know: {}", folder.display()));
        }
        for missing in known.iter().filter(|path| !path.exists()) {
            broken.push(format!("an entry without folder: {}", missing.display()));
        }
        if list.lines().any(|line| line.starts_with("locked")) {
            broken.push("a worktree is still locked".to_owned());
        }
        if self.harm == Harm::None {
            for task in self.harness.report()?["tasks"].as_array().into_iter().flatten() {
                for attempt in task["attempts"].as_array().into_iter().flatten() {
                    let place = attempt["worktree"]["path"].as_str().or_else(|| attempt["worktree"].as_str());
                    let succeeded = attempt["outcome"]["kind"] == "succeeded";
                    if let Some(path) = place.filter(|path| succeeded && Path::new(path).exists()) {
                        // The next attempt at another task may have got the name.
                        broken.push(format!("the worktree of a success stays: {path}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The events of a run, as they stand in its journal.
pub(crate) fn journal(run: &Path) -> io::Result<Vec<Value>> {
    let text = match fs::read_to_string(run.join("journal.jsonl")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // A last line that was torn is no event.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
