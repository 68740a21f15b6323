//! The programs that git's configuration names to convert and merge files, and the post-checkout hook, as they were when a run
//! started.
//!
//! A task that is not isolated can change the configuration. Programs that it adds are not run for its work: a filter, merge
//! driver or hook that was absent, or another one, when the first worktree of the run was made is ignored.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gadugi_core::RunId;
use gix::bstr::{BStr, BString, ByteSlice, ByteVec};

use crate::error::GitError;
use crate::files::ordinary;

/// The keys of a section that name a program, or say whether its failure counts.
const KINDS: [(&str, &[&str]); 2] = [("filter", &["clean", "smudge", "process", "required"]), ("merge", &["driver"])];
/// The key in the configuration in memory under which filters are listed that must not run.
const WITHHELD: &str = "gadugi.withheldFilter";
/// The key that is set in memory when the post-checkout hook is not the recorded one.
const HOOKS: &str = "gadugi.withheldHooks";
/// The key in memory for the time limit of all filters of a worktree, in seconds.
const LIMIT: &str = "gadugi.filterLimit";
/// Size limit of a record; a larger file is not one of ours.
const MAX_BYTES: u64 = 1024 * 1024;

/// Records the programs that are configured, unless the run has its record.
pub(crate) fn record(repo: &gix::Repository, run: &RunId) -> Result<(), GitError> {
    let path = path(repo.common_dir(), run);
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder).map_err(GitError::io("create", folder))?;
    let new = path.with_extension("new");
    let lines: Vec<BString> = sections(repo).map(|(_, _, line)| line).chain([hook(repo)]).collect();
    ordinary::write(&new, lines.concat()).map_err(GitError::io("write", &new))?;
    fs::rename(&new, &path).map_err(GitError::io("write", &path))
}

/// Removes sections that name programs from the configuration in memory, unless the run's record has them. Without a run or a
/// record, all of them go.
pub(crate) fn withhold(repo: &mut gix::Repository, run: Option<&RunId>) -> Result<(), GitError> {
    let known = match run {
        Some(run) => recorded(&path(repo.common_dir(), run))?,
        None => Vec::new(),
    };
    let foreign: Vec<_> =
        sections(repo).filter(|(.., line)| !known.iter().any(|known| known == line.trim_end().as_bstr())).collect();
    let hook = hook(repo);
    let has_foreign_hook = !known.iter().any(|known| known == hook.trim_end().as_bstr());
    if foreign.is_empty() && !has_foreign_hook {
        return Ok(());
    }
    let mut config = repo.config_snapshot_mut();
    if has_foreign_hook {
        config.new_section("gadugi", None::<BString>)?.push("withheldHooks", "true")?;
    }
    for (kind, name, _) in foreign {
        while config.remove_section(kind, name.as_bstr()).is_some() {}
        if kind == "filter" {
            let mut section = config.new_section("gadugi", None::<BString>)?;
            section.push("withheldFilter", name.as_bstr())?;
        }
    }
    config.commit()?;
    Ok(())
}

/// The filters that were taken out of a repository's configuration by [`withhold`].
pub(crate) fn withheld(repo: &gix::Repository) -> Vec<BString> {
    repo.config_snapshot().plumbing().strings(WITHHELD).unwrap_or_default()
}

/// The setting in the configuration in memory that [`limit`] reads.
pub(crate) fn limit_setting(limit: Duration) -> String {
    format!("{LIMIT}={}", limit.as_secs_f64())
}

/// The time limit for all filters of a worktree together; `None` is no limit.
pub(crate) fn limit(repo: &gix::Repository) -> Option<Duration> {
    let limit = repo.config_snapshot().string(LIMIT)?;
    Duration::try_from_secs_f64(limit.to_str().ok()?.parse().ok()?).ok()
}

/// The command of a filter, run under timeout(1) so that it is killed with everything that it has started. It has no limit
/// where timeout(1) is missing.
pub(crate) fn within(limit: Option<Duration>, command: &[u8]) -> BString {
    let Some(limit) = limit else { return command.into() };
    // Zero would be no limit.
    let seconds = limit.as_secs_f64().max(0.001);
    let quoted = quoted(command.into());
    let run = format!("exec timeout -k 1 {seconds} sh -c {quoted}");
    format!("if command -v timeout >/dev/null; then {run}; else exec sh -c {quoted}; fi").into()
}

