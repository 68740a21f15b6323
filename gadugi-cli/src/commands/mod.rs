//! The commands, one file each.

mod agents;
mod attach;
mod background;
mod budgets;
mod clean;
mod doctor;
mod driving;
#[cfg(feature = "docker")]
mod image;
#[cfg(not(feature = "docker"))]
#[path = "no_image.rs"]
mod image;
mod init;
mod log_parts;
mod logs;
mod notices;
mod plan;
mod printed;
mod programs;
mod prompts;
mod ps;
mod report;
mod resume;
mod room;
mod run;
mod spent;
mod stop;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gadugi_core::Executor;
use gadugi_exec::InheritedFiles;

use crate::args::{Command, Global, ImageCommand};
use crate::failure::{Code, Failure};
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

/// What every command has at hand.
pub(crate) struct Context {
    pub(crate) terminal: Terminal,
    pub(crate) surroundings: Surroundings,
    pub(crate) global: Global,
    /// Executors beside our own.
    pub(crate) executors: Vec<Arc<dyn Executor>>,
    /// The files that the process has got from its caller, until a process in the background closes them.
    pub(crate) inherited: Mutex<InheritedFiles>,
}

impl Context {
    /// The configuration file that the user names, as seen from the folder of `-C`.
    pub(crate) fn named_config(&self) -> Option<PathBuf> {
        self.global.config.as_ref().map(|file| self.surroundings.folder.join(file))
    }
}

pub(crate) async fn execute(context: &Context, command: Command) -> Result<Code, Failure> {
    match command {
        Command::Init(args) => init::init(context, &args),
        Command::Image(args) => match args.command {
            ImageCommand::Build(args) => image::build(context, &args).await,
            ImageCommand::Pull(args) => image::pull(context, &args).await,
        },
        Command::Doctor => doctor::doctor(context).await,
        Command::Plan(args) => plan::plan(context, &args).await,
        Command::Run(args) => run::run(context, &args).await,
        Command::Resume(args) => resume::resume(context, &args).await,
        Command::Attach(args) => attach::attach(context, &args).await,
        Command::Ps(args) => ps::ps(context, &args).await,
        Command::Logs(args) => logs::logs(context, &args).await,
        Command::Stop(args) => stop::stop(context, &args).await,
        Command::Report(args) => report::report(context, &args).await,
        Command::Clean(args) => clean::clean(context, &args).await,
        Command::Completions { shell } => printed::completions(context, shell),
        Command::Man => printed::manual(context),
    }
}
