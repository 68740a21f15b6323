//! The references of a private git folder, by a parser that trusts nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hash::Kind;

use crate::error::GitError;
use crate::isolation::untrusted_folder::Folder;

/// Size limit for the file of a reference, which has two lines at most.
pub(super) const MAX_REF_BYTES: u64 = 4096;
/// Size limit for `packed-refs`, and the log of the stash.
pub(super) const MAX_BYTES: u64 = 8 * 1024 * 1024;
const MAX_REFERENCES: u64 = 1000;
const MAX_STASHED: usize = 100;
/// Depth limit for names of references.
const MAX_DEPTH: usize = 32;
/// Limit for chains of symbolic references, as in git.
const MAX_LINKS: usize = 5;

/// Limit for positions from the log of `HEAD`, and for worktrees of the task's repository.
const MAX_EXTRAS: usize = 100;

const TAGS: &[u8] = b"refs/tags/";
const BRANCHES: &[u8] = b"refs/heads/";
const STASH: &[u8] = b"refs/stash";

/// The commits of a task, as far as its references tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskRefs {
    pub(super) head: At,
    /// By their full names, also names that no branch can have.
    pub(super) branches: BTreeMap<BString, ObjectId>,
    /// The latest first.
    pub(super) stash: Vec<ObjectId>,
    /// Ids that perhaps no other reference leads to, with a name for each, the most telling ones first: tags, `HEAD`s of
    /// worktrees that the task has made, and positions of branches before they were moved back. They may lead to anything, or
    /// nowhere.
    pub(super) extras: Vec<(BString, ObjectId)>,
    /// Whether there are more of these than the limit.
    pub(super) has_more: bool,
}

/// The position of `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// On this reference, which need not exist.
    Reference(BString),
    Commit(ObjectId),
}

impl TaskRefs {
    /// The commit that `HEAD` leads to; `None` on a branch without commits.
    pub(super) fn head_commit(&self) -> Option<ObjectId> {
        match &self.head {
            At::Commit(id) => Some(*id),
            At::Reference(name) => self.branches.get(name).copied(),
        }
    }
}

/// Reads the references of a git folder.
pub(super) fn read(git: &Folder, kind: Kind) -> Result<TaskRefs, GitError> {
    let no_reference = |path| GitError::NotGits { path, what: "no reference" };
    let (mut found, mut tags) = (BTreeMap::new(), BTreeMap::new());
    let mut others = BTreeMap::new();
    if let Some(packed) = git.read("packed-refs", MAX_BYTES)? {
        let all = parse_packed(&packed, kind).ok_or_else(|| no_reference(git.at("packed-refs")))?;
        for (name, at) in all {
            let kept = match &name {
                name if *name == STASH || is_below(name, BRANCHES) => &mut found,
                name if is_below(name, TAGS) => &mut tags,
                _ => &mut others,
            };
            kept.insert(name, at);
        }
    }
    let head = git.read("HEAD", MAX_REF_BYTES)?.and_then(|text| parse(&text, kind));
    let head = head.ok_or_else(|| no_reference(git.at("HEAD")))?;
    if let Some(refs) = git.folder("refs")? {
        if let Some(heads) = refs.folder("heads")? {
            loose(&heads, BRANCHES.as_bstr(), kind, 0, &mut found)?;
        }
        if let Some(text) = refs.read("stash", MAX_REF_BYTES)? {
            let stash = parse(&text, kind).ok_or_else(|| no_reference(refs.at("stash")))?;
            found.insert(STASH.into(), stash);
        }
    }
    if let At::Reference(name) = &head
        && !is_below(name, BRANCHES)
        && let Some(at) = read_at(git, name.as_bstr(), kind).or_else(|| others.remove(name))
    {
        found.insert(name.clone(), at);
    }
    if found.len() as u64 > MAX_REFERENCES {
        return Err(GitError::TooMuch { path: git.path().to_owned(), most: MAX_REFERENCES, of: "references" });
    }
    let stash = found.remove(STASH.as_bstr()).and_then(|at| resolve(&at, &found));
    let stash = match stash {
        Some(last) => stashed(git, last, kind)?,
        None => Vec::new(),
    };
    // One that leads to another branch, as `HEAD` may, has nothing of its own, unless the other does not exist.
    let branches = found.iter().filter_map(|(name, at)| Some((name.clone(), resolve(at, &found)?))).collect();
    let head = match head {
        At::Reference(name) => At::Reference(last_name(name, &found)),
        commit => commit,
    };
    let (extras, has_more) = extras(git, kind, tags);
    Ok(TaskRefs { head, branches, stash, extras, has_more })
}

