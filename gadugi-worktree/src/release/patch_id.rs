//! Patch ids: the same change has the same id anywhere in history.
//!
//! The id is that of `git patch-id --verbatim` (git-patch-id(1)) over `git diff-tree -p`: each file's diff with three lines of
//! context is hashed without line numbers, and the hashes are added up. White space counts, so that a change of white space is
//! a change. It differs from git's in this: a file that is binary (it has a NUL in its first 8,000 bytes), or very large, is
//! known by the ids of its blobs, as in git's own comparison of commits; attributes, renames and `core.quotePath` do not count.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::diff::blob::{Algorithm, InternedInput, diff_with_slider_heuristics};
use gix::diff::tree::Recorder;
use gix::diff::tree::recorder::Change;
use gix::objs::tree::EntryMode;

use crate::error::GitError;
use crate::history::diff_trees;
use crate::history::limits::check_trees;

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Number of bytes in which git looks for a NUL.
const HEAD_OF_FILE: usize = 8000;
/// Size from which a file is known by its id.
const LARGE: u64 = 16 * 1024 * 1024;
/// Limit of files that differ between compared trees.
const MAX_FILES: u64 = 100_000;

/// The sum of the hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PatchId(Vec<u8>);

/// A file on one side of a change; `None` where there is none.
type Side = Option<(EntryMode, ObjectId)>;

/// The difference between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    files: Vec<(BString, Side, Side)>,
}

impl Difference {
    /// Compares two trees; `None` is the empty one. Returns `None` where they differ in more files than the limit.
    pub(crate) fn between(
        repo: &gix::Repository,
        from: Option<ObjectId>,
        to: ObjectId,
    ) -> Result<Option<Self>, GitError> {
        let empty = Some(repo.empty_tree().id);
        for (from, to) in [(from, Some(to)), (Some(to), from)] {
            if let Some(to) = to.or(empty)
                && check_trees(repo, from, to, MAX_FILES)?.is_err()
            {
                return Ok(None);
            }
        }
        let to = repo.find_tree(to)?;
        let from = from.map(|from| repo.find_tree(from)).transpose()?.unwrap_or_else(|| repo.empty_tree());
        let mut recorder = Recorder::default();
        diff_trees(repo, &from, &to, &mut recorder)?;
        let file = |mode: EntryMode, id| Some((mode, id)).filter(|_| !mode.is_tree());
        let files = recorder.records.into_iter().map(|change| match change {
            Change::Addition { entry_mode, oid, path, .. } => (path, None, file(entry_mode, oid)),
            Change::Deletion { entry_mode, oid, path, .. } => (path, file(entry_mode, oid), None),
            Change::Modification { previous_entry_mode, previous_oid, entry_mode, oid, path } => {
                (path, file(previous_entry_mode, previous_oid), file(entry_mode, oid))
            }
        });
        let mut files: Vec<_> = files.filter(|(_, old, new)| old.is_some() || new.is_some()).collect();
        files.sort();
        Ok(Some(Self { files }))
    }

    /// The number of files that differ.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The paths that differ.
    pub(crate) fn paths(&self) -> BTreeSet<&BStr> {
        self.files.iter().map(|(path, ..)| path.as_bstr()).collect()
    }

    /// The reverse difference.
    pub(crate) fn reversed(&self) -> Self {
        Self { files: self.files.iter().map(|(path, old, new)| (path.clone(), *new, *old)).collect() }
    }

    pub(crate) fn patch_id(&self, repo: &gix::Repository) -> Result<PatchId, GitError> {
        let mut sum = PatchId(vec![0; repo.object_hash().len_in_bytes()]);
        for (path, old, new) in &self.files {
            match (old, new) {
                // Git tells a change of kind as two changes.
                (Some((old_mode, _)), Some((new_mode, _))) if !are_of_one_kind(*old_mode, *new_mode) => {
                    sum.add(&file(repo, path.as_bstr(), *old, None)?);
                    sum.add(&file(repo, path.as_bstr(), None, *new)?);
                }
                _ => sum.add(&file(repo, path.as_bstr(), *old, *new)?),
            }
        }
        Ok(sum)
    }
}

/// Whether both are files, executable or not, or both are of one other kind.
fn are_of_one_kind(a: EntryMode, b: EntryMode) -> bool {
    (a.is_blob(), a.is_link()) == (b.is_blob(), b.is_link())
}

