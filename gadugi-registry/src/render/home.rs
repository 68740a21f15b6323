//! The commands that bring work to the branch of its attempt.

use gadugi_core::Lease;
use gadugi_core::run::{AttemptRecord, TaskRecord};
use gadugi_core::worktrees::Elsewhere;

use super::escape::shell;

/// The commands for the work of a task's last attempt, if that did not succeed, as they can be pasted in the repository.
pub(super) fn commands(task: &TaskRecord) -> Vec<String> {
    let Some((attempt, lease)) = unfinished(task) else { return Vec::new() };
    let Some(work) = &attempt.work else { return Vec::new() };
    let mut commands: Vec<String> = work.elsewhere.iter().flat_map(|place| of_place(place, lease)).collect();
    if let (false, Some(base), Some(branch)) = (work.conflict_markers.is_empty(), &lease.base, &lease.branch) {
        commands.push(format!("git diff --check {base} {}", shell(branch.as_str())));
    }
    commands
}

fn unfinished(task: &TaskRecord) -> Option<(&AttemptRecord, &Lease)> {
    let last = task.last()?;
    let (outcome, _) = last.ended.as_ref()?;
    Some((last, last.lease.as_ref()?)).filter(|_| !outcome.success())
}

fn of_place(place: &Elsewhere, lease: &Lease) -> Vec<String> {
    let Some(branch) = lease.branch.as_ref().map(|branch| shell(branch.as_str())) else { return Vec::new() };
    let folder = shell(&lease.path.to_string_lossy());
    let there = |command: &str| format!("git -C {folder} {command}");
    let from = |revision: &str, commits: u64| {
        let merge = (commits > 0).then(|| there(&format!("merge --no-edit {}", shell(revision))));
        std::iter::once(there(&format!("switch {branch}"))).chain(merge).collect()
    };
    match place {
        Elsewhere::Branch { name, commits } => from(name, *commits),
        Elsewhere::Detached { commit, commits } => from(commit.as_str(), *commits),
        Elsewhere::Unfinished { operation, isolated: false } => {
            let next = match operation.as_str() {
                "a merge" => "merge --continue",
                "a rebase" => "rebase --continue",
                "a cherry-pick" | "a cherry-pick or revert" => "cherry-pick --continue",
                "a revert" => "revert --continue",
                "an am session" => "am --continue",
                "a bisect" => "bisect reset",
                _ => return vec![there("status")],
            };
            vec![there("status"), there(next)]
        }
        // What git would go on with was begun where this machine's git does not look.
        Elsewhere::Unfinished { .. } => vec![there("status"), there("add --all"), there("commit")],
        Elsewhere::Stash { entries } => {
            entries.iter().map(|entry| there(&format!("stash apply {}", shell(entry)))).collect()
        }
        Elsewhere::Moved { path } => vec![format!("git worktree move {} {folder}", shell(&path.to_string_lossy()))],
        Elsewhere::OtherRepository => {
            let git = |name: &str| shell(&lease.path.join(name).to_string_lossy());
            vec![
                format!("mv {} {}", git(".git"), git(".git.other")),
                format!("git worktree repair {folder}"),
                there("status"),
            ]
        }
        _ => Vec::new(),
    }
}