/// Whether a reference is below a prefix.
fn is_below(name: &BString, prefix: &[u8]) -> bool {
    name.starts_with(prefix) && name.len() > prefix.len()
}

/// The content of a reference's file; `None` where it cannot be read.
fn read_at(git: &Folder, name: &BStr, kind: Kind) -> Option<At> {
    let mut names: Vec<_> = name.strip_prefix(b"refs/")?.split_str("/").map(OsStr::from_bytes).collect();
    let last = names.pop()?;
    let is_plain = |name: &&OsStr| !matches!(name.as_bytes(), b"" | b"." | b"..");
    if names.len() > MAX_DEPTH || !names.iter().all(is_plain) || !is_plain(&last) {
        return None;
    }
    let mut folder = git.folder("refs").ok()??;
    for name in names {
        folder = folder.folder(name).ok()??;
    }
    folder.read(last, MAX_REF_BYTES).ok()?.and_then(|text| parse(&text, kind))
}

/// Finds the ids that only tags, worktrees and logs lead to. Unreadable ones are passed over: the branches count.
fn extras(git: &Folder, kind: Kind, mut tags: BTreeMap<BString, At>) -> (Vec<(BString, ObjectId)>, bool) {
    if let Ok(Some(refs)) = git.folder("refs")
        && let Ok(Some(folder)) = refs.folder("tags")
    {
        tags_below(&folder, TAGS.as_bstr(), kind, 0, &mut tags);
    }
    let mut found = Vec::new();
    let commit = |at: At| if let At::Commit(id) = at { Some(id) } else { None };
    for (name, id) in tags.into_iter().filter_map(|(name, at)| Some((name, commit(at)?))) {
        found.push((name.strip_prefix(b"refs/").unwrap_or(&name).into(), id));
    }
    let mut has_more = found.len() as u64 > MAX_REFERENCES;
    found.truncate(usize::try_from(MAX_REFERENCES).unwrap_or(usize::MAX));
    if let Ok(Some(worktrees)) = git.folder("worktrees") {
        let names = worktrees.names(MAX_REFERENCES).unwrap_or_default();
        has_more |= names.len() > MAX_EXTRAS;
        for name in names.iter().take(MAX_EXTRAS) {
            let head =
                worktrees.folder(name).ok().flatten().and_then(|folder| folder.read("HEAD", MAX_REF_BYTES).ok()?);
            if let Some(id) = head.and_then(|text| commit(parse(&text, kind)?)) {
                found.push(([b"worktrees/", name.as_encoded_bytes()].concat().into(), id));
            }
        }
    }
    if let Some(id) = git.read("ORIG_HEAD", MAX_REF_BYTES).ok().flatten().and_then(|text| commit(parse(&text, kind)?)) {
        found.push(("ORIG_HEAD".into(), id));
    }
    let logs = git.folder("logs").ok().flatten();
    if let Some(Ok(Some(log))) = logs.map(|logs| logs.read("HEAD", MAX_BYTES)) {
        found.extend(left_behind(&log, kind));
    }
    (found, has_more)
}

/// Reads tags that are files.
fn tags_below(folder: &Folder, prefix: &BStr, kind: Kind, depth: usize, found: &mut BTreeMap<BString, At>) {
    for name in folder.names(MAX_REFERENCES * 10).unwrap_or_default() {
        let mut full = prefix.to_owned();
        full.extend_from_slice(name.as_encoded_bytes());
        if let Ok(Some(below)) = folder.folder(&name) {
            full.push(b'/');
            if depth < MAX_DEPTH {
                tags_below(&below, full.as_bstr(), kind, depth + 1, found);
            }
        } else if let Ok(Some(text)) = folder.read(&name, MAX_REF_BYTES)
            && let Some(at) = parse(&text, kind)
        {
            found.insert(full, at);
        }
        if found.len() as u64 > MAX_REFERENCES {
            return;
        }
    }
}

/// Positions of `HEAD` before it was moved to a commit that need not contain them: by `git reset`, and from a detached commit.
/// The latest first. Amended and rebased commits live on in their replacements, and would be in every log.
pub(super) fn left_behind(log: &[u8], kind: Kind) -> Vec<(BString, ObjectId)> {
    let mut found: Vec<(BString, ObjectId)> = Vec::new();
    for line in log.lines().rev() {
        let Some((start, message)) = line.split_once_str(b"\t") else { continue };
        let Some(old) = start.split_str(" ").next().and_then(|hex| id(hex, kind)) else { continue };
        let from = message.strip_prefix(b"checkout: moving from ");
        let is_detached = from.is_some_and(|from| from.starts_with(old.to_string().as_bytes()));
        let name = match message {
            _ if message.starts_with(b"reset: ") => "reset",
            _ if is_detached => "detached",
            _ => continue,
        };
        if !found.iter().any(|(_, id)| *id == old) {
            found.push((name.into(), old));
        }
        if found.len() == MAX_EXTRAS {
            break;
        }
    }
    found
}

