use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use gadugi_cli::config::{
    CONFIG_KEYS, Config, ConfigFile, ConfigLayer, ConfigSources, DOCKER_KEYS, DockerConfig, DockerNetwork,
    DockerSeccomp, DockerUser, Environment, MERGE_KEYS, PromptMode, TimeLimit, template,
};
use gadugi_core::RunSettings;
use gadugi_core::plan::{Limits, RetryFrom};
use gadugi_core::run::KeepPolicy;
use insta::assert_snapshot;

use crate::fixture::Folder;

#[test]
fn without_any_source_there_are_defaults() {
    let config = Folder::new().load().unwrap();
    assert_eq!(config, Config::default());
    assert_eq!((config.run_settings(), config.grace), (RunSettings::default(), Limits::default().grace));
    assert_eq!(config.jobs.get(), 4);
    assert_eq!((config.executor.as_str(), config.base.as_str()), ("auto", "HEAD"));
    assert_eq!((config.timeout, config.idle_timeout, config.grace), (None, None, Duration::from_secs(10)));
    assert_eq!((config.keep, config.branch_prefix.as_str()), (KeepPolicy::Failed, "gadugi/"));
    assert_eq!(config.output_cap, 64 * 1024 * 1024);
    assert_eq!(config.worktree_timeout, Some(Duration::from_secs(600)));
    assert_eq!((config.setup, config.setup_timeout), (None, Some(Duration::from_secs(600))));
}

/// A configuration with a value other than the default for each key.
const EVERY_KEY: &str = r#"
jobs = 8
executor = "subprocess"
agent = "claude"
image = "ubuntu:24.04"
base = "origin/main"
timeout = "1h30m"
idle_timeout = "10m"
grace = "0s"
retries = 2
retry_delay = "250ms"
retry_from = "previous"
fail_fast = true
keep = "always"
allow_overlap = true
worktrees = "../trees"
worktree_timeout = "2m"
branch_prefix = "bots/"
seed = [".env", "!.env.production"]
setup = ["npm ci", "npm run build"]
setup_timeout = "5m"
env = ["CARGO_HOME"]
output_cap = "1GiB"

[docker]
network = "none"
memory = "512MiB"
cpus = 1.5
pids = 64
user = "1000:100"
read_only = false
tmpfs = ["/tmp/", "/var/./cache"]
cap_add = ["NET_BIND_SERVICE", "cap_chown"]
no_new_privileges = false
seccomp = "docker/profile.json"
init = false
host = "unix:///run/user/1000/docker.sock"

[agents.claude]
command = ["claude", "-p", "{title}"]
image = "node:22"
env = ["KEY"]
[agents.codex]
command = ["codex", "exec", "{prompt}"]
prompt = "argument"
"#;

