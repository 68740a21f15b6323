//! The part that drives the benchmarks and prints their figures.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use gadugi_core::error_chain;

use crate::args::{Args, Name};
use crate::bench::{
    Effort, chain, clean, containers, forecast, journal, merge, overhead, speedup, thousand, worktrees,
};
use crate::disk::{self, Disks};
use crate::error::BenchError;
use crate::{machine, scratch};

pub(crate) fn main() -> ExitCode {
    match drive(&Args::parse(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is no other place to report this to.
            drop(writeln!(std::io::stderr(), "error: {}", error_chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn drive(args: &Args, out: &mut dyn Write) -> Result<(), BenchError> {
    let effort = Effort { rounds: args.rounds.into(), small: args.small };
    let names = if args.names.is_empty() { Name::value_variants() } else { &args.names };
    let mounts = names.contains(&Name::Worktrees);
    if mounts && !args.private_mounts && disk::can_have_private_mounts() {
        return Err(disk::start_again_with_private_mounts());
    }
    let _scratch = scratch::make()?;
    machine::write(out)?;
    for name in names {
        match name {
            Name::Speedup => speedup::measure(&effort, out)?,
            Name::Overhead => overhead::measure(&effort, out)?,
            Name::Thousand => thousand::measure(&effort, out)?,
            Name::Journal => journal::measure(&effort, out)?,
            Name::Clean => clean::measure(&effort, out)?,
            Name::Chain => chain::measure(&effort, out)?,
            Name::Merge => merge::measure(&effort, out)?,
            Name::Forecast => forecast::measure(&effort, out)?,
            Name::Containers => containers::measure(&effort, out)?,
            Name::Worktrees => worktrees::measure(&effort, &args.cases, &Disks::find(args.private_mounts)?, out)?,
        }
        writeln!(out, "load average after it: {}\n", machine::load())?;
    }
    Ok(())
}