/// Reads references that are files.
fn loose(
    folder: &Folder,
    prefix: &BStr,
    kind: Kind,
    depth: usize,
    found: &mut BTreeMap<BString, At>,
) -> Result<(), GitError> {
    for name in folder.names(MAX_REFERENCES)? {
        let mut full = prefix.to_owned();
        full.extend_from_slice(name.as_encoded_bytes());
        if folder.kind(&name)?.is_some_and(|kind| kind.is_dir()) {
            let below = folder.folder(&name)?;
            full.push(b'/');
            match below {
                Some(below) if depth < MAX_DEPTH => loose(&below, full.as_bstr(), kind, depth + 1, found)?,
                Some(below) => {
                    let most = MAX_DEPTH as u64;
                    return Err(GitError::TooMuch {
                        path: below.path().to_owned(),
                        most,
                        of: "folders in one another",
                    });
                }
                None => {}
            }
        // What git was writing when it was killed.
        } else if !full.ends_with(b".lock")
            && let Some(text) = folder.read(&name, MAX_REF_BYTES)?
        {
            let no_reference = || GitError::NotGits { path: folder.at(&name), what: "no reference" };
            found.insert(full, parse(&text, kind).ok_or_else(no_reference)?);
        }
        if found.len() as u64 > MAX_REFERENCES {
            let path = folder.path().to_owned();
            return Err(GitError::TooMuch { path, most: MAX_REFERENCES, of: "references" });
        }
    }
    Ok(())
}

/// Parses the content of a reference's file.
pub(super) fn parse(text: &[u8], kind: Kind) -> Option<At> {
    let line = text.lines().next()?;
    match line.strip_prefix(b"ref:") {
        Some(name) => Some(At::Reference(name.trim().into())),
        None => id(line.trim_end(), kind).map(At::Commit),
    }
}

pub(super) fn id(hex: &[u8], kind: Kind) -> Option<ObjectId> {
    let is_id = hex.len() == kind.len_in_hex() && hex.iter().all(u8::is_ascii_hexdigit);
    ObjectId::from_hex(hex).ok().filter(|id| is_id && !id.is_null())
}

/// The packed references.
fn parse_packed(text: &[u8], kind: Kind) -> Option<BTreeMap<BString, At>> {
    let mut found = BTreeMap::new();
    // What a tag leads to stands in a line of its own, with this at its beginning.
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b"^")) {
        let (hex, name) = line.split_once_str(b" ")?;
        let id = id(hex, kind)?;
        found.insert(name.into(), At::Commit(id));
    }
    Some(found)
}

/// The name that a chain of references ends at, within the limit.
fn last_name(mut name: BString, references: &BTreeMap<BString, At>) -> BString {
    for _ in 0..MAX_LINKS {
        match references.get(&name) {
            Some(At::Reference(next)) => name.clone_from(next),
            _ => break,
        }
    }
    name
}

/// The commit that a chain of references ends at; `None` when it ends nowhere.
fn resolve(at: &At, references: &BTreeMap<BString, At>) -> Option<ObjectId> {
    match at {
        At::Commit(id) => Some(*id),
        At::Reference(name) => match references.get(&last_name(name.clone(), references))? {
            At::Commit(id) => Some(*id),
            At::Reference(_) => None,
        },
    }
}

