//! The command line, as clap reads it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
    0  all tasks succeeded, or the command did what it was asked for
    1  a task did not succeed, or `attach`, `stop` or `clean` could not do all of it
    2  the usage, the configuration or the plan is wrong; nothing was started
    3  the environment does not fit (no repository, executor absent, …); no task was started
    4  the registry is busy or damaged
  130  interrupted
`attach` and `resume` exit as the run did, and `--detach` with 0 as soon as it goes on.";

/// Runs a batch of coding tasks at the same time, each in a git worktree and on a branch of its own.
#[derive(Debug, Parser)]
#[command(name = "gadugi", version, after_help = EXIT_CODES, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Works as if it had been started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Reads FILE in place of the repository's gadugi.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub(crate) color: ColorChoice,
    /// Says more about what is done and why
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Says only what was asked for, and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes a commented gadugi.toml
    Init(InitArgs),
    /// Builds or fetches the container images of tasks
    Image(ImageArgs),
    /// Says what works here, and how to mend what does not
    Doctor,
    /// Shows the tasks, their order and what overlaps; starts nothing
    Plan(PlanArgs),
    /// Runs tasks and prints the report
    Run(RunArgs),
    /// Goes on with a run whose gadugi has ended: adopts what runs, records what ended, starts the rest
    Resume(ResumeArgs),
    /// Shows a run that another process or nobody drives, as it goes on
    Attach(AttachArgs),
    /// Shows runs and their tasks
    Ps(PsArgs),
    /// Prints what a task has printed
    Logs(LogsArgs),
    /// Stops a run or some of its tasks; their work stays
    Stop(StopArgs),
    /// Prints the report of a run
    Report(ReportArgs),
    /// Removes worktrees and merged branches of runs that are over; says what it keeps and why
    Clean(CleanArgs),
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page (roff)
    Man,
}

