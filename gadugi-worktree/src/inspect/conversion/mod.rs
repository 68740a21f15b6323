//! Files of a worktree as git keeps them: with the line ends, and by way of the filters, that its attributes ask for, in
//! memory that does not grow with the files.
//!
//! Small files are converted in memory. Large ones are streamed, once to count their line ends and once to be written; a
//! filter's output goes through a file. A filter or conversion that fails for a file keeps that file from being saved, and no
//! other.

mod line_ends;

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use gadugi_core::error_chain;
use gix::ObjectId;
use gix::attrs::StateRef;
use gix::attrs::search::Outcome;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::filter::plumbing::driver::Operation;
use gix::filter::plumbing::driver::apply::Context;
use gix::filter::plumbing::eol::{self, AttributesDigest};
use gix::filter::plumbing::{Driver, Pipeline};
use gix::index::entry::Mode;
use gix::objs::{Kind, Write as _};

use self::line_ends::{Exactly, WithoutCr, are_converted, count};
use crate::error::GitError;
use crate::inspect::content::MAX_HELD;
use crate::inspect::{self, AttributesFile, Edit};
use crate::repo::open::ConfigSources;
use crate::repo::{filters, git_command};
use crate::threads::scarce::patiently;

/// Size limit for conversions that take the whole file at once: `ident` and `working-tree-encoding`.
const MAX_CONVERTED: u64 = 16 * 1024 * 1024;
/// Number of times that a file is read which changes meanwhile.
const MAX_ATTEMPTS: usize = 3;
/// The number of the next temporary file of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// The attributes that decide on the conversion of a file.
const ATTRIBUTES: [&str; 6] = ["crlf", "ident", "filter", "eol", "text", "working-tree-encoding"];

/// The reason why git cannot store one file.
#[derive(Debug)]
pub(crate) struct Unsaved(pub(crate) String);

/// A step in the repository failed, or one with this file only.
enum Failed {
    Repository(GitError),
    File(Unsaved),
}

impl From<GitError> for Failed {
    fn from(error: GitError) -> Self {
        Self::Repository(error)
    }
}

impl From<gix::Error> for Failed {
    fn from(error: gix::Error) -> Self {
        Self::Repository(error.into())
    }
}

fn of_file(what: &str) -> impl FnOnce(io::Error) -> Failed {
    let what = what.to_owned();
    move |error| Failed::File(Unsaved(format!("{what}: {error}")))
}

fn because<T>(why: impl Into<String>) -> Result<T, Failed> {
    Err(Failed::File(Unsaved(why.into())))
}

/// The use of the converted content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is written as an object.
    Write,
    /// Its id is computed.
    Compare,
}

/// The conversion that a file needs.
struct Wanted {
    driver: Option<Driver>,
    digest: AttributesDigest,
    /// The attribute that takes the whole file at once.
    whole: Option<&'static str>,
}

/// The converter of files into git's form.
pub(crate) struct Conversion<'a> {
    repo: &'a gix::Repository,
    index: &'a gix::index::State,
    pipeline: Pipeline,
    attributes: gix::worktree::Stack,
    drivers: Vec<Driver>,
    withheld: Vec<BString>,
    line_ends: eol::Configuration,
    /// The end of the time limit that all filters share, and the limit.
    deadline: Option<(Instant, Duration)>,
}

impl<'a> Conversion<'a> {
    /// A converter with the files of attributes that a walk has found.
    pub(crate) fn new(
        repo: &'a gix::Repository,
        index: &'a gix::index::State,
        files: &[(BString, AttributesFile)],
    ) -> Result<Self, GitError> {
        let mut options = gix::filter::Pipeline::options(repo)?;
        // They are run here, where their time is limited.
        let drivers = std::mem::take(&mut options.drivers);
        let line_ends = options.eol_config;
        let pipeline = Pipeline::new(repo.command_context()?, repo.object_hash(), options);
        let attributes = inspect::attributes(repo, files)?;
        let withheld = filters::withheld(repo);
        let deadline = filters::limit(repo).and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        Ok(Self { repo, index, pipeline, attributes, drivers, withheld, line_ends, deadline })
    }