#[test]
fn a_file_sets_every_key() {
    let folder = Folder::configured(EVERY_KEY);
    let config = &folder.config;
    assert_eq!(config.jobs.get(), 8);
    assert_eq!(config.executor, "subprocess");
    assert_eq!(config.agent.as_deref(), Some("claude"));
    assert_eq!(config.image.as_deref(), Some("ubuntu:24.04"));
    assert_eq!(config.base, "origin/main");
    assert_eq!(config.timeout, Some(Duration::from_secs(5400)));
    assert_eq!(config.idle_timeout, Some(Duration::from_secs(600)));
    assert_eq!(config.grace, Duration::ZERO);
    assert_eq!(config.retries, 2);
    assert_eq!((config.retry_delay, config.retry_from), (Duration::from_millis(250), Some(RetryFrom::Previous)));
    assert!(config.fail_fast && config.allow_overlap);
    assert_eq!(config.keep, KeepPolicy::Always);
    assert_eq!(config.worktrees.as_deref(), Some(folder.path().join("../trees").as_path()));
    assert_eq!(config.branch_prefix.as_str(), "bots/");
    assert_eq!(config.worktree_timeout, Some(Duration::from_secs(120)));
    assert_eq!(config.seed, [".env", "!.env.production"]);
    assert_eq!(config.setup.as_deref(), Some("npm ci\nnpm run build"));
    assert_eq!(config.setup_timeout, Some(Duration::from_secs(300)));
    assert_eq!(config.env, ["CARGO_HOME"]);
    assert_eq!(config.output_cap, 1 << 30);
    let docker = DockerConfig {
        network: DockerNetwork::None,
        memory: 512 << 20,
        cpus: 1.5,
        pids: NonZeroU32::new(64).unwrap(),
        user: DockerUser::Ids { uid: 1000, gid: 100 },
        read_only: false,
        tmpfs: vec!["/tmp".to_owned(), "/var/cache".to_owned()],
        cap_add: vec!["NET_BIND_SERVICE".to_owned(), "CHOWN".to_owned()],
        no_new_privileges: false,
        seccomp: DockerSeccomp::Profile(folder.path().join("docker/profile.json")),
        init: false,
        host: Some("unix:///run/user/1000/docker.sock".to_owned()),
    };
    assert_eq!(config.docker, docker);
    assert_eq!(config.agents["claude"].command, ["claude", "-p", "{title}"]);
    assert_eq!(config.agents["claude"].prompt, PromptMode::Stdin);
    assert_eq!(config.agents["claude"].image.as_deref(), Some("node:22"));
    assert_eq!(config.agents["claude"].env, ["KEY"]);
    assert_eq!(config.agents["codex"].prompt, PromptMode::Argument);
    let settings = config.run_settings();
    assert_eq!((settings.jobs.get(), settings.fail_fast, settings.keep), (8, true, KeepPolicy::Always));
}

