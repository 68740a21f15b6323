//! The walk through a work tree.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::worktrees::IgnoredFiles;
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::stat::Options as Trust;
use gix::index::entry::{Flags, Mode, Stage};
use gix::index::{Entry, State};

use crate::error::GitError;
use crate::inspect::dir::{Dir, FileKind};
use crate::inspect::index_tree::{Folder, Member};
use crate::inspect::nested::{self, Git};
use crate::inspect::rules::{Everywhere, Fate, Level, Verdict, joined};
use crate::inspect::{MAX_RULES_BYTES, UserRules};
use crate::threads::parallel::side_by_side;

/// Number of files from which further threads pay off.
const LARGE: usize = 2000;
/// Depth limit: each folder on the way holds a handle.
const MAX_DEPTH: usize = 200;

/// The difference of a tracked file from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Its content, kind or permissions.
    Written,
    /// It is gone.
    Removed,
}

/// The part of a work tree that is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All files that would be removed with it.
    All,
    /// The files that git reports: none that are ignored.
    Status,
}

/// A file of attributes.
#[derive(Debug)]
pub(crate) enum AttributesFile {
    /// As the index has noted it.
    Noted(ObjectId),
    /// With another text.
    Read(Vec<u8>),
}

/// Ignored files that are removed with the worktree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// The bytes in folders that are ignored as a whole, without those below another one.
    pub(crate) folders: BTreeMap<BString, u64>,
}

impl Ignored {
    /// The same for the report, with the largest `most` folders.
    pub(crate) fn summary(&self, most: usize) -> IgnoredFiles {
        let mut folders: Vec<_> = self.folders.iter().filter(|(_, bytes)| **bytes > 0).collect();
        folders.sort_by_key(|(_, bytes)| Reverse(**bytes));
        let largest = folders.into_iter().take(most).map(|(folder, _)| folder.to_string()).collect();
        IgnoredFiles { files: self.files, bytes: self.bytes, largest }
    }
}

/// The result of a walk.
#[derive(Debug, Default)]
pub(crate) struct WalkResult<'a> {
    /// Tracked paths that differ.
    pub(crate) edited: BTreeMap<BString, Edit>,
    /// Tracked files that are doubtful by their stat data.
    pub(crate) doubtful: Vec<&'a Entry>,
    /// Files and links that are untracked.
    pub(crate) untracked: BTreeSet<BString>,
    /// Folders that are repositories of their own, and files that git never reads.
    pub(crate) nested: BTreeSet<BString>,
    /// Files and links that are ignored, but not by the user's rules.
    pub(crate) hidden: BTreeSet<BString>,
    /// Repositories at ignored paths with content of their own.
    pub(crate) hidden_nested: BTreeSet<BString>,
    /// Paths that cannot be read.
    pub(crate) unseen: BTreeSet<BString>,
    pub(crate) ignored: Ignored,
    pub(crate) attributes: Vec<(BString, AttributesFile)>,
    /// Ignored folders that are still to be walked: too many handles are open on the way to them.
    deep: Vec<BString>,
}

impl WalkResult<'_> {
    fn add(&mut self, other: Self) {
        self.edited.extend(other.edited);
        self.doubtful.extend(other.doubtful);
        self.untracked.extend(other.untracked);
        self.nested.extend(other.nested);
        self.hidden.extend(other.hidden);
        self.hidden_nested.extend(other.hidden_nested);
        self.unseen.extend(other.unseen);
        self.ignored.files += other.ignored.files;
        self.ignored.bytes += other.ignored.bytes;
        self.ignored.folders.extend(other.ignored.folders);
        self.attributes.extend(other.attributes);
        self.deep.extend(other.deep);
    }
}

/// Walks through the work tree of a repository with this index.
pub(crate) fn walk<'a>(
    repo: &gix::Repository,
    index: &'a State,
    rules: &UserRules,
    extent: Extent,
) -> Result<WalkResult<'a>, GitError> {
    let Some(root) = repo.workdir() else { return Ok(WalkResult::default()) };
    let everywhere = Everywhere::of(rules)?;
    let walk = Walk {
        root: root.to_owned(),
        index,
        extent,
        trust: repo.stat_options()?,
        absent_rules: absent_rules(repo, index)?,
    };
    let dir = Dir::open(root).map_err(GitError::io("open", root))?;
    let mut found = WalkResult::default();
    let at = At { dir: &dir, path: "".into(), tracked: Some(Folder::root(index)), fate: Fate::default(), depth: 0 };
    walk.folder(&at, &Level::top(&everywhere), &mut found)?;
    while let Some(path) = found.deep.pop() {
        match open_below(root, path.as_bstr()).and_then(|dir| Ok((dir.names()?, dir))) {
            Ok((names, dir)) => walk.ignored(&At::in_ignored(&dir, path.as_bstr(), 0), &names, &mut found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => walk.unseen(path.as_bstr(), None, &mut found),
        }
    }
    Ok(found)
}

