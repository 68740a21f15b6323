//! Validated names. Each is parsed once, at the edge, and valid from then on.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

/// A name that is not valid for its kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{value}` is not a valid {kind}: {rule}")]
pub struct IdError {
    /// Kind of name, for example `task id`.
    pub kind: &'static str,
    /// The name as given, cut to 80 characters, with control characters escaped.
    pub value: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl IdError {
    pub(crate) fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        let mut value: String = value.chars().flat_map(char::escape_debug).collect();
        if value.chars().count() > 80 {
            value = value.chars().take(79).collect::<String>() + "…";
        }
        Self { kind, value, rule }
    }
}

/// Identifies a run; sorts by the time of its start. Form: `20261122-083355-k7q` (UTC).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Arc<str>);

impl RunId {
    /// Makes an id from the time of the start. The last three characters are the part of the second, in
    /// steps of about 21 microseconds, so ids sort by time also within a second. Two runs that start in
    /// the same step get the same id: a registry refuses the second, which then takes a later time.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        const STEPS: u64 = 36 * 36 * 36;
        let part = u64::from(at.subsec_nanosecond().unsigned_abs()) * STEPS / 1_000_000_000;
        let digit = |n: u64| char::from(DIGITS[(n % 36) as usize]);
        let time = at.strftime("%Y%m%d-%H%M%S");
        Self(format!("{time}-{}{}{}", digit(part / 1296), digit(part / 36), digit(part)).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        if is_timed(value) {
            Ok(Self(value.into()))
        } else {
            Err(IdError::new("run id", value, "it has the form 20261122-083355-k7q"))
        }
    }
}

/// Whether an id has the form of those that are made from a time.
fn is_timed(value: &str) -> bool {
    let bytes = value.as_bytes();
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    bytes.len() == 19
        && digits(&bytes[..8])
        && bytes[8] == b'-'
        && digits(&bytes[9..15])
        && bytes[15] == b'-'
        && bytes[16..].iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

/// Identifies a merge of the branches of a run; sorts by the time of its start. Form: that of a [`RunId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MergeId(Arc<str>);

impl MergeId {
    /// Makes an id from the time of the start, as [`RunId::new`].
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(RunId::new(at).0)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MergeId {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        if is_timed(value) {
            Ok(Self(value.into()))
        } else {
            Err(IdError::new("merge id", value, "it has the form 20261122-083355-k7q"))
        }
    }
}

/// Identifies a task within a run. Form: `^[a-z0-9][a-z0-9._-]{0,63}$`, and valid as a part of a git
/// reference (no `..`, no `.` or `.lock` at the end).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Arc<str>);

impl TaskId {
    const MAX: usize = 64;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes an id from any name, such as that of a file: lower case, everything else than
    /// `[a-z0-9._]` becomes `-`. A name that has nothing of that gets an id from its hash.
    #[must_use]
    pub fn slug(name: &str) -> Self {
        let mut slug = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' | '_' => slug.push(c),
                '.' if !slug.is_empty() && !slug.ends_with(['.', '-']) => slug.push('.'),
                _ if !slug.is_empty() && !slug.ends_with(['.', '-']) => slug.push('-'),
                _ => {}
            }
            if slug.len() == Self::MAX {
                break;
            }
        }
        let slug = slug.trim_matches(['.', '-', '_']);
        let slug = slug.strip_suffix(".lock").unwrap_or(slug).trim_end_matches(['.', '-', '_']);
        if slug.is_empty() { Self(format!("task-{:08x}", fnv1a(name)).into()) } else { Self(slug.into()) }
    }

    /// As [`TaskId::slug`], with a hash of the name at the end when `taken` holds the plain slug
    /// already, so that two names of one run do not collide.
    #[must_use]
    pub fn slug_apart(name: &str, taken: impl Fn(&TaskId) -> bool) -> Self {
        let plain = Self::slug(name);
        if !taken(&plain) {
            return plain;
        }
        let head: String = plain.0.chars().take(Self::MAX - 9).collect();
        Self(format!("{}-{:08x}", head.trim_end_matches(['.', '-', '_']), fnv1a(name)).into())
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        let refuse = |rule| Err(IdError::new("task id", value, rule));
        let bytes = value.as_bytes();
        if bytes.is_empty() || bytes.len() > Self::MAX {
            return refuse("it has 1 to 64 characters");
        }
        if !bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')) {
            return refuse("only a-z, 0-9, `.`, `_` and `-` are allowed");
        }
        if !bytes[0].is_ascii_alphanumeric() {
            return refuse("the first character is a letter or a digit");
        }
        if value.contains("..") || value.ends_with('.') || value.ends_with(".lock") {
            return refuse("git allows no `..`, and no `.` or `.lock` at the end");
        }
        Ok(Self(value.into()))
    }
}