impl PatchId {
    /// Adds a hash as a number, lowest byte first.
    fn add(&mut self, hash: &ObjectId) {
        let mut carry = 0_u16;
        for (byte, other) in self.0.iter_mut().zip(hash.as_slice()) {
            carry += u16::from(*byte) + u16::from(*other);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
    }
}

/// Hashes the diff of one file.
fn file(repo: &gix::Repository, path: &BStr, old: Side, new: Side) -> Result<ObjectId, GitError> {
    let mut hasher = gix::hash::hasher(repo.object_hash());
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| hasher.update(part));
    line(&[b"diff --git a/", path, b" b/", path, b"\n"]);
    let mode = |mode: EntryMode| format!("{:06o}", mode.value());
    match (old, new) {
        (None, Some((new, _))) => line(&[b"new file mode ", mode(new).as_bytes(), b"\n"]),
        (Some((old, _)), None) => line(&[b"deleted file mode ", mode(old).as_bytes(), b"\n"]),
        (Some((old, _)), Some((new, _))) if old != new => {
            line(&[b"old mode ", mode(old).as_bytes(), b"\nnew mode ", mode(new).as_bytes(), b"\n"]);
        }
        _ => {}
    }
    let id = |side: Side| side.map_or_else(|| repo.object_hash().null(), |(_, id)| id).to_string();
    if is_large(repo, old)? || is_large(repo, new)? {
        if id(old) != id(new) {
            line(&[id(old).as_bytes(), id(new).as_bytes()]);
        }
        return Ok(hasher.try_finalize().map_err(gix::Error::from_error)?);
    }
    let (before, after) = (content(repo, old)?, content(repo, new)?);
    if before != after {
        let is_binary = |text: &[u8]| text.iter().take(HEAD_OF_FILE).any(|byte| *byte == 0);
        if is_binary(&before) || is_binary(&after) {
            line(&[id(old).as_bytes(), id(new).as_bytes()]);
        } else {
            let name = |side: Side, prefix: &str| match side {
                Some(_) => [prefix.as_bytes(), path].concat(),
                None => b"/dev/null".to_vec(),
            };
            line(&[b"--- ", &name(old, "a/"), b"\n+++ ", &name(new, "b/"), b"\n"]);
            hunks(&before, &after, &mut line);
        }
    }
    Ok(hasher.try_finalize().map_err(gix::Error::from_error)?)
}

/// Whether a file is not read, because of its size.
fn is_large(repo: &gix::Repository, side: Side) -> Result<bool, GitError> {
    Ok(match side {
        Some((mode, id)) if !mode.is_commit() => repo.find_header(id)?.size() > LARGE,
        _ => false,
    })
}

fn content(repo: &gix::Repository, side: Side) -> Result<Vec<u8>, GitError> {
    match side {
        None => Ok(Vec::new()),
        Some((mode, id)) if mode.is_commit() => Ok(format!("Subproject commit {id}\n").into_bytes()),
        Some((_, id)) => Ok(repo.find_object(id)?.detach().data),
    }
}

