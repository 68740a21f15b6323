//! `gadugi completions`: prints a completion script for a shell.

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