    /// Writes a file of the worktree as a blob.
    pub(crate) fn write(&mut self, path: &BStr, file: &Path) -> Result<Result<ObjectId, Unsaved>, GitError> {
        self.convert(path, file, Purpose::Write)
    }

    /// The id that its blob would get.
    pub(crate) fn id(&mut self, path: &BStr, file: &Path) -> Result<Result<ObjectId, Unsaved>, GitError> {
        self.convert(path, file, Purpose::Compare)
    }

    /// Whether a filter converts a file of this path.
    fn has_driver(&mut self, path: &BStr) -> bool {
        self.wanted(path).is_ok_and(|wanted| wanted.driver.is_some())
    }

    fn convert(&mut self, path: &BStr, file: &Path, to: Purpose) -> Result<Result<ObjectId, Unsaved>, GitError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let before = state(file);
            match self.once(path, file, to) {
                Ok(id) => return Ok(Ok(id)),
                Err(Failed::File(_)) if attempts < MAX_ATTEMPTS && state(file) != before => {}
                Err(Failed::File(why)) => return Ok(Err(why)),
                Err(Failed::Repository(error)) => return Err(error),
            }
        }
    }

    fn once(&mut self, path: &BStr, file: &Path, to: Purpose) -> Result<ObjectId, Failed> {
        let mut file = open(file)?;
        let wanted = self.wanted(path)?;
        let mut size = size_of(&file)?;
        if let Some(driver) = &wanted.driver
            && let Some((filtered, length)) = self.filter(driver, path, &mut file)?
        {
            (file, size) = (filtered, length);
        }
        if size <= MAX_HELD {
            return self.in_memory(path, &mut file, size, to);
        }
        if let Some(attribute) = wanted.whole {
            if size > MAX_CONVERTED {
                return because(format!("it is larger than {MAX_CONVERTED} bytes and has the attribute `{attribute}`"));
            }
            return self.in_memory(path, &mut file, size, to);
        }
        self.as_stream(path, Content { file, size }, wanted.digest, to)
    }

    /// The conversion that the attributes of a file ask for.
    fn wanted(&mut self, path: &BStr) -> Result<Wanted, Failed> {
        let mut found = Outcome::default();
        found.initialize_with_selection(&Default::default(), ATTRIBUTES);
        let at = self
            .attributes
            .at_entry(path, None, &self.repo.objects)
            .map_err(of_file("its attributes cannot be read"))?;
        at.matching_attributes(&mut found);
        let states: Vec<_> = found.iter_selected().map(|found| found.assignment.state).collect();
        let [crlf, ident, filter, end, text, encoding] = states[..] else {
            return because("its attributes cannot be told");
        };
        let mut driver = None;
        if let StateRef::Value(name) = filter {
            if self.withheld.iter().any(|withheld| withheld == name.as_bstr()) {
                let name = name.as_bstr();
                return because(format!("its filter `{name}` was configured, or changed, after the run had begun"));
            }
            driver = self.drivers.iter().find(|driver| driver.name == name.as_bstr()).cloned();
        }
        let is_utf8 = |name: &BStr| name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"utf8");
        let whole = match encoding {
            StateRef::Value(name) if !is_utf8(name.as_bstr()) => Some("working-tree-encoding"),
            _ => ident.is_set().then_some("ident"),
        };
        Ok(Wanted { driver, digest: digest(text, crlf, end, self.line_ends), whole })
    }

    /// Converts a file that is small enough, or the output of a filter.
    fn in_memory(&mut self, path: &BStr, file: &mut File, size: u64, to: Purpose) -> Result<ObjectId, Failed> {
        let content = read_all(file, size)?;
        let Self { repo, index, pipeline, attributes, .. } = self;
        let at = attributes.at_entry(path, None, &repo.objects).map_err(of_file("its attributes cannot be read"))?;
        let mut in_index = |into: &mut Vec<u8>| text_in_index(repo, index, path, into).map_err(gix::Error::from_error);
        let path = gix::path::from_bstr(path)?;
        let mut matching = |_: &BStr, found: &mut Outcome| {
            at.matching_attributes(found);
        };
        let converted = pipeline.convert_to_git(content.as_slice(), &path, &mut matching, &mut in_index);
        let mut converted = match converted {
            Ok(converted) => converted,
            Err(error) => return because(error_chain(&error)),
        };
        let mut content = Vec::new();
        converted.read_to_end(&mut content).map_err(of_file("its filter failed"))?;
        Ok(match to {
            Purpose::Write => repo.write_blob(&content)?.detach(),
            Purpose::Compare => {
                gix::objs::compute_hash(repo.object_hash(), Kind::Blob, &content).map_err(gix::Error::from_error)?
            }
        })
    }

    /// The output of a filter for a file, with its size; `None` where the file is taken as it is.
    fn filter(&mut self, driver: &Driver, path: &BStr, file: &mut File) -> Result<Option<(File, u64)>, Failed> {
        if driver.process.is_none() && driver.clean.is_none() {
            return if driver.required {
                because(format!("its filter `{}` has no command", driver.name))
            } else {
                Ok(None)
            };
        }
        let mut into = self.unnamed_file()?;
        let filtered = match &driver.clean {
            Some(clean) if driver.process.is_none() => self.run(clean.as_bstr(), path, file, &into),
            _ => self.by_process(driver, path, file, &mut into),
        };
        self.check_deadline()?;
        match filtered {
            Ok(true) => {}
            // As git does.
            Ok(false) | Err(_) if !driver.required => {
                file.rewind().map_err(of_file("cannot be read"))?;
                return Ok(None);
            }
            Ok(false) => return because(format!("its filter `{}` does nothing", driver.name)),
            Err(why) => return because(format!("its filter `{}` failed: {why}", driver.name)),
        }
        into.rewind().map_err(GitError::io("read", self.repo.git_dir()))?;
        let size = size_of(&into)?;
        Ok(Some((into, size)))
    }

    /// Runs the command of a filter, from a file to a file.
    fn run(&self, command: &BStr, path: &BStr, from: &File, into: &File) -> Result<bool, String> {
        let files = from.try_clone().and_then(|from| Ok((from, into.try_clone()?)));
        let (from, into) = files.map_err(|error| error.to_string())?;
        let command = filters::within(self.time_left(), &command.replace("%f", filters::quoted(path)));
        let command = gix::path::from_byte_slice(&command).map_err(|error| error.to_string())?.to_owned();
        let context = self.repo.command_context().map_err(|error| error_chain(&error))?;
        let prepared = gix::command::prepare(command).command_may_be_shell_script().with_context(context);
        let command = prepared.stdin(Stdio::from(from)).stdout(Stdio::from(into)).stderr(Stdio::null());
        let mut command = Command::try_from(command).map_err(|error| error_chain(&error))?;
        if let Some(folder) = self.repo.workdir() {
            command.current_dir(folder);
        }
        let status = command.status().map_err(|error| error.to_string())?;
        if status.success() { Ok(true) } else { Err(status.to_string()) }
    }

    /// Converts a file by the process of a filter; `false` where the process does not do that.
    fn by_process(&mut self, driver: &Driver, path: &BStr, from: &mut File, into: &mut File) -> Result<bool, String> {
        let mut driver = driver.clone();
        if let (Some(process), Some((_, limit))) = (&driver.process, self.deadline) {
            // It goes on from file to file, as long as its command is the same.
            driver.process = Some(filters::within(Some(limit), process));
        }
        let context = Context { rela_path: path, ref_name: None, treeish: None, blob: None };
        let drivers = self.pipeline.driver_state_mut();
        let filtered = drivers.apply(&driver, from, Operation::Clean, context).map_err(|error| error_chain(&error))?;
        let Some(mut filtered) = filtered else { return Ok(false) };
        io::copy(&mut filtered, into).and_then(|_| into.flush()).map_err(|error| error.to_string())?;
        Ok(true)
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|(end, _)| end.saturating_duration_since(Instant::now()))
    }

    fn check_deadline(&self) -> Result<(), GitError> {
        match self.deadline {
            Some((end, limit)) if Instant::now() >= end => Err(GitError::TooSlow { limit }),
            _ => Ok(()),
        }
    }

    /// A file in the worktree's git folder that is deleted already, and vanishes when it is closed.
    fn unnamed_file(&self) -> Result<File, GitError> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.repo.git_dir().join(format!("gadugi.filtered-{}-{number}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(GitError::io("create", &path))?;
        fs::remove_file(&path).map_err(GitError::io("remove", &path))?;
        Ok(file)
    }

    /// Stores a large file as it is, but for its line ends.
    fn as_stream(
        &mut self,
        path: &BStr,
        content: Content,
        digest: AttributesDigest,
        to: Purpose,
    ) -> Result<ObjectId, Failed> {
        let Content { mut file, size } = content;
        let unread = || of_file("cannot be read");
        let mut length = size;
        let mut converts = false;
        if digest != AttributesDigest::Binary {
            let stats = count(Exactly { from: &file, left: size }).map_err(unread())?;
            file.rewind().map_err(unread())?;
            let has_crlf = || -> Result<bool, GitError> {
                let mut text = Vec::new();
                let is_there = text_in_index(self.repo, self.index, path, &mut text)?.is_some();
                let stats = eol::Stats::from_bytes(&text);
                Ok(is_there && !stats.is_binary() && stats.crlf > 0)
            };
            converts = are_converted(&stats, digest, has_crlf)?;
            length -= if converts { stats.crlf as u64 } else { 0 };
        }
        let whole = Exactly { from: file, left: size };
        let mut content: Box<dyn Read> = if converts { Box::new(WithoutCr::new(whole)) } else { Box::new(whole) };
        let mut content = Watched { from: Exactly { from: &mut content, left: length }, error: None };
        let id = match to {
            Purpose::Write => self.repo.objects.write_stream(Kind::Blob, length, &mut content),
            Purpose::Compare => gix::objs::compute_stream_hash(
                self.repo.object_hash(),
                Kind::Blob,
                &mut content,
                length,
                &mut gix::progress::Discard,
                &AtomicBool::new(false),
            ),
        };
        match content.error {
            Some(error) => Err(unread()(error)),
            None => Ok(id?),
        }
    }
}

