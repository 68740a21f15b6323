//! The state that must hold after `gadugi clean`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::harness::{Answer, Harness};

/// A sentence for each promise that was broken: what stays was named with a reason, and git's list tells of nothing else.
pub(crate) fn broken(harness: &Harness<'_>, answer: &Answer) -> io::Result<Vec<String>> {
    let mut broken = Vec::new();
    if answer.code != Some(0) {
        broken.push(format!("clean ended with {:?}: {}", answer.code, answer.err));
    }
    let there = folders(harness)?;
    for folder in &there {
        let line = format!("kept     {}: ", folder.display());
        if !answer.out.lines().any(|said| said.strip_prefix(&line).is_some_and(|reason| !reason.is_empty())) {
            broken.push(format!("a leftover folder: {} after\n{}", folder.display(), answer.out));
        }
    }
    let list = harness.git(&["worktree", "list", "--porcelain"])?;
    let listed: BTreeSet<PathBuf> =
        list.lines().filter_map(|line| line.strip_prefix("worktree ")).skip(1).map(PathBuf::from).collect();
    for stale in listed.difference(&there) {
        broken.push(format!("a stale entry: {}", stale.display()));
    }
    for line in list.lines().filter(|line| line.starts_with("prunable") || line.starts_with("locked")) {
        broken.push(format!("a stale entry: {line}"));
    }
    Ok(broken)
}

/// The number of folders and entries that are left.
pub(crate) fn left(harness: &Harness<'_>) -> io::Result<usize> {
    let entries = match fs::read_dir(harness.repo().join(".git/worktrees")) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(folders(harness)?.len() + entries)
}

/// Everything in the folder for worktrees, also what was only put aside there.
fn folders(harness: &Harness<'_>) -> io::Result<BTreeSet<PathBuf>> {
    match fs::read_dir(harness.worktrees()) {
        Ok(folders) => folders.map(|folder| Ok(folder?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}
