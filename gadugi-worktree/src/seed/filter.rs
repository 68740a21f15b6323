//! The part of the list that fits into one worktree: its commit may ignore other files than the main work tree does, and track
//! some of the listed ones.

use std::path::Path;

use gix::bstr::{BStr, BString, ByteSlice, ByteVec};
use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

use super::list::{Item, List};
use super::warnings::{Warning, Warnings};
use crate::error::GitError;
use crate::lease::admin_folder::Entry;
use crate::settings::WorktreeSettings;

/// The files to copy into one folder.
pub(super) struct Selection<'a> {
    pub(super) path: &'a BStr,
    pub(super) items: Vec<&'a Item>,
}

/// Selects the files by the state of the worktree before anything is copied: a `.gitignore` among the copied files, which
/// ignores itself, is no rule that stays.
pub(super) fn select<'a>(
    settings: &WorktreeSettings,
    list: &'a List,
    worktree: &Path,
    warnings: &mut Warnings,
) -> Result<Vec<Selection<'a>>, GitError> {
    let common_dir = settings.repository.common_dir();
    let not_there = || GitError::NotAWorktree { path: worktree.to_owned() };
    let entry = Entry::of(common_dir, worktree)?.ok_or_else(not_there)?;
    let repo = entry.open(&settings.repository.opener, common_dir)?;
    let index = repo.index_or_empty()?;
    let mut rules = repo.excludes(&index, None, Source::WorktreeThenIdMappingIfNotSkipped)?;
    let own = repo.common_dir().join("info/exclude");
    let mut judge = |path: &BStr, mode: Mode| -> Result<Option<Warning>, GitError> {
        let platform = rules.at_entry(path, Some(mode))?;
        let rule = platform.matching_exclude_pattern().filter(|rule| !rule.pattern.is_negative());
        Ok(match rule {
            None => Some(Warning::NotIgnoredThere),
            Some(rule) => match rule.source {
                Some(source) if !source.starts_with(worktree) && source != own => Some(Warning::IgnoredByUserOnly),
                _ => None,
            },
        })
    };
    let mut ignored_folder: Option<BString> = None;
    let mut selections: Vec<Selection<'a>> = Vec::new();
    for (path, folder) in &list.folders {
        let is_below = |above: &BString| path.strip_prefix(above.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        let mut all_ignored = ignored_folder.as_ref().is_some_and(is_below);
        if !all_ignored && !path.is_empty() && judge(path.as_bstr(), Mode::DIR)?.is_none() {
            ignored_folder = Some(path.clone());
            all_ignored = true;
        }
        let mut items = Vec::new();
        for item in &folder.items {
            let mut file = path.clone();
            if !file.is_empty() {
                file.push_byte(b'/');
            }
            file.push_str(&*gix::path::try_os_str_into_bstr(item.name.as_os_str().into())?);
            if index.entry_by_path(file.as_bstr()).is_some() {
                continue;
            }
            match if all_ignored { None } else { judge(file.as_bstr(), Mode::FILE)? } {
                None => items.push(item),
                Some(warning) => warnings.note(warning, file.to_string()),
            }
        }
        // Git sees no folders, so an empty one does no harm where nothing ignores it; it is made with what is in it.
        if all_ignored || !items.is_empty() {
            selections.push(Selection { path: path.as_bstr(), items });
        }
    }
    Ok(selections)
}