/// The texts of `.gitignore` files that a sparse checkout has left out. Git reads them from the index.
fn absent_rules(repo: &gix::Repository, index: &State) -> Result<HashMap<BString, Vec<u8>>, GitError> {
    let mut found = HashMap::new();
    for entry in index.entries().iter().filter(|entry| entry.flags.contains(Flags::SKIP_WORKTREE)) {
        let path = entry.path(index);
        let is_rules = path == ".gitignore" || path.ends_with(b"/.gitignore");
        if is_rules && repo.find_header(entry.id).is_ok_and(|header| header.size() <= MAX_RULES_BYTES) {
            found.insert(path.to_owned(), repo.find_blob(entry.id)?.take_data());
        }
    }
    Ok(found)
}

/// Opens a folder of any depth, with no more than two handles at once.
fn open_below(root: &Path, path: &BStr) -> io::Result<Dir> {
    path.split_str("/").try_fold(Dir::open(root)?, |dir, name| dir.folder(name))
}

struct Walk<'a> {
    root: PathBuf,
    index: &'a State,
    extent: Extent,
    trust: Trust,
    absent_rules: HashMap<BString, Vec<u8>>,
}

/// A folder on the walk.
struct At<'a, 'p> {
    dir: &'p Dir,
    path: &'p BStr,
    /// Its part of the index.
    tracked: Option<Folder<'a>>,
    fate: Fate,
    depth: usize,
}

impl<'p> At<'_, 'p> {
    /// A folder that the user's rules ignore as a whole.
    fn in_ignored(dir: &'p Dir, path: &'p BStr, depth: usize) -> Self {
        Self { dir, path, tracked: None, fate: Fate::of_users(), depth }
    }
}

/// A subfolder that is still to be walked.
struct Below<'a> {
    name: BString,
    path: BString,
    tracked: Option<Folder<'a>>,
    fate: Fate,
}

/// The index entries at a name.
#[derive(Default, Clone, Copy)]
struct Known<'a> {
    is_entry: bool,
    is_submodule: bool,
    folder: Option<Folder<'a>>,
}

type Names = Vec<(BString, Option<FileKind>)>;

/// The content of a folder, by its names and by the index.
struct Listing<'a, 'f> {
    at: &'f At<'a, 'f>,
    names: &'f Names,
    known: HashMap<&'f [u8], Known<'a>>,
    /// The identities of files that the index knows by names which are not listed.
    unlisted: HashSet<(u64, u64)>,
}

/// A file beside the tracked ones of its folder.
struct Beside<'n> {
    name: &'n BString,
    what: FileKind,
    path: BString,
    fate: Fate,
}

/// The index entries of a folder, by name.
fn known<'a, 'm>(members: &'m [Member<'a>]) -> HashMap<&'m [u8], Known<'a>> {
    let mut known: HashMap<&[u8], Known<'a>> = HashMap::new();
    for member in members {
        match member {
            Member::Entry(name, entry) => {
                let known = known.entry(name).or_default();
                (known.is_entry, known.is_submodule) = (true, entry.mode == Mode::COMMIT);
            }
            Member::Folder(below) => known.entry(below.name).or_default().folder = Some(*below),
        }
    }
    known
}

