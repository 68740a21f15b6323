//! Building and fetching images, both on request only.

use std::path::{Path, PathBuf};

use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder};
use futures_util::StreamExt;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::error::DockerError;
use super::{Daemon, status};

/// The progress of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullProgress {
    /// Bytes received, over all layers that are known so far.
    pub received: u64,
    /// Bytes of these layers.
    pub total: u64,
}

/// The inputs of a build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The folder whose files the build sees, all of them.
    pub context: PathBuf,
    /// The Dockerfile, as a path in the context.
    pub dockerfile: PathBuf,
    /// The name that the image gets.
    pub tag: String,
    /// Whether the base images are fetched again.
    pub pull: bool,
}

impl Daemon {
    /// Whether the image is there.
    pub(in crate::docker) async fn has_image(&self, image: &str) -> Result<bool, DockerError> {
        match self.client.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(DockerError::request("ask for the image")(error)),
        }
    }

    /// Fetches an image from its registry, without logging in there.
    pub(in crate::docker) async fn pull(
        &self,
        image: &str,
        mut progress: impl FnMut(PullProgress),
    ) -> Result<(), DockerError> {
        debug!(image, "fetching an image");
        let (name, tag) = name_and_tag(image);
        let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
        let mut layers = std::collections::HashMap::new();
        let mut steps = std::pin::pin!(self.client.create_image(Some(options), None, None));
        while let Some(step) = steps.next().await {
            let step = step.map_err(DockerError::request("fetch the image"))?;
            if let (Some(layer), Some(detail)) = (step.id, step.progress_detail) {
                let amount = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
                if let (Some(received), Some(total)) = (amount(detail.current), amount(detail.total)) {
                    layers.insert(layer, (received, total));
                }
            }
            let sum = layers.values().fold(PullProgress::default(), |sum, (received, total)| PullProgress {
                received: sum.received + received,
                total: sum.total + total,
            });
            progress(sum);
        }
        Ok(())
    }

    /// Builds an image, by the builder of the daemon itself (not BuildKit). `line` gets the output of the build.
    pub(in crate::docker) async fn build(
        &self,
        options: BuildOptions,
        mut line: impl FnMut(&str),
    ) -> Result<(), DockerError> {
        debug!(tag = options.tag, context = %options.context.display(), "building an image");
        let dockerfile = options.dockerfile.to_string_lossy().into_owned();
        let context = options.context.clone();
        let packed = spawn_blocking(move || pack(&context));
        let packed = packed.await.unwrap_or(Err(DockerError::ShutDown))?;
        let request = BuildImageOptionsBuilder::new().dockerfile(&dockerfile).t(&options.tag).rm(true).forcerm(true);
        let request = if options.pull { request.pull("true") } else { request };
        let body = bollard::body_full(packed.into());
        let mut steps = std::pin::pin!(self.client.build_image(request.build(), None, Some(body)));
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| match error {
                // The build's own message, and not how it was transmitted.
                bollard::errors::Error::DockerStreamError { error: said } => DockerError::Build { said },
                error => DockerError::request("build the image")(error),
            })?;
            if let Some(text) = step.stream {
                line(&text);
            }
            if let Some(error) = step.error_detail {
                let said = error.message.unwrap_or_default();
                return Err(DockerError::Build { said });
            }
        }
        Ok(())
    }
}

/// Splits an image into its name and its tag. A digest stays with the name.
fn name_and_tag(image: &str) -> (&str, &str) {
    if image.contains('@') {
        return (image, "");
    }
    match image.rsplit_once(':') {
        // A port is followed by a path.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// Bytes of a folder that is sent to the daemon; they are held in memory.
const MAX_CONTEXT: u64 = 256 << 20;

/// Packs a folder into the archive for a build, without `.git`.
fn pack(folder: &Path) -> Result<Vec<u8>, DockerError> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    let (mut folders, mut bytes) = (vec![PathBuf::new()], 0);
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        for entry in std::fs::read_dir(&path).map_err(DockerError::file(&path))? {
            let entry = entry.map_err(DockerError::file(&path))?;
            let (name, path) = (inner.join(entry.file_name()), entry.path());
            let metadata = entry.metadata().map_err(DockerError::file(&path))?;
            if entry.file_name() == ".git" {
                continue;
            }
            if metadata.is_dir() {
                archive.append_dir(&name, &path).map_err(DockerError::file(&path))?;
                folders.push(name);
                continue;
            }
            bytes += metadata.len();
            if bytes > MAX_CONTEXT {
                return Err(DockerError::LargeContext { path: folder.to_owned(), limit: MAX_CONTEXT >> 20 });
            }
            if metadata.is_file() || metadata.is_symlink() {
                archive.append_path_with_name(&path, &name).map_err(DockerError::file(&path))?;
            }
        }
    }
    archive.into_inner().map_err(DockerError::file(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_port_and_a_digest() {
        assert_eq!(name_and_tag("debian"), ("debian", "latest"));
        assert_eq!(name_and_tag("debian:12"), ("debian", "12"));
        assert_eq!(name_and_tag("localhost:5000/a/b"), ("localhost:5000/a/b", "latest"));
        assert_eq!(name_and_tag("localhost:5000/a/b:c"), ("localhost:5000/a/b", "c"));
        assert_eq!(name_and_tag("debian@sha256:0123"), ("debian@sha256:0123", ""));
    }
}
