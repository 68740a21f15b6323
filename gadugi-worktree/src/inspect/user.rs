//! The rules that hold for a whole repository, `info/exclude` and `core.excludesFile`, as the user had them before a run.
//!
//! All worktrees share them, and a task can change them. So each run records them before its first worktree is made, in
//! `<state>/rules/<run>`. Files that only newer rules ignore do not count as ignored.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gadugi_core::RunId;
use gadugi_core::worktrees::WorktreeRequest;
use gix::bstr::ByteSlice;

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::inspect::MAX_RULES_BYTES;
use crate::inspect::dir::Dir;
use crate::lease::admin_folder::Entry;
use crate::repo::open::ConfigSources;
use crate::settings::WorktreeSettings;

/// The first line of a record.
const HEADING: &str = "gadugi rules 1";
/// Age at which the record of a run without worktrees is deleted: a run may have none for a while.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The rules that hold in all of a repository, and settings that say how names and permissions are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserRules {
    /// The texts as the user had them, the one that counts more first.
    pub(super) before: Vec<Vec<u8>>,
    /// The texts as they are now.
    pub(super) now: Vec<Vec<u8>>,
    /// `core.ignoreCase`
    pub(super) ignores_case: bool,
    /// `core.fileMode`
    has_file_mode: bool,
}

impl UserRules {
    /// The current rules.
    pub(crate) fn now(repo: &gix::Repository, sources: ConfigSources) -> Result<Self, GitError> {
        let config = repo.config_snapshot();
        let excludes_file = config.trusted_path("core.excludesFile")?.or_else(|| sources.default_excludes_file());
        let files = [Some(repo.common_dir().join("info/exclude")), excludes_file];
        let now: Vec<_> = files.iter().map(|file| file.as_deref().map(read).unwrap_or_default()).collect();
        Ok(Self {
            before: now.clone(),
            now,
            ignores_case: config.boolean("core.ignoreCase").unwrap_or(false),
            has_file_mode: config.boolean("core.fileMode").unwrap_or(true),
        })
    }

