//! `gadugi init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Context;
use crate::args::InitArgs;
use crate::compose::Site;
use crate::config::{DOCKERFILE, DOCKERFILE_TEMPLATE, image_name, template};
use crate::failure::{Code, Failure};

pub(super) fn init(context: &Context, args: &InitArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = site.config_file(context.named_config().as_deref());
    let image = args.docker.then(|| image_name(&site.name()));
    let mut files = vec![(config.clone(), template(image.as_deref()))];
    if args.docker {
        files.push((site.work_tree().join(DOCKERFILE), DOCKERFILE_TEMPLATE.to_owned()));
    }
    if !args.force {
        let there: Vec<PathBuf> = files.iter().map(|(path, _)| path).filter(|path| is_there(path)).cloned().collect();
        if let Some(failure) = exist(&there, &config, image.as_deref()) {
            return Err(failure);
        }
    }
    for (path, text) in &files {
        write(path, text, args.force)
            .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))?;
        context.terminal.say(&format!("wrote {}", path.display()));
    }
    if let Some(image) = image {
        context.terminal.say(&format!("next: look at {DOCKERFILE}, then `gadugi image build` makes the image {image}"));
    }
    Ok(Code::Success)
}

/// Whether something has that name, also a link to nothing.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Why nothing is written, if files are there that would be replaced.
fn exist(there: &[PathBuf], config: &Path, image: Option<&str>) -> Option<Failure> {
    let names: Vec<String> = there.iter().map(|path| path.display().to_string()).collect();
    let (exist, it) = match names.len() {
        0 => return None,
        1 => ("exists", "it"),
        _ => ("exist", "them"),
    };
    let mut hint = format!("--force replaces {it}");
    if let Some(image) = image.filter(|_| there.iter().any(|path| path == config)) {
        hint.push_str(&format!("\nto keep it, add this line at its top by hand: image = \"{image}\""));
    }
    Some(Failure::usage(format!("{} {exist}; nothing was written", names.join(" and "))).hint(hint))
}

fn write(path: &Path, text: &str, replace: bool) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).truncate(replace).create(replace).create_new(!replace);
    options.open(path)?.write_all(text.as_bytes())
}