/// An open file at its start, with the size that it had when it was opened.
struct Content {
    file: File,
    size: u64,
}

/// A reader that keeps the error that it ended with.
struct Watched<R> {
    from: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from.read(into).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }
}

/// Removes files from the changed ones that are unchanged after all: those too large for
/// [`BoundedEq`](crate::inspect::content::BoundedEq), or with a filter.
pub(crate) fn drop_unchanged(
    repo: &gix::Repository,
    index: &gix::index::State,
    edited: &mut BTreeMap<BString, Edit>,
    attributes: &[(BString, AttributesFile)],
) -> Result<(), GitError> {
    let Some(root) = repo.workdir() else { return Ok(()) };
    let counts_mode = repo.filesystem_options()?.executable_bit;
    let has_filters = !gix::filter::Pipeline::options(repo)?.drivers.is_empty();
    let mut conversion = None;
    let mut unchanged = Vec::new();
    for path in edited.iter().filter(|(_, edit)| **edit == Edit::Written).map(|(path, _)| path) {
        let Some(entry) = index.entry_by_path(path.as_bstr()) else { continue };
        let file = root.join(gix::path::from_bstr(path.as_bstr())?);
        let Some(metadata) = file.symlink_metadata().ok().filter(Metadata::is_file) else { continue };
        let is_large =
            metadata.len() > MAX_HELD || repo.find_header(entry.id).is_ok_and(|found| found.size() > MAX_HELD);
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        let has_mode = !counts_mode || is_executable == (entry.mode == Mode::FILE_EXECUTABLE);
        let may_be_unchanged = has_mode && matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        if !may_be_unchanged || !(is_large || has_filters) {
            continue;
        }
        let conversion = match &mut conversion {
            Some(conversion) => conversion,
            none => none.insert(Conversion::new(repo, index, attributes)?),
        };
        if !is_large && !conversion.has_driver(path.as_bstr()) {
            continue;
        }
        if conversion.id(path.as_bstr(), &file)?.is_ok_and(|id| id == entry.id) {
            unchanged.push(path.clone());
        }
    }
    edited.retain(|path, _| !unchanged.contains(path));
    Ok(())
}

