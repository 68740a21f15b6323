//! A cgroup for a command: a process can leave it only with the rights to do so, so all processes of the command can be killed
//! or suspended at once.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::record::{CgroupRecord, Hierarchy};

/// Time for the kernel to carry out a request.
const KERNEL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a file is polled that reports no changes, as most of a cgroup's files do not.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A cgroup that is named after a nonce. Dropping it removes it, in the process that has made it.
pub(crate) struct Cgroup {
    path: PathBuf,
    hierarchy: Hierarchy,
    /// Its folder, open in the process that has made it.
    folder: Option<File>,
}

impl Cgroup {
    /// Makes a cgroup below that of this process; `None` where that is impossible.
    pub(super) fn make(nonce: &str) -> Option<Self> {
        [Hierarchy::Unified, Hierarchy::Freezer].into_iter().find_map(|hierarchy| Self::make_in(hierarchy, nonce))
    }

    fn make_in(hierarchy: Hierarchy, nonce: &str) -> Option<Self> {
        let path = own_folder(hierarchy)?.join(name(nonce));
        // The record of it is text.
        path.to_str()?;
        fs::create_dir(&path).ok()?;
        let Ok(folder) = File::open(&path) else {
            fs::remove_dir(&path).ok();
            return None;
        };
        // One that cannot be killed is of no use.
        Some(Self { folder: Some(folder), path, hierarchy }).filter(Self::kills)
    }

    /// Returns the cgroup of another shim's command; `None` when it is gone, or when the record names one of another nonce.
    pub(crate) fn recorded(record: &CgroupRecord, nonce: &str) -> Option<Self> {
        let path = PathBuf::from(&record.path);
        let is_its_own = path.is_absolute() && path.file_name().is_some_and(|last| last == name(nonce).as_str());
        (is_its_own && path.join("cgroup.procs").exists()).then_some(Self {
            path,
            hierarchy: record.hierarchy,
            folder: None,
        })
    }

    /// Returns the cgroups that a failed start may have left.
    pub(crate) fn left_by(nonce: &str) -> impl Iterator<Item = Self> {
        let record = |hierarchy| {
            let path = own_folder(hierarchy)?.join(name(nonce)).to_str()?.to_owned();
            Self::recorded(&CgroupRecord { path, hierarchy }, nonce)
        };
        [Hierarchy::Unified, Hierarchy::Freezer].into_iter().filter_map(record)
    }

    pub(super) fn record(&self) -> CgroupRecord {
        CgroupRecord { path: self.path.display().to_string(), hierarchy: self.hierarchy }
    }

    /// Returns the folder for `CLONE_INTO_CGROUP`, where the hierarchy supports it.
    pub(super) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.folder.as_ref().filter(|_| self.hierarchy == Hierarchy::Unified).map(AsFd::as_fd)
    }

    /// Moves a process into the cgroup.
    pub(super) fn take(&self, pid: Pid) -> io::Result<()> {
        self.write("cgroup.procs", &pid.as_raw_nonzero().to_string())
    }

    /// Kills all processes in it. They are gone a moment later; see [`await_empty`](Self::await_empty).
    pub(crate) fn kill(&self) -> io::Result<()> {
        if self.hierarchy == Hierarchy::Unified && self.path.join("cgroup.kill").exists() {
            return self.write("cgroup.kill", "1");
        }
        // What is frozen can make nothing new while it is being killed.
        self.freeze(true)?;
        self.await_frozen();
        let killed = self.kill_each();
        self.freeze(false)?;
        killed
    }

    /// Waits until it is empty. Returns whether it is.
    pub(crate) fn await_empty(&self) -> bool {
        let deadline = Instant::now() + KERNEL_TIMEOUT;
        loop {
            match self.is_populated() {
                Ok(true) if Instant::now() < deadline => sleep(POLL_INTERVAL),
                Ok(populated) => return !populated,
                // It is not there any more.
                Err(_) => return true,
            }
        }
    }

    /// Counts the processes in it.
    pub(super) fn count(&self) -> usize {
        self.processes().map_or(0, |pids| pids.len())
    }

    /// Suspends or resumes all processes in it.
    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        match (self.hierarchy, frozen) {
            (Hierarchy::Unified, _) => self.write("cgroup.freeze", if frozen { "1" } else { "0" }),
            (Hierarchy::Freezer, true) => self.write("freezer.state", "FROZEN"),
            (Hierarchy::Freezer, false) => self.write("freezer.state", "THAWED"),
        }
    }

    /// Removes it, with the cgroups that were made in it, once no process runs there any more.
    pub(crate) fn remove(&self) {
        let deadline = Instant::now() + KERNEL_TIMEOUT;
        // A process that has just been reaped may still be on its way out.
        while let Err(error) = remove_folders(&self.path)
            && error.kind() == ErrorKind::ResourceBusy
            && Instant::now() < deadline
        {
            sleep(POLL_INTERVAL);
        }
    }

    fn kills(&self) -> bool {
        match self.hierarchy {
            Hierarchy::Unified => self.path.join("cgroup.kill").exists() || self.path.join("cgroup.freeze").exists(),
            Hierarchy::Freezer => self.path.join("freezer.state").exists(),
        }
    }

    fn await_frozen(&self) {
        let (file, word) = match self.hierarchy {
            Hierarchy::Unified => ("cgroup.events", "frozen 1"),
            Hierarchy::Freezer => ("freezer.state", "FROZEN"),
        };
        let deadline = Instant::now() + KERNEL_TIMEOUT;
        let is_frozen =
            || fs::read_to_string(self.path.join(file)).is_ok_and(|text| text.lines().any(|line| line == word));
        while !is_frozen() && Instant::now() < deadline {
            sleep(POLL_INTERVAL);
        }
    }

    /// Signals each process. As they are frozen, no pid can come to belong to another one.
    fn kill_each(&self) -> io::Result<()> {
        for pid in self.processes()? {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn processes(&self) -> io::Result<Vec<Pid>> {
        let mut folders = vec![self.path.clone()];
        let mut pids = Vec::new();
        while let Some(folder) = folders.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs"))?;
            pids.extend(text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)));
            folders.extend(folders_in(&folder)?);
        }
        Ok(pids)
    }

    fn is_populated(&self) -> io::Result<bool> {
        match self.hierarchy {
            Hierarchy::Unified => {
                let events = fs::read_to_string(self.path.join("cgroup.events"))?;
                Ok(events.lines().any(|line| line == "populated 1"))
            }
            Hierarchy::Freezer => Ok(!self.processes()?.is_empty()),
        }
    }

    fn write(&self, file: &str, word: &str) -> io::Result<()> {
        fs::write(self.path.join(file), word)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.folder.is_some() {
            self.remove();
        }
    }
}

