//! `gadugi man`.

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::{Code, Failure};

pub(super) fn man(context: &Context) -> Result<Code, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    context.terminal.bytes(&page)?;
    Ok(Code::Success)
}