/// FNV-1a, 32 bits (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>): short, and the same in
/// every version of Rust, which `std`'s hasher does not promise.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The number of an attempt at a task; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptNo(NonZeroU32);

impl AttemptNo {
    /// The first attempt.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The attempt of that number; `None` for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number, 1 or more.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One attempt at one task: what an executor runs and a worktree is made for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptRef {
    /// The task.
    pub task: TaskId,
    /// Number of the attempt at it.
    pub number: AttemptNo,
}

/// The short name of a branch, such as `gadugi/fix-login`; valid for git.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(Arc<str>);

impl BranchName {
    /// The short name, without `refs/heads/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of the reference, with `refs/heads/`.
    #[must_use]
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl FromStr for BranchName {
    type Err = IdError;

    /// Follows git-check-ref-format(1).
    fn from_str(value: &str) -> Result<Self, IdError> {
        let refuse = |rule| Err(IdError::new("branch name", value, rule));
        if value.is_empty() || value.len() > 200 {
            return refuse("it has 1 to 200 bytes");
        }
        if value.chars().any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')) {
            return refuse("git allows no spaces, control characters or any of ~^:?*[\\");
        }
        if value.contains("..") || value.contains("@{") || value.contains("//") || value == "@" {
            return refuse("git allows no `..`, `@{` or `//`");
        }
        if value.starts_with(['/', '-']) || value.ends_with(['/', '.']) {
            return refuse("it neither starts with `/` or `-` nor ends with `/` or `.`");
        }
        if value.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) {
            return refuse("no part starts with `.` or ends with `.lock`");
        }
        Ok(Self(value.into()))
    }
}

/// The full hexadecimal name of a commit: 40 digits (SHA-1) or 64 (SHA-256).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(Arc<str>);

impl CommitId {
    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl FromStr for CommitId {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        if is_object_id(value) { Ok(Self(value.into())) } else { Err(IdError::new("commit id", value, OBJECT_ID_RULE)) }
    }
}

/// The full hexadecimal name of a tree: 40 digits (SHA-1) or 64 (SHA-256). Commits with the same tree have the same files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(Arc<str>);

impl TreeId {
    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TreeId {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        if is_object_id(value) { Ok(Self(value.into())) } else { Err(IdError::new("tree id", value, OBJECT_ID_RULE)) }
    }
}

/// The form of ids of git's objects.
const OBJECT_ID_RULE: &str = "it has 40 or 64 hexadecimal digits in lower case";

fn is_object_id(value: &str) -> bool {
    value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) && matches!(value.len(), 40 | 64)
}

macro_rules! display_as_str {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}
display_as_str!(RunId, MergeId, TaskId, BranchName, CommitId, TreeId);

impl fmt::Display for AttemptNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AttemptRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_sort_by_time_also_within_a_second() {
        let times = ["2026-11-22T08:33:55Z", "2026-11-22T08:33:55.5Z", "2026-11-22T08:33:55.999999999Z"];
        let ids = times.map(|time| RunId::new(time.parse().expect(time)).to_string());
        assert_eq!(ids, ["20261122-083355-000", "20261122-083355-i00", "20261122-083355-zzz"]);
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.parse::<RunId>().is_ok()));
    }

    #[test]
    fn any_name_becomes_an_id_and_collisions_are_told_apart() {
        for (name, slug) in [
            ("Fix Login", "fix-login"),
            ("a..b", "a.b"),
            ("-dash", "dash"),
            ("ends.lock", "ends"),
            ("Grüße, Welt!", "gr-e-welt"),
            ("one\ntwo", "one-two"),
        ] {
            assert_eq!(TaskId::slug(name).as_str(), slug);
        }
        assert!(TaskId::slug("日本語").as_str().starts_with("task-"));
        let long = TaskId::slug(&"x".repeat(300));
        assert_eq!(long.as_str().len(), 64);
        let other = TaskId::slug_apart(&"x".repeat(301), |id| *id == long);
        assert!(other != long && other.as_str().parse::<TaskId>().is_ok());
    }

    #[test]
    fn branch_names_follow_the_rules_of_git() {
        for good in ["gadugi/fix-login", "a", "gadugi/a.b", "ü/x"] {
            assert!(good.parse::<BranchName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a..b", "/a", "a/", "-a", "a.lock", "a/.b", "a@{b", "a//b", "a\u{7}", "a^", "@"] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_refused_is_shown_without_its_control_characters() {
        let error = "a\u{1b}[31m\n".parse::<TaskId>().expect_err("it is none").to_string();
        assert!(!error.contains(['\u{1b}', '\n']), "{error}");
    }
}
