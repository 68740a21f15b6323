//! The JSON form of places of work outside of the branch.

use gadugi_core::CommitId;
use gadugi_core::worktrees::Elsewhere;
use serde::{Deserialize, Serialize};

use super::scalar::{PathForm, Text};
use super::{FormatError, no_format};

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ElsewhereForm {
    Branch { name: String, commits: u64 },
    Detached { commit: Text<CommitId>, commits: u64 },
    Unfinished { operation: String, isolated: bool },
    Stash { entries: Vec<String> },
    Moved { path: PathForm },
    Removed,
    OtherRepository,
}

impl TryFrom<&Elsewhere> for ElsewhereForm {
    type Error = FormatError;

    fn try_from(place: &Elsewhere) -> Result<Self, FormatError> {
        match place {
            Elsewhere::Branch { name, commits } => Ok(Self::Branch { name: name.clone(), commits: *commits }),
            Elsewhere::Detached { commit, commits } => {
                Ok(Self::Detached { commit: Text(commit.clone()), commits: *commits })
            }
            Elsewhere::Unfinished { operation, isolated } => {
                Ok(Self::Unfinished { operation: operation.clone(), isolated: *isolated })
            }
            Elsewhere::Stash { entries } => Ok(Self::Stash { entries: entries.clone() }),
            Elsewhere::Moved { path } => Ok(Self::Moved { path: path.as_path().into() }),
            Elsewhere::Removed => Ok(Self::Removed),
            Elsewhere::OtherRepository => Ok(Self::OtherRepository),
            _ => no_format("this place of work"),
        }
    }
}

impl From<ElsewhereForm> for Elsewhere {
    fn from(form: ElsewhereForm) -> Self {
        match form {
            ElsewhereForm::Branch { name, commits } => Self::Branch { name, commits },
            ElsewhereForm::Detached { commit, commits } => Self::Detached { commit: commit.0, commits },
            ElsewhereForm::Unfinished { operation, isolated } => Self::Unfinished { operation, isolated },
            ElsewhereForm::Stash { entries } => Self::Stash { entries },
            ElsewhereForm::Moved { path } => Self::Moved { path: path.0 },
            ElsewhereForm::Removed => Self::Removed,
            ElsewhereForm::OtherRepository => Self::OtherRepository,
        }
    }
}
