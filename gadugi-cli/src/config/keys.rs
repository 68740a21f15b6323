//! The keys of `gadugi.toml`: the lists that the parser, the template, the `GADUGI_*` variables and the
//! test of the documentation go by.

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    /// As it stands in the file.
    pub name: &'static str,
    /// Its default, as TOML; `None` where nothing is set unless the user does.
    pub default: Option<&'static str>,
    /// A value, as TOML.
    pub example: &'static str,
    /// What it is for, in lines for the template.
    pub about: &'static [&'static str],
}

impl ConfigKey {
    /// The variable of the environment that sets it, such as `GADUGI_JOBS`, where it is one of [`CONFIG_KEYS`]: the keys of
    /// tables have none.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

pub(crate) fn variable(key: &str) -> String {
    format!("GADUGI_{}", key.to_uppercase())
}

const fn key(
    name: &'static str,
    default: Option<&'static str>,
    example: &'static str,
    about: &'static [&'static str],
) -> ConfigKey {
    ConfigKey { name, default, example, about }
}

/// All keys but the tables `[docker]` and `[agents.NAME]`, in the order in which they are explained.
pub const CONFIG_KEYS: &[ConfigKey] = &[
    key("jobs", Some("4"), "8", &["How many tasks run at once, at the most."]),
    key(
        "executor",
        Some("\"auto\""),
        "\"subprocess\"",
        &[
            "Where tasks run: \"subprocess\", \"docker\", or \"auto\" (containers where they can be used, else subprocess).",
        ],
    ),
    key(
        "agent",
        None,
        "\"claude\"",
        &["The agent for task files that say neither `run:` nor `command:` nor `agent:`; see [agents.NAME] below."],
    ),
    key("image", None, "\"ghcr.io/me/dev:1\"", &["The container image for tasks that name none."]),
    key("base", Some("\"HEAD\""), "\"origin/main\"", &["The commit that the tasks' branches start from."]),
    key(
        "timeout",
        Some("\"none\""),
        "\"30m\"",
        &["How long an attempt at a task may take, such as \"90s\", \"30m\" or \"1h30m\"."],
    ),
    key("idle_timeout", Some("\"none\""), "\"10m\"", &["How long an attempt may print nothing."]),
    key("grace", Some("\"10s\""), "\"30s\"", &["How long a task that is asked to stop gets before it is killed."]),
    key("retries", Some("0"), "2", &["How many further attempts a task gets that failed or ran out of time."]),
    key(
        "retry_delay",
        Some("\"1s\""),
        "\"30s\"",
        &["How long the first further attempt waits; each later one waits twice as long, up to five minutes."],
    ),
    key(
        "retry_from",
        None,
        "\"previous\"",
        &[
            "What a further attempt starts from: \"base\", as the first one did, or \"previous\", what the one before left.",
            "Without it: \"previous\" for tasks with an agent and a check, \"base\" for all others.",
        ],
    ),
    key(
        "changes",
        None,
        "\"required\"",
        &[
            "Whether a task that ends well and has changed nothing has failed: \"required\" or \"optional\".",
            "Without it: \"required\" for tasks with an agent and without a check, \"optional\" for all others.",
        ],
    ),
    key(
        "max_cost",
        None,
        "2.5",
        &["What a task may cost in US dollars, all attempts together, as far as its agent tells."],
    ),
    key(
        "max_tokens",
        None,
        "2000000",
        &["How many tokens a task may use, all attempts together, as far as its agent tells."],
    ),
    key("run_max_cost", None, "20", &["What all tasks of a run together may cost in US dollars."]),
    key("run_max_tokens", None, "20000000", &["How many tokens all tasks of a run together may use."]),
    key(
        "strict",
        Some("false"),
        "true",
        &[
            "Whether keys and values of other tools in task files are errors; otherwise they are passed over, which is said.",
        ],
    ),
    key("fail_fast", Some("false"), "true", &["Start nothing more after the first task that does not succeed."]),
    key(
        "keep",
        Some("\"failed\""),
        "\"always\"",
        &["Which worktrees stay after their task: \"failed\", \"always\" or \"never\". Branches always stay."],
    ),
    key(
        "allow_overlap",
        Some("false"),
        "true",
        &["Run tasks at once although what they say they will change (`touches:`) overlaps."],
    ),
    key(
        "worktrees",
        None,
        "\"../my-worktrees\"",
        &[
            "The folder for the worktrees, relative to this file. Without it: <repository>.gadugi beside the repository.",
        ],
    ),
    key(
        "worktree_timeout",
        Some("\"10m\""),
        "\"1h\"",
        &["How long a worktree may take to be made, with a post-checkout hook, and each step of giving it back."],
    ),
    key("branch_prefix", Some("\"gadugi/\""), "\"bots/\"", &["What the names of the tasks' branches begin with."]),
    key(
        "seed",
        Some("[]"),
        "[\".env\", \"node_modules/\"]",
        &[
            "Which files of yours, of those that git ignores, are copied into each worktree: patterns as in a .gitignore.",
            "Those in a file .worktreeinclude beside this one are copied in any case.",
        ],
    ),
    key(
        "setup",
        None,
        "\"npm ci\"",
        &[
            "A shell script, or a list of its lines, that is run in each new worktree before the task's command. A task's own",
            "`setup:` takes its place.",
        ],
    ),
    key("setup_timeout", Some("\"10m\""), "\"1h\"", &["How long that may take; it does not count for `timeout`."]),
    key(
        "env",
        Some("[]"),
        "[\"CARGO_*\", \"JAVA_HOME\"]",
        &[
            "Names of variables that every task gets from the environment of gadugi, where they are set, besides",
            "the usual ones (PATH, HOME, LANG, ...). `*` at the end stands for any rest.",
        ],
    ),
    key(
        "notify",
        Some("[]"),
        "[\"notify-send\", \"gadugi\"]",
        &[
            "A program with its arguments that is called when a run is over or needs somebody. It gets a sentence on its",
            "standard input and in GADUGI_SUMMARY.",
        ],
    ),
    key(
        "bell",
        Some("false"),
        "true",
        &["Whether the terminal rings then: true, false, or \"osc9\" for terminals that show a notice of the desktop."],
    ),
    key(
        "output_cap",
        Some("\"64MiB\""),
        "\"1GiB\"",
        &[
            "How much output of an attempt is kept, such as \"512KiB\" or \"1GiB\"; what is over it is counted, not kept.",
        ],
    ),
];

