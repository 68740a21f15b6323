//! `gadugi image`: the container images of tasks.

use super::Context;
use crate::args::{ImageBuildArgs, ImagePullArgs};
use crate::failure::{Code, Failure};

pub(super) async fn build(_: &Context, _: &ImageBuildArgs) -> Result<Code, Failure> {
    Err(no_docker())
}

pub(super) async fn pull(_: &Context, _: &ImagePullArgs) -> Result<Code, Failure> {
    Err(no_docker())
}

fn no_docker() -> Failure {
    Failure::environment("this build has no Docker")
}
