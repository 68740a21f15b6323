//! Reads the small text files that people write: configuration, task files and prompts.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use gadugi_core::plan::SourceLocation;
use thiserror::Error;

/// The largest file that is read, in bytes: 1 MiB.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The reason why a file gives no text.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileIssue {
    /// It, or a folder on the way to it, cannot be opened or read.
    #[error("{at}: cannot be read: {error}")]
    Read {
        /// The file.
        at: SourceLocation,
        /// Why.
        error: io::Error,
    },
    /// It is a pipe, a device or a socket, which could give bytes for ever or none at all.
    #[error("{at}: is not a regular file but {kind}")]
    NotRegular {
        /// The file.
        at: SourceLocation,
        /// Its kind, with an article.
        kind: &'static str,
    },
    /// It has more than [`MAX_FILE_BYTES`].
    #[error("{at}: is too large: {} (the limit is {} MiB)", size_of_file(*.size), MAX_FILE_BYTES >> 20)]
    TooLarge {
        /// The file.
        at: SourceLocation,
        /// Its bytes, or `None` for a stream that was not read to its end.
        size: Option<u64>,
    },
    /// It is not UTF-8.
    #[error("{at}: is not UTF-8: the byte at offset {offset} belongs to no character")]
    NotUtf8 {
        /// The file and the line.
        at: SourceLocation,
        /// The number of bytes before.
        offset: usize,
    },
    /// It has a NUL byte, as no text has.
    #[error("{at}: is not a text: the byte at offset {offset} is 0")]
    NotText {
        /// The file and the line.
        at: SourceLocation,
        /// The number of bytes before.
        offset: usize,
    },
}

fn size_of_file(size: Option<u64>) -> String {
    size.map_or_else(|| format!("more than {MAX_FILE_BYTES} bytes"), |size| format!("{size} bytes"))
}

impl FileIssue {
    /// Where it is.
    #[must_use]
    pub fn at(&self) -> &SourceLocation {
        match self {
            Self::Read { at, .. }
            | Self::NotRegular { at, .. }
            | Self::TooLarge { at, .. }
            | Self::NotUtf8 { at, .. }
            | Self::NotText { at, .. } => at,
        }
    }

    /// A remedy.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "give yourself the permission to read it (chmod u+r), or leave it out".into()
            }
            Self::Read { .. } => "check the path, or leave it out".into(),
            Self::NotRegular { .. } => "write the text into a file, or pipe it in and name `-` instead".into(),
            Self::TooLarge { .. } => {
                "split it, or put what is long into a file of the repository and name that file in the task".into()
            }
            Self::NotUtf8 { .. } => "save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`".into(),
            Self::NotText { .. } => {
                "is it the right file? UTF-16 becomes readable with `iconv -f UTF-16 -t UTF-8`".into()
            }
        }
    }
}

/// Reads a regular file. A byte order mark is dropped, and line ends of all kinds become `\n`.
///
/// # Errors
/// [`FileIssue`], which shows `shown` for the file.
pub(crate) fn read_text_file(path: &Path, shown: &Path) -> Result<String, FileIssue> {
    let at = SourceLocation { file: shown.to_owned(), line: 0 };
    let read_error = |error| FileIssue::Read { at: at.clone(), error };
    // Asked before it is opened, since opening a device can already do something.
    refuse_irregular(&path.metadata().map_err(read_error)?, &at)?;
    let file = open_without_blocking(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    refuse_irregular(&metadata, &at)?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(FileIssue::TooLarge { at, size: Some(metadata.len()) });
    }
    read_text(file, &at)
}

/// Reads a stream to its end, as [`read_text_file`] does with a file.
///
/// # Errors
/// [`FileIssue`], which shows `at` for the stream.
pub(crate) fn read_text(stream: impl Read, at: &SourceLocation) -> Result<String, FileIssue> {
    let mut bytes = Vec::new();
    let read = stream.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| FileIssue::Read { at: at.clone(), error })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileIssue::TooLarge { at: at.clone(), size: None });
    }
    let line_of = |offset: usize| SourceLocation {
        file: at.file.clone(),
        line: 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count(),
    };
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(FileIssue::NotText { at: line_of(offset), offset });
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let offset = error.valid_up_to();
            return Err(FileIssue::NotUtf8 { at: line_of(offset), offset });
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Line ends of old Macintoshes, where there are no others.
    Ok(if text.contains('\n') { text.replace("\r\n", "\n") } else { text.replace('\r', "\n") })
}

fn refuse_irregular(metadata: &Metadata, at: &SourceLocation) -> Result<(), FileIssue> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(FileIssue::NotRegular { at: at.clone(), kind: kind(metadata) })
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "something else",
    }
}

#[cfg(not(unix))]
fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "something else" }
}

/// Opens for reading. What was a file a moment ago and is a pipe by now must not make this wait for a
/// writer.
fn open_without_blocking(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}
