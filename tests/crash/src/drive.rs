//! Runs the cases, some rounds at a time, and says what they have found.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;

use crate::args::Args;
use crate::case::{CASES, Case, Round};
use crate::harness::Installation;
use crate::report::Tally;

pub(crate) fn main() -> ExitCode {
    match drive(&Args::parse(), &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nowhere else to say it.
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Says whether every promise was kept.
fn drive(args: &Args, out: &mut dyn Write) -> io::Result<bool> {
    let scratch = tempfile::Builder::new().prefix("gadugi-crash-").tempdir()?;
    let installation = Installation::new(scratch.path())?;
    let mut all = Tally::default();
    let begun = Instant::now();
    for case in CASES.iter().filter(|case| args.only.as_ref().is_none_or(|only| case.name.contains(only))) {
        let since = Instant::now();
        let tally = run(case, args, &installation)?;
        write!(out, "[{:>5.0} s] ", since.elapsed().as_secs_f64())?;
        tally.write(case.name, out)?;
        out.flush()?;
        all.add(tally);
    }
    let kept = all.broken.is_empty();
    let (seconds, Tally { rounds, kills, broken, .. }) = (begun.elapsed().as_secs_f64(), all);
    writeln!(out, "[{seconds:>5.0} s] all: {rounds} rounds, {kills} kills; {} promises broken", broken.len())?;
    if args.keep && !kept {
        writeln!(out, "kept: {}", scratch.keep().display())?;
    }
    Ok(kept)
}

/// Runs the rounds of a case. What keeps a round from coming to its end is a broken promise too.
fn run(case: &Case, args: &Args, installation: &Installation) -> io::Result<Tally> {
    let rounds = (case.rounds)(args.length);
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.clamp(1, rounds.max(1)) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= rounds {
                        break;
                    }
                    let name = format!("{}-{number}", case.name);
                    let round = Round { installation, name, number, seed: args.seed, keep: args.keep };
                    let tally = (case.round)(&round).unwrap_or_else(|error| Tally {
                        rounds: 1,
                        broken: vec![format!("{}: {error}", round.name)],
                        ..Tally::default()
                    });
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
                }
            });
        }
    });
    Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner))
}
