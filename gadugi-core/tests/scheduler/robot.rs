//! A scripted agent, and the format of its output.

use std::sync::Arc;
use std::time::Duration;

use gadugi_core::agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, OutputFormat, OutputReader, Piece, RateLimit, Tokens,
};
use gadugi_core::plan::RawTask;
use gadugi_core::{AttemptNo, AttemptRef, Event, EventKind, Phase, RunRecord};

use crate::harness::{Harness, SECOND, id, outcome, task};

/// A format in which each line is a word and its arguments; unknown words are skipped.
struct Words;

#[derive(Default)]
struct WordsReader(AgentReport, u64);

impl OutputFormat for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn reader(&self) -> Box<dyn OutputReader> {
        Box::new(WordsReader::default())
    }
}

impl OutputReader for WordsReader {
    fn read(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let before = self.0.limit.as_ref().map_or(0, |limit| limit.refusals);
        let limit = |class, until, pause| Some(RateLimit { class, until, pause, refusals: before + 1 });
        let class = |word: &str| match word {
            "rate-limit" => AgentErrorClass::RateLimit,
            "overloaded" => AgentErrorClass::Overloaded,
            "unavailable" => AgentErrorClass::Unavailable,
            "budget" => AgentErrorClass::Budget,
            "authentication" => AgentErrorClass::Authentication,
            _ => AgentErrorClass::Other,
        };
        let report = &mut self.0;
        match word {
            "session" => report.session = Some(rest.to_owned()),
            "costs" => report.cost_usd = rest.parse().ok(),
            "tokens" => report.tokens = rest.parse().ok().map(|input| Tokens { input, ..Tokens::default() }),
            "says" => report.last_message = Some(rest.to_owned()),
            "refused" if rest.is_empty() => report.limit = limit(AgentErrorClass::RateLimit, None, None),
            "refused" => report.limit = limit(class(rest), None, None),
            "refused-until" => report.limit = limit(AgentErrorClass::RateLimit, rest.parse().ok(), None),
            "refused-for" => {
                let pause = rest.parse().ok().map(Duration::from_secs);
                report.limit = limit(AgentErrorClass::RateLimit, None, pause);
            }
            "answered" => (report.limit, self.1) = (None, self.1 + 1),
            "done" => report.end = Some(Ok(())),
            "fails" => {
                report.end = Some(Err(AgentError { class: class(rest), message: rest.to_owned() }));
            }
            _ => {}
        }
    }

    fn report(&self) -> &AgentReport {
        &self.0
    }

    fn answers(&self) -> u64 {
        self.1
    }
}

/// A task for the scripted agent.
pub(crate) fn robot(name: &str, needs: &[&str]) -> RawTask {
    let mut task = task(name, needs);
    let command = ["robot", "-p"].map(Argument::text).to_vec();
    let mut call = AgentCall::new("robot", command, format!("Do {name}."));
    call.output = "words".to_owned();
    call.resume = Some(vec![Argument::text("robot"), Argument(vec![Piece::Text("--resume=".into()), Piece::Session])]);
    task.spec.action.agent = Some(call);
    task
}

/// The error of the word `fails`.
pub(crate) fn error(class: AgentErrorClass, message: &str) -> AgentError {
    AgentError { class, message: message.to_owned() }
}

impl Harness {
    /// A run with agents.
    pub(crate) fn with_robots(tasks: Vec<RawTask>) -> Self {
        let registry = tempfile::tempdir().expect("a folder");
        let mut harness = Self::new(tasks);
        harness.formats.insert("words".to_owned(), Arc::new(Words));
        harness.log = harness.log.in_folder(registry.path());
        harness.registry = Some(registry);
        harness
    }

    /// Scripts the output of a task's agent at its start.
    pub(crate) fn says(self, name: &str, attempt: u32, words: &str) -> Self {
        self.says_at(name, attempt, &[(0, words)])
    }

    /// Scripts the output of a task's agent, these seconds after its start.
    pub(crate) fn says_at(self, name: &str, attempt: u32, words: &[(u32, &str)]) -> Self {
        self.prints(name, attempt, Phase::Main, words)
    }

    pub(crate) fn prints(self, name: &str, attempt: u32, phase: Phase, words: &[(u32, &str)]) -> Self {
        let words = words.iter().map(|(after, text)| (SECOND * *after, format!("{text}\n")));
        self.executor.says(&id(name), attempt, phase, words.collect());
        self
    }

    pub(crate) fn call(self, name: &str, change: impl FnOnce(&mut AgentCall)) -> Self {
        self.spec(name, |spec| change(spec.action.agent.as_mut().expect("a task with an agent")))
    }
}

pub(crate) fn attempt(name: &str, number: u32) -> AttemptRef {
    AttemptRef { task: id(name), number: AttemptNo::new(number).expect("a number") }
}

/// The reports of agents, in order.
pub(crate) fn reports(events: &[Event]) -> Vec<(AttemptRef, AgentReport)> {
    let reports = events.iter().filter_map(|event| match &event.kind {
        EventKind::AgentReported { attempt, report } => Some((attempt.clone(), report.clone())),
        _ => None,
    });
    reports.collect()
}

/// The outcome of the task, in words.
pub(crate) fn ended(record: &RunRecord, name: &str) -> String {
    outcome(record, name).to_string()
}
