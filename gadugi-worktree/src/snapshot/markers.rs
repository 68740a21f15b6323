//! Conflict markers in the commits of an attempt.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::diff::tree::visit::{Action, Change};
use gix::objs::TreeRefIter;
use gix::worktree::stack::state::attributes::Source;

use crate::error::GitError;

/// Length of git's conflict markers, unless the attribute `conflict-marker-size` says otherwise.
const MARKER_LENGTH: usize = 7;
/// Number of bytes in which git looks for a NUL.
const HEAD_OF_FILE: usize = 8000;
/// Limit of changed files that are checked.
const MAX_FILES: usize = 20_000;
/// Size limit of a file that is checked.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Limit of bytes that are read in total.
const MAX_BYTES: u64 = 128 * 1024 * 1024;
/// Limit of files that are named.
const MAX_NAMED: usize = 10;

/// The files to which the commits between two have added markers of all three kinds. As for `git diff --check`, a marker begins
/// a line, and white space follows. Markers may have moved from a removed file to another one by its renaming.
pub(crate) fn added(
    repo: &gix::Repository,
    index: &gix::index::State,
    from: ObjectId,
    to: ObjectId,
) -> Result<Vec<String>, GitError> {
    let mut found = Vec::new();
    let Changed { files, removed, .. } = Changed::between(repo, from, to)?;
    let mut read = 0;
    for (path, old, new) in files {
        let markers = markers_in(repo, new, &mut read)?;
        let mut before = [0; 3];
        if markers.iter().all(|count| *count > 0) {
            let earlier = old.map_or_else(|| removed.iter().copied().collect(), |old| vec![old]);
            for file in earlier {
                let markers = markers_in(repo, file, &mut read)?;
                before.iter_mut().zip(markers).for_each(|(before, count)| *before += count);
            }
        }
        let has_more = markers.iter().zip(before).all(|(count, before)| *count > before);
        if has_more && !has_other_size(repo, index, path.as_bstr())? {
            found.push(path.to_string());
        }
        if found.len() == MAX_NAMED || read > MAX_BYTES {
            break;
        }
    }
    Ok(found)
}

/// The number of markers of each kind in a file. A file that is not checked, such as a binary one, has none.
fn markers_in(repo: &gix::Repository, id: ObjectId, read: &mut u64) -> Result<[u64; 3], GitError> {
    let size = repo.find_header(id)?.size();
    if size > MAX_FILE_BYTES || *read > MAX_BYTES {
        return Ok([0; 3]);
    }
    *read += size;
    let file = repo.find_object(id)?;
    let is_binary = file.data.iter().take(HEAD_OF_FILE).any(|byte| *byte == 0);
    Ok(if is_binary { [0; 3] } else { count_markers(&file.data) })
}

fn count_markers(text: &[u8]) -> [u64; 3] {
    let is_marker = |line: &[u8], sign: u8| {
        let length = line.iter().take_while(|byte| **byte == sign).count();
        length == MARKER_LENGTH && line.get(length).is_none_or(u8::is_ascii_whitespace)
    };
    let mut counts = [0; 3];
    for line in text.lines() {
        for (count, sign) in counts.iter_mut().zip(*b"<=>") {
            *count += u64::from(is_marker(line, sign));
        }
    }
    counts
}

/// Whether the attributes of a file set another length of conflict markers.
fn has_other_size(repo: &gix::Repository, index: &gix::index::State, path: &BStr) -> Result<bool, GitError> {
    let mut stack = repo.attributes_only(index, Source::IdMapping)?;
    let mut outcome = stack.selected_attribute_matches(["conflict-marker-size"]);
    stack.at_entry(path, None)?.matching_attributes(&mut outcome);
    let size = outcome.iter_selected().find_map(|found| found.assignment.state.as_bstr().map(BStr::to_owned));
    Ok(size.is_some_and(|size| size != MARKER_LENGTH.to_string().as_str()))
}

/// The files that differ between two trees.
#[derive(Default)]
struct Changed {
    /// The path, the old blob, if there was one, and the new blob.
    files: Vec<(BString, Option<ObjectId>, ObjectId)>,
    /// Blobs of removed files.
    removed: BTreeSet<ObjectId>,
    seen: usize,
    path: BString,
    waiting: VecDeque<BString>,
}

impl Changed {
    fn between(repo: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<Self, GitError> {
        let (from, to) = (repo.find_commit(from)?.tree()?, repo.find_commit(to)?.tree()?);
        let mut changed = Self::default();
        let walked = gix::diff::tree(
            TreeRefIter::from_bytes(&from.data, from.id.kind()),
            TreeRefIter::from_bytes(&to.data, to.id.kind()),
            gix::diff::tree::State::default(),
            &repo.objects,
            &mut changed,
        );
        match walked {
            Err(_) if changed.seen >= MAX_FILES => {}
            other => other.map_err(gix::Error::from_error)?,
        }
        Ok(changed)
    }

    fn pop(&mut self) {
        let above = self.path.rfind_byte(b'/').unwrap_or(0);
        self.path.truncate(above);
    }

    fn push(&mut self, name: &BStr) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }
}

impl gix::diff::tree::Visit for Changed {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.path = self.waiting.pop_front().unwrap_or_default();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.push(component);
        self.waiting.push_back(self.path.clone());
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.push(component);
    }

    fn pop_path_component(&mut self) {
        self.pop();
    }

    fn visit(&mut self, change: Change) -> Action {
        match change {
            Change::Addition { entry_mode, oid, .. } if entry_mode.is_blob() => {
                self.files.push((self.path.clone(), None, oid));
            }
            Change::Modification { previous_entry_mode, previous_oid, entry_mode, oid } if entry_mode.is_blob() => {
                let before = previous_entry_mode.is_blob().then_some(previous_oid);
                self.files.push((self.path.clone(), before, oid));
            }
            Change::Deletion { entry_mode, oid, .. } if entry_mode.is_blob() => {
                self.removed.insert(oid);
            }
            _ => return ControlFlow::Continue(()),
        }
        self.seen += 1;
        if self.seen < MAX_FILES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_begin_a_line_and_have_seven_signs() {
        let text = b"<<<<<<< HEAD\nours\n=======\r\ntheirs\n>>>>>>> topic\n";
        assert_eq!(count_markers(text), [1, 1, 1]);
        // A heading of reStructuredText, quoted markers, longer ones, and an arrow.
        let text = b"Heading\n=======\n\n  <<<<<<< HEAD\n<<<<<<<< HEAD\n>>>>>>>x\n> ======\n======= x";
        assert_eq!(count_markers(text), [0, 2, 0]);
    }
}
