//! The files of one command in the folder of its attempt: what was started, how it ended, and what the container is
//! shown of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gadugi_core::{ExecRequest, Phase, Program};
use serde::Serialize;

use super::api::error::DockerError;
use super::record::{ContainerRecord, EndRecord, ProcessRecord};
use crate::os::nonce;
use crate::os::regular_file::open_regular;
use crate::output::sealed::{Content, Unsound, link, read, seal};

/// Where the container sees what is shown of these files.
pub(super) const INSIDE: &str = "/run/gadugi";

/// In [`INSIDE`]: the script.
pub(super) const SCRIPT: &str = "script.sh";
/// In [`INSIDE`]: what the command reads.
pub(super) const INPUT: &str = "stdin";

/// In the same folder: the names of hosts, for a container that the daemon gives no network.
const HOSTS: &str = "hosts";
/// As Docker writes them for a container without a network.
const LOOPBACK: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Where the files of a command are.
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

    /// The output.
    pub(super) fn output(&self) -> PathBuf {
        self.folder.join(self.phase.output_file())
    }

    /// The folder that the container is shown.
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

    /// The names of hosts that the container is shown, if it is.
    pub(super) fn hosts(&self) -> PathBuf {
        self.shown().join(HOSTS)
    }

    /// Writes what the container is shown. It may read it as whatever user it runs: nobody else comes into the folder
    /// above. Says whether there is anything.
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

    /// Removes what the container was shown. What cannot be removed harms nobody.
    pub(super) fn hide(&self) {
        fs::remove_dir_all(self.shown()).ok();
    }

    /// What was noted of a container before it was started; `None` where none was.
    pub(super) fn container(&self) -> Result<Option<ContainerRecord>, DockerError> {
        sound(self.container_path())
    }

    /// Notes the container that is about to be started; `false` when another one was noted before.
    pub(super) fn note_container(&self, record: &ContainerRecord) -> Result<bool, DockerError> {
        let path = self.container_path();
        let noted = self.put(&path, record);
        noted.map_err(DockerError::file(&path))
    }

    /// Notes more of the container that was noted before.
    pub(super) fn note_again(&self, record: &ContainerRecord) -> Result<(), DockerError> {
        let path = self.container_path();
        let written = temporary(&path, record, true).and_then(|file| file.persist(&path));
        written.map_err(DockerError::file(path))
    }

    /// Takes the note back, of a container that was never started and is gone.
    pub(super) fn forget_container(&self) -> Result<(), DockerError> {
        let path = self.container_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(DockerError::file(path)(error)),
            _ => Ok(()),
        }
    }

    /// The first process of the container, where it was seen on this machine. A note that says nothing is as good as none.
    pub(super) fn process(&self) -> Option<ProcessRecord> {
        sound(self.process_path()).ok().flatten()
    }

    /// Notes the first process of the container, in place of that of an earlier one.
    pub(super) fn note_process(&self, record: &ProcessRecord) -> io::Result<()> {
        let path = self.process_path();
        temporary(&path, record, false)?.persist(&path)
    }

    /// Notes that the command is about to get its secrets, and may begin.
    pub(super) fn note_handover(&self) -> Result<(), DockerError> {
        let path = self.handover_path();
        let noted = open_regular(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600), &path);
        noted.map(drop).map_err(DockerError::file(path))
    }

    /// Whether the command may have got its secrets.
    pub(super) fn is_handed_over(&self) -> bool {
        self.handover_path().exists()
    }

    /// Notes that the command is asked to stop; `false` when that was noted before. It outlives whoever asks.
    pub(super) fn note_stop(&self) -> io::Result<bool> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.stop_path()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            noted => noted.map(|_| true),
        }
    }

    /// Takes the note back, of a stop that came too late.
    pub(super) fn forget_stop(&self) {
        fs::remove_file(self.stop_path()).ok();
    }

    /// Whether the command was asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop_path().exists()
    }

    /// How the command ended, where that is known.
    pub(super) fn end(&self) -> Result<Option<EndRecord>, DockerError> {
        sound(self.end_path())
    }

    /// Keeps how the command ended, once; it is on the disk when this returns.
    pub(super) fn keep_end(&self, record: &EndRecord) -> Result<(), DockerError> {
        let path = self.end_path();
        let kept = self.put(&path, record).and_then(|_| File::open(&self.folder)?.sync_all());
        kept.map_err(DockerError::file(path))
    }

    /// Writes a record to the disk and links it to its name; says whether that was free.
    fn put(&self, path: &Path, record: &impl Serialize) -> io::Result<bool> {
        link(&temporary(path, record, true)?.0, path)
    }
}

/// A file that goes when this is dropped, unless it has got another name.
struct Temporary(PathBuf);

impl Temporary {
    /// Puts it in the place of what has that name.
    fn persist(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What could not be made, or has another name, need not be removed.
        fs::remove_file(&self.0).ok();
    }
}

/// Writes a record beside the place that it is for.
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
