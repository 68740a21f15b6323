//! Runs two tasks, one of which needs the other, with an executor of its own: it adds numbers.

use std::{fs, io, sync::Arc, time::Duration, time::Instant};

use async_trait::async_trait;
use gadugi_core::{executor::*, plan::*, scheduler::control, worktrees::InPlace, *};
use gadugi_registry::MemoryRegistry;

struct Adder;
struct Added(ExecIdentity, ExecEnd);

#[async_trait]
impl Executor for Adder {
    fn name(&self) -> &str {
        "adder"
    }
    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        let begun = Instant::now();
        let Program::Argv(argv) = &request.program else {
            return Err(ExecError::NotFound { program: "a script".into() });
        };
        let sum: i64 = argv.iter().filter_map(|number| number.parse::<i64>().ok()).sum();
        let log = request.files.join(request.phase.output_file());
        let failed = |error: io::Error| ExecError::Start { program: argv.join(" "), source: error.into() };
        fs::write(log, format!("{sum}\n")).map_err(failed)?;
        let identity = ExecIdentity { executor: "adder".into(), token: format!("sum {}", request.attempt) };
        Ok(Box::new(Added(identity, ExecEnd::new(ExitStatus::Code(0), begun.elapsed()))))
    }
}

#[async_trait]
impl RunningTask for Added {
    fn identity(&self) -> &ExecIdentity {
        &self.0
    }
    async fn wait(&self) -> Result<ExecEnd, ExecError> {
        Ok(self.1)
    }
    async fn stop(&self, _: Duration) -> Result<(), ExecError> {
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = std::env::temp_dir().join("gadugi-own-executor");
    let argv = |numbers: &str| Program::Argv(numbers.split(' ').map(str::to_owned).collect());
    let first = RawTask { spec: TaskSpec::new("first".parse()?, argv("1 2 3")), needs: Vec::new() };
    let needs = vec![("first".to_owned(), SourceLocation::default())];
    let second = RawTask { spec: TaskSpec::new("second".parse()?, argv("4 5")), needs };
    let plan = Plan::try_from(RawPlan { tasks: vec![first, second] })?;
    let header = RunHeader::new(plan, RunSettings::default());
    let log = MemoryRegistry::new(&files).create(&header).await?;
    let run = Run::new(header, Executors::new(Arc::new(Adder)), Arc::new(InPlace::new(".")), log);
    let report = Report::from(run.drive(control().1).await?);
    fs::remove_dir_all(&files)?;
    assert_eq!(report.totals.succeeded, 2);
    Ok(())
}
