//! The command line, as clap reads it.

mod examples;
mod retry;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use gadugi_core::merge::Strategy;

pub(crate) use self::retry::{RetryArgs, RetryStart};

/// The headings of the options of `plan`, `run`, `resume` and `retry`.
const SELECTION: &str = "Task selection";
const EXECUTION: &str = "Execution";
const LIMITS: &str = "Limits";
const WORKTREES: &str = "Worktrees";
const DRIVING: &str = "Run control";

const AFTER_HELP: &str = "\
`gadugi help COMMAND` shows the options of a command, with examples.

Exit codes:
    0  all tasks succeeded, or the command did what it was asked for
    1  a task did not succeed, `attach`, `stop` or `clean` could not do all of it, or
       `conflicts --exit-code` found a pair that does not merge
    2  the usage, the configuration or the plan is wrong; nothing was started
    3  the environment does not fit (no repository, executor absent, …); no task was started
    4  the registry is busy or damaged
  130  interrupted
`attach` and `resume` exit as the run did, and `--detach` with 0 as soon as the run has started.";

/// Run a batch of coding tasks at the same time, each in a git worktree and on a branch of its own
#[derive(Debug, Parser)]
#[command(name = "gadugi", version, after_help = AFTER_HELP, propagate_version = true)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Read FILE instead of the repository's gadugi.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Choose when to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub(crate) color: ColorChoice,
    /// Print more about what is done and why; twice (-vv), also print traces, which GADUGI_LOG filters
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print help: a summary with -h, all of it and examples with --help
    #[arg(short, long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, global = true)]
    version: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented gadugi.toml
    #[command(after_long_help = examples::INIT)]
    Init(InitArgs),
    /// Build or pull the container images of tasks
    #[command(after_long_help = examples::IMAGE)]
    Image(ImageArgs),
    /// Check what works here, and name the remedy for what does not
    #[command(after_long_help = examples::DOCTOR)]
    Doctor,
    /// Show the tasks, their order and their overlaps; start nothing
    #[command(after_long_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Run tasks and print the report
    #[command(after_long_help = examples::RUN)]
    Run(RunArgs),
    /// Resume a run whose process died
    ///
    /// Reattach to the commands that still run, record the ends of the others, and start what is left.
    #[command(after_long_help = examples::RESUME)]
    Resume(ResumeArgs),
    /// Run again what did not succeed, in a new run
    ///
    /// What succeeded counts as done: tasks that need it start from its branches. An agent goes on with its conversation where it
    /// can, and hears what its check printed, or the message. A task that has succeeded gets a follow-up if it is named, with a
    /// message.
    #[command(after_long_help = examples::RETRY)]
    Retry(RetryArgs),
    /// Show a run that another process drives, or that no process drives
    ///
    /// Print its events as they are recorded, and its report at the end. Ctrl-C ends only `attach`, never the run.
    #[command(after_long_help = examples::ATTACH)]
    Attach(AttachArgs),
    /// List runs and their tasks
    #[command(after_long_help = examples::PS)]
    Ps(PsArgs),
    /// Print the output of a task
    #[command(after_long_help = examples::LOGS)]
    Logs(LogsArgs),
    /// Show how a task stands: outcome, branch, commits, files, last words and last output
    #[command(after_long_help = examples::SHOW)]
    Show(ShowArgs),
    /// Show what tasks have made since they started, by git's own diff
    ///
    /// Include all attempts that continued from each other and, while a task runs or its worktree is kept, its uncommitted and
    /// untracked files. Files that look like secrets are named and not shown, as they are not committed either.
    #[command(after_long_help = examples::DIFF)]
    Diff(DiffArgs),
    /// Push the branches of tasks that succeeded, and open a pull request for each
    ///
    /// Push never by force. Open pull requests by `gh`, as drafts; where there is no `gh`, print the commands. A task that needs
    /// another one gets a pull request against the branch of that one. Call it again to push what is new, and to update the
    /// text.
    #[command(after_long_help = examples::PR)]
    Pr(PrArgs),
    /// Stop a run or some of its tasks, and keep their work
    #[command(after_long_help = examples::STOP)]
    Stop(StopArgs),
    /// Print the report of a run
    #[command(after_long_help = examples::REPORT)]
    Report(ReportArgs),
    /// Merge the work of a run into a branch
    ///
    /// Merge what has succeeded, in memory, and check the result before the branch moves. What conflicts, and what breaks the
    /// check, is set aside and named; the rest lands at once, or not at all.
    #[command(after_long_help = examples::MERGE)]
    Merge(MergeArgs),
    /// Show which branches of a run merge with each other and with a target
    ///
    /// Merge every two of them in memory, and name the files in conflict. Uncommitted work of tasks that still run counts too.
    /// Nothing is changed. What merges as text may still not work: only a check tells.
    #[command(after_long_help = examples::CONFLICTS)]
    Conflicts(ConflictsArgs),
    /// Remove the worktrees and merged branches of finished runs
    ///
    /// Name what is kept, and why. No commit is removed that nothing else keeps, unless `--discard` is given.
    #[command(after_long_help = examples::CLEAN)]
    Clean(CleanArgs),
    /// Print a completion script for a shell
    #[command(after_long_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write those of all commands to a folder
    #[command(after_long_help = examples::MAN)]
    Man(ManArgs),
}

