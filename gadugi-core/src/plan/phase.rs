//! The phases of an attempt.

/// A command of an attempt, by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The preparation of the worktree.
    Setup,
    /// The task's own command.
    Main,
    /// The check that decides whether the attempt succeeds.
    Check,
}

impl Phase {
    /// All phases, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Setup, Self::Main, Self::Check];

    /// The word for it in formats and labels.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Main => "main",
            Self::Check => "check",
        }
    }

    /// Prefix for the names of an executor's own files of this command in the attempt's folder.
    #[must_use]
    pub fn file_prefix(self) -> &'static str {
        match self {
            Self::Setup => "setup-",
            Self::Main => "",
            Self::Check => "check-",
        }
    }

    /// Name of the log file of its output in the attempt's folder.
    #[must_use]
    pub fn output_file(self) -> &'static str {
        match self {
            Self::Setup => "setup.log",
            Self::Main => "output.log",
            Self::Check => "check.log",
        }
    }
}
