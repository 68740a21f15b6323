//! `gadugi man`: prints the manual page of a command, or writes a page for each command to a folder.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{Cli, ManArgs};
use crate::context::Context;
use crate::failure::{Code, Failure};

pub(super) fn man(context: &Context, args: &ManArgs) -> Result<Code, Failure> {
    match &args.output {
        Some(folder) => write_all(context, &context.surroundings.folder.join(folder)),
        None => print_one(context, &args.command),
    }
}

/// Prints the page of the command with this path, such as `image build`; the empty path is gadugi itself.
fn print_one(context: &Context, path: &[String]) -> Result<Code, Failure> {
    let gadugi = built();
    let mut command = &gadugi;
    for name in path {
        command = command.find_subcommand(name).ok_or_else(|| {
            Failure::usage(format!("there is no command `{}`", path.join(" "))).hint("`gadugi help` lists the commands")
        })?;
    }
    let mut page = Vec::new();
    render(command, &mut page)?;
    context.terminal.bytes(&page)?;
    Ok(Code::Success)
}

/// Writes gadugi.1, gadugi-run.1 and so on, and prints their number.
fn write_all(context: &Context, folder: &Path) -> Result<Code, Failure> {
    let failed = |error| Failure::environment(format!("cannot write manual pages to {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let pages = write_with_all_below(&built(), folder).map_err(failed)?;
    context.terminal.line(&format!("wrote {pages} pages to {}", folder.display()))?;
    Ok(Code::Success)
}

fn write_with_all_below(command: &clap::Command, folder: &Path) -> io::Result<usize> {
    let mut page = Vec::new();
    render(command, &mut page)?;
    fs::write(folder.join(Man::new(command.clone()).get_filename()), page)?;
    let mut pages = 1;
    for below in command.get_subcommands() {
        pages += write_with_all_below(below, folder)?;
    }
    Ok(pages)
}

/// Writes the page of a command. Its examples, or the exit codes, become sections of their own.
fn render(command: &clap::Command, to: &mut dyn Write) -> io::Result<()> {
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let version = command.get_version().unwrap_or_default();
    let bare = command.clone().after_help(None::<&str>).after_long_help(None::<&str>);
    Man::new(bare).source(format!("gadugi {version}")).manual("Gadugi").render(to)?;
    let mut sections = Roff::new();
    for block in after.split("\n\n") {
        let (heading, text) = match block.split_once(":\n") {
            Some(("Examples", text)) => ("EXAMPLES", text),
            Some(("Exit codes", text)) => ("EXIT STATUS", text),
            _ => ("NOTES", block),
        };
        // Without filling, so that columns stay columns.
        sections.control("SH", [heading]).control("nf", []).text([roman(text)]).control("fi", []);
    }
    sections.to_writer(to)
}

/// The description of the command line, without `help`, whose pages would repeat the others.
fn built() -> clap::Command {
    let mut gadugi = Cli::command().disable_help_subcommand(true);
    gadugi.build();
    gadugi
}