    /// The current rules, and those that a run has recorded. A run of an older version has no record.
    pub(crate) fn of_run(settings: &WorktreeSettings, run: &RunId, repo: &gix::Repository) -> Result<Self, GitError> {
        let now = Self::now(repo, settings.repository.opener.sources)?;
        let path = path(settings, run);
        match ordinary::read(&path) {
            Ok(text) => match Self::from_text(&text) {
                Some(before) => Ok(Self { now: now.now, ..before }),
                // Nobody can tell what the user had then.
                None => Ok(now.without_shared()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(now),
            Err(error) => Err(GitError::io("read", &path)(error)),
        }
    }

    /// No rules for the whole repository, where the user's cannot be told from the task's.
    pub(crate) fn without_shared(self) -> Self {
        Self { before: Vec::new(), ..self }
    }

    /// The settings to open a worktree with: the task's configuration must not hide a change.
    pub(crate) fn overrides(&self) -> Vec<String> {
        vec![
            "core.trustctime=true".to_owned(),
            "core.checkStat=default".to_owned(),
            format!("core.fileMode={}", self.has_file_mode),
            format!("core.ignoreCase={}", self.ignores_case),
        ]
    }

    /// Whether a repository was opened with these settings.
    pub(crate) fn are_settings_of(&self, repo: &gix::Repository) -> bool {
        let config = repo.config_snapshot();
        let is_all_compared = repo.stat_options().is_ok_and(|trust| trust.trust_ctime && trust.check_stat);
        is_all_compared
            && config.boolean("core.ignoreCase").unwrap_or(false) == self.ignores_case
            && config.boolean("core.fileMode").unwrap_or(true) == self.has_file_mode
    }

    fn to_text(&self) -> Vec<u8> {
        let mut text = format!("{HEADING}\n{} {}\n", self.ignores_case, self.has_file_mode).into_bytes();
        for rules in &self.before {
            text.extend_from_slice(format!("{}\n", rules.len()).as_bytes());
            text.extend_from_slice(rules);
            text.push(b'\n');
        }
        text
    }

    fn from_text(text: &[u8]) -> Option<Self> {
        let (heading, rest) = text.split_once_str("\n")?;
        let (flags, mut rest) = rest.split_once_str("\n").filter(|_| heading == HEADING.as_bytes())?;
        let (ignores_case, has_file_mode) = flags.to_str().ok()?.split_once(' ')?;
        let mut before = Vec::new();
        while !rest.is_empty() {
            let (length, text) = rest.split_once_str("\n")?;
            let length: usize = length.to_str().ok()?.parse().ok()?;
            before.push(text.get(..length)?.to_owned());
            rest = text.get(length..)?.strip_prefix(b"\n")?;
        }
        let (ignores_case, has_file_mode) = (ignores_case.parse().ok()?, has_file_mode.parse().ok()?);
        Some(Self { now: before.clone(), before, ignores_case, has_file_mode })
    }
}

/// Records the user's rules for the runs of these requests, unless that was done. A run that reuses a worktree of an earlier
/// run takes over its record, since tasks have been there. The caller holds the repository's lock.
pub(crate) fn record(settings: &WorktreeSettings, requests: &[WorktreeRequest]) -> Result<(), GitError> {
    for request in requests {
        let record = path(settings, &request.run);
        if record.exists() {
            continue;
        }
        let folder = record.parent().unwrap_or(&settings.state);
        fs::create_dir_all(folder).map_err(GitError::io("create", folder))?;
        clear(settings, folder)?;
        let earlier = request.reuse.as_ref().and_then(|lease| ordinary::read(&path(settings, &lease.run)).ok());
        let text = match earlier {
            Some(text) => text,
            None => UserRules::now(&settings.repository.open(&[])?, settings.repository.opener.sources)?.to_text(),
        };
        let new = record.with_extension("new");
        let written = ordinary::create(&new).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        written.map_err(GitError::io("write", &new))?;
        fs::rename(&new, &record).map_err(GitError::io("write", &record))?;
    }
    Ok(())
}

/// Removes old records of runs without worktrees.
fn clear(settings: &WorktreeSettings, folder: &Path) -> Result<(), GitError> {
    let now = SystemTime::now();
    let is_old = |path: &Path| {
        let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > RETENTION))
    };
    let names = fs::read_dir(folder).map_err(GitError::io("list", folder))?;
    let old: Vec<_> = names.flatten().map(|entry| entry.path()).filter(|path| is_old(path)).collect();
    if old.is_empty() {
        return Ok(());
    }
    let entries = Entry::all(settings.repository.common_dir())?;
    let runs: Vec<_> = entries.iter().filter_map(|entry| Some(entry.marker()?.run)).collect();
    for path in old {
        if !runs.iter().any(|run| path.file_name().is_some_and(|name| name == run.as_str())) {
            fs::remove_file(&path).map_err(GitError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn path(settings: &WorktreeSettings, run: &RunId) -> PathBuf {
    settings.state.join("rules").join(run.as_str())
}

/// The text of a file of rules, which may be a link to one; nothing where there is no ordinary file, or one too large.
fn read(path: &Path) -> Vec<u8> {
    let path = real(path);
    let read = || {
        let (folder, name) = (Dir::open(path.parent()?).ok()?, path.file_name()?);
        folder.read(name.as_encoded_bytes(), MAX_RULES_BYTES).ok().flatten()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_nothing_else_is_taken_for_one() {
        let before = vec![b"*.log\n1\n\n".to_vec(), Vec::new(), b"\xff".to_vec()];
        let rules = UserRules { now: before.clone(), before, ignores_case: false, has_file_mode: true };
        let text = rules.to_text();
        assert_eq!(UserRules::from_text(&text), Some(rules));
        for end in 0..text.len() {
            let part = UserRules::from_text(&text[..end]);
            assert!(part.is_none_or(|part| part.before.len() < 3), "{end}");
        }
        assert_eq!(UserRules::from_text(b"gadugi rules 2\nfalse true\n"), None);
    }
}