/// The keys of the table `[docker]`, in the order in which they are explained.
pub const DOCKER_KEYS: &[ConfigKey] = &[
    key(
        "network",
        Some("\"bridge\""),
        "\"none\"",
        &["What a container sees of networks: \"bridge\" (it reaches others) or \"none\" (it reaches nothing)."],
    ),
    key("memory", Some("\"4GiB\""), "\"8GiB\"", &["How much memory a task gets that says nothing of it (`memory:`)."]),
    key("cpus", Some("2"), "1.5", &["How many processors a task gets that says nothing of it (`cpus:`)."]),
    key("pids", Some("512"), "2048", &["How many processes and threads a container has at once, at the most."]),
    key(
        "user",
        Some("\"owner\""),
        "\"1000:1000\"",
        &[
            "Whose user the commands run as: \"owner\" (the owner's of the worktree), \"image\" (what the image says), or",
            "a \"UID:GID\".",
        ],
    ),
    key("read_only", Some("true"), "false", &["Whether nothing of the image can be changed in a container."]),
    key(
        "tmpfs",
        Some("[\"/tmp\", \"/run\", \"/var/tmp\"]"),
        "[\"/tmp\", \"/var/cache\"]",
        &["Folders of the container that are in memory, empty at first, and can be written."],
    ),
    key(
        "cap_add",
        Some("[]"),
        "[\"NET_BIND_SERVICE\"]",
        &["The capabilities that a container keeps, which are of use to root only; all others are taken from it."],
    ),
    key(
        "no_new_privileges",
        Some("true"),
        "false",
        &["Whether programs get no more rights than those that start them, so that sudo and the like do nothing."],
    ),
    key(
        "seccomp",
        Some("\"default\""),
        "\"seccomp.json\"",
        &[
            "Which system calls a container may make: \"default\" (those of Docker's own profile), \"unconfined\" (all), or",
            "those of a profile, by its path relative to this file.",
        ],
    ),
    key("init", Some("true"), "false", &["Whether a small first process looks after processes that nobody waits for."]),
    key(
        "host",
        None,
        "\"unix:///run/docker.sock\"",
        &["The address of the daemon; wins over DOCKER_HOST and over Docker's contexts."],
    ),
];

/// The keys of a table `[agents.NAME]`.
pub const AGENT_KEYS: &[&str] = &[
    "command",
    "extends",
    "prompt",
    "output",
    "resume",
    "host_args",
    "isolated_args",
    "isolated_env",
    "model",
    "model_args",
    "models",
    "budget_args",
    "stop_signal",
    "image",
    "env",
    "set_env",
    "linger",
    "backoff",
    "frame",
    "keys",
    "login",
    "mount_login",
];
