//! The files of one command in the folder of its attempt: its records, and the files that its container is shown.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gadugi_core::Phase;
use gadugi_core::executor::ExecRequest;
use gadugi_core::plan::Program;
use serde::Serialize;

use super::api::error::DockerError;
use super::record::{ContainerRecord, EndRecord, ProcessRecord};
use crate::os::nonce;
use crate::os::regular_file::open_regular;
use crate::output::sealed::{Content, Unsound, link, read, seal};

/// The folder in the container that shows its script and its input.
pub(super) const INSIDE: &str = "/run/gadugi";

/// The script in [`INSIDE`].
pub(super) const SCRIPT: &str = "script.sh";
/// The standard input in [`INSIDE`].
pub(super) const INPUT: &str = "stdin";

/// The file for `/etc/hosts`, in the same folder, for a container without a network.
const HOSTS: &str = "hosts";
/// Its content, as Docker writes it for a container without a network.
const LOOPBACK: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// The paths of a command's files.
#[derive(Debug, Clone)]
pub(super) struct CommandFiles {
    folder: PathBuf,
    phase: Phase,
}

impl CommandFiles {
    pub(super) fn of(folder: &Path, phase: Phase) -> io::Result<Self> {
        Ok(Self { folder: std::path::absolute(folder)?, phase })
    }

