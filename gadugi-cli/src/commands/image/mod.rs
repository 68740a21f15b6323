//! `gadugi image`: the container images of tasks; and `run --pull`.

#[cfg(feature = "docker")]
mod with_docker;
#[cfg(not(feature = "docker"))]
mod without_docker;

use crate::args::{ImageArgs, ImageCommand};
use crate::context::Context;
use crate::failure::{Code, Failure};

#[cfg(feature = "docker")]
use self::with_docker as images;
#[cfg(not(feature = "docker"))]
use self::without_docker as images;

pub(super) use self::images::fetch_missing;

pub(super) async fn image(context: &Context, args: &ImageArgs) -> Result<Code, Failure> {
    match &args.command {
        ImageCommand::Build(args) => images::build(context, args).await,
        ImageCommand::Pull(args) => images::pull(context, args).await,
    }
}
