//! `gadugi init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::args::InitArgs;
use crate::config::{Config, DOCKERFILE, DOCKERFILE_TEMPLATE, image_name, seed_line, template};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::site::Site;

pub(super) fn init(context: &Context, args: &InitArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = site.config_file(context.named_config().as_deref());
    let image = args.docker.then(|| image_name(&site.name()));
    let mut files = Vec::new();
    // An existing configuration stays, and gets the Dockerfile beside it.
    let keeps_config = args.docker && !args.force && is_there(&config);
    let left_out = site.left_out_of_seeds(&Config::default());
    if !keeps_config {
        files.push((config.clone(), template(image.as_deref(), &left_out)));
    }
    if args.docker {
        files.push((site.work_tree().join(DOCKERFILE), DOCKERFILE_TEMPLATE.to_owned()));
    }
    if !args.force {
        let there: Vec<PathBuf> = files.iter().map(|(path, _)| path).filter(|path| is_there(path)).cloned().collect();
        if let Some(failure) = exist(&there) {
            return Err(failure);
        }
    }
    for (path, text) in &files {
        write(path, text, args.force)
            .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))?;
        context.terminal.say(&format!("wrote {}", path.display()));
    }
    if !left_out.is_empty() && !keeps_config {
        let line = seed_line(&left_out);
        context.terminal.say(&format!("git ignores files that agents read; to give them to the tasks, write: {line}"));
    }
    if let Some(image) = image {
        if keeps_config {
            let config = config.display();
            context
                .terminal
                .say(&format!("kept {config}: unless it names an image, add at its top: image = \"{image}\""));
        }
        context.terminal.say(&format!("next: look at {DOCKERFILE}, then `gadugi image build` makes the image {image}"));
    }
    Ok(Code::Success)
}

/// Whether the path exists, also as a link to nothing.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Refuses to replace files, if there are any.
fn exist(there: &[PathBuf]) -> Option<Failure> {
    let names: Vec<String> = there.iter().map(|path| path.display().to_string()).collect();
    let (exist, it) = match names.len() {
        0 => return None,
        1 => ("exists", "it"),
        _ => ("exist", "them"),
    };
    let hint = format!("--force replaces {it}");
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