impl Command {
    /// Whether the command continues in the background.
    pub(crate) fn is_detached(&self) -> bool {
        match self {
            Self::Run(args) => args.driving.detach,
            Self::Resume(args) => args.driving.detach,
            Self::Retry(args) => args.driving.detach,
            _ => false,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Replace a file that exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Also write .gadugi/Dockerfile, a first image for tasks
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
    /// Build the image that tasks run in
    #[command(after_long_help = examples::IMAGE_BUILD)]
    Build(ImageBuildArgs),
    /// Pull an image from its registry
    #[command(after_long_help = examples::IMAGE_PULL)]
    Pull(ImagePullArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImageBuildArgs {
    /// Build FILE; its folder is the build context [default: .gadugi/Dockerfile in the repository]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name the image TAG [default: the configured `image`]
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// Pull newer versions of the base images
    #[arg(long)]
    pub(crate) pull: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImagePullArgs {
    /// The image [default: the configured `image`]
    pub(crate) image: Option<String>,
}

/// The tasks and their settings, for `plan` and `run`.
#[derive(Debug, Default, Args)]
pub(crate) struct TaskArgs {
    /// Task files, folders, globs, or `-` for the standard input
    #[arg(value_name = "TASKS")]
    pub(crate) tasks: Vec<PathBuf>,
    /// Add a task given as text (can be repeated)
    #[arg(short = 't', long = "task", value_name = "TEXT", allow_hyphen_values = true, help_heading = SELECTION)]
    pub(crate) texts: Vec<String>,
    /// Run at most N tasks at the same time
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = EXECUTION)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Run tasks by this executor: auto, docker, subprocess, or a name of your own
    #[arg(long, value_name = "NAME", help_heading = EXECUTION)]
    pub(crate) executor: Option<String>,
    /// Use this agent for tasks that name none
    #[arg(long, value_name = "NAME", help_heading = EXECUTION)]
    pub(crate) agent: Option<String>,
    /// Use this container image for tasks that name none
    #[arg(long, value_name = "IMG", help_heading = EXECUTION)]
    pub(crate) image: Option<String>,
    /// Start the tasks' branches from this commit [default: HEAD]
    #[arg(long, value_name = "REF", help_heading = WORKTREES)]
    pub(crate) base: Option<String>,
    /// Stop an attempt that takes longer than DUR, such as 90s or 1h30m
    #[arg(long, value_name = "DUR", help_heading = LIMITS)]
    pub(crate) timeout: Option<String>,
    /// Stop an attempt that prints nothing for DUR
    #[arg(long, value_name = "DUR", help_heading = LIMITS)]
    pub(crate) idle_timeout: Option<String>,
    /// Retry a failed task up to N times
    #[arg(long, value_name = "N", help_heading = LIMITS)]
    pub(crate) retries: Option<u32>,
    /// Fail a task that ends well but has changed nothing
    #[arg(long, help_heading = LIMITS)]
    pub(crate) require_changes: bool,
    /// Stop the run's agents when they have cost USD together, such as 2.5
    #[arg(long, value_name = "USD", help_heading = LIMITS)]
    pub(crate) max_cost: Option<f64>,
    /// Stop the run's agents when they have used N tokens together
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>, help_heading = LIMITS)]
    pub(crate) max_tokens: Option<NonZeroU64>,
    /// Let agents act without asking on this machine, outside of containers
    #[arg(long, help_heading = EXECUTION)]
    pub(crate) unsafe_host: bool,
    /// Refuse keys and values of other tools in task files instead of ignoring them
    #[arg(long, help_heading = SELECTION)]
    pub(crate) strict: bool,
    /// Start no further task after the first that does not succeed
    #[arg(long, help_heading = LIMITS)]
    pub(crate) fail_fast: bool,
    /// Run only this task and those that it needs (can be repeated)
    #[arg(long, value_name = "ID", help_heading = SELECTION)]
    pub(crate) only: Vec<String>,
    /// Leave this task out (can be repeated)
    #[arg(long, value_name = "ID", help_heading = SELECTION)]
    pub(crate) skip: Vec<String>,
    /// Take needs that succeeded in RUN from there, where they are not among the tasks or left out
    #[arg(long, value_name = "RUN", help_heading = SELECTION)]
    pub(crate) needs_from: Option<String>,
    /// Choose which worktrees are kept after the run
    #[arg(long, value_name = "WHICH", help_heading = WORKTREES)]
    pub(crate) keep: Option<Keep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    /// Worktrees of attempts that did not succeed
    Failed,
    /// All worktrees
    Always,
    /// No worktree; uncommitted work is committed to the branch first
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    /// Print only the prompt that the agent of this task will read
    #[arg(long, value_name = "TASK")]
    pub(crate) prompt: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    #[command(flatten)]
    pub(crate) driving: DrivingArgs,
    /// Pull missing images before the run starts
    #[arg(long, help_heading = EXECUTION)]
    pub(crate) pull: bool,
    /// Start even if the worktrees may not fit on the disk
    #[arg(long, help_heading = WORKTREES)]
    pub(crate) force: bool,
    /// Merge what has succeeded at the end of the run, as `gadugi merge` does
    #[arg(long, help_heading = DRIVING)]
    pub(crate) merge: bool,
}

/// The options of the process that drives a run, for `run`, `resume` and `retry`.
#[derive(Debug, Args)]
pub(crate) struct DrivingArgs {
    /// Continue in the background once everything is checked, and print the id of the run
    #[arg(long, conflicts_with_all = ["json", "die_with_parent"], help_heading = DRIVING)]
    pub(crate) detach: bool,
    /// Print each event as a line of JSON, and no report
    #[arg(long, help_heading = DRIVING)]
    pub(crate) json: bool,
    /// Stop the run when the terminal closes, and its tasks when gadugi ends
    #[arg(long, help_heading = DRIVING)]
    pub(crate) die_with_parent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run: its id, a prefix of its id, or `latest` [default: the latest unfinished run]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) driving: DrivingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The run: its id, a prefix of its id, or `latest` [default: the latest unfinished run]
    pub(crate) run: Option<String>,
    /// Print each event as a line of JSON, and no report
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// The run: its id, a prefix of its id, or `latest`
    pub(crate) run: Option<String>,
    /// List all runs, including finished ones
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The task
    pub(crate) task: String,
    /// Keep printing until the task ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Start with the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// Choose the run by its id, a prefix of its id, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// Choose the attempt [default: the last one]
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Print the bytes as they are, including those that control a terminal
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The task
    pub(crate) task: String,
    /// Choose the run by its id, a prefix of its id, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The tasks [default: all tasks of the run that have changed something]
    #[arg(value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
    /// Choose the run by its id, a prefix of its id, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// Print only the changed files, and how much has changed in each
    #[arg(long, conflicts_with = "name_only")]
    pub(crate) stat: bool,
    /// Print only the names of changed files
    #[arg(long)]
    pub(crate) name_only: bool,
    /// Only these files and folders
    #[arg(last = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PrArgs {
    /// The tasks [default: all tasks of the run that have succeeded and have commits]
    #[arg(value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
    /// Choose the run by its id, a prefix of its id, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// Push to this remote [default: `remote.pushDefault`, else origin, else the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
    /// Open pull requests against this branch [default: the run's base, else the remote's own]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) base: Option<String>,
    /// Open pull requests ready for review, and not as drafts
    #[arg(long)]
    pub(crate) ready: bool,
    /// Print what would be done, and push nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// A run (its id, a prefix of its id, or `latest`) and tasks of it [default: the latest unfinished run]
    #[arg(value_name = "RUN|TASK")]
    pub(crate) what: Vec<String>,
    /// Kill at once, without a grace period
    #[arg(long)]
    pub(crate) now: bool,
    /// End a run even if some of its tasks cannot be checked from here; they are recorded as lost
    ///
    /// Use it for a run that was started in a container that no longer exists, or by a Docker daemon that does not come
    /// back. A process of such a task that still runs elsewhere continues, and may write to its worktree, which is kept.
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
    /// The run: its id, a prefix of its id, or `latest`
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Print the report of the run's latest merge
    #[arg(long)]
    pub(crate) merge: bool,
    /// Choose the format
    #[arg(long, default_value = "md", value_name = "FORMAT")]
    pub(crate) format: ReportFormat,
    /// Write to FILE instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MergeStrategy {
    /// A merge commit for each task
    Merge,
    /// One commit for each task
    Squash,
    /// Each commit of each task once more
    Rebase,
}

impl From<MergeStrategy> for Strategy {
    fn from(strategy: MergeStrategy) -> Self {
        match strategy {
            MergeStrategy::Merge => Self::Merge,
            MergeStrategy::Squash => Self::Squash,
            MergeStrategy::Rebase => Self::Rebase,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// A run (its id, a prefix of its id, or `latest`) and tasks of it [default: all tasks of the latest run]
    #[arg(value_name = "RUN|TASK")]
    pub(crate) what: Vec<String>,
    /// Merge into BRANCH [default: the branch that the run started from]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) into: Option<String>,
    /// Choose how a branch is merged
    #[arg(long, value_name = "HOW")]
    pub(crate) strategy: Option<MergeStrategy>,
    /// Land only what this shell script succeeds on, such as "cargo test"
    #[arg(long, value_name = "CMD")]
    pub(crate) check: Option<String>,
    /// Land whatever merges as text, without a check
    #[arg(long, conflicts_with = "check")]
    pub(crate) no_check: bool,
    /// Let the agent of a task that is set aside go on, in its own conversation, until it can land
    #[arg(long)]
    pub(crate) resolve: bool,
    /// Run at most N checks at the same time
    #[arg(short, long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Run the check by this executor: auto, docker, subprocess, or a name of your own
    #[arg(long, value_name = "NAME")]
    pub(crate) executor: Option<String>,
    /// Run the check in this container image
    #[arg(long, value_name = "IMG")]
    pub(crate) image: Option<String>,
    /// Print what would be merged, and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// End a merge that was cut short, instead of continuing it
    #[arg(long, conflicts_with_all = ["what", "dry_run"])]
    pub(crate) abort: bool,
    /// Print each event as a line of JSON, and no summary
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConflictsArgs {
    /// The run: its id, a prefix of its id, or `latest`
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Compare with this branch or commit [default: the branch that the run started from, else HEAD]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) into: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 1 unless all pairs merge as text
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Runs, by id or prefix of an id [default: the latest, and those that it retries]
    #[arg(value_name = "RUN", conflicts_with = "all")]
    pub(crate) runs: Vec<String>,
    /// Clean all finished runs
    #[arg(long)]
    pub(crate) all: bool,
    /// Print what would be done, and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Also remove work that is on no branch; it is kept under refs/gadugi/trash/<run>/<task> for 14 days
    #[arg(long)]
    pub(crate) discard: bool,
    /// Wait until the removed files are deleted, which otherwise happens in the background
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command whose page to print, such as `run` or `image build` [default: gadugi itself]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands to DIR, one file each
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// Reads a number of things of which there must be one.
fn at_least_one<T: TryFrom<NonZeroU64>>(text: &str) -> Result<T, String> {
    let number: u64 = text.parse().map_err(|_| "expected a whole number of at least 1".to_owned())?;
    let number = NonZeroU64::new(number).ok_or("it must be at least 1")?;
    T::try_from(number).map_err(|_| "it is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Calls `look` with a command and with all below it.
    fn each(command: &clap::Command, look: &mut impl FnMut(&clap::Command)) {
        look(command);
        command.get_subcommands().for_each(|below| each(below, look));
    }

    #[test]
    fn the_description_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_and_options_are_described_in_the_imperative() {
        let is_imperative = |text: &str| {
            let first = text.split(' ').next().unwrap_or_default();
            !first.is_empty()
                && !first.ends_with('s')
                && !["The", "A", "How", "When", "Which", "Where"].contains(&first)
        };
        each(&Cli::command(), &mut |command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(is_imperative(&about), "{}: {about}", command.get_name());
            for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(is_imperative(&help), "{} {}: {help}", command.get_name(), option.get_id());
            }
        });
    }

    #[test]
    fn every_command_has_examples_that_are_valid() {
        each(&Cli::command(), &mut |command| {
            if command.get_name() == "gadugi" {
                return;
            }
            let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  gadugi ")).collect();
            assert!(text.starts_with("Examples:\n") && !examples.is_empty(), "{}: {text}", command.get_name());
            for example in examples {
                // Two spaces stand before what an example does, and shells read what follows on `|` and `>`.
                let call = example.split("  ").next().unwrap_or_default();
                let call = call.split(['|', '>']).next().unwrap_or_default();
                let words = call.replace("\"Fix the flaky test\"", "Fix").replace('\'', "");
                let parsed = Cli::try_parse_from(["gadugi"].into_iter().chain(words.split_whitespace()));
                assert!(parsed.is_ok(), "{example}: {:?}", parsed.err());
            }
        });
    }
}
