//! The settings of a run: one entry for each, which is all that a new one needs besides what it does and, where it has a flag,
//! that (CONTRIBUTING.md).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::plan::{Changes, RetryFrom, SubjectTemplate};
use gadugi_core::run::KeepPolicy;

use crate::config::agent::{AgentLayer, AgentProfile};
use crate::config::branch_prefix::BranchPrefix;
use crate::config::docker::{DockerConfig, DockerLayer};
use crate::config::merge::{MergeConfig, MergeLayer};
use crate::config::setting::settings;
use crate::parse::kind::{
    COUNT, FROM_ZERO, Kind, PATH, POSITIVE, SCRIPT, SIZE, SWITCH, TEXT, TEXTS, TIME, TIME_LIMIT, TOKENS,
    VARIABLE_PATTERNS,
};
use crate::parse::{TimeLimit, ValueIssue};

/// Ring of the terminal when a run is over or needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bell {
    /// None.
    #[default]
    Silent,
    /// The bell of the terminal.
    Rings,
    /// A desktop notice, in terminals that know the sequence OSC 9.
    Osc9,
}

const BELL: Kind<Bell> = Kind::switch("`true`, `false` or `\"osc9\"`", |fields, key, _| {
    if fields.peek_text(key).is_some() {
        return fields.word(key, &["osc9"], &[Bell::Osc9]);
    }
    fields.switch(key).map(|rings| if rings { Bell::Rings } else { Bell::Silent })
});

const BRANCH_PREFIX: Kind<BranchPrefix> = Kind::text("text", |fields, key, example| {
    fields.parsed(key, example, |text| {
        text.parse().map_err(|error| ValueIssue::Name { error, example: "gadugi/".into() })
    })
});

const COMMIT_SUBJECT: Kind<SubjectTemplate> = Kind::text("text", |fields, key, example| {
    fields.parsed(key, example, |text| {
        text.parse().map_err(|error| ValueIssue::Name { error, example: "{title} ({task})".into() })
    })
});

const KEEP: Kind<KeepPolicy> = Kind::text("`\"failed\"`, `\"always\"` or `\"never\"`", |fields, key, _| {
    fields.word(key, &["failed", "always", "never"], &[KeepPolicy::Failed, KeepPolicy::Always, KeepPolicy::Never])
});

const RETRY_FROM: Kind<RetryFrom> = Kind::text("`\"base\"` or `\"previous\"`", |fields, key, _| {
    fields.word(key, &["base", "previous"], &[RetryFrom::Base, RetryFrom::Previous])
});

const CHANGES: Kind<Changes> = Kind::text("`\"optional\"` or `\"required\"`", |fields, key, _| {
    fields.word(key, &["optional", "required"], &[Changes::Optional, Changes::Required])
});

