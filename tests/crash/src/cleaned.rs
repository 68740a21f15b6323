//! What must hold after `gadugi clean`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::arena::{Answer, Arena};

/// A sentence for each promise that was broken: what stays was named with a reason, and git's list tells of nothing else.
pub(crate) fn broken(arena: &Arena<'_>, answer: &Answer) -> io::Result<Vec<String>> {
    let mut broken = Vec::new();
    if answer.code != Some(0) {
        broken.push(format!("clean ended with {:?}: {}", answer.code, answer.err));
    }
    let there = folders(arena)?;
    for folder in &there {
        let line = format!("kept     {}: ", folder.display());
        if !answer.out.lines().any(|said| said.strip_prefix(&line).is_some_and(|reason| !reason.is_empty())) {
            broken.push(format!("a leftover folder: {} after\n{}", folder.display(), answer.out));
        }
    }
    let list = arena.git(&["worktree", "list", "--porcelain"])?;
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

/// How many folders and entries are left.
pub(crate) fn left(arena: &Arena<'_>) -> io::Result<usize> {
    let entries = match fs::read_dir(arena.repo().join(".git/worktrees")) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(folders(arena)?.len() + entries)
}

/// Everything in the folder for worktrees, also what was only put aside there.
fn folders(arena: &Arena<'_>) -> io::Result<BTreeSet<PathBuf>> {
    match fs::read_dir(arena.worktrees()) {
        Ok(folders) => folders.map(|folder| Ok(folder?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}