fn name(nonce: &str) -> String {
    format!("gadugi-{nonce}")
}

fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn remove_folders(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            for folder in folders_in(path)? {
                remove_folders(&folder)?;
            }
            fs::remove_dir(path)
        }
        removed => removed,
    }
}

/// Returns the folder of this process's own cgroup.
fn own_folder(hierarchy: Hierarchy) -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_of(hierarchy, &own, &mounts)
}

/// Reads that folder from the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn folder_of(hierarchy: Hierarchy, own: &str, mounts: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_meant = match hierarchy {
            Hierarchy::Unified => number == "0" && controllers.is_empty(),
            Hierarchy::Freezer => controllers.split(',').any(|controller| controller == "freezer"),
        };
        is_meant.then_some(Path::new(path))
    })?;
    mounts.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        let (kind, rest) = source.split_once(' ')?;
        let is_meant = match hierarchy {
            Hierarchy::Unified => kind == "cgroup2",
            Hierarchy::Freezer => {
                kind == "cgroup" && rest.rsplit(' ').next()?.split(',').any(|option| option == "freezer")
            }
        };
        // A path that is not mounted here, or has an escaped letter in it, is left alone.
        let below = own.strip_prefix(root).ok().filter(|below| !below.starts_with(".."))?;
        (is_meant && !place.contains('\\')).then(|| Path::new(place).join(below))
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::os::nonce;

    #[test]
    fn the_own_folder_is_found_on_machines_of_every_kind() {
        let hybrid = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      31 30 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
                      32 30 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";
        let own = "6:freezer:/box\n1:name=systemd:/\n0::/user.slice/one\n";
        let folder = |hierarchy, own, mounts| folder_of(hierarchy, own, mounts).map(|path| path.display().to_string());
        assert_eq!(folder(Hierarchy::Unified, own, hybrid).as_deref(), Some("/sys/fs/cgroup/unified/user.slice/one"));
        assert_eq!(folder(Hierarchy::Freezer, own, hybrid).as_deref(), Some("/sys/fs/cgroup/freezer/box"));
        let unified = "31 30 0:27 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(folder(Hierarchy::Unified, "0::/box/a\n", unified).as_deref(), Some("/sys/fs/cgroup/a"));
        assert_eq!(folder(Hierarchy::Unified, "0::/else\n", unified), None);
        assert_eq!(folder(Hierarchy::Unified, "0::/../x\n", "31 30 0:27 / /c rw - cgroup2 cgroup2 rw\n"), None);
        assert_eq!(folder(Hierarchy::Freezer, "0::/box\n", unified), None);
        assert_eq!(folder(Hierarchy::Unified, "", ""), None);
    }

    fn ends(child: &mut Child) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        child.wait().expect("it ends").signal()
    }

    fn pid(child: &Child) -> Pid {
        Pid::from_child(child)
    }

    #[test]
    fn all_that_is_in_a_cgroup_is_killed_also_while_it_is_suspended() {
        for hierarchy in [Hierarchy::Unified, Hierarchy::Freezer] {
            let nonce = nonce::text();
            let Some(cgroup) = Cgroup::make_in(hierarchy, &nonce) else {
                println!("skipped: this user has no cgroups of the kind {hierarchy:?} here");
                continue;
            };
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat starts");
            cgroup.take(pid(&child)).expect("it is taken in");
            cgroup.freeze(true).expect("it can be suspended");
            cgroup.await_frozen();
            cgroup.kill().expect("it can be killed");
            assert_eq!(ends(&mut child), Some(9));
            assert!(cgroup.await_empty());
            let record = cgroup.record();
            assert!(Cgroup::recorded(&record, &nonce).is_some());
            assert!(Cgroup::recorded(&record, "0000000000000000").is_none(), "the name is that of the nonce");
            assert_eq!(Cgroup::left_by(&nonce).count(), 1);
            drop(cgroup);
            assert!(Cgroup::recorded(&record, &nonce).is_none());
        }
    }
}
