//! `gadugi init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use super::Context;
use crate::args::InitArgs;
use crate::compose::Site;
use crate::config::template;
use crate::failure::{Code, Failure};

pub(super) fn init(context: &Context, args: &InitArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let path = site.config_file(context.named_config().as_deref());
    let mut options = OpenOptions::new();
    options.write(true).truncate(args.force).create(args.force).create_new(!args.force);
    let written = options.open(&path).and_then(|mut file| file.write_all(template(None).as_bytes()));
    match written {
        Ok(()) => {
            context.terminal.say(&format!("wrote {}", path.display()));
            Ok(Code::Success)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::usage(format!("{} exists", path.display())).hint("--force replaces it"))
        }
        Err(error) => Err(Failure::environment(format!("cannot write {}: {error}", path.display()))),
    }
}
