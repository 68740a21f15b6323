//! The worktrees of a repository, and what is copied into them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gadugi_core::run::AttemptRecord;
use gadugi_core::worktrees::Seeded;
use gadugi_core::{CommitId, Lease, TaskId, Worktrees, error_chain};
use gadugi_worktree::{GitWorktrees, Seeding, Seeds, Sharing, WorktreeSettings, check_worktrees_folder, sharing};

use super::background::landing_program;
use super::{Preview, PreviewRequest, Site};
use crate::config::Config;
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::terminal::seed_text;

/// When released worktrees are deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deletion {
    /// In the background, as soon as they are released.
    AtOnce,
    /// After the command has released all.
    Deferred,
}

impl Site {
    /// The end of the work on an attempt's branch: its tip, where that has the recorded one, else the recorded one; `None` where
    /// both are gone.
    pub(crate) fn end_of_work(
        &self,
        attempt: &AttemptRecord,
        recorded: &CommitId,
    ) -> Result<Option<CommitId>, Failure> {
        let exists = self.repository.has_commit(recorded).map_err(unreadable)?;
        let branch = attempt.lease.as_ref().and_then(|lease| lease.branch.as_ref());
        let tip = branch.map(|branch| self.repository.tip(branch)).transpose().map_err(unreadable)?.flatten();
        if let Some(tip) = tip.filter(|_| exists)
            && self.repository.is_ancestor(recorded, &tip).map_err(unreadable)?
        {
            return Ok(Some(tip));
        }
        Ok(Some(recorded.clone()).filter(|_| exists))
    }

    /// Whether a commit, which exists, is in the history of another one.
    pub(crate) fn is_merged(&self, commit: &CommitId, into: &CommitId) -> Result<bool, Failure> {
        self.repository.is_ancestor(commit, into).map_err(unreadable)
    }

    /// The folder for the worktrees: the configured one, else the one beside the repository, else, if
    /// that cannot be used, one in the user's data folder.
    pub(crate) fn worktrees_folder(&self, surroundings: &Surroundings, config: &Config) -> Result<PathBuf, Failure> {
        let unusable = |error: gadugi_worktree::PlaceError| {
            Failure::environment(format!("worktrees cannot be made: {}", error_chain(&error)))
                .hint("name another folder by `worktrees = \"…\"` in gadugi.toml")
        };
        if let Some(folder) = &config.worktrees {
            let folder = surroundings.folder.join(folder);
            return check_worktrees_folder(&folder).map(|()| folder).map_err(unusable);
        }
        let beside = self.repository.default_worktrees_folder();
        match (check_worktrees_folder(&beside), surroundings.user_data()) {
            (Ok(()), _) => Ok(beside),
            (Err(error), None) => Err(unusable(error)),
            (Err(_), Some(data)) => {
                let id = TaskId::slug(&self.repository.common_dir().to_string_lossy());
                let folder = data.join("worktrees").join(id.as_str());
                check_worktrees_folder(&folder).map(|()| folder).map_err(unusable)
            }
        }
    }

