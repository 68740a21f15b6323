//! What is made from the command line's own description: completions and the manual page.

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::{Code, Failure};

pub(super) fn completions(context: &Context, shell: clap_complete::Shell) -> Result<Code, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gadugi", &mut script);
    context.terminal.bytes(&script)?;
    Ok(Code::Success)
}

pub(super) fn manual(context: &Context) -> Result<Code, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    context.terminal.bytes(&page)?;
    Ok(Code::Success)
}