#[test]
fn a_setup_is_a_text_or_a_list_of_lines_and_an_empty_one_is_none() {
    let with = |text: &str, variable: Option<&str>| {
        let mut folder = Folder::with("gadugi.toml", text);
        variable.into_iter().for_each(|value| folder.set("GADUGI_SETUP", value));
        folder.load().expect("a valid configuration").setup
    };
    assert_eq!(with("setup = \"\\nnpm ci\\n\"", None).as_deref(), Some("npm ci"));
    assert_eq!(with("setup = 'npm ci'", Some("make deps")).as_deref(), Some("make deps"));
    for none in ["", "setup = []", "setup = ' '", "setup = [' ', ' ']"] {
        assert_eq!(with(none, None), None, "{none}");
    }
    let folder = Folder::with("gadugi.toml", "setup = 5\nseed = 'x'\nsetup_timeout = '5'\n");
    assert_snapshot!(folder.config_errors(), @r#"
    error: gadugi.toml:1: `setup` must be a text or a list of texts, not the number 5
     hint: write for example "npm ci"
    error: gadugi.toml:2: `seed` must be a list of texts, not the text `x`
     hint: write for example [".env"]
    error: gadugi.toml:3: `setup_timeout`: `5` has no unit of time
     hint: write `5s` for seconds or `5m` for minutes
    "#);
}

#[test]
fn the_later_source_wins_key_by_key() {
    let folder = Folder::new();
    folder.write("gadugi.toml", "jobs = 1\nretries = 1\ntimeout = '1m'\nbase = 'one'\n[agents.a]\ncommand = ['one']\nenv = ['X']\n[agents.b]\ncommand = ['one']\n");
    folder.write("user.toml", "jobs = 2\nretries = 2\ntimeout = '2m'\n[agents.a]\ncommand = ['two']\n");
    let environment = Environment::from([("GADUGI_JOBS".into(), "3".into()), ("GADUGI_RETRIES".into(), "3".into())]);
    let flags = ConfigLayer { jobs: NonZeroUsize::new(4), timeout: Some(TimeLimit::None), ..ConfigLayer::default() };
    let (repository, user) = (folder.path().join("gadugi.toml"), folder.path().join("user.toml"));
    let files = [ConfigFile { path: &repository, required: false }, ConfigFile { path: &user, required: true }];
    let config = Config::load(ConfigSources { files: &files, environment: &environment, flags }).unwrap();
    assert_eq!((config.jobs.get(), config.retries, config.timeout, config.base.as_str()), (4, 3, None, "one"));
    // A profile counts as a whole: what the first file lets through is not for the second file's command.
    assert_eq!(config.agents["a"].command, ["two"]);
    assert!(config.agents["a"].env.is_empty());
    assert_eq!(config.agents["b"].command, ["one"]);
}

#[test]
fn the_later_file_wins_over_the_earlier_one_in_each_key_of_the_containers() {
    let folder = Folder::new();
    folder.write(
        "gadugi.toml",
        "[docker]\nnetwork = 'none'\nmemory = '1GiB'\nseccomp = 'unconfined'\ncap_add = ['KILL']\n",
    );
    folder.write("user/config.toml", "[docker]\nmemory = '2GiB'\nseccomp = 'mine.json'\ncap_add = []\n");
    let (repository, user) = (folder.path().join("gadugi.toml"), folder.path().join("user/config.toml"));
    let files = [ConfigFile { path: &repository, required: true }, ConfigFile { path: &user, required: true }];
    let environment = Environment::new();
    let sources = ConfigSources { files: &files, environment: &environment, flags: ConfigLayer::default() };
    let docker = Config::load(sources).unwrap().docker;
    let seccomp = DockerSeccomp::Profile(folder.path().join("user/mine.json"));
    let network = DockerNetwork::None;
    assert_eq!(docker, DockerConfig { network, memory: 2 << 30, seccomp, ..DockerConfig::default() });
}

#[test]
fn everything_wrong_with_the_containers_is_told_at_once() {
    let folder = Folder::with(
        "gadugi.toml",
        r#"[docker]
network = "host"
memory = 4
cpus = 0
pids = 0
user = "me"
read_only = "yes"
tmpfs = ["tmp", "/", "/tmp/..", "/tmp:exec"]
cap_add = ["ALL", "NET_BIND", "SYS_ADMN"]
no_new_privileges = 1
seccomp = "unconfine"
host = "/run/docker.sock"
readonly = true
"#,
    );
    assert_snapshot!(folder.config_errors(), @r#"
    error: gadugi.toml:2: `network`: `host` is none of bridge, none
     hint: write `bridge`
    error: gadugi.toml:3: `memory`: `4` has no unit of memory
     hint: write `4MiB` for megabytes or `4GiB` for gigabytes
    error: gadugi.toml:4: `cpus` must be a number above 0, not the number 0
     hint: write for example 2
    error: gadugi.toml:5: `pids` must be a whole number from 1 on, not the number 0
     hint: write for example 512
    error: gadugi.toml:6: `user`: `me` is neither owner nor image nor UID:GID
     hint: write "owner", "image", or both numbers, such as "1000:1000"
    error: gadugi.toml:7: `read_only` must be `true` or `false`, not the text `yes`
     hint: write for example true
    error: gadugi.toml:8: `tmpfs`: `tmp` cannot be the absolute path of a folder below `/`
     hint: write for example "/tmp", without `..`, `:` and `,`
    error: gadugi.toml:8: `tmpfs`: `/` cannot be the absolute path of a folder below `/`
     hint: write for example "/tmp", without `..`, `:` and `,`
    error: gadugi.toml:8: `tmpfs`: `/tmp/..` cannot be the absolute path of a folder below `/`
     hint: write for example "/tmp", without `..`, `:` and `,`
    error: gadugi.toml:8: `tmpfs`: `/tmp:exec` cannot be the absolute path of a folder below `/`
     hint: write for example "/tmp", without `..`, `:` and `,`
    error: gadugi.toml:9: `cap_add`: `ALL` would take no capability from a container
     hint: name those that the tasks need, such as "NET_BIND_SERVICE"
    error: gadugi.toml:9: `cap_add`: `NET_BIND` is not a capability
     hint: capabilities(7) lists them, such as "NET_BIND_SERVICE"
    error: gadugi.toml:9: `cap_add`: `SYS_ADMN` is not a capability (did you mean `SYS_ADMIN`?)
     hint: write "SYS_ADMIN"
    error: gadugi.toml:10: `no_new_privileges` must be `true` or `false`, not the number 1
     hint: write for example true
    error: gadugi.toml:11: `seccomp`: `unconfine` is none of default, unconfined
     hint: did you mean `unconfined`?
    error: gadugi.toml:12: `host`: `/run/docker.sock` is not the address of a daemon
     hint: write "unix:///run/docker.sock"
    error: gadugi.toml:13: unknown key `readonly` (did you mean `read_only`?)
     hint: write `read_only`, or remove it
    "#);
    for (line, expected) in [
        ("user = \"1000\"", "\"1000:1000\""),
        ("user = \"1:2147483648\"", "\"owner\""),
        ("user = \"+1:1\"", "\"owner\""),
        ("cap_add = [\"cap_all\"]", "`ALL`"),
        ("host = \"docker.example.com\"", "ssh://"),
        ("host = \"tcp://\"", "ssh://"),
        ("pids = 1.5", "a whole number from 1 on"),
    ] {
        let errors = Folder::with("gadugi.toml", format!("[docker]\n{line}\n")).config_errors();
        assert!(errors.starts_with("error: gadugi.toml:2: ") && errors.contains(expected), "{line}: {errors}");
    }
    assert_snapshot!(Folder::with("gadugi.toml", "docker = true\n").config_errors(), @"
    error: gadugi.toml:1: `docker` must be a table, not `true`
     hint: write for example [docker]
    ");
}

#[test]
fn a_required_file_must_exist() {
    let files = [ConfigFile { path: Path::new("nowhere/my.toml"), required: true }];
    let sources = ConfigSources { files: &files, environment: &Environment::new(), flags: ConfigLayer::default() };
    let error = Config::load(sources).unwrap_err();
    assert_snapshot!(error, @"nowhere/my.toml: cannot be read: No such file or directory (os error 2)");
}

/// A configuration with an error of each kind.
const MANY_ERRORS: &str = r#"job = 4
idle-timeout = "1m"
colour = "red"
jobs = 0
retries = -1
fail_fast = "yes"
timeout = 90
idle_timeout = "soon"
grace = "2 weeks"
keep = "allways"
output_cap = "64M"
branch_prefix = "my branch/"
env = ["A*", "B*C"]
image = ""
executor = ["docker"]

[agents."two words"]
command = ["x"]

[agents.none]
[agents.typo]
command = ["x", "{promt_file}", "{other}"]
promt = "stdin"
[agents.empty]
command = []
prompt = "pipe"
env = ["A=b"]
[agents.text]
command = "claude -p"
[agents.file]
command = ["x"]
prompt = "file"
[agents.argument]
command = ["x", "{prompt}"]
"#;

#[test]
fn everything_wrong_in_a_file_is_told_at_once() {
    let folder = Folder::with("gadugi.toml", MANY_ERRORS);
    assert_snapshot!(folder.config_errors(), @r#"
    error: gadugi.toml:1: unknown key `job` (did you mean `jobs`?)
     hint: write `jobs`, or remove it
    error: gadugi.toml:2: unknown key `idle-timeout` (did you mean `idle_timeout`?)
     hint: write `idle_timeout`, or remove it
    error: gadugi.toml:3: unknown key `colour`
     hint: the keys are jobs, executor, agent, image, base, timeout, idle_timeout, grace, retries, retry_delay, retry_from, changes, max_cost, max_tokens, run_max_cost, run_max_tokens, strict, fail_fast, keep, allow_overlap, worktrees, worktree_timeout, branch_prefix, commit_subject, seed, setup, setup_timeout, env, notify, bell, output_cap, docker, merge, agents
    error: gadugi.toml:4: `jobs` must be a whole number from 1 on, not the number 0
     hint: write for example 4
    error: gadugi.toml:5: `retries` must be a whole number from 0 on, not the number -1
     hint: write for example 1
    error: gadugi.toml:6: `fail_fast` must be `true` or `false`, not the text `yes`
     hint: write for example true
    error: gadugi.toml:7: `timeout`: `90` has no unit of time
     hint: write `90s` for seconds or `90m` for minutes
    error: gadugi.toml:8: `idle_timeout`: `soon` is not a length of time
     hint: write for example `90s`, `30m`, `1h30m` or `1.5h`
    error: gadugi.toml:9: `grace`: `2 weeks` is not a length of time
     hint: write for example `90s`, `30m`, `1h30m` or `1.5h`
    error: gadugi.toml:10: `keep`: `allways` is none of failed, always, never
     hint: did you mean `always`?
    error: gadugi.toml:11: `output_cap`: `64M` is not an amount of memory
     hint: write for example `512MiB`, `2GiB` or `64MB`
    error: gadugi.toml:12: `branch_prefix`: `my branch/` is not a valid branch prefix: git allows no spaces, control characters or any of ~^:?*[\
     hint: write for example `gadugi/`
    error: gadugi.toml:13: `env`: `B*C` cannot be the name of a variable
     hint: name a variable, without `=` and without its value
    error: gadugi.toml:14: `image`: the text is empty
     hint: write something, or remove the key
    error: gadugi.toml:15: `executor` must be a text, not a list
     hint: write for example "auto"
    error: gadugi.toml:17: `agents`: `two words` cannot be the name of an agent
     hint: use letters, digits, `.`, `_` and `-`, at most 64
    error: gadugi.toml:20: `command` is missing
     hint: add for example command = ["program", "argument"]
    error: gadugi.toml:22: `command`: unknown placeholder `{promt_file}` (did you mean `{prompt_file}`?)
     hint: write `{prompt_file}`
    error: gadugi.toml:23: unknown key `promt` (did you mean `prompt`?)
     hint: write `prompt`, or remove it
    error: gadugi.toml:25: `command`: the text is empty
     hint: write something, or remove the key
    error: gadugi.toml:26: `prompt`: `pipe` is none of stdin, file, argument, script
     hint: write `stdin`
    error: gadugi.toml:27: `env`: `A=b` cannot be the name of a variable
     hint: name a variable, without `=` and without its value
    error: gadugi.toml:29: `command` must be a list of texts, not the text `claude -p`
     hint: write for example ["program", "argument"]
    error: gadugi.toml:31: `command`: `prompt = "file"` needs `{prompt_file}` in the command
     hint: put `{prompt_file}` where the command expects the path of a file
    error: gadugi.toml:34: `command`: `{prompt}` has no meaning with `prompt = "stdin"`
     hint: write `prompt = "argument"`
    "#);
}

#[test]
fn toml_errors_have_their_lines() {
    let folder = Folder::with("gadugi.toml", "jobs = 4\nbase = HEAD\n\n[agents\nretries = 1\nretries = 2\n");
    assert_snapshot!(folder.config_errors(), @r#"
    error: gadugi.toml:2: this is not valid TOML: string values must be quoted, expected literal string
     hint: write one `key = value` a line, with texts in "quotes"
    error: gadugi.toml:4: this is not valid TOML: unclosed table, expected `]`
     hint: write one `key = value` a line, with texts in "quotes"
    "#);
}

#[test]
fn variables_are_read_as_the_values_of_a_file_are() {
    let mut folder = Folder::new();
    for (name, value) in [
        ("GADUGI_JOBS", "12"),
        ("GADUGI_TIMEOUT", "none"),
        ("GADUGI_FAIL_FAST", "1"),
        ("GADUGI_ALLOW_OVERLAP", "false"),
        ("GADUGI_ENV", "A, B,,C"),
        ("GADUGI_KEEP", "never"),
        ("GADUGI_OUTPUT_CAP", "1KiB"),
        ("GADUGI_WORKTREES", "trees"),
        // An empty variable is as good as none.
        ("GADUGI_AGENT", ""),
        // These are not settings.
        ("GADUGI_RUN", "20260102-030405-abc"),
        ("GADUGI_TEST_DOCKER", "required"),
    ] {
        folder.set(name, value);
    }
    let config = folder.load().unwrap();
    assert_eq!((config.jobs.get(), config.timeout, config.fail_fast, config.allow_overlap), (12, None, true, false));
    assert_eq!(config.env, ["A", "B", "C"]);
    assert_eq!((config.keep, config.output_cap, config.agent), (KeepPolicy::Never, 1024, None));
    assert_eq!(config.worktrees.as_deref(), Some(Path::new("trees")));
}

#[test]
fn wrong_variables_are_told() {
    let mut folder = Folder::new();
    folder.set("GADUGI_JOBS", "many");
    folder.set("GADUGI_TIMOUT", "1m");
    folder.set("GADUGI_GRACE", "10");
    folder.set("GADUGI_FAIL_FAST", "yes");
    folder.set("GADUGI_RETRIES", "1.5");
    folder.set("GADUGI_ENV", "A=1");
    #[cfg(unix)]
    folder.set("GADUGI_BASE", <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(vec![0xff]));
    assert_snapshot!(folder.config_errors(), @"
    error: <environment>: `GADUGI_BASE`: the value is not UTF-8
     hint: set it to a text in UTF-8, or unset it
    error: <environment>: unknown variable `GADUGI_TIMOUT` (did you mean `GADUGI_TIMEOUT`?)
     hint: set `GADUGI_TIMEOUT`, or unset it
    error: <environment>: `GADUGI_JOBS` must be a whole number from 1 on, not the text `many`
     hint: write for example 4
    error: <environment>: `GADUGI_GRACE`: `10` has no unit of time
     hint: write `10s` for seconds or `10m` for minutes
    error: <environment>: `GADUGI_RETRIES` must be a whole number from 0 on, not the text `1.5`
     hint: write for example 1
    error: <environment>: `GADUGI_FAIL_FAST` must be `true` or `false`, not the text `yes`
     hint: write for example true
    error: <environment>: `GADUGI_ENV`: `A=1` cannot be the name of a variable
     hint: name a variable, without `=` and without its value
    ");
}

#[test]
fn the_template_shows_the_defaults() {
    let template = template(None, &["/CLAUDE.md".to_owned()]);
    assert!(template.contains("\n# seed = [\"/CLAUDE.md\"]\n"), "{template}");
    let folder = Folder::configured(&template);
    assert_eq!(folder.config, Config::default());
    let set = |line: &str| {
        line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_alphabetic())).map(str::to_owned)
    };
    let uncommented: Vec<String> = template.lines().map(|line| set(line).unwrap_or(line.to_owned())).collect();
    let folder = Folder::configured(&uncommented.join("\n"));
    assert_eq!(folder.config, Config::default());
    let keys: Vec<String> = template.lines().filter_map(set).collect();
    for key in CONFIG_KEYS.iter().chain(DOCKER_KEYS).chain(MERGE_KEYS) {
        let line = key.default.map(|default| format!("{} = {default}", key.name));
        match line {
            Some(line) => assert!(keys.contains(&line), "{line}"),
            None => assert!(template.contains(&format!("{} = {}", key.name, key.example))),
        }
    }
}

#[test]
fn the_template_sets_nothing_but_an_image_that_is_to_be_built() {
    let config = Folder::configured(&template(Some("gadugi/project:latest"), &[])).config;
    assert_eq!(config.image.as_deref(), Some("gadugi/project:latest"));
    assert_eq!(Config { image: None, ..config }, Config::default());
}

#[test]
fn the_examples_of_all_keys_are_valid_and_no_defaults() {
    let in_docker = DOCKER_KEYS.iter().map(|key| ("[docker]\n", key));
    let in_table = in_docker.chain(MERGE_KEYS.iter().map(|key| ("[merge]\n", key)));
    for (table, key) in CONFIG_KEYS.iter().map(|key| ("", key)).chain(in_table) {
        let folder = Folder::configured(&format!("{table}{} = {}", key.name, key.example));
        assert_ne!(folder.config, Config::default(), "{table}{}", key.name);
    }
}
