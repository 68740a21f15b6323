//! The state that calls share, also at the same time.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::calls::Call;
use crate::command_line::Agent;
use crate::fault::Fault;
use crate::speech::Bill;

const FOLDER: &str = "fakeagent";
const CALLS: &str = "calls.jsonl";
const KEYS: &str = "once";
const SESSIONS: &str = "sessions";
const BILL: &str = "bill";

/// Makes the folder, beside the agents.
pub(crate) fn make(beside: &Path) -> io::Result<()> {
    [KEYS, SESSIONS].iter().try_for_each(|name| fs::create_dir_all(beside.join(FOLDER).join(name)))
}

/// Where the calls of the agents in a folder are recorded.
pub(crate) fn calls(beside: &Path) -> PathBuf {
    beside.join(FOLDER).join(CALLS)
}

pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// The state of an executable that is called by this path, or by a name that is looked up in these folders.
    pub(crate) fn beside(called: &OsStr, search_path: Option<OsString>) -> Result<Self, Fault> {
        let beside = match Path::new(called).parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => env::split_paths(&search_path.unwrap_or_default())
                .find(|folder| folder.join(called).is_file())
                .ok_or_else(|| Fault::NotOnPath(called.to_string_lossy().into_owned()))?,
        };
        let folder = beside.join(FOLDER);
        if folder.is_dir() { Ok(Self { folder }) } else { Err(Fault::NotInstalled(folder)) }
    }

    /// Adds a call to the record.
    pub(crate) fn record(&self, call: &Call) -> Result<(), Fault> {
        let path = self.folder.join(CALLS);
        let line = serde_json::to_string(call).map_err(io::Error::from);
        line.and_then(|line| append(OpenOptions::new().create(true), &path, &line)).map_err(fault(&path))
    }

    /// Whether this call is the first that comes to the key.
    pub(crate) fn is_first(&self, key: &str) -> Result<bool, Fault> {
        let path = self.folder.join(KEYS).join(file_name(key));
        match File::create_new(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(fault(&path)(error)),
        }
    }

    /// Begins a session and gives its id.
    pub(crate) fn new_session(&self, agent: Agent) -> Result<String, Fault> {
        let id = unique_id();
        let path = self.session(agent, &id);
        File::create_new(&path).map_err(fault(&path))?;
        Ok(id)
    }

    pub(crate) fn knows_session(&self, agent: Agent, id: &str) -> bool {
        self.session(agent, id).is_file()
    }

    /// The directives that a session keeps for those who resume it.
    pub(crate) fn kept(&self, agent: Agent, session: &str) -> Result<Vec<String>, Fault> {
        let path = self.session(agent, session);
        let lines = fs::read_to_string(&path).map_err(fault(&path))?;
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// Keeps a directive for those who resume a session, unless it is kept.
    pub(crate) fn keep(&self, agent: Agent, session: &str, directive: &str) -> Result<(), Fault> {
        if self.kept(agent, session)?.iter().any(|kept| kept == directive) {
            return Ok(());
        }
        let path = self.session(agent, session);
        append(&mut OpenOptions::new(), &path, directive).map_err(fault(&path))
    }

    /// The charges of a session so far.
    pub(crate) fn bill(&self, agent: Agent, session: &str) -> Result<Bill, Fault> {
        let path = self.session(agent, session).with_extension(BILL);
        match fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Bill::default()),
            bill => bill.map_err(fault(&path)),
        }
    }

    /// Keeps what a session was charged so far.
    pub(crate) fn keep_bill(&self, agent: Agent, session: &str, bill: Bill) -> Result<(), Fault> {
        let path = self.session(agent, session).with_extension(BILL);
        let bytes = serde_json::to_vec(&bill).map_err(io::Error::from);
        bytes.and_then(|bytes| fs::write(&path, bytes)).map_err(fault(&path))
    }

    fn session(&self, agent: Agent, id: &str) -> PathBuf {
        self.folder.join(SESSIONS).join(format!("{}-{}", agent.name(), file_name(id)))
    }
}

/// Adds a line with one write, which the system does not mix with others at the end of a file.
fn append(how: &mut OpenOptions, path: &Path, line: &str) -> io::Result<()> {
    let mut file = how.append(true).open(path)?;
    let line = [line.as_bytes(), b"\n"].concat();
    if file.write(&line)? == line.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

/// A file name for any word, without a path in it.
fn file_name(word: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    word.bytes().map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

/// In the form of a UUID of version 4.
pub(crate) fn unique_id() -> String {
    // From the system, and not from the time: many begin at the same nanosecond, sooner or later.
    let half = || u128::from(RandomState::new().build_hasher().finish());
    let bits = ((half() << 64) | half()) & !(0xf << 76) | (4 << 76);
    let digits = format!("{:032x}", bits & !(0b11 << 62) | (0b10 << 62));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn fault(path: &Path) -> impl FnOnce(io::Error) -> Fault {
    let path = path.to_owned();
    move |source| Fault::State { path, source }
}
