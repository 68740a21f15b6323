//! A disk whose power can be cut.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// ext4 as it is by default, on a block device of its own, for as long as it lives.
#[derive(Debug)]
pub struct PowerCutDisk {
    /// Holds the mount point and the images.
    folder: TempDir,
    mount_point: PathBuf,
    cuts: u32,
}

/// The content of a disk at the moment of a power cut.
#[derive(Debug)]
pub struct Cut(PathBuf);

impl PowerCutDisk {
    /// `None`, with a word, where this user may not mount.
    ///
    /// # Panics
    /// When it cannot be made and `GADUGI_TEST_DISKS` is `required`.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test says that it was skipped")]
    pub fn new(mib: u64) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let real = folder.path().canonicalize().expect("the temporary folder has a real path");
        let (image, mount_point) = (real.join("image"), real.join("disk"));
        fs::create_dir(&mount_point).expect("a folder");
        let file = fs::File::create_new(&image).expect("an image");
        file.set_len(mib << 20).expect("the image grows");
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", options]).arg(&image));
        match made.and_then(|()| mount(&image, &mount_point)) {
            Ok(()) => Some(Self { folder, mount_point, cuts: 0 }),
            Err(why) => {
                let is_required = std::env::var("GADUGI_TEST_DISKS").as_deref() == Ok("required");
                assert!(!is_required, "no disk can be mounted: {why}");
                eprintln!("skipped: no disk can be mounted (GADUGI_TEST_DISKS=required makes that a failure): {why}");
                None
            }
        }
    }

    /// The folder that it is mounted at.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Copies what the device has been given so far, at a moment at which it is given nothing.
    pub fn cut(&mut self) -> Cut {
        self.cuts += 1;
        let copy = self.folder.path().join(format!("cut-{}", self.cuts));
        let device = self.device();
        let given = PathBuf::from("/sys/block").join(device.file_name().expect("a device has a name")).join("stat");
        let given = || {
            let text = fs::read_to_string(&given).expect("a device counts what it is given");
            let fields: Vec<u64> = text.split_whitespace().map(|field| field.parse().expect("a number")).collect();
            // Writes and flushes that were done, and everything under way.
            (fields[4], fields[15], fields[8])
        };
        let begun = Instant::now();
        loop {
            let before = given();
            let mut copying = Command::new("cp");
            run(copying.arg("--sparse=always").arg(self.folder.path().join("image")).arg(&copy)).expect("a copy");
            if before.2 == 0 && given() == before {
                return Cut(copy);
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the device never pauses");
        }
    }

    /// Begins anew with what a cut has left.
    pub fn restart(&mut self, cut: &Cut) {
        self.unmount();
        fs::rename(&cut.0, self.folder.path().join("image")).expect("an image");
        mount(&self.folder.path().join("image"), &self.mount_point).expect("what was cut can be mounted");
    }

    fn device(&self) -> PathBuf {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("there are mounts");
        let at = self.mount_point.to_str().expect("UTF-8");
        let device = mounts.lines().find_map(|line| line.split_once(' ').filter(|(_, rest)| rest.starts_with(at)));
        PathBuf::from(device.expect("it is mounted").0)
    }

    /// Waits until nothing has a file open there: what gadugi leaves behind in the background ends by itself.
    fn unmount(&self) {
        let begun = Instant::now();
        while let Err(why) = run(Command::new("umount").arg(&self.mount_point)) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{why}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PowerCutDisk {
    fn drop(&mut self) {
        // Lazily: what a failed test has left running may have a file open there.
        let unmounted = run(Command::new("umount").arg("--lazy").arg(&self.mount_point));
        assert!(unmounted.is_ok() || std::thread::panicking(), "{unmounted:?}");
    }
}

fn mount(image: &Path, at: &Path) -> Result<(), String> {
    run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(at))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