    /// The worktrees of runs that start from `base`. Large seeds are announced while they are copied; released worktrees
    /// are deleted in the background.
    pub(crate) fn worktrees(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<Arc<dyn Worktrees>, Failure> {
        Ok(Arc::new(self.git_worktrees(surroundings, config, base)?))
    }

    /// The same, with all that git can do for them.
    pub(super) fn git_worktrees(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<GitWorktrees, Failure> {
        self.shared_worktrees(surroundings, config, base, Deletion::AtOnce)
    }

    /// The worktrees that this command has asked for, if it has.
    pub(crate) fn known_worktrees(&self) -> Option<GitWorktrees> {
        self.worktrees.get().cloned()
    }

    /// The worktrees for a command that releases many of them: they are deleted only after the command has released all.
    pub(crate) fn worktrees_to_clean(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
    ) -> Result<GitWorktrees, Failure> {
        self.shared_worktrees(surroundings, config, base, Deletion::Deferred)
    }

    fn shared_worktrees(
        &self,
        surroundings: &Surroundings,
        config: &Config,
        base: &CommitId,
        deletion: Deletion,
    ) -> Result<GitWorktrees, Failure> {
        if let Some(worktrees) = self.worktrees.get() {
            return Ok(worktrees.with_base(base.clone()));
        }
        let folder = self.worktrees_folder(surroundings, config)?;
        let branch_prefix = config.branch_prefix.as_str().to_owned();
        let announcer = Arc::clone(&self.announcer);
        let seed = Seeds::new(config.seed.clone()).observed_by(move |seeding| {
            if is_large(seeding) {
                let plural = if seeding.worktrees == 1 { "" } else { "s" };
                let text = seed_text(seeding.each);
                announcer.announce(format!("copying {text} into each of {} new worktree{plural}", seeding.worktrees));
            }
        });
        let defaults = WorktreeSettings::new(self.repository.clone(), base.clone(), folder);
        let (limit, defer_deletion) = (config.worktree_timeout, deletion == Deletion::Deferred);
        let landing_program = landing_program();
        let settings = WorktreeSettings { branch_prefix, seed, limit, defer_deletion, landing_program, ..defaults };
        let worktrees = GitWorktrees::new(settings);
        let worktrees = worktrees.map_err(|error| Failure::usage(format!("`branch_prefix`: {error}")))?;
        Ok(self.worktrees.get_or_init(|| worktrees).clone())
    }

    /// Finds the work of an attempt, without a change in its worktree.
    pub(crate) async fn preview(&self, lease: &Lease, request: PreviewRequest) -> Result<Preview, Failure> {
        let head = self.repository.head_commit().clone();
        let settings = WorktreeSettings::new(self.repository.clone(), head, self.repository.default_worktrees_folder());
        let worktrees = GitWorktrees::new(WorktreeSettings { defer_deletion: true, ..settings })
            .map_err(|error| Failure::environment(error.to_string()))?;
        worktrees.preview(lease, request).await.map_err(|error| {
            let hint = "`gadugi report` names the branches; `git reflog` may still know the commit";
            Failure::environment(error_chain(&error)).hint(hint)
        })
    }

    /// Surveys what would be copied into each worktree now. Returns the amount, and a sentence for each file that would not.
    pub(crate) fn seeds(&self, config: &Config) -> Result<(Seeded, Vec<String>), Failure> {
        let survey = self.repository.seeds(&Seeds::new(config.seed.clone()));
        let survey = survey.map_err(|error| {
            Failure::environment(format!("cannot tell what is copied into worktrees: {}", error_chain(&error)))
        })?;
        Ok((survey.each, survey.warnings))
    }

    /// Files for agents that git ignores and that no pattern of `seed` copies, as further patterns.
    pub(crate) fn left_out_of_seeds(&self, config: &Config) -> Vec<String> {
        // An error shows again, and is reported, when worktrees are created.
        let left_out = self.repository.left_out_of(&Seeds::new(config.seed.clone()), AGENT_FILES);
        left_out.unwrap_or_default().into_iter().map(|file| format!("/{file}")).collect()
    }

    /// Describes whether copies in `folder` share their disk space with the originals, and the remedy if they do not.
    pub(crate) fn sharing(&self, folder: &Path) -> (String, &'static str) {
        let (text, better) = match sharing(&self.repository, folder) {
            Ok(Sharing::Shared) => ("files that are copied into worktrees take no room until they are changed", ""),
            Ok(Sharing::Apart) => (
                "files are copied into worktrees in full, since they lie on another file system",
                "name a folder on the file system of the repository by `worktrees = \"…\"`",
            ),
            Ok(Sharing::Copied) => {
                ("files are copied into worktrees in full, since the file system does not share them", "")
            }
            Ok(_) => ("files that are copied into worktrees take no room where the file system shares them", ""),
            Err(error) => return (format!("whether the file system shares what is copied is not known: {error}"), ""),
        };
        (text.to_owned(), better)
    }
}

/// Files of a work tree with instructions and settings for agents.
const AGENT_FILES: &[&str] = &[
    "AGENTS.md",
    "AGENTS.override.md",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "GEMINI.md",
    "QWEN.md",
    ".mcp.json",
    ".claude/CLAUDE.md",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".gemini/settings.json",
    ".qwen/settings.json",
    ".aider.conf.yml",
    "opencode.json",
];

/// Whether copying takes long enough to be announced.
fn unreadable(error: gadugi_worktree::GitError) -> Failure {
    Failure::environment(format!("the branches of tasks cannot be read: {}", error_chain(&error)))
        .hint("`gadugi doctor` checks this repository")
}

fn is_large(seeding: Seeding) -> bool {
    let worktrees = seeding.worktrees as u64;
    seeding.each.files.saturating_mul(worktrees) >= 10_000 || seeding.each.bytes.saturating_mul(worktrees) >= 256 << 20
}