impl Command {
    /// Whether it is to go on in the background.
    pub(crate) fn is_detached(&self) -> bool {
        match self {
            Self::Run(args) => args.driving.detach,
            Self::Resume(args) => args.driving.detach,
            _ => false,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Replaces a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Also writes .gadugi/Dockerfile, an image for tasks to begin with
    #[arg(long)]
    pub(crate) docker: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Builds the image that tasks run in
    Build(ImageBuildArgs),
    /// Fetches an image from its registry
    Pull(ImagePullArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImageBuildArgs {
    /// The Dockerfile; its folder is what it can copy from [default: .gadugi/Dockerfile in the repository]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The name of the image [default: the configured `image`]
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// Fetches newer versions of the images that it starts from
    #[arg(long)]
    pub(crate) pull: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImagePullArgs {
    /// The image [default: the configured `image`]
    pub(crate) image: Option<String>,
}

/// Which tasks, and with what settings; shared by `plan` and `run`.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// Task files, folders, globs, or `-` for the standard input
    #[arg(value_name = "TASKS")]
    pub(crate) tasks: Vec<PathBuf>,
    /// A task given as text (can be repeated)
    #[arg(short = 't', long = "task", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) texts: Vec<String>,
    /// How many tasks run at once
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Where tasks run: auto, docker, subprocess, or another executor's name
    #[arg(long, value_name = "NAME")]
    pub(crate) executor: Option<String>,
    /// The agent of tasks that name none
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// The container image of tasks that name none
    #[arg(long, value_name = "IMG")]
    pub(crate) image: Option<String>,
    /// The commit that the tasks' branches start from [default: HEAD]
    #[arg(long, value_name = "REF")]
    pub(crate) base: Option<String>,
    /// Stops an attempt that takes longer than DUR, such as 90s or 1h30m
    #[arg(long, value_name = "DUR")]
    pub(crate) timeout: Option<String>,
    /// Stops an attempt that prints nothing for DUR
    #[arg(long, value_name = "DUR")]
    pub(crate) idle_timeout: Option<String>,
    /// How many further attempts a failed task gets
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Fails tasks that end well and have changed nothing
    #[arg(long)]
    pub(crate) require_changes: bool,
    /// Ends the run's agents when they have cost USD together, such as 2.5
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<f64>,
    /// Ends the run's agents when they have used N tokens together
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<NonZeroU64>,
    /// Lets agents do on this machine, outside of containers, what they like, unasked
    #[arg(long)]
    pub(crate) unsafe_host: bool,
    /// Refuses keys and values of other tools in task files, which are passed over otherwise
    #[arg(long)]
    pub(crate) strict: bool,
    /// Starts nothing more after the first task that does not succeed
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Runs only this task and those that it needs (can be repeated)
    #[arg(long, value_name = "ID")]
    pub(crate) only: Vec<String>,
    /// Leaves this task out (can be repeated)
    #[arg(long, value_name = "ID")]
    pub(crate) skip: Vec<String>,
    /// Which worktrees stay
    #[arg(long, value_name = "WHICH")]
    pub(crate) keep: Option<Keep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    /// Those of attempts that did not succeed
    Failed,
    /// All
    Always,
    /// None; uncommitted work is committed to the branch first
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    /// Prints only what the agent of this task will read
    #[arg(long, value_name = "TASK")]
    pub(crate) prompt: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    #[command(flatten)]
    pub(crate) driving: DrivingArgs,
    /// Fetches images that are missing, before anything is made
    #[arg(long)]
    pub(crate) pull: bool,
    /// Begins also where the worktrees do not fit on their disk
    #[arg(long)]
    pub(crate) force: bool,
}

/// How a run is driven; shared by `run` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct DrivingArgs {
    /// Goes on in the background once all is checked, and prints the id of the run
    #[arg(long, conflicts_with_all = ["json", "die_with_parent"])]
    pub(crate) detach: bool,
    /// Prints every event as a line of JSON, and no report
    #[arg(long)]
    pub(crate) json: bool,
    /// Tasks that it starts end when it does, and a closed terminal stops the run
    #[arg(long)]
    pub(crate) die_with_parent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// A run's id, the beginning of one, or `latest` [default: the latest that is not over]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) driving: DrivingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// A run's id, the beginning of one, or `latest` [default: the latest that is not over]
    pub(crate) run: Option<String>,
    /// Prints every event as a line of JSON, and no report
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// A run's id, the beginning of one, or `latest`
    pub(crate) run: Option<String>,
    /// Shows all runs, also those that are over
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The task
    pub(crate) task: String,
    /// Goes on printing until the task is over
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begins with the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// The run: an id, the beginning of one, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// The attempt [default: the last one]
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Prints all bytes as they came, also those that control a terminal
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// A run (an id, the beginning of one, or `latest`), and tasks of it; without a run the latest that is not over
    #[arg(value_name = "RUN|TASK")]
    pub(crate) what: Vec<String>,
    /// Kills without grace
    #[arg(long)]
    pub(crate) now: bool,
    /// Ends also a run of which it cannot be told from here whether something still runs: such tasks are lost
    ///
    /// For a run that was begun in a container that is gone for good, or at a Docker daemon that does not come back. What
    /// still runs of it somewhere goes on, and may write to its worktree, which stays.
    #[arg(long)]
    pub(crate) forget: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Markdown
    Md,
    /// JSON
    Json,
    /// JUnit XML
    Junit,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A run's id, the beginning of one, or `latest`
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// The format
    #[arg(long, default_value = "md", value_name = "FORMAT")]
    pub(crate) format: ReportFormat,
    /// Writes to FILE
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Runs: ids or their beginnings [default: the latest]
    #[arg(value_name = "RUN", conflicts_with = "all")]
    pub(crate) runs: Vec<String>,
    /// All runs that are over
    #[arg(long)]
    pub(crate) all: bool,
    /// Only says what would be done
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Removes also what is on no branch; it stays under refs/gadugi/trash/<run>/<task> for 14 days
    #[arg(long)]
    pub(crate) discard: bool,
    /// Waits until all that was removed is deleted, which otherwise goes on in the background
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
}
