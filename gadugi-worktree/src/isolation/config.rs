//! The configuration of a private git folder: settings that make git read and write files as in the repository, the committer,
//! and nothing that runs a program or reads another file.

use std::path::Path;

use gix::bstr::{BStr, BString, ByteSlice, ByteVec};

use crate::error::GitError;

/// Boolean settings that are copied from the repository.
const SWITCHES: [&str; 6] =
    ["filemode", "symlinks", "ignorecase", "precomposeunicode", "sparseCheckout", "sparseCheckoutCone"];
/// Settings with a word as their value.
const WORDS: [&str; 3] = ["autocrlf", "eol", "safecrlf"];

/// The text of the configuration, for a worktree that was opened by git's own files of it.
pub(super) fn text(repo: &gix::Repository, worktree: &Path) -> Result<BString, GitError> {
    let config = repo.config_snapshot();
    let is_sha256 = repo.object_hash() == gix::hash::Kind::Sha256;
    let mut text = BString::from("[core]\n");
    line(&mut text, "repositoryformatversion", if is_sha256 { "1" } else { "0" });
    line(&mut text, "bare", "false");
    line(&mut text, "worktree", gix::path::into_bstr(worktree)?.as_bstr());
    line(&mut text, "logAllRefUpdates", "true");
    // What it stages is read from one file.
    line(&mut text, "splitIndex", "false");
    for name in SWITCHES {
        if let Some(value) = config.boolean(format!("core.{name}").as_str()) {
            line(&mut text, name, if value { "true" } else { "false" });
        }
    }
    for name in WORDS {
        if let Some(value) = config.string(format!("core.{name}").as_str()) {
            line(&mut text, name, value.as_bstr());
        }
    }
    if is_sha256 {
        text.push_str("[extensions]\n");
        line(&mut text, "objectformat", "sha256");
    }
    let committer = repo.committer().ok_or(GitError::NoCommitter)??;
    person(&mut text, "user", committer.name, committer.email);
    if let Some(author) = repo.author().transpose()?
        && (author.name, author.email) != (committer.name, committer.email)
    {
        person(&mut text, "author", author.name, author.email);
    }
    Ok(text)
}

fn person(text: &mut BString, section: &str, name: &BStr, email: &BStr) {
    text.push_str(format!("[{section}]\n"));
    line(text, "name", name);
    line(text, "email", email);
}

/// A line of a value, quoted so that git reads it back byte for byte.
fn line<'a>(text: &mut BString, name: &str, value: impl Into<&'a BStr>) {
    text.push_str(format!("\t{name} = \""));
    for byte in value.into().bytes() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0x08 => text.push_str("\\b"),
            _ => text.push_byte(byte),
        }
    }
    text.push_str("\"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_as_they_were_whatever_is_in_them() {
        for value in ["", " plain ", "a\"b\\c", "#;=[]", "x\n[core]\n\thooksPath = /evil", "ä\tb\u{8}", "C:\\x\\", "\r"]
        {
            let mut text = BString::from("[core]\n");
            line(&mut text, "worktree", value);
            let file = gix::config::File::try_from(text.to_str().expect("text")).expect("a configuration");
            let read = file.string("core.worktree").expect("a value");
            assert_eq!(read.as_bstr(), value, "{text}");
            assert_eq!(file.sections().count(), 1, "{text}");
        }
    }
}
