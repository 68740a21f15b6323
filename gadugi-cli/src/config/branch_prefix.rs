//! The beginning of the names of the tasks' branches.

use std::fmt;
use std::str::FromStr;

use gadugi_core::{BranchName, IdError};

use crate::parse::shown;

/// The start of the branches' names, such as `gadugi/`: with any task's id after it, it is a valid name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchPrefix(String);

impl BranchPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BranchPrefix {
    /// `gadugi/`.
    fn default() -> Self {
        Self("gadugi/".into())
    }
}

impl FromStr for BranchPrefix {
    type Err = IdError;

    /// Takes 1 to 100 bytes that are a valid branch name with a task's id after them.
    fn from_str(value: &str) -> Result<Self, IdError> {
        let refuse = |rule| Err(IdError { kind: "branch prefix", value: shown(value), rule });
        if value.is_empty() || value.len() > 100 {
            return refuse("it has 1 to 100 bytes");
        }
        if value.starts_with("refs/") {
            return refuse("it is the short name of a branch, without refs/heads/");
        }
        match format!("{value}task").parse::<BranchName>() {
            Ok(_) => Ok(Self(value.to_owned())),
            Err(error) => refuse(error.rule),
        }
    }
}

impl fmt::Display for BranchPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
