//! `gadugi conflicts`: which branches of a run merge with each other and with a target, as text.

mod json;
mod text;

use gadugi_core::worktrees::Verdict;

use crate::args::ConflictsArgs;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::forecast::{forecast, worktrees};
use crate::site::Site;

pub(super) async fn conflicts(context: &Context, args: &ConflictsArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let run = site.load(&site.find(&args.run)?).await?;
    for damage in &run.damage {
        context.terminal.say(&format!("warning: {damage}"));
    }
    let worktrees = worktrees(context, &site)?;
    let forecast = forecast(&site, &*worktrees, &run.record, args.into.as_deref()).await?;
    if args.json {
        context.terminal.json(&json::json(&run.record, &forecast)?)?;
    } else {
        context.terminal.result(&text::text(context, &run, &forecast))?;
    }
    let all_merge = forecast.forecast.pairs().all(|(_, _, verdict)| *verdict == Verdict::MergesAsText);
    Ok(if args.exit_code && !all_merge { Code::TaskFailed } else { Code::Success })
}