/// Passes the lines of a diff to `line`, each with its sign.
fn hunks(before: &[u8], after: &[u8], line: &mut impl FnMut(&[&[u8]])) {
    let input = InternedInput::new(before, after);
    let diff = diff_with_slider_heuristics(Algorithm::Myers, &input);
    let old = |number: usize| input.interner[input.before[number]];
    let new = |number: usize| input.interner[input.after[number]];
    let mut show = |sign: &[u8], text: &[u8]| {
        let end: &[u8] = if text.ends_with(b"\n") { b"" } else { b"\n\\ No newline at end of file\n" };
        line(&[sign, text, end]);
    };
    // Where the lines that were shown end, on the old side.
    let mut end = None;
    for hunk in diff.hunks() {
        let (removed, added) = (hunk.before.start as usize..hunk.before.end as usize, hunk.after);
        let start = removed.start;
        match end {
            Some(end) if start - end <= 2 * CONTEXT => (end..start).for_each(|number| show(b" ", old(number))),
            _ => {
                if let Some(end) = end {
                    (end..end + CONTEXT).for_each(|number| show(b" ", old(number)));
                }
                (start.saturating_sub(CONTEXT)..start).for_each(|number| show(b" ", old(number)));
            }
        }
        removed.clone().for_each(|number| show(b"-", old(number)));
        added.for_each(|number| show(b"+", new(number as usize)));
        end = Some(removed.end);
    }
    if let Some(end) = end {
        (end..input.before.len().min(end + CONTEXT)).for_each(|number| show(b" ", old(number)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Stdio;

    use gadugi_test_support::repo::TestRepo;

    use super::*;

    /// The id that git gives the last commit, and ours.
    fn ids(test: &TestRepo) -> (String, String) {
        let patch = test.git(&["diff-tree", "-p", "--no-renames", "HEAD~1", "HEAD"]) + "\n";
        let mut git = test.git_command(test.path());
        let mut git =
            git.args(["patch-id", "--verbatim"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        git.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
        let output = git.wait_with_output().unwrap();
        assert!(output.status.success(), "git 2.39 or later is needed for this test");
        let theirs = String::from_utf8(output.stdout).unwrap();
        let repo = gix::open(test.path()).unwrap();
        let tree = |name: &str| ObjectId::from_hex(test.git(&["rev-parse", name]).as_bytes()).unwrap();
        let difference = Difference::between(&repo, Some(tree("HEAD~1^{tree}")), tree("HEAD^{tree}")).unwrap().unwrap();
        let PatchId(ours) = difference.patch_id(&repo).unwrap();
        let ours: String = ours.iter().map(|byte| format!("{byte:02x}")).collect();
        (theirs.split(' ').next().unwrap_or_default().to_owned(), ours)
    }

    fn numbered(lines: std::ops::Range<u32>) -> String {
        lines.map(|line| format!("line {line}\n")).collect()
    }

    fn commit(test: &TestRepo) {
        test.git(&["add", "-A"]);
        test.git(&["commit", "-q", "-m", "Change"]);
    }

    #[test]
    fn it_is_the_one_that_git_gives() {
        let test = TestRepo::new();
        test.write("a.txt", numbered(0..60));
        test.write("d/b.txt", "one\ntwo\nthree");
        test.write("gone.txt", "gone\n");
        test.write("run.sh", "echo\n");
        commit(&test);
        let changes: [(&str, &dyn Fn()); 9] = [
            ("a line", &|| test.write("a.txt", numbered(0..60).replace("line 30\n", "changed\n"))),
            ("near ones", &|| {
                test.write("a.txt", numbered(0..60).replace("line 20\n", "x\n").replace("line 26\n", ""))
            }),
            ("far ones", &|| test.write("a.txt", numbered(2..60).replace("line 40\n", "y\nz\n") + "end\n")),
            ("white space", &|| test.write("a.txt", numbered(2..60).replace("line 40\n", "  line\t40 \r\n"))),
            ("no newline", &|| test.write("d/b.txt", "one\nTWO\nthree")),
            ("a newline", &|| test.write("d/b.txt", "one\nTWO\nthree\n")),
            ("a new file", &|| test.write("d/new.txt", "new\n")),
            ("an empty one", &|| test.write("empty.txt", "")),
            ("several", &|| {
                std::fs::remove_file(test.path().join("gone.txt")).unwrap();
                test.write("d/new.txt", "newer\n");
            }),
        ];
        for (name, change) in changes {
            change();
            commit(&test);
            let (theirs, ours) = ids(&test);
            assert_eq!(ours, theirs, "{name}");
        }
        use std::os::unix::fs::{PermissionsExt, symlink};
        let script = test.path().join("run.sh");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        commit(&test);
        let (theirs, ours) = ids(&test);
        assert_eq!(ours, theirs, "permissions");
        std::fs::remove_file(&script).unwrap();
        symlink("a.txt", &script).unwrap();
        commit(&test);
        let (theirs, ours) = ids(&test);
        assert_eq!(ours, theirs, "a link in the place of a file");
    }

    #[test]
    fn binary_files_are_told_apart_by_their_content() {
        let test = TestRepo::new();
        let mut seen = BTreeSet::new();
        for content in [b"\0one", b"\0two", b"\0six"] {
            test.write("x.bin", b"\0start");
            commit(&test);
            test.write("x.bin", content);
            commit(&test);
            seen.insert(ids(&test).1);
        }
        assert_eq!(seen.len(), 3);
    }
}