/// The size and time of a file, which change when it is written.
fn state(file: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = file.symlink_metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

/// Opens a file that a task may have replaced by anything.
fn open(path: &Path) -> Result<File, Failed> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(
        rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from).map_err(of_file("cannot be read"))?,
    );
    let metadata = file.metadata().map_err(of_file("cannot be read"))?;
    if metadata.is_file() { Ok(file) } else { because("it is no file any more") }
}

fn size_of(file: &File) -> Result<u64, Failed> {
    Ok(file.metadata().map_err(of_file("cannot be read"))?.len())
}

fn read_all(file: &mut File, size: u64) -> Result<Vec<u8>, Failed> {
    let mut content = Vec::new();
    Exactly { from: file, left: size }.read_to_end(&mut content).map_err(of_file("cannot be read"))?;
    Ok(content)
}

/// The conversion of line ends by `text` (or `crlf`, its old name), `eol` and the configuration; see gitattributes(5).
fn digest(text: StateRef<'_>, crlf: StateRef<'_>, end: StateRef<'_>, config: eol::Configuration) -> AttributesDigest {
    let of = |state: StateRef<'_>| match state {
        StateRef::Set => Some(AttributesDigest::Text),
        StateRef::Unset => Some(AttributesDigest::Binary),
        StateRef::Value(value) if value.as_bstr() == "input" => Some(AttributesDigest::TextInput),
        StateRef::Value(value) if value.as_bstr() == "auto" => Some(AttributesDigest::TextAuto),
        _ => None,
    };
    let end = match end {
        StateRef::Value(value) if value.as_bstr() == "lf" => Some(eol::Mode::Lf),
        StateRef::Value(value) if value.as_bstr() == "crlf" => Some(eol::Mode::CrLf),
        _ => None,
    };
    match (of(text).or_else(|| of(crlf)), end) {
        (Some(AttributesDigest::Binary), _) => AttributesDigest::Binary,
        (Some(AttributesDigest::TextAuto), Some(eol::Mode::Lf)) => AttributesDigest::TextAutoInput,
        (Some(AttributesDigest::TextAuto), Some(eol::Mode::CrLf)) => AttributesDigest::TextAutoCrlf,
        (_, Some(eol::Mode::CrLf)) => AttributesDigest::TextCrlf,
        (_, Some(eol::Mode::Lf)) => AttributesDigest::TextInput,
        (None, None) => config.auto_crlf.into(),
        (Some(AttributesDigest::Text), None) => config.to_eol().into(),
        (Some(digest), None) => digest,
    }
}