/// A text as one word of a shell.
pub(crate) fn quoted(text: &BStr) -> BString {
    [b"'".as_slice(), &text.replace("'", "'\\''"), b"'"].concat().into()
}

/// Keeps a command of git from running what was taken out of the configuration of the repository by [`withhold`], and a file
/// system monitor.
pub(crate) fn silence(git: &mut Command, repo: &gix::Repository) {
    for name in withheld(repo).iter().filter_map(|name| name.to_str().ok()) {
        for key in ["clean", "smudge", "process", "required"] {
            // The name may have a `=` in it, which is why the value is not given with it.
            git.arg(format!("--config-env=filter.{name}.{key}=GADUGI_NO_FILTER"));
        }
    }
    git.env("GADUGI_NO_FILTER", "");
    git.args(["-c", "core.fsmonitor=false"]);
    if repo.config_snapshot().boolean(HOOKS).unwrap_or(false) {
        git.args(["-c", "core.hooksPath=/dev/null"]);
    }
}

/// Removes the records of runs that nothing else refers to.
pub(crate) fn clear(common_dir: &Path, is_needed: impl Fn(&RunId) -> bool) -> Result<(), GitError> {
    let folder = folder(common_dir);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(GitError::io("list", &folder))?,
    };
    for entry in entries {
        let path = entry.map_err(GitError::io("list", &folder))?.path();
        let run = path.file_name().and_then(|name| name.to_str()?.parse::<RunId>().ok());
        if run.is_some_and(|run| !is_needed(&run)) {
            fs::remove_file(&path).map_err(GitError::io("remove", &path))?;
        }
    }
    crate::files::paths::remove_if_empty(&folder)
}

/// The sections that name programs, by kind and name, each with the line that stands for it in a record.
fn sections(repo: &gix::Repository) -> impl Iterator<Item = (&'static str, BString, BString)> {
    let config = repo.config_snapshot();
    let config = config.plumbing();
    let mut found = Vec::new();
    for (kind, keys) in KINDS {
        let names = config.sections_by_name(kind).into_iter().flatten();
        let mut names: Vec<BString> =
            names.filter_map(|section| section.header().subsection_name().map(ToOwned::to_owned)).collect();
        names.sort();
        names.dedup();
        for name in names {
            let mut line = BString::from(format!("{kind} {:?}", name.as_bstr()));
            let mut names_a_program = false;
            for key in keys {
                let value = config.string_by(kind, Some(name.as_bstr()), key);
                names_a_program |= *key != "required" && value.is_some();
                line.push_str(format!(" {key}={value:?}"));
            }
            line.push(b'\n');
            if names_a_program {
                found.push((kind, name, line));
            }
        }
    }
    found.into_iter()
}

/// The line that stands for the hook that git runs in a new worktree.
fn hook(repo: &gix::Repository) -> BString {
    let folder = repo.config_snapshot().string("core.hooksPath");
    let path = folder.as_ref().and_then(|folder| gix::path::from_bstr(folder.as_bstr()).ok());
    // A relative folder is one in each worktree, and part of what is checked out there.
    let path = path.map_or_else(|| repo.common_dir().join("hooks"), |path| path.into_owned()).join("post-checkout");
    let file = path.metadata().ok().filter(|_| path.is_absolute());
    let file = file.map(|file| (file.dev(), file.ino(), file.size(), file.mode(), file.ctime(), file.ctime_nsec()));
    format!("hook {folder:?} {file:?}\n").into()
}

fn recorded(path: &Path) -> Result<Vec<BString>, GitError> {
    // A task may have put anything there; what it cannot do is to make this wait.
    let is_record = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES);
    if !is_record {
        return Ok(Vec::new());
    }
    let text = ordinary::read(path).map_err(GitError::io("read", path))?;
    Ok(text.lines().map(BString::from).collect())
}

fn folder(common_dir: &Path) -> PathBuf {
    common_dir.join("gadugi").join("programs")
}

fn path(common_dir: &Path, run: &RunId) -> PathBuf {
    folder(common_dir).join(run.as_str())
}