settings! {
    /// All keys of a configuration but the tables `[docker]`, `[merge]` and `[agents.NAME]`, in the order of the docs.
    table pub CONFIG_KEYS;

    /// The settings of one source: a file, the environment, the flags of a command, or a task. `None` leaves a setting to the
    /// sources before it.
    #[derive(Debug, Clone, PartialEq, Default)]
    layer pub ConfigLayer {
        fields pub,
        /// Settings of containers.
        docker: DockerLayer,
        /// Settings of merges.
        merge: MergeLayer,
        /// Tables of agents, by name.
        agents: BTreeMap<String, AgentLayer>,
    };

    /// All settings, merged from all sources.
    #[derive(Debug, Clone, PartialEq)]
    settings Config {
        /// Settings of containers.
        docker: DockerConfig,
        /// Settings of merges.
        merge: MergeConfig,
        /// Agents by name: those that gadugi knows, and those of the configuration.
        agents: BTreeMap<String, AgentProfile>,
    };

    only {}

    /// Maximum number of tasks that run at once.
    jobs: NonZeroUsize = COUNT { default: "4", example: "8", flag: "--jobs" };

    /// Executor of the tasks: `"subprocess"` (processes of this machine), `"docker"` (containers), `"auto"` (containers where they
    /// can be used, else processes), or the name of another executor.
    ///
    /// `"docker"` is an error where containers cannot be used. The choice of `"auto"` is shown at the start and in the report.
    executor: String = TEXT {
        default: "\"auto\"", example: "\"subprocess\"", flag: "--executor", task: "that of the run"
    };

    /// Agent of task files that say neither `run:` nor `command:` nor `agent:`; see `[agents.NAME]` below.
    ///
    /// Gadugi knows some agents, and a table `[agents.NAME]` adds another one. Without this setting, the only agent that is
    /// installed is taken, with a note.
    agent: String => Option<String> = TEXT { example: "\"claude\"", flag: "--agent" };

    /// Container image that tasks run in.
    ///
    /// The image of a task's [agent](configuration.md#agents) wins over that of the configuration.
    image: String => Option<String> = TEXT {
        example: "\"ghcr.io/me/dev:1\"", flag: "--image", task: "from its agent, else from the configuration"
    };

    /// Commit that the tasks' branches start from.
    ///
    /// A branch, a tag, a commit, or anything else that `git rev-parse` takes.
    base: String = TEXT { default: "\"HEAD\"", example: "\"origin/main\"", flag: "--base" };

    /// Time limit of an attempt at a task, without its setup, such as `"90s"`, `"30m"` or `"1h30m"`.
    timeout: TimeLimit => Option<Duration> = TIME_LIMIT {
        default: "\"none\"", example: "\"30m\"", flag: "--timeout", task: "from the configuration"
    };

    /// Time limit of an attempt that prints nothing.
    idle_timeout: TimeLimit => Option<Duration> = TIME_LIMIT {
        default: "\"none\"", example: "\"10m\"", flag: "--idle-timeout", task: "from the configuration"
    };

    /// Time between asking a task to stop and killing it.
    grace: Duration = TIME { default: "\"10s\"", example: "\"30s\"", task: "from the configuration" };

    /// Number of further attempts at a task that failed or ran out of time.
    retries: u32 = FROM_ZERO { default: "0", example: "1", flag: "--retries", task: "from the configuration" };

    /// Wait before the first further attempt; it doubles with each later one, up to five minutes.
    retry_delay: Duration = TIME { default: "\"1s\"", example: "\"30s\"", task: "from the configuration" };

    /// Start of a further attempt: `"base"` (where the first one started) or `"previous"` (what the one before left).
    /// Without it: `"previous"` for tasks with an agent and a `check`, `"base"` for all others.
    ///
    /// What an attempt left includes its uncommitted files, as a commit. It keeps a branch of its own in either case.
    retry_from: RetryFrom => Option<RetryFrom> = RETRY_FROM { example: "\"previous\"", task: "from the configuration" };

    /// Outcome of a task that ends well and has changed nothing: it failed (`"required"`) or succeeded (`"optional"`).
    /// Without it: `"required"` for tasks with an agent and without a `check`, `"optional"` for all others.
    ///
    /// Such a success is reported as `succeeded, nothing changed`.
    changes: Changes => Option<Changes> = CHANGES {
        example: "\"required\"", flag: "--require-changes", task: "from the configuration"
    };

    /// Budget of a task in US dollars, all attempts together, as far as its agent reports the cost.
    ///
    /// See [budgets](agents.md#budgets).
    max_cost: f64 => Option<f64> = POSITIVE { example: "2.5", task: "from the configuration" };

    /// Budget of a task in tokens, sent and received, all attempts together, as far as its agent reports them.
    max_tokens: u64 => Option<u64> = TOKENS { example: "2000000", task: "from the configuration" };

    /// Budget in US dollars of all tasks of a run together.
    run_max_cost: f64 => Option<f64> = POSITIVE { example: "20", flag: "--max-cost" };

    /// Budget in tokens of all tasks of a run together.
    run_max_tokens: u64 => Option<u64> = TOKENS { example: "20000000", flag: "--max-tokens" };

    /// Whether keys and values of other tools in task files are errors; otherwise they are passed over with a note.
    ///
    /// See [prompt files of other tools](task-files.md#prompt-files-of-other-tools).
    strict: bool = SWITCH { default: "false", example: "true", flag: "--strict" };

    /// Whether no further task starts after the first one that does not succeed.
    ///
    /// Tasks that run then are not stopped.
    fail_fast: bool = SWITCH { default: "false", example: "true", flag: "--fail-fast" };

    /// Worktrees that stay after their tasks: those that did not succeed (`"failed"`), all (`"always"`) or none (`"never"`).
    /// Branches always stay.
    ///
    /// So does a worktree that holds work which is on no branch.
    keep: KeepPolicy = KEEP { default: "\"failed\"", example: "\"always\"", flag: "--keep" };

    /// Whether tasks run at once although the paths that they declare (`touches:`) overlap.
    allow_overlap: bool = SWITCH { default: "false", example: "true" };

    /// Folder for the worktrees, relative to the file that sets it. Without it: `<repository>.gadugi` beside the repository.
    ///
    /// In the variable it is relative to the folder where gadugi is called. Where the folder beside the repository cannot be
    /// written or lies in another repository, the default is a folder below `$XDG_DATA_HOME/gadugi/worktrees`
    /// (`~/.local/share` by default).
    worktrees: PathBuf => Option<PathBuf> = PATH { example: "\"../my-worktrees\"" };

    /// Time limit for creating a worktree, with a `post-checkout` hook, and for each step of its release.
    ///
    /// The steps are to import what a container has committed, to commit the rest, and to remove the worktree. Past the limit,
    /// git, or a filter of yours, is killed with all that it has started. An attempt whose work could not be made or collected
    /// in that time has failed; a worktree that could not be removed stays, and `gadugi clean` removes it.
    worktree_timeout: TimeLimit => Option<Duration> = TIME_LIMIT { default: "\"10m\"", example: "\"1h\"" };

    /// Beginning of the names of the tasks' branches; the task's id follows.
    branch_prefix: BranchPrefix = BRANCH_PREFIX { default: "\"gadugi/\"", example: "\"bots/\"" };

    /// Subject of the commit with what a task has left uncommitted; `{title}`, `{task}`, `{run}` and `{attempt}` stand for those
    /// of the task.
    ///
    /// It is one line of at most 72 characters; a longer title is cut. Lines with the run and the task follow in the message.
    commit_subject: SubjectTemplate = COMMIT_SUBJECT {
        default: "\"{title}\"", example: "\"fix: {title}\"", task: "from the configuration"
    };

    /// Files that git ignores and that are copied into each new worktree: patterns as in a `.gitignore`. Those in a file
    /// `.worktreeinclude` in the root of the work tree are copied in any case.
    ///
    /// See [what a new worktree gets](configuration.md#what-a-new-worktree-gets).
    seed: Vec<String> = TEXTS { default: "[]", example: "[\".env\"]" };

    /// Shell script, or a list of its lines, that is run in each new worktree before the task's command. The `setup:` of a task
    /// takes its place.
    ///
    /// `""` is none. See [what a new worktree gets](configuration.md#what-a-new-worktree-gets).
    setup: String => Option<String> = SCRIPT { example: "\"npm ci\"", task: "from the configuration" };

    /// Time limit of the setup, which does not count for `timeout`.
    setup_timeout: TimeLimit => Option<Duration> = TIME_LIMIT {
        default: "\"10m\"", example: "\"1h\"", task: "from the configuration"
    };

    /// Names of variables that every task gets from the environment of gadugi, where they are set, besides the usual ones
    /// (`PATH`, `HOME`, `LANG`, ...). A `*` at the end stands for any rest.
    env: Vec<String> = VARIABLE_PATTERNS { default: "[]", example: "[\"CARGO_*\", \"JAVA_HOME\"]" };

    /// Program, with its arguments, that is called when a run is over or needs attention. It gets a sentence on its standard
    /// input and in `GADUGI_SUMMARY`.
    ///
    /// See [notices](agents.md#notices).
    notify: Vec<String> = TEXTS { default: "[]", example: "[\"notify-send\", \"gadugi\"]" };

    /// Ring of the terminal at the same moments: `true`, `false`, or `"osc9"` for terminals that show desktop notices.
    bell: Bell = BELL { default: "false", example: "true" };

    /// Amount of an attempt's output that is kept, from its beginning and its end, such as `"512KiB"` or `"1GiB"`. The rest is
    /// counted.
    output_cap: u64 = SIZE { default: "\"64MiB\"", example: "\"1GiB\"" };
}