/// The blob that the index has at a path; of a large one, only whether it is text with CR LF, as a text of that kind.
fn text_in_index(
    repo: &gix::Repository,
    index: &gix::index::State,
    path: &BStr,
    into: &mut Vec<u8>,
) -> Result<Option<()>, GitError> {
    into.clear();
    let Some(entry) = index.entry_by_path(path) else { return Ok(None) };
    let Ok(header) = repo.find_header(entry.id) else { return Ok(None) };
    if header.kind() != Kind::Blob {
        return Ok(None);
    }
    if header.size() <= MAX_HELD {
        into.extend_from_slice(&repo.find_object(entry.id)?.data);
        return Ok(Some(()));
    }
    let follow = |source| GitError::Watch { command: "cat-file".to_owned(), source };
    let mut git = git_command::in_repository(ConfigSources::RepositoryOnly, repo.common_dir());
    git.args(["cat-file", "blob", &entry.id.to_string()]);
    git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut git = patiently(|| git.spawn().map_err(GitError::Start))?;
    let stats = git.stdout.take().map(count).transpose().map_err(follow);
    git.wait().map_err(follow)?;
    if stats?.is_some_and(|stats| stats.crlf > 0 && !stats.is_binary()) {
        into.extend_from_slice(b"\r\n");
    }
    Ok(Some(()))
}
