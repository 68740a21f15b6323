//! `gadugi diff`: the work of tasks since their base, by git's own diff.

use std::ffi::OsString;

use gadugi_core::run::TaskRecord;

use crate::args::{ColorChoice, DiffArgs};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::site::Site;
use crate::terminal::Tone;
use crate::work::{Git, GitEnd, Pager, ScratchObjects, TaskWork, named};

pub(super) async fn diff(context: &Context, args: &DiffArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let run = site.load(&site.find(&args.run)?).await?;
    let tasks = named(&run, &args.tasks)?;
    let objects = ScratchObjects::new(&site)?;
    let (mut found, mut code) = (Vec::new(), Code::Success);
    for task in tasks {
        match TaskWork::find(&site, task, &objects).await {
            Ok(Some(work)) if work.preview.differs => found.push((task, work)),
            Ok(work) if !args.tasks.is_empty() => {
                let nothing = if work.is_some() { "has changed nothing" } else { "has not been started" };
                context.terminal.say(&format!("{} {nothing}", task.task.spec.id));
                work.iter().flat_map(TaskWork::notes).for_each(|note| say(context, task, &note));
            }
            Ok(_) => {}
            Err(failure) => {
                failure.print(&context.terminal);
                code = failure.code;
            }
        }
    }
    if found.is_empty() && args.tasks.is_empty() && code == Code::Success {
        context.terminal.say(&format!("no task of run {} has changed anything", run.record.header.run));
    }
    for (task, work) in &found {
        work.notes().iter().for_each(|note| say(context, task, note));
    }
    let columns = context.terminal.columns().map(|columns| ("COLUMNS", columns.to_string().into()));
    let git = Git::new(context, &site, objects.variable().into_iter().chain(columns));
    match &found[..] {
        [] => {}
        [(_, work)] => {
            git.attached(&arguments(context, args, work), None).await?;
        }
        several => show(context, args, &git, several).await?,
    }
    Ok(code)
}

fn say(context: &Context, task: &TaskRecord, note: &str) {
    context.terminal.say(&format!("{}: {note}", task.task.spec.id));
}

/// Shows the work of several tasks, one after the other in one pager.
async fn show(
    context: &Context,
    args: &DiffArgs,
    git: &Git<'_>,
    several: &[(&TaskRecord, TaskWork)],
) -> Result<(), Failure> {
    let mut pager = Pager::start(context, git).await?;
    for (n, (task, work)) in several.iter().enumerate() {
        let spec = &task.task.spec;
        let gap = if n > 0 { context.terminal.paged("") } else { String::new() };
        let heading = format!("# {}: {} ({})", spec.id, spec.title, work.branch);
        let heading = gap + &context.terminal.paged(&context.terminal.toned(Tone::Notice, &heading));
        let out = match &mut pager {
            Some(pager) => {
                if !pager.line(&heading)? {
                    break;
                }
                Some(pager.output()?)
            }
            None => {
                context.terminal.bytes(heading.as_bytes())?;
                None
            }
        };
        if git.attached(&arguments(context, args, work), out).await? == GitEnd::Unread {
            break;
        }
    }
    match pager {
        Some(pager) => pager.finish().await,
        None => Ok(()),
    }
}

/// The arguments of the `git diff` of a task. Where its output is no terminal, it is one that `git apply` takes, whatever the
/// user's configuration says of its looks.
fn arguments(context: &Context, args: &DiffArgs, work: &TaskWork) -> Vec<OsString> {
    let color = match context.global.color {
        ColorChoice::Always => Some("--color=always"),
        ColorChoice::Never => Some("--color=never"),
        ColorChoice::Auto if context.terminal.out_is_terminal => None,
        ColorChoice::Auto => Some("--color=never"),
    };
    let form = match (args.stat, args.name_only) {
        (true, _) => &["--stat"][..],
        (_, true) => &["--name-only"],
        _ if context.terminal.out_is_terminal => &[],
        _ => &["--binary", "--no-ext-diff", "--no-textconv", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/"],
    };
    let mut words: Vec<OsString> = vec!["diff".into()];
    words.extend(color.into_iter().chain(form.iter().copied()).map(OsString::from));
    words.extend([work.base.to_string().into(), work.preview.object.clone().into(), "--".into()]);
    words.extend(args.paths.iter().map(|path| path.clone().into_os_string()));
    words
}
