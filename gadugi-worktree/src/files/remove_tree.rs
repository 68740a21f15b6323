//! Deleting whole folders, fast and without leaving them.
//!
//! Several threads share the folders below. Each works with handles: a name is only ever looked up in the folder that
//! holds it, so that a symbolic link is removed and never followed, whatever is exchanged meanwhile.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, fchmod, open, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::error::GitError;
use crate::files::mounted::{mount_in, open_unmounted};

/// Depth limit for folders that are deleted in place. Deeper ones are moved up first, so that no depth exhausts the handles of
/// the process.
const MAX_DEPTH: usize = 64;
/// Number of times that a folder is read again which was found not to be empty: a process may have written to it.
const MAX_TRIES: u32 = 3;

/// Deletes folders with all their content, also where folders in them are not writable; one that is gone counts as deleted.
/// Continues until `stop` is set, and past errors. Returns the first error of each folder.
pub(crate) fn erase(folders: &[PathBuf], threads: usize, stop: &AtomicBool) -> Vec<GitError> {
    let mut failed = Vec::new();
    let mut roots = Vec::new();
    for folder in folders {
        match Root::open(folder) {
            Ok(root) => roots.push(root),
            Err(Errno::NOENT) => {}
            Err(error) => failed.push(not_removed(folder, error)),
        }
    }
    let work = Queue::new(roots.iter().map(Root::task).collect());
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where there can be no more threads, fewer do it all.
            if thread::Builder::new().spawn_scoped(scope, || work.help(stop)).is_err() {
                break;
            }
        }
        work.help(stop);
    });
    // Handles of what was not come to.
    drop(work);
    for root in roots {
        let error = root.error.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.extend(error.map(|(path, error)| not_removed(&path, error)));
    }
    failed
}

/// The error for a file or folder that could not be removed, with a remedy.
pub(crate) fn not_removed(path: &Path, error: Errno) -> GitError {
    let known = match error {
        Errno::XDEV | Errno::BUSY => mount_in(path).map(|path| GitError::Mounted { path }),
        Errno::PERM => immutable(path).map(|path| GitError::Immutable { path: path.to_owned() }),
        _ => None,
    };
    known.unwrap_or_else(|| GitError::io("remove", path)(error.into()))
}

/// The file or folder, or its parent, if `chattr` protects it from changes.
#[cfg(target_os = "linux")]
fn immutable(path: &Path) -> Option<&Path> {
    use rustix::fs::{CWD, StatxAttributes, StatxFlags, statx};
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let is_fixed = |path: &&Path| {
        let told = statx(CWD, *path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
        told.is_ok_and(|told| told.stx_attributes.intersects(fixed))
    };
    [Some(path), path.parent()].into_iter().flatten().find(is_fixed)
}

#[cfg(not(target_os = "linux"))]
fn immutable(_: &Path) -> Option<&Path> {
    None
}

/// A folder to delete.
struct Root {
    path: PathBuf,
    parent: Arc<OwnedFd>,
    name: CString,
    /// The first error in it, with its path.
    error: Mutex<Option<(PathBuf, Errno)>>,
    /// The number of folders that were moved up to it.
    moved: AtomicU32,
}

impl Root {
    fn open(path: &Path) -> Result<Self, Errno> {
        let name = CString::new(path.file_name().unwrap_or_default().as_bytes()).map_err(|_| Errno::INVAL)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            parent: Arc::new(parent),
            name,
            error: Mutex::new(None),
            moved: AtomicU32::new(0),
        })
    }

    fn task(&self) -> Task<'_> {
        Task { root: self, parent: None, name: self.name.clone(), tries: 0 }
    }

    fn has_failed(&self) -> bool {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Notes the error of an entry in a folder.
    fn failed(&self, folder: Option<&Folder>, name: &CStr, error: Errno) {
        let mut noted = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert_with(|| (self.path_of(folder, name), error));
    }

    /// The path of an entry in a folder; `None` for the root itself.
    fn path_of(&self, folder: Option<&Folder>, name: &CStr) -> PathBuf {
        let Some(mut holder) = folder else { return self.path.clone() };
        let mut names = vec![name];
        while let Some(parent) = &holder.parent {
            names.push(&holder.name);
            holder = parent;
        }
        names.iter().rev().fold(self.path.clone(), |path, name| path.join(OsStr::from_bytes(name.to_bytes())))
    }
}