impl<'a> Walk<'a> {
    fn folder(&self, at: &At<'a, '_>, above: &Level<'_>, found: &mut WalkResult<'a>) -> Result<(), GitError> {
        if self.extent == Extent::Status && at.tracked.is_none() && at.fate.verdict() != Verdict::Open {
            return Ok(());
        }
        let names = match at.dir.names() {
            Ok(names) if at.depth < MAX_DEPTH => names,
            _ => {
                self.unseen(at.path, at.tracked, found);
                return Ok(());
            }
        };
        if at.depth > 0 && self.is_repository(at, &names, found) {
            return Ok(());
        }
        if at.tracked.is_none() && at.fate.verdict() == Verdict::Ignored {
            let bytes = found.ignored.bytes;
            self.ignored(at, &names, found);
            found.ignored.folders.insert(at.path.to_owned(), found.ignored.bytes - bytes);
            return Ok(());
        }
        let members: Vec<_> = at.tracked.into_iter().flat_map(|tracked| tracked.members(self.index)).collect();
        let known = known(&members);
        let own = match self.rules(at, &names, &known) {
            Some(text) => Some(above.below(
                at.path,
                Some(&text),
                known.get(&b".gitignore"[..]).is_some_and(|known| known.is_entry),
            )?),
            None => None,
        };
        let level = own.as_ref().unwrap_or(above);
        let unlisted = self.members(at, &members, &names, found);
        let below = self.names(&Listing { at, names: &names, known, unlisted }, level, found);
        self.all_below(at, below, level, found)
    }

    /// Checks the files of a folder's index entries. Returns the identities of those that are there under a name which is not
    /// listed: where names are not told apart by case, or are written otherwise, a listed one is the same file.
    fn members(
        &self,
        at: &At<'a, '_>,
        members: &[Member<'a>],
        names: &Names,
        found: &mut WalkResult<'a>,
    ) -> HashSet<(u64, u64)> {
        let listed: HashSet<&[u8]> = names.iter().map(|(name, _)| name.as_slice()).collect();
        let mut unlisted = HashSet::new();
        for member in members {
            match member {
                Member::Entry(name, entry) => {
                    let identity = self.tracked(at, name, entry, found);
                    unlisted.extend(identity.filter(|_| !listed.contains(name.as_bytes())));
                }
                Member::Folder(below) if listed.contains(below.name.as_bytes()) => {}
                Member::Folder(below) => match at.dir.metadata(below.name) {
                    Ok(Some(seen)) if seen.what == FileKind::Folder => drop(unlisted.insert(seen.identity)),
                    _ => self.gone(*below, found),
                },
            }
        }
        unlisted
    }

    /// Checks the listed names of a folder that are no index entries. Returns its subfolders.
    fn names(&self, listing: &Listing<'a, '_>, level: &Level<'_>, found: &mut WalkResult<'a>) -> Vec<Below<'a>> {
        let Listing { at, names, known, unlisted } = listing;
        let mut below = Vec::new();
        for (name, what) in *names {
            // A `.git` was judged with its folder, unless the user's rules ignore all that is in it.
            if name == ".git" && (at.depth == 0 || at.tracked.is_some() || at.fate.verdict() != Verdict::Ignored) {
                continue;
            }
            let what = match what {
                Some(what) => *what,
                None => match at.dir.metadata(name) {
                    Ok(Some(seen)) => seen.what,
                    _ => continue,
                },
            };
            let known = known.get(name.as_slice()).copied().unwrap_or_default();
            let is_folder = what == FileKind::Folder;
            if let Some(folder) = known.folder.filter(|_| !is_folder) {
                self.gone(folder, found);
            }
            if known.is_entry && (!is_folder || known.is_submodule) {
                continue;
            }
            if !unlisted.is_empty()
                && at.dir.metadata(name).ok().flatten().is_some_and(|seen| unlisted.contains(&seen.identity))
            {
                continue;
            }
            let path = joined(at.path, name.as_bstr());
            let fate = level.fate(at.fate, path.as_bstr(), is_folder);
            if is_folder {
                below.push(Below { name: name.clone(), path, tracked: known.folder, fate });
            } else {
                self.beside(at, Beside { name, what, path, fate }, found);
            }
        }
        below
    }

