//! File systems that nothing was deleted in yet. On one that files were deleted from, ext4 makes new ones more slowly, by far
//! where it has no journal, so that what comes second would pay for what came first.

use std::fs::{self, File};
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::BenchError;
use crate::process::{hermetic, timed};
use crate::scratch;

/// The mount point of a disk, in a folder of its own. Worktrees and their repository name each other by full paths, so that a
/// copy has to be where its original was.
const MOUNT_POINT: &str = "disk";

/// Whether this user can have private mounts.
pub(crate) fn can_have_private_mounts() -> bool {
    let mut probe = hermetic("unshare");
    probe.args(["--mount", "mkfs.ext4", "-V"]);
    timed(probe).is_ok()
}

/// Becomes the same program with mounts of its own: they go with it, however it ends. Comes back only to tell why not.
pub(crate) fn start_again_with_private_mounts() -> BenchError {
    let again = || {
        let program = std::env::current_exe()?;
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(program).args(std::env::args_os().skip(1)).arg("--private-mounts");
        Err(command.exec())
    };
    let source = again().unwrap_or_else(|error| error);
    BenchError::Start { program: "unshare".to_owned(), source }
}

/// Of what kind the disks are.
pub(crate) enum Disks {
    /// ext4 with a journal, in a file where all temporary files lie.
    Images,
    /// Folders where all temporary files lie, for this reason.
    Folders(String),
}

impl Disks {
    /// Images, where they can be mounted.
    pub(crate) fn find(private_mounts: bool) -> Result<Self, BenchError> {
        if !private_mounts {
            return Ok(Self::Folders("that needs root, unshare and mkfs.ext4".to_owned()));
        }
        match Original::make(&Self::Images, Room { mib: 16 }, |_| Ok(())) {
            Ok(_) => Ok(Self::Images),
            Err(BenchError::Failed { program, stderr, .. }) => {
                Ok(Self::Folders(format!("{program}: {}", stderr.trim())))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Images => String::from("each on a fresh ext4 with a journal, in memory where /dev/shm is"),
            Self::Folders(why) => format!("each in a fresh folder, not on a file system of its own ({why})"),
        }
    }
}

/// The size of a disk.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) mib: u64,
}

/// A disk with what every measurement begins with.
pub(crate) struct Original {
    folder: TempDir,
    /// Its file, which has no name any more: it need not be removed.
    image: Option<File>,
}

impl Original {
    /// Makes a disk and has it filled.
    pub(crate) fn make(
        disks: &Disks,
        room: Room,
        fill: impl FnOnce(&Path) -> Result<(), BenchError>,
    ) -> Result<Self, BenchError> {
        let folder = scratch::temporary()?;
        let point = folder.path().join(MOUNT_POINT);
        fs::create_dir(&point).map_err(file_error(&point))?;
        let Disks::Images = disks else {
            fill(&point)?;
            let kept = original_in(&folder);
            fs::rename(&point, &kept).map_err(file_error(&kept))?;
            return Ok(Self { folder, image: None });
        };
        let path = folder.path().join("image");
        let image = File::create_new(&path).map_err(file_error(&path))?;
        image.set_len(room.mib << 20).map_err(file_error(&path))?;
        let mut mkfs = hermetic("mkfs.ext4");
        // Nothing is left to be done by the kernel while something is measured.
        mkfs.args(["-q", "-F", "-i", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&path);
        timed(mkfs)?;
        let mounted = Mounted::image(&path, point)?;
        fill(&mounted.point)?;
        mounted.unmount()?;
        Ok(Self { folder, image: Some(image) })
    }

    /// A copy of it, at the place of the original, with everything read once. One at a time.
    pub(crate) fn copy(&self) -> Result<Disk<'_>, BenchError> {
        let point = self.folder.path().join(MOUNT_POINT);
        let mut copy = hermetic("cp");
        let held = if let Some(image) = &self.image {
            let path = self.folder.path().join("image");
            let original = format!("/proc/{}/fd/{}", std::process::id(), image.as_raw_fd());
            copy.args(["--sparse=always", &original]).arg(&path);
            timed(copy)?;
            Held::Image(Mounted::image(&path, point.clone())?)
        } else {
            copy.arg("-a").arg(original_in(&self.folder)).arg(&point);
            timed(copy)?;
            Held::Folder(TempFolder(point.clone()))
        };
        let disk = Disk { point, held, original: PhantomData };
        read(disk.path())?;
        disk.settle()?;
        Ok(disk)
    }
}

/// A disk that something is measured on. It goes when it is dropped.
pub(crate) struct Disk<'a> {
    point: PathBuf,
    held: Held,
    /// Its folder has to outlive the disk.
    original: PhantomData<&'a Original>,
}

enum Held {
    Image(Mounted),
    Folder(TempFolder),
}

impl Disk<'_> {
    pub(crate) fn path(&self) -> &Path {
        &self.point
    }

    /// Has everything written, so that it does not happen while something is measured.
    pub(crate) fn settle(&self) -> Result<(), BenchError> {
        let mut sync = hermetic("sync");
        sync.arg("-f").arg(&self.point);
        timed(sync).map(drop)
    }

    /// Lets it go, and tells when that fails.
    pub(crate) fn remove(self) -> Result<(), BenchError> {
        match self.held {
            Held::Image(mounted) => mounted.unmount(),
            Held::Folder(folder) => folder.remove(),
        }
    }
}

/// The folder that stands for a disk.
struct TempFolder(PathBuf);

impl TempFolder {
    fn remove(self) -> Result<(), BenchError> {
        fs::remove_dir_all(&self.0).map_err(file_error(&self.0))
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // Where it fails, it goes with the folder of its original.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The file system of an image whose file has no name any more.
struct Mounted {
    point: PathBuf,
    is_mounted: bool,
}

impl Mounted {
    fn image(image: &Path, point: PathBuf) -> Result<Self, BenchError> {
        let mut mount = hermetic("mount");
        mount.args(["-t", "ext4", "-o", "loop"]).arg(image).arg(&point);
        let mounted = timed(mount).map(|_| Self { point, is_mounted: true });
        // It stays until it is unmounted, which happens also when this process is killed.
        fs::remove_file(image).map_err(file_error(image))?;
        mounted
    }

    fn unmount(mut self) -> Result<(), BenchError> {
        self.is_mounted = false;
        timed(umount(&self.point)).map(drop)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.is_mounted {
            // An error is on its way already; the mount goes with this process at the latest.
            timed(umount(&self.point)).ok();
        }
    }
}

fn umount(point: &Path) -> Command {
    let mut umount = hermetic("umount");
    umount.arg(point);
    umount
}

fn original_in(folder: &TempDir) -> PathBuf {
    folder.path().join("original")
}

/// Reads all files of a folder, so that no measurement is the first to do so.
fn read(folder: &Path) -> Result<(), BenchError> {
    for entry in fs::read_dir(folder).map_err(file_error(folder))? {
        let entry = entry.map_err(file_error(folder))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(file_error(folder))?);
        if kind.is_dir() {
            read(&path)?;
        } else if kind.is_file() {
            let mut file = File::open(&path).map_err(file_error(&path))?;
            std::io::copy(&mut file, &mut std::io::sink()).map_err(file_error(&path))?;
        }
    }
    Ok(())
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> BenchError {
    let path = path.to_owned();
    move |source| BenchError::File { path, source }
}
