//! The commands: a file or a folder for each.

mod attach;
mod clean;
mod completions;
mod conflicts;
mod diff;
mod doctor;
mod image;
mod init;
mod logs;
mod man;
mod merge;
mod plan;
mod pr;
mod ps;
mod report;
mod resume;
mod retry;
mod run;
mod show;
mod stop;

use crate::args::Command;
use crate::context::Context;
use crate::failure::{Code, Failure};

/// Executes a command.
pub(crate) async fn execute(context: &Context, command: Command) -> Result<Code, Failure> {
    match command {
        Command::Init(args) => init::init(context, &args),
        Command::Image(args) => image::image(context, &args).await,
        Command::Doctor => doctor::doctor(context).await,
        Command::Plan(args) => plan::plan(context, &args).await,
        Command::Run(args) => run::run(context, &args).await,
        Command::Resume(args) => resume::resume(context, &args).await,
        Command::Retry(args) => retry::retry(context, &args).await,
        Command::Attach(args) => attach::attach(context, &args).await,
        Command::Ps(args) => ps::ps(context, &args).await,
        Command::Logs(args) => logs::logs(context, &args).await,
        Command::Show(args) => show::show(context, &args).await,
        Command::Diff(args) => diff::diff(context, &args).await,
        Command::Pr(args) => pr::pr(context, &args).await,
        Command::Stop(args) => stop::stop(context, &args).await,
        Command::Report(args) => report::report(context, &args).await,
        Command::Conflicts(args) => conflicts::conflicts(context, &args).await,
        Command::Merge(args) => merge::merge(context, &args).await,
        Command::Clean(args) => clean::clean(context, &args).await,
        Command::Completions { shell } => completions::completions(context, shell),
        Command::Man(args) => man::man(context, &args),
    }
}