/// All entries of the stash, whose last one is known. The others are only in its log.
fn stashed(git: &Folder, last: ObjectId, kind: Kind) -> Result<Vec<ObjectId>, GitError> {
    let logs = git.folder("logs")?.map(|logs| logs.folder("refs")).transpose()?.flatten();
    let log = logs.map(|logs| logs.read("stash", MAX_BYTES)).transpose()?.flatten().unwrap_or_default();
    let mut stash = vec![last];
    for line in log.lines().rev() {
        let Some(id) = line.fields().nth(1).and_then(|hex| id(hex, kind)) else { continue };
        if !stash.contains(&id) {
            stash.push(id);
        }
        if stash.len() > MAX_STASHED {
            let (path, most) = (git.at("logs/refs/stash"), MAX_STASHED as u64);
            return Err(GitError::TooMuch { path, most, of: "entries" });
        }
    }
    Ok(stash)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read_files(files: &[(&str, &str)]) -> Result<TaskRefs, GitError> {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        read(&Folder::open(root.path()).expect("a folder"), Kind::Sha1)
    }

    fn object(hex: &str) -> ObjectId {
        ObjectId::from_hex(hex.as_bytes()).expect("an id")
    }

    #[test]
    fn files_count_more_than_packed_references_and_branches_and_the_stash_more_than_the_rest() {
        let packed = format!("# pack-refs\n{A} refs/heads/a\n{A} refs/heads/b/c\n{A} refs/tags/t\n^{B}\n");
        let log = format!("{A} {B} X <x> 1 +0000\tone\n{B} {A} X <x> 2 +0000\ttwo\n");
        let found = read_files(&[
            ("HEAD", "ref: refs/heads/link\n"),
            ("packed-refs", &packed),
            ("refs/heads/a", &format!("{B}\n")),
            ("refs/heads/link", "ref: refs/heads/a"),
            ("refs/heads/half.lock", ""),
            ("refs/tags/x", "broken"),
            ("refs/stash", &format!("{A}\n")),
            ("logs/refs/stash", &log),
        ])
        .expect("references");
        assert_eq!(found.head, At::Reference("refs/heads/a".into()));
        assert_eq!(found.head_commit(), Some(object(B)));
        let branches = [("refs/heads/a", B), ("refs/heads/b/c", A), ("refs/heads/link", B)];
        assert_eq!(found.branches, branches.map(|(name, hex)| (name.into(), object(hex))).into());
        assert_eq!(found.stash, [object(A), object(B)]);
        assert_eq!((found.extras, found.has_more), (vec![("tags/t".into(), object(A))], false));
    }

    #[test]
    fn of_a_log_only_that_counts_which_was_left_behind() {
        let c = "c".repeat(40);
        let log = [
            format!("{A} {B} X <x> 1 +0000\tcommit: one"),
            format!("{B} {A} X <x> 2 +0000\tcommit (amend): one"),
            format!("{B} {A} X <x> 2 +0000\tcheckout: moving from topic to main"),
            format!("{A} {B} X <x> 2 +0000\tcheckout: moving from {A} to main"),
            format!("{c} {B} X <x> 2 +0000\treset: moving to HEAD~1"),
            "reset: nothing\n\n\t\n".to_owned(),
        ];
        let found = read_files(&[
            ("HEAD", "ref: refs/foo/x"),
            ("refs/foo/x", A),
            ("logs/HEAD", &log.join("\n")),
            ("ORIG_HEAD", B),
            ("worktrees/one/HEAD", A),
            ("worktrees/two/HEAD", "ref: refs/heads/two"),
        ]);
        let found = found.expect("references");
        let names = [("worktrees/one", A), ("ORIG_HEAD", B), ("reset", c.as_str()), ("detached", A)];
        assert_eq!(found.extras, names.map(|(name, hex)| (name.into(), object(hex))));
        assert_eq!(found.head_commit(), Some(object(A)));
    }

    #[test]
    fn references_in_a_circle_lead_nowhere() {
        let circle =
            [("HEAD", "ref: refs/heads/a"), ("refs/heads/a", "ref: refs/heads/b"), ("refs/heads/b", "ref: HEAD")];
        let found = read_files(&circle).expect("references");
        assert_eq!((found.head_commit(), found.branches), (None, BTreeMap::new()));
        let circle = [("HEAD", "ref: refs/heads/a"), ("refs/heads/a", "ref: refs/heads/a")];
        assert_eq!(read_files(&circle).expect("references").head_commit(), None);
    }

    #[test]
    fn what_is_no_reference_is_an_error() {
        let long = "a".repeat(5000);
        for text in ["", "\n", "aaaa", "g".repeat(40).as_str(), &format!("{A}{A}"), &"0".repeat(40), &long, "\0"] {
            assert!(read_files(&[("HEAD", text)]).is_err(), "{text}");
            assert!(read_files(&[("HEAD", A), ("refs/heads/a", text)]).is_err(), "{text}");
            assert!(read_files(&[("HEAD", A), ("packed-refs", &format!("{text} refs/heads/a\n"))]).is_err(), "{text}");
        }
        assert!(read_files(&[]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_bytes_are_in_the_files_of_references_reading_ends(
            head in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
            packed in "([0-9a-f]{0,41} ?(refs/heads/)?[a-z./ ]{0,9}\n?){0,5}",
        ) {
            let root = tempfile::tempdir().expect("a folder");
            fs::write(root.path().join("HEAD"), head).expect("a file");
            fs::write(root.path().join("packed-refs"), packed).expect("a file");
            let read = read(&Folder::open(root.path()).expect("a folder"), Kind::Sha1);
            if let Ok(found) = read {
                proptest::prop_assert!(found.branches.keys().all(|name| name.starts_with(BRANCHES) || found.head == At::Reference(name.clone())));
            }
        }
    }
}