    fn named(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}{name}", self.phase.file_prefix()))
    }

    /// Returns the path of the output log.
    pub(super) fn output(&self) -> PathBuf {
        self.folder.join(self.phase.output_file())
    }

    /// Returns the folder that the container is shown.
    pub(super) fn shown(&self) -> PathBuf {
        self.named("container")
    }

    fn container_path(&self) -> PathBuf {
        self.named("container.json")
    }

    fn process_path(&self) -> PathBuf {
        self.named("process.json")
    }

    fn end_path(&self) -> PathBuf {
        self.named("exit.json")
    }

    fn handover_path(&self) -> PathBuf {
        self.named("handover")
    }

    fn stop_path(&self) -> PathBuf {
        self.named("stop")
    }

    /// Returns the path of the file for `/etc/hosts`.
    pub(super) fn hosts(&self) -> PathBuf {
        self.shown().join(HOSTS)
    }

    /// Writes the files that the container is shown. Every user may read them, since the command may run as any; the folder
    /// above is closed to others. Returns whether there are such files.
    pub(super) fn show(&self, request: &ExecRequest, with_hosts: bool) -> Result<bool, DockerError> {
        let script = match &request.program {
            Program::Script(script) => Some((SCRIPT, script.as_str())),
            _ => None,
        };
        let input = request.stdin.as_ref().map(|text| (INPUT, text.as_str()));
        let hosts = with_hosts.then_some((HOSTS, LOOPBACK));
        let files: Vec<_> = [script, input, hosts].into_iter().flatten().collect();
        if files.is_empty() {
            return Ok(false);
        }
        let shown = self.shown();
        match DirBuilder::new().mode(0o755).create(&shown) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(DockerError::file(shown)(error)),
            _ => {}
        }
        for (name, text) in files {
            let path = shown.join(name);
            let mut options = OpenOptions::new();
            let file = open_regular(options.write(true).create(true).truncate(true).mode(0o644), &path);
            file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(DockerError::file(path))?;
        }
        Ok(true)
    }

    /// Removes the files that the container was shown. Those that cannot be removed do no harm.
    pub(super) fn remove_shown(&self) {
        fs::remove_dir_all(self.shown()).ok();
    }

    /// Returns the record of the container; `None` when none was started.
    pub(super) fn container(&self) -> Result<Option<ContainerRecord>, DockerError> {
        sound(self.container_path())
    }

    /// Records the container that is about to be started; `false` when another one is recorded.
    pub(super) fn record_container(&self, record: &ContainerRecord) -> Result<bool, DockerError> {
        let path = self.container_path();
        let noted = self.put(&path, record);
        noted.map_err(DockerError::file(&path))
    }

    /// Replaces the record of the container by one that says more.
    pub(super) fn update_container(&self, record: &ContainerRecord) -> Result<(), DockerError> {
        let path = self.container_path();
        let written = temporary(&path, record, true).and_then(|file| file.persist(&path));
        written.map_err(DockerError::file(path))
    }

    /// Removes the record of a container that was never started and is gone.
    pub(super) fn unrecord_container(&self) -> Result<(), DockerError> {
        let path = self.container_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(DockerError::file(path)(error)),
            _ => Ok(()),
        }
    }

    /// Returns the first process of the container, if it was seen on this machine. A damaged record counts as none.
    pub(super) fn process(&self) -> Option<ProcessRecord> {
        sound(self.process_path()).ok().flatten()
    }

    /// Records the first process of the container, in place of that of an earlier one.
    pub(super) fn record_process(&self, record: &ProcessRecord) -> io::Result<()> {
        let path = self.process_path();
        temporary(&path, record, false)?.persist(&path)
    }

    /// Records that the command is about to get its secrets, and may begin.
    pub(super) fn record_handover(&self) -> Result<(), DockerError> {
        let path = self.handover_path();
        let noted = open_regular(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600), &path);
        noted.map(drop).map_err(DockerError::file(path))
    }

    /// Whether the command may have got its secrets.
    pub(super) fn is_handed_over(&self) -> bool {
        self.handover_path().exists()
    }

    /// Records that a stop was requested; `false` when that is recorded. It outlives the process that requests it.
    pub(super) fn record_stop(&self) -> io::Result<bool> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.stop_path()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            noted => noted.map(|_| true),
        }
    }

    /// Removes the record of a stop that came too late.
    pub(super) fn unrecord_stop(&self) {
        fs::remove_file(self.stop_path()).ok();
    }

    /// Whether a stop was requested.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop_path().exists()
    }

    /// Returns the recorded end of the command, if there is one.
    pub(super) fn end(&self) -> Result<Option<EndRecord>, DockerError> {
        sound(self.end_path())
    }

    /// Records the end of the command, once; it is on the disk when this returns.
    pub(super) fn record_end(&self, record: &EndRecord) -> Result<(), DockerError> {
        let path = self.end_path();
        let kept = self.put(&path, record).and_then(|_| File::open(&self.folder)?.sync_all());
        kept.map_err(DockerError::file(path))
    }

    /// Writes a record to the disk and links it to its name. Returns whether the name was free.
    fn put(&self, path: &Path, record: &impl Serialize) -> io::Result<bool> {
        link(&temporary(path, record, true)?.0, path)
    }
}

/// A file that is removed when this is dropped, unless it was renamed.
struct Temporary(PathBuf);

impl Temporary {
    /// Renames it to `path`, in place of a file of that name.
    fn persist(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not exist, or have its new name.
        fs::remove_file(&self.0).ok();
    }
}

/// Writes a record beside the path that it is for.
fn temporary(path: &Path, record: &impl Serialize, durably: bool) -> io::Result<Temporary> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", nonce::text()));
    let line = seal(record)?;
    let written = Temporary(PathBuf::from(name));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written.0)?;
    file.write_all(line.as_bytes())?;
    if durably {
        file.sync_all()?;
    }
    Ok(written)
}

fn sound<T: serde::de::DeserializeOwned>(path: PathBuf) -> Result<Option<T>, DockerError> {
    match read(&path) {
        Ok(Content::Absent) => Ok(None),
        Ok(Content::Sound(record)) => Ok(Some(record)),
        Ok(Content::Unsound(Unsound::Damaged)) => Err(DockerError::Record { path, state: "damaged" }),
        Ok(Content::Unsound(Unsound::TooNew)) => Err(DockerError::Record { path, state: "of a newer version" }),
        Err(source) => Err(DockerError::File { path, source }),
    }
}
