//! The commands of an attempt.

/// Which command of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The one that prepares the worktree.
    Setup,
    /// The task's own.
    Main,
    /// The one that decides whether it has succeeded.
    Check,
}

impl Phase {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Setup, Self::Main, Self::Check];

    /// One word for scripts and labels.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Main => "main",
            Self::Check => "check",
        }
    }

    /// What executors put before the names of their own files of this command, in the attempt's folder.
    #[must_use]
    pub fn file_prefix(self) -> &'static str {
        match self {
            Self::Setup => "setup-",
            Self::Main => "",
            Self::Check => "check-",
        }
    }

    /// The file that its output goes to, in the attempt's folder of the registry.
    #[must_use]
    pub fn output_file(self) -> &'static str {
        match self {
            Self::Setup => "setup.log",
            Self::Main => "output.log",
            Self::Check => "check.log",
        }
    }
}