    /// Walks through subfolders: those of the root of a large work tree in parallel.
    fn all_below(
        &self,
        at: &At<'a, '_>,
        below: Vec<Below<'a>>,
        level: &Level<'_>,
        found: &mut WalkResult<'a>,
    ) -> Result<(), GitError> {
        let enter = |below: Below<'a>, found: &mut WalkResult<'a>| {
            let Below { name, path, tracked, fate } = below;
            match at.dir.folder(&name) {
                Ok(dir) => {
                    let path = path.as_bstr();
                    self.folder(&At { dir: &dir, path, tracked, fate, depth: at.depth + 1 }, level, found)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(_) => {
                    self.unseen(path.as_bstr(), tracked, found);
                    Ok(())
                }
            }
        };
        if at.depth > 0 || self.index.entries().len() < LARGE {
            return below.into_iter().try_for_each(|below| enter(below, found));
        }
        let walked = side_by_side(below, |below| {
            let mut found = WalkResult::default();
            enter(below, &mut found).map(|()| found)
        });
        walked.into_iter().try_for_each(|other| {
            found.add(other?);
            Ok(())
        })
    }

    /// Whether a folder is a repository of its own, which is not walked through.
    fn is_repository(&self, at: &At<'a, '_>, names: &Names, found: &mut WalkResult<'a>) -> bool {
        let verdict = at.fate.verdict();
        let Some((_, what)) = names.iter().find(|(name, _)| name == ".git") else {
            let is_kept = at.tracked.is_none()
                && verdict == Verdict::Ignored
                && nested::is_repository(names)
                && !nested::is_as_cloned(at.dir, None);
            if is_kept {
                found.hidden_nested.insert(at.path.to_owned());
            }
            return is_kept;
        };
        let path = self.path(at.path);
        let what = what.or_else(|| at.dir.metadata(b".git").ok().flatten().map(|seen| seen.what));
        let git = nested::git(at.dir, what, &path);
        let (nested, odd) = (at.path.to_owned(), joined(at.path, ".git".into()));
        match (git, verdict) {
            (Git::Nothing, _) => false,
            // Tracked files are the worktree's, whoever else has them.
            (_, Verdict::Open) if at.tracked.is_some() || git == Git::Odd => {
                found.nested.insert(odd);
                false
            }
            (_, Verdict::Open) => found.nested.insert(nested),
            (Git::Folder | Git::Linked, _) if at.tracked.is_some() => {
                found.hidden_nested.insert(odd);
                false
            }
            (Git::Folder, Verdict::Ignored) => {
                let is_as_cloned = at.dir.folder(b".git").is_ok_and(|git| nested::is_as_cloned(&git, Some(&path)));
                !is_as_cloned && found.hidden_nested.insert(nested)
            }
            (Git::Folder | Git::Linked, _) => found.hidden_nested.insert(nested),
            (Git::Odd, Verdict::Hidden) => {
                found.hidden_nested.insert(odd);
                false
            }
            // All that is in it is ignored by the user.
            (Git::Odd, Verdict::Ignored) => false,
        }
    }

    /// The text of a folder's `.gitignore`. Git reads none in a folder that is ignored.
    fn rules(&self, at: &At<'a, '_>, names: &Names, known: &HashMap<&[u8], Known<'a>>) -> Option<Vec<u8>> {
        const NAME: &[u8] = b".gitignore";
        if at.fate.verdict() != Verdict::Open {
            return None;
        }
        if names.iter().any(|(name, _)| name == NAME.as_bstr()) {
            // Anything but an ordinary file has no rules, as for git.
            return at.dir.read(NAME, MAX_RULES_BYTES).ok().flatten();
        }
        let is_known = known.contains_key(NAME) && !self.absent_rules.is_empty();
        is_known.then(|| self.absent_rules.get(&joined(at.path, NAME.into())).cloned()).flatten()
    }

    /// Checks the file of an entry, and returns its identity.
    fn tracked(
        &self,
        at: &At<'a, '_>,
        name: &BStr,
        entry: &'a Entry,
        found: &mut WalkResult<'a>,
    ) -> Option<(u64, u64)> {
        if name.is_empty() {
            // It stands for a folder of which nothing is checked out.
            return None;
        }
        let path = || entry.path(self.index).to_owned();
        let seen = match at.dir.metadata(name) {
            Ok(seen) => seen,
            Err(_) => {
                found.unseen.insert(path());
                return None;
            }
        };
        let is_left_out = entry.flags.intersects(Flags::SKIP_WORKTREE | Flags::ASSUME_VALID);
        let is_whole = entry.stage() == Stage::Unconflicted && !entry.flags.contains(Flags::INTENT_TO_ADD);
        let is_as_noted = |seen: &crate::inspect::dir::EntryMetadata| {
            let is_its_kind = match entry.mode {
                Mode::SYMLINK => seen.what == FileKind::Link,
                Mode::FILE_EXECUTABLE => seen.what == FileKind::File && seen.is_executable,
                _ => seen.what == FileKind::File && !seen.is_executable,
            };
            let is_same = entry.stat.matches(&seen.stat, self.trust);
            is_its_kind && is_same && !entry.stat.is_racy(self.index.timestamp(), self.trust)
        };
        let mut is_proven = is_left_out;
        match &seen {
            _ if is_left_out => {}
            Some(seen) if seen.what == FileKind::Folder && entry.mode == Mode::COMMIT => {}
            None => drop(found.edited.insert(path(), Edit::Removed)),
            Some(seen) if seen.what == FileKind::Folder => drop(found.edited.insert(path(), Edit::Removed)),
            Some(seen) if !is_whole || entry.mode == Mode::COMMIT || seen.what == FileKind::Other => {
                found.edited.insert(path(), Edit::Written);
            }
            Some(seen) if is_as_noted(seen) => is_proven = true,
            Some(_) => found.doubtful.push(entry),
        }
        if name == ".gitattributes" {
            match &seen {
                Some(seen) if !is_proven && seen.what == FileKind::File => Self::attributes(at, name, path(), found),
                Some(seen) if !is_proven && seen.what != FileKind::Folder => {}
                _ => found.attributes.push((path(), AttributesFile::Noted(entry.id))),
            }
        }
        seen.map(|seen| seen.identity)
    }

    fn attributes(at: &At<'a, '_>, name: &BStr, path: BString, found: &mut WalkResult<'a>) {
        if let Ok(Some(text)) = at.dir.read(name, MAX_RULES_BYTES) {
            found.attributes.push((path, AttributesFile::Read(text)));
        }
    }

    /// Notes an untracked or ignored file.
    fn beside(&self, at: &At<'a, '_>, file: Beside<'_>, found: &mut WalkResult<'a>) {
        let Beside { name, what, path, fate } = file;
        if what == FileKind::Other {
            // Pipes, sockets and devices have no content, and git cannot keep them.
            return;
        }
        if name == ".gitattributes" && what == FileKind::File {
            Self::attributes(at, name.as_bstr(), path.clone(), found);
        }
        match fate.verdict() {
            Verdict::Open => drop(found.untracked.insert(path)),
            Verdict::Hidden => drop(found.hidden.insert(path)),
            Verdict::Ignored => {
                found.ignored.files += 1;
                found.ignored.bytes += at.dir.metadata(name).ok().flatten().map_or(0, |seen| seen.size);
            }
        }
    }

    /// Walks through a folder that the user's rules ignore as a whole.
    fn ignored(&self, at: &At<'a, '_>, names: &Names, found: &mut WalkResult<'a>) {
        for (name, what) in names {
            if *what != Some(FileKind::Folder) {
                let Ok(Some(seen)) = at.dir.metadata(name) else { continue };
                if seen.what != FileKind::Folder {
                    found.ignored.files += 1;
                    found.ignored.bytes += seen.size;
                    continue;
                }
            }
            let path = joined(at.path, name.as_bstr());
            if at.depth >= MAX_DEPTH {
                found.deep.push(path);
                continue;
            }
            let below = at.dir.folder(name).and_then(|below| Ok((below.names()?, below)));
            match below {
                Ok((names, dir)) => {
                    let at = At::in_ignored(&dir, path.as_bstr(), at.depth + 1);
                    if !self.is_repository(&at, &names, found) {
                        self.ignored(&at, &names, found);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => self.unseen(path.as_bstr(), None, found),
            }
        }
    }

    /// Notes that a folder cannot be read.
    fn unseen(&self, path: &BStr, tracked: Option<Folder<'a>>, found: &mut WalkResult<'a>) {
        found.unseen.insert(path.to_owned());
        for entry in tracked.into_iter().flat_map(Folder::entries) {
            let path = entry.path(self.index);
            if path.ends_with(b".gitattributes") {
                found.attributes.push((path.to_owned(), AttributesFile::Noted(entry.id)));
            }
        }
    }

    /// Notes that all tracked files of a folder are gone.
    fn gone(&self, folder: Folder<'a>, found: &mut WalkResult<'a>) {
        for entry in folder.entries() {
            let path = entry.path(self.index);
            if !entry.flags.intersects(Flags::SKIP_WORKTREE | Flags::ASSUME_VALID) && !path.ends_with(b"/") {
                found.edited.insert(path.to_owned(), Edit::Removed);
            }
            if path.ends_with(b"/.gitattributes") {
                found.attributes.push((path.to_owned(), AttributesFile::Noted(entry.id)));
            }
        }
    }

    fn path(&self, path: &BStr) -> PathBuf {
        self.root.join(gix::path::from_bstr(path).unwrap_or_default())
    }
}
