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

use crate::args::{Command, ImageCommand};
use crate::context::Context;
use crate::failure::{Code, Failure};

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
