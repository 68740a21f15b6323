//! The files of one command in the folder of its attempt.
//!
//! `proc.json` and `exit.json` have a number before their ending from the second start on: a start that was
//! made void leaves its `proc.json` behind for ever, so that nothing can take its place.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gadugi_core::Phase;
use rustix::fs::FallocateFlags;

use super::record::ProcRecord;
use crate::output::sealed::{Content, link, read, seal};

/// Bytes set aside for a record, more than it takes.
const RESERVED_BYTES: u64 = 4096;

/// The paths of a command's files.
#[derive(Debug, Clone)]
pub(crate) struct CommandFiles {
    folder: PathBuf,
    /// The prefix of file names, for setup and check; empty for the task's own command.
    prefix: &'static str,
}

impl CommandFiles {
    pub(crate) fn of(folder: PathBuf, phase: Phase) -> Self {
        Self { folder, prefix: phase.file_prefix() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn proc(&self, generation: u32) -> PathBuf {
        self.numbered("proc", generation)
    }

    pub(crate) fn exit(&self, generation: u32) -> PathBuf {
        self.numbered("exit", generation)
    }

    /// Returns the path of the pipe that reports how much was printed.
    pub(crate) fn progress(&self, nonce: &str) -> PathBuf {
        self.folder.join(format!("{}progress.{nonce}", self.prefix))
    }

    /// Returns the path of a record before it has its name.
    fn temporary(&self, kind: &str, nonce: &str) -> PathBuf {
        self.folder.join(format!(".{}{kind}.json.{nonce}.tmp", self.prefix))
    }

    fn numbered(&self, kind: &str, generation: u32) -> PathBuf {
        self.folder.join(match generation {
            1 => format!("{}{kind}.json", self.prefix),
            _ => format!("{}{kind}.{generation}.json", self.prefix),
        })
    }

    /// Returns the newest start with a `proc.json`, and the content of that; the first start, with nothing, if there is none.
    pub(crate) fn newest(&self) -> io::Result<(u32, Content<ProcRecord>)> {
        let mut newest = (1, Content::Absent);
        loop {
            let generation = match newest.1 {
                Content::Absent => 1,
                _ => newest.0 + 1,
            };
            match read(&self.proc(generation))? {
                Content::Absent => return Ok(newest),
                content => newest = (generation, content),
            }
        }
    }

    /// Writes a record and gives it its name; `false` when that name is taken.
    pub(crate) fn link_proc(&self, generation: u32, nonce: &str, record: &ProcRecord) -> io::Result<bool> {
        let temporary = self.temporary("proc", nonce);
        let line = seal(record)?;
        let mut options = OpenOptions::new();
        let written = options.write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            link(&temporary, &self.proc(generation))
        });
        // What could not be made need not be removed.
        fs::remove_file(&temporary).ok();
        written
    }

    /// Sets space aside for the record of the end, so that a full disk cannot keep it from being written.
    pub(crate) fn reserve_exit(&self, nonce: &str) -> io::Result<ReservedExit> {
        let path = self.temporary("exit", nonce);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let reserved = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVED_BYTES) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                (&file).write_all(&[b' '; RESERVED_BYTES as usize]).and_then(|()| io::Seek::rewind(&mut &file))
            }
            reserved => reserved.map_err(io::Error::from),
        };
        let exit = ReservedExit { file, path };
        reserved.map(|()| exit)
    }

    /// Returns the nonces of starts that have left files here.
    pub(crate) fn leftover_nonces(&self) -> io::Result<BTreeSet<String>> {
        let exit = format!(".{}exit.json.", self.prefix);
        let progress = format!("{}progress.", self.prefix);
        let nonce = |name: &str| {
            let reserved = || name.strip_prefix(&exit)?.strip_suffix(".tmp");
            name.strip_prefix(&progress).or_else(reserved).map(str::to_owned)
        };
        let mut nonces = BTreeSet::new();
        for entry in fs::read_dir(&self.folder)? {
            nonces.extend(entry?.file_name().to_str().and_then(nonce));
        }
        Ok(nonces)
    }

    /// Removes the files, other than records, that a start has left.
    pub(crate) fn remove_leftovers(&self, nonce: &str) {
        for path in [self.temporary("exit", nonce), self.temporary("proc", nonce), self.progress(nonce)] {
            // Most of them are not there.
            fs::remove_file(path).ok();
        }
    }
}

/// The file that becomes `exit.json`. Dropping this removes its temporary name.
pub(crate) struct ReservedExit {
    file: File,
    path: PathBuf,
}

impl ReservedExit {
    /// Writes the line; it is on the disk when this returns.
    pub(crate) fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.set_len(line.len() as u64)?;
        self.file.sync_data()
    }

    /// Gives it its name. A file that has that name already was written by the command, since each start has one shim; it is
    /// replaced.
    pub(crate) fn link(self, to: &Path) -> io::Result<()> {
        if !link(&self.path, to)? {
            fs::rename(&self.path, to)?;
        }
        Ok(())
    }
}

impl Drop for ReservedExit {
    fn drop(&mut self) {
        // One that stays does no harm.
        fs::remove_file(&self.path).ok();
    }
}
