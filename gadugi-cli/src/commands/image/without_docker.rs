//! The failures of `gadugi image` and `run --pull` in a build without Docker.

use gadugi_core::Plan;

use crate::args::{ImageBuildArgs, ImagePullArgs};
use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::site::Site;

pub(super) async fn build(_: &Context, _: &ImageBuildArgs) -> Result<Code, Failure> {
    Err(no_docker())
}

pub(super) async fn pull(_: &Context, _: &ImagePullArgs) -> Result<Code, Failure> {
    Err(no_docker())
}

pub(in crate::commands) async fn fetch_missing(_: &Context, _: &Site, _: &Config, _: &Plan) -> Result<(), Failure> {
    Err(no_docker())
}

fn no_docker() -> Failure {
    Failure::environment("this build has no Docker").hint("build gadugi with its feature `docker`")
}
