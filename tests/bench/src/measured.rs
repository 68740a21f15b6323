//! The part of a fresh process: does one job and prints the answer.

use std::io::{self, Write};
use std::process::ExitCode;

use gadugi_core::error_chain;
use serde::Serialize;
use tokio::runtime::Builder;

use crate::error::BenchError;
use crate::job::{Job, Runtime};
use crate::{alone, bulk, library};

pub(crate) fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is no other place to report this to.
            drop(writeln!(std::io::stderr(), "{}", error_chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), BenchError> {
    let job = std::env::args().nth(1).unwrap_or_default();
    let job: Job = serde_json::from_str(&job).map_err(BenchError::NoJob)?;
    match job {
        Job::Run(job) => answer(&start(job.runtime)?.block_on(library::run(&job))?),
        Job::Alone(job) => answer(&start(Runtime::TwoThreads)?.block_on(alone::measure(&job))?),
        Job::Create(job) => answer(&start(Runtime::TwoThreads)?.block_on(bulk::create(&job))?),
        Job::Forecast(job) => answer(&start(Runtime::TwoThreads)?.block_on(bulk::forecast(&job))?),
        Job::Clean(job) => answer(&start(Runtime::TwoThreads)?.block_on(bulk::clean(&job))?),
        Job::Merge(job) => answer(&start(Runtime::TwoThreads)?.block_on(bulk::merge(&job))?),
        Job::Sweep(repository) => answer(&start(Runtime::TwoThreads)?.block_on(bulk::sweep(&repository))?),
        Job::Release(repository) => answer(&start(Runtime::TwoThreads)?.block_on(bulk::release(&repository))?),
    }
}

fn start(runtime: Runtime) -> io::Result<tokio::runtime::Runtime> {
    match runtime {
        Runtime::CurrentThread => Builder::new_current_thread().enable_all().build(),
        Runtime::TwoThreads => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
    }
}

fn answer(figures: &impl Serialize) -> Result<(), BenchError> {
    serde_json::to_writer(std::io::stdout().lock(), figures)
        .map_err(|source| BenchError::Unreadable { program: "this process".to_owned(), source })
}
