//! `gadugi report`.

use gadugi_core::Report;

use crate::args::{ReportArgs, ReportFormat};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::forecast::{outlook, worktrees};
use crate::site::Site;

pub(super) async fn report(context: &Context, args: &ReportArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let id = site.find(&args.run)?;
    if args.merge {
        let text = site.merge_report(&id, args.format)?;
        return print(context, args, &text);
    }
    let run = site.load(&id).await?;
    for damage in &run.damage {
        context.terminal.say(&format!("warning: {damage}"));
    }
    let outlook = match worktrees(context, &site) {
        Ok(worktrees) => outlook(&site, &*worktrees, &run.record).await,
        // A report needs no worktrees.
        Err(_) => None,
    };
    let report = Report::from(run.record).driven(run.driven).with_outlook(outlook);
    if args.format == ReportFormat::Json && args.output.is_none() {
        context.terminal.written(|out| site.write_json(&report, out))?;
        return Ok(Code::Success);
    }
    let text = match args.format {
        ReportFormat::Md => site.markdown(&report),
        ReportFormat::Json => site.json(&report),
        ReportFormat::Junit => site.junit(&report),
    };
    print(context, args, &text)
}

/// Prints a report, or writes it to a file.
fn print(context: &Context, args: &ReportArgs, text: &str) -> Result<Code, Failure> {
    match &args.output {
        // It has escapes of its own.
        None if args.format == ReportFormat::Junit => context.terminal.bytes(text.as_bytes())?,
        None => context.terminal.result(text)?,
        Some(path) => {
            let path = context.surroundings.folder.join(path);
            std::fs::write(&path, text).map_err(|error| {
                Failure::environment(format!("cannot write {}: {error}", path.display()))
                    .hint("name another file with -o")
            })?;
        }
    }
    Ok(Code::Success)
}