/// A folder whose content is being deleted.
struct Folder {
    handle: OwnedFd,
    name: CString,
    /// `None` for a root.
    parent: Option<Arc<Folder>>,
    depth: usize,
    /// The number of its subfolders that are not deleted yet, and one more while it is read itself.
    left: AtomicUsize,
    tries: u32,
}

/// A folder to be deleted, with its parent.
struct Task<'a> {
    root: &'a Root,
    parent: Option<Arc<Folder>>,
    name: CString,
    tries: u32,
}

impl Task<'_> {
    fn holder(&self) -> &OwnedFd {
        self.parent.as_ref().map_or(&*self.root.parent, |parent| &parent.handle)
    }
}

/// The queue of folders. The last one found is the first to be deleted, so that few folders are open at once.
struct Queue<'a> {
    tasks: Mutex<Tasks<'a>>,
    changed: Condvar,
}

struct Tasks<'a> {
    waiting: Vec<Task<'a>>,
    /// The number of threads that are at work and may find more.
    busy: usize,
}

impl<'a> Queue<'a> {
    fn new(waiting: Vec<Task<'a>>) -> Self {
        Self { tasks: Mutex::new(Tasks { waiting, busy: 0 }), changed: Condvar::new() }
    }

    fn help(&self, stop: &AtomicBool) {
        while let Some(task) = self.next(stop) {
            let found = empty(task, stop);
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.busy -= 1;
            tasks.waiting.extend(found);
            drop(tasks);
            self.changed.notify_all();
        }
    }

    fn next(&self, stop: &AtomicBool) -> Option<Task<'a>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(task) = tasks.waiting.pop() {
                tasks.busy += 1;
                return Some(task);
            }
            if tasks.busy == 0 {
                return None;
            }
            tasks = self.changed.wait(tasks).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Deletes the files in a folder, and returns its subfolders; deletes it too where it has none.
fn empty<'a>(task: Task<'a>, stop: &AtomicBool) -> Vec<Task<'a>> {
    let root = task.root;
    let mut more = Vec::new();
    match open_folder(&task) {
        Ok(Some(folder)) => {
            let folder = Arc::new(folder);
            unlink_files(root, &folder, stop, &mut more);
            more.extend(finish(root, folder));
        }
        // It was no folder, or is gone.
        Ok(None) => more.extend(task.parent.and_then(|parent| finish(root, parent))),
        Err(error) => {
            root.failed(task.parent.as_deref(), &task.name, error);
            more.extend(task.parent.and_then(|parent| finish(root, parent)));
        }
    }
    more
}

/// Opens the folder of a task; `None` for a file, which is removed.
fn open_folder(task: &Task<'_>) -> Result<Option<Folder>, Errno> {
    let holder = task.holder();
    let name = task.name.as_c_str();
    // What is mounted there is not ours to delete.
    let handle = match open_unmounted(holder, name) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => return unlink(holder, name).map(|()| None),
        Err(Errno::ACCESS) => {
            let stat = statat(holder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::ACCESS);
            }
            chmodat(holder, name, Mode::RWXU, AtFlags::empty())?;
            open_unmounted(holder, name)?
        }
        other => other?,
    };
    Ok(Some(Folder {
        handle,
        name: task.name.clone(),
        depth: task.parent.as_ref().map_or(0, |parent| parent.depth + 1),
        parent: task.parent.clone(),
        left: AtomicUsize::new(1),
        tries: task.tries,
    }))
}

