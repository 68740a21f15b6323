//! A folder with files, and the reading of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use gadugi_cli::config::{Config, ConfigError, ConfigFile, ConfigLayer, ConfigSources, Environment};
use gadugi_cli::input::{InputError, PassedOver, TaskInput, read_tasks};
use gadugi_core::agent::{Argument, PromptParts, compose_prompt};
use gadugi_core::plan::{Action, RawPlan, RawTask};
use tempfile::TempDir;

/// A folder that goes when this is dropped, the settings and the environment that its files are read with.
pub(crate) struct Folder {
    root: TempDir,
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    pub(crate) stdin: Vec<u8>,
    pub(crate) installed: Vec<String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().expect("a temporary folder");
        Self {
            root,
            config: Config::default(),
            environment: Environment::new(),
            stdin: Vec::new(),
            installed: Vec::new(),
        }
    }

    /// A folder with one file.
    pub(crate) fn with(file: &str, text: impl AsRef<[u8]>) -> Self {
        let folder = Self::new();
        folder.write(file, text);
        folder
    }

    /// A folder whose settings are those of a `gadugi.toml`.
    pub(crate) fn configured(config: &str) -> Self {
        let mut folder = Self::with("gadugi.toml", config);
        folder.config = folder.load().expect("a valid configuration");
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder of a file");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        self.environment.insert(variable.into(), value.into());
    }

    /// The settings of `gadugi.toml` and the environment.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let path = self.path().join("gadugi.toml");
        let files = [ConfigFile { path: &path, required: false }];
        Config::load(ConfigSources { files: &files, environment: &self.environment, flags: ConfigLayer::default() })
    }

    /// Loads wrong settings, and returns the message and hints.
    pub(crate) fn config_errors(&self) -> String {
        let error = self.load().expect_err("an invalid configuration");
        let text = render(error.issues.iter().map(|issue| (issue.to_string(), issue.hint())));
        text.replace(&format!("{}/", self.path().display()), "")
    }

    pub(crate) fn try_read(&self, arguments: &[&str], texts: &[&str]) -> Result<RawPlan, InputError> {
        self.read_noting(arguments, texts, &mut Vec::new())
    }

    /// Reads task files, and returns what was passed over, a line each.
    pub(crate) fn passed_over(&self, arguments: &[&str]) -> String {
        let mut passed = Vec::new();
        if let Err(error) = self.read_noting(arguments, &[], &mut passed) {
            panic!("{error}");
        }
        passed.iter().map(|PassedOver { at, what }| format!("{at}: {what}\n")).collect()
    }

    fn read_noting(
        &self,
        arguments: &[&str],
        texts: &[&str],
        passed_over: &mut Vec<PassedOver>,
    ) -> Result<RawPlan, InputError> {
        let arguments: Vec<PathBuf> = arguments.iter().map(PathBuf::from).collect();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        read_tasks(TaskInput {
            arguments: &arguments,
            texts: &texts,
            folder: self.path(),
            stdin: &mut self.stdin.as_slice(),
            config: &self.config,
            environment: &self.environment,
            installed: &self.installed,
            took_installed: &mut false,
            passed_over,
        })
    }

    pub(crate) fn read(&self, arguments: &[&str]) -> Vec<RawTask> {
        match self.try_read(arguments, &[]) {
            Ok(plan) => plan.tasks,
            Err(error) => panic!("{error}"),
        }
    }

    /// The task of a single file.
    pub(crate) fn task(&self, file: &str) -> RawTask {
        let mut tasks = self.read(&[file]);
        assert_eq!(tasks.len(), 1);
        tasks.remove(0)
    }

    pub(crate) fn ids(&self, arguments: &[&str]) -> Vec<String> {
        self.read(arguments).iter().map(|task| task.spec.id.to_string()).collect()
    }

    /// Reads wrong task files, and returns the message and hints.
    pub(crate) fn errors(&self, arguments: &[&str]) -> String {
        let error = self.try_read(arguments, &[]).expect_err("tasks with something wrong");
        render(error.issues.iter().map(|issue| (issue.to_string(), issue.hint())))
    }
}

fn render(issues: impl Iterator<Item = (String, String)>) -> String {
    let issue = |(error, hint): (String, String)| {
        assert_eq!(error.lines().count(), 1, "an error is one line: {error:?}");
        assert!(!hint.is_empty() && hint.lines().count() == 1, "a hint is one line: {hint:?}");
        format!("error: {error}\n hint: {hint}\n")
    };
    issues.map(issue).collect()
}

/// The command of an agent and what it reads, when there is nothing to tell it but the words of the task.
pub(crate) fn called(action: &Action) -> (Vec<String>, Option<String>) {
    let agent = action.agent.as_ref().expect("an agent");
    let parts = PromptParts { prompt: &agent.prompt, frame: "", branch: None, needs: &[], check: None, earlier: None };
    let prompt = compose_prompt(parts);
    let as_argument = agent.command.iter().any(Argument::has_prompt);
    let command = agent.command.iter().map(|argument| argument.fill(prompt.trim_end(), "", "")).collect();
    (command, (!as_argument).then_some(prompt))
}
