use std::io;
use std::path::PathBuf;

/// Why a call was not played as its script says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is called `{0}`, and is only `claude` and `codex`")]
    Name(String),
    #[error("`{0}` is in no folder of PATH")]
    NotOnPath(String),
    #[error("{} is not there: gadugi_fakeagent::Installed makes it", .0.display())]
    NotInstalled(PathBuf),
    #[error("{0}")]
    CommandLine(&'static str),
    #[error("`fake: {line}`: {why}")]
    Directive { line: String, why: &'static str },
    #[error("the prompt cannot be read")]
    Prompt(#[source] io::Error),
    #[error("the working folder is unknown")]
    WorkingFolder(#[source] io::Error),
    #[error("{} cannot be read or written", .path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("`{command}` cannot be run")]
    Run { command: String, source: io::Error },
    #[error("nothing more can be printed")]
    Print(#[source] io::Error),
}