/// Deletes the files, and lists the folders.
fn unlink_files<'a>(root: &'a Root, folder: &Arc<Folder>, stop: &AtomicBool, folders: &mut Vec<Task<'a>>) {
    let entries = match entries(&folder.handle) {
        Ok(entries) => entries,
        Err(error) => return root.failed(folder.parent.as_deref(), &folder.name, error),
    };
    for (name, kind) in entries {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match unlink_file(root, folder, &name, kind) {
            Ok(None) => {}
            Ok(Some(task)) => folders.push(task),
            Err(error) => root.failed(Some(folder), &name, error),
        }
    }
}

/// The entries of a folder.
fn entries(folder: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(entries)
}

/// Deletes a file; a folder is returned for later.
fn unlink_file<'a>(
    root: &'a Root,
    folder: &Arc<Folder>,
    name: &CStr,
    kind: FileType,
) -> Result<Option<Task<'a>>, Errno> {
    let is_folder = match kind {
        FileType::Directory => true,
        FileType::Unknown => match statat(&folder.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        },
        _ => false,
    };
    if !is_folder {
        return unlink(&folder.handle, name).map(|()| None);
    }
    if folder.depth < MAX_DEPTH {
        folder.left.fetch_add(1, Ordering::Relaxed);
        return Ok(Some(Task { root, parent: Some(Arc::clone(folder)), name: name.to_owned(), tries: 0 }));
    }
    move_up(root, folder, name).map(Some)
}

/// Moves a very deep folder up to the root of its tree.
fn move_up<'a>(root: &'a Root, folder: &Arc<Folder>, name: &CStr) -> Result<Task<'a>, Errno> {
    let mut top = folder;
    while let Some(parent) = &top.parent {
        top = parent;
    }
    loop {
        let number = root.moved.fetch_add(1, Ordering::Relaxed);
        let moved = CString::new(format!(".gadugi-deep-{}-{number}", std::process::id())).map_err(|_| Errno::INVAL)?;
        let rename = || renameat(&folder.handle, name, &top.handle, &moved);
        let renamed = match rename() {
            Err(Errno::ACCESS) => {
                for closed in [folder, top] {
                    fchmod(&closed.handle, Mode::RWXU)?;
                }
                // It changes too, since it gets another parent.
                chmodat(&folder.handle, name, Mode::RWXU, AtFlags::empty())?;
                rename()
            }
            other => other,
        };
        match renamed {
            // What a deletion that was cut short has moved there.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            other => {
                other?;
                top.left.fetch_add(1, Ordering::Relaxed);
                return Ok(Task { root, parent: Some(Arc::clone(top)), name: moved, tries: 0 });
            }
        }
    }
}

fn unlink(holder: impl AsFd, name: &CStr) -> Result<(), Errno> {
    match unlinkat(&holder, name, AtFlags::empty()) {
        Err(Errno::ACCESS) => {
            fchmod(&holder, Mode::RWXU)?;
            unlinkat(&holder, name, AtFlags::empty())
        }
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Ends one of the tasks that a folder waits for. Returns the folder again if it was found not to be empty.
fn finish(root: &Root, mut folder: Arc<Folder>) -> Option<Task<'_>> {
    loop {
        if folder.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        let parent = folder.parent.clone();
        let holder = parent.as_ref().map_or(&*root.parent, |parent| &parent.handle);
        let removed = match unlinkat(holder, &folder.name, AtFlags::REMOVEDIR) {
            Err(Errno::ACCESS) if parent.is_some() => {
                fchmod(holder, Mode::RWXU).and_then(|()| unlinkat(holder, &folder.name, AtFlags::REMOVEDIR))
            }
            other => other,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if folder.tries < MAX_TRIES && !root.has_failed() => {
                return Some(Task { root, parent, name: folder.name.clone(), tries: folder.tries + 1 });
            }
            Err(error) => root.failed(parent.as_deref(), &folder.name, error),
        }
        folder = parent?;
    }
}
