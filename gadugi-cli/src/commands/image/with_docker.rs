//! Building and fetching images with Docker.

use gadugi_core::Plan;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{ImageBuildArgs, ImagePullArgs};
use crate::config::{Config, DOCKERFILE};
use crate::context::Context;
use crate::executors::docker::{self, Docker};
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::site::Site;
use crate::terminal::harmless;

pub(super) async fn build(context: &Context, args: &ImageBuildArgs) -> Result<Code, Failure> {
    let (site, config) = here(context)?;
    let dockerfile = match &args.file {
        Some(file) => context.surroundings.folder.join(file),
        None => site.work_tree().join(DOCKERFILE),
    };
    if !dockerfile.is_file() {
        return Err(Failure::usage(format!("there is no file {}", dockerfile.display()))
            .hint("`gadugi init --docker` writes one, and --file names another"));
    }
    let tag = args.tag.as_ref().or(config.image.as_ref()).ok_or_else(no_image)?;
    let docker = docker::executor(context, Some(&site), &config);
    docker::build(&docker, &dockerfile, tag, args.pull, |text| {
        for line in text.lines() {
            context.terminal.say(&harmless(line));
        }
    })
    .await?;
    context.terminal.say(&format!("built {tag}"));
    Ok(Code::Success)
}

pub(super) async fn pull(context: &Context, args: &ImagePullArgs) -> Result<Code, Failure> {
    let (site, config) = here(context)?;
    let image = args.image.as_ref().or(config.image.as_ref()).ok_or_else(no_image)?;
    fetch(context, &docker::executor(context, Some(&site), &config), image).await?;
    Ok(Code::Success)
}

/// Fetches the missing images of tasks. A missing daemon is reported only when a task needs it.
pub(in crate::commands) async fn fetch_missing(
    context: &Context,
    site: &Site,
    config: &Config,
    plan: &Plan,
) -> Result<(), Failure> {
    if config.executor == "subprocess" {
        return Ok(());
    }
    let docker = docker::executor(context, Some(site), config);
    if docker::is_absent(&docker).await {
        return Ok(());
    }
    for image in docker::missing_images(&docker, plan).await? {
        fetch(context, &docker, &image).await?;
    }
    Ok(())
}

/// Fetches an image, with a bar on a terminal.
async fn fetch(context: &Context, docker: &Docker, image: &str) -> Result<(), Failure> {
    let terminal = &context.terminal;
    let target = if terminal.live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target).with_message(terminal.drawn(&format!("fetching {image}")));
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    if !terminal.live {
        terminal.say(&format!("fetching {image}"));
    }
    let fetched = docker::pull(docker, image, |received, total| {
        bar.set_length(total);
        bar.set_position(received);
    })
    .await;
    bar.finish_and_clear();
    fetched?;
    terminal.say(&format!("fetched {image}"));
    Ok(())
}

fn here(context: &Context) -> Result<(Site, Config), Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = prepare::config(context, &site, None)?;
    Ok((site, config))
}

fn no_image() -> Failure {
    Failure::usage("no image is named").hint("name one here, or by `image = \"…\"` in gadugi.toml")
}
