//! The rules by which a command sees variables of the caller's environment.

use std::ffi::OsStr;

/// Whether a rule lets the variable `name` through: a rule is a name, or the beginning of names before a `*`.
pub(crate) fn passes(rules: &[impl AsRef<str>], name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    rules.iter().map(AsRef::as_ref).any(|rule| match rule.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == rule.as_bytes(),
    })
}
