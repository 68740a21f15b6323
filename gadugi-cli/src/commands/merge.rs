//! `gadugi merge`.

use std::sync::Arc;

use crate::args::MergeArgs;
use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::merge::{MergeRequest, Merging, unfinished};
use crate::prepare;
use crate::prepare::earlier::EarlierRuns;
use crate::site::Site;

pub(super) async fn merge(context: &Context, args: &MergeArgs) -> Result<Code, Failure> {
    let site = Arc::new(Site::open(&context.surroundings)?);
    let config = config(context, &site, args)?;
    let merging = Merging::new(context, &site, &config, args.json)?;
    merging.forget_ended().await?;
    let unfinished = unfinished(&site)?;
    if args.abort {
        let Some(record) = unfinished else {
            return Err(Failure::usage("there is no merge to abort").hint("`gadugi merge` starts one"));
        };
        return merging.abort(&record.header.merge).await;
    }
    if let Some(record) = unfinished {
        let merge = &record.header.merge;
        if !args.what.is_empty() || args.into.is_some() || args.dry_run {
            let message = format!("merge {merge} of run {} was cut short", record.header.run);
            let hint = "`gadugi merge` goes on with it, `gadugi merge --abort` gives it up";
            return Err(Failure::registry(message).hint(hint));
        }
        return merging.resume(merge).await;
    }
    let (run, tasks) = site.run_and_tasks(&context.terminal, &args.what).await?;
    let runs = EarlierRuns::load(context, &site, &run).await?;
    for damage in &runs.latest().damage {
        context.terminal.say(&format!("warning: {damage}"));
    }
    let request = MergeRequest { runs, tasks };
    if args.dry_run { merging.dry_run(request).await } else { merging.merge(request).await }
}

/// The configuration of this call, with what its flags say of merges.
fn config(context: &Context, site: &Site, args: &MergeArgs) -> Result<Config, Failure> {
    let mut config = prepare::config(context, site, None)?;
    let merge = &mut config.merge;
    merge.into = args.into.clone().or(merge.into.take());
    merge.strategy = args.strategy.map_or(merge.strategy, Into::into);
    merge.check = args.check.clone().or(merge.check.take()).filter(|_| !args.no_check);
    merge.resolve = args.resolve.then(|| "author".to_owned()).or(merge.resolve.take());
    config.jobs = args.jobs.unwrap_or(config.jobs);
    config.executor = args.executor.clone().unwrap_or(config.executor);
    config.image = args.image.clone().or(config.image);
    Ok(config)
}
