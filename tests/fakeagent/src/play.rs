//! Doing what a script says.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::FAILED;
use crate::command_line::{Agent, Request};
use crate::directive::{Directive, script};
use crate::fault::Fault;
use crate::speech::{self, Bill, Charged, Ran, Speech};
use crate::state::State;

/// A test that fails is not to leave it for ever.
const MAX_ENDLESS: Duration = Duration::from_secs(600);

/// At least so long from one event to the next of those that never end.
const ENDLESS_INTERVAL: Duration = Duration::from_millis(10);

/// Number of retries of a refused request.
const MAX_RETRIES: u32 = 2;

const LONG_LINE: usize = 1 << 20;

/// Lines that no agent prints and the reader has to ignore.
const GARBAGE: [&[u8]; 10] = [
    b"this is no JSON",
    b"\xff\xfe\xc3\x28 is no UTF-8",
    b"{\"type\":\"assistant\",\"message\":{\"content\":[",
    b"",
    b"null",
    b"[[[[]]]]",
    b"{\"type\":7,\"session_id\":[]}",
    b"{\"type\":\"of_another_version\",\"message\":{\"usage\":{\"input_tokens\":-1}}}",
    b"{\"type\":\"assistant\",\"message\":null}",
    b"{\"type\":\"item.completed\",\"item\":[]}",
];

/// Does what the session has kept and the prompt says, and gives the exit code.
pub(crate) fn play(agent: Agent, work: &Request, session: &str, prompt: &str, state: &State) -> Result<u8, Fault> {
    let mut script = script(prompt)?;
    if work.resume.is_some() {
        let kept: Result<Vec<Directive>, _> = state.kept(agent, session)?.iter().map(|line| line.parse()).collect();
        script = [kept?, script].concat();
    }
    let speech = speech::of(agent, session, work.model.as_deref());
    let mut play = Play {
        agent,
        session,
        state,
        speech,
        charged: Charged { call: Bill::default(), conversation: state.bill(agent, session)? },
        max_cost: work.max_cost,
        uncharged: Bill::default(),
        pause: Duration::ZERO,
        linger: Duration::ZERO,
    };
    // At once, so that they are kept also if the rest is never come to.
    for directive in &script {
        if let Directive::OnResume(line) = directive {
            state.keep(agent, session, line)?;
        }
    }
    let begun = play.speech.started();
    play.print_events(begun)?;
    for directive in script {
        if let Next::Exit(code) = play.follow(directive)? {
            return Ok(code);
        }
    }
    play.succeed(0)
}

struct Play<'a> {
    agent: Agent,
    session: &'a str,
    state: &'a State,
    speech: Box<dyn Speech>,
    charged: Charged,
    max_cost: Option<f64>,
    /// The charges that no message has reported yet.
    uncharged: Bill,
    pause: Duration,
    linger: Duration,
}

enum Next {
    Directive,
    Exit(u8),
}

impl Play<'_> {
    fn follow(&mut self, directive: Directive) -> Result<Next, Fault> {
        match directive {
            Directive::Say(text) => {
                let charged = std::mem::take(&mut self.uncharged);
                let said = self.speech.said(&text, charged);
                self.print_events(said)?;
            }
            Directive::Run(command) => return self.use_tool(&command, run),
            Directive::Tokens { input, output } => self.charge(Bill { input, output, usd: 0.0 })?,
            Directive::Cost(usd) => self.charge(Bill { usd, ..Bill::default() })?,
            Directive::Slow(pause) => self.pause = pause,
            Directive::Fail { status, message } => return self.fail(status, &message).map(Next::Exit),
            Directive::Limit(pause) => {
                let (status, message) = (429, "too many requests of the fake");
                for nth in 1..=MAX_RETRIES {
                    let refused = self.speech.asks_again(nth, status, message, pause);
                    self.print_events(refused)?;
                }
                return self.fail(status, message).map(Next::Exit);
            }
            Directive::Refused { status, times, pause } => {
                for nth in 1..=times {
                    let refused = self.speech.asks_again(nth, status, "refused by the fake", pause);
                    self.print_events(refused)?;
                    sleep(pause);
                }
            }
            Directive::UsedUp(time) => {
                let ended = self.speech.used_up(SystemTime::now() + time, self.charged);
                self.print_events(ended)?;
                return Ok(Next::Exit(1));
            }
            Directive::Linger(time) => self.linger = time,
            Directive::Endless => return self.run_endlessly().map(Next::Exit),
            Directive::Garbage => {
                for line in GARBAGE {
                    self.print_bytes(&[line, b"\n"].concat())?;
                }
                let filling = "x".repeat(LONG_LINE);
                self.print_bytes(format!("{{\"type\":\"of_another_version\",\"text\":\"{filling}\"}}\n").as_bytes())?;
            }
            Directive::Cut => {
                let events = self.speech.said("This is never said to the end.", Bill::default());
                let line = events.iter().map(Value::to_string).collect::<String>();
                self.print_bytes(&line.as_bytes()[..line.len() / 2])?;
                return Ok(Next::Exit(0));
            }
            Directive::Exit(code) => return Ok(Next::Exit(code)),
            Directive::End(code) => return self.succeed(code).map(Next::Exit),
            Directive::Once { key, directive } => {
                if self.state.is_first(&key)? {
                    return self.follow(*directive);
                }
            }
            Directive::OnResume(line) => self.state.keep(self.agent, self.session, &line)?,
        }
        Ok(Next::Directive)
    }

    fn charge(&mut self, bill: Bill) -> Result<(), Fault> {
        self.charged.call.add(bill);
        self.charged.conversation.add(bill);
        self.uncharged.add(bill);
        self.state.keep_bill(self.agent, self.session, self.charged.conversation)
    }

    /// A tool that the model asks for when the call has cost what it may is not used.
    fn use_tool(&mut self, command: &str, run: impl FnOnce(&str) -> Result<Ran, Fault>) -> Result<Next, Fault> {
        let charged = std::mem::take(&mut self.uncharged);
        let begun = self.speech.tool_started(command, charged);
        self.print_events(begun)?;
        if let Some(most) = self.max_cost.filter(|most| self.charged.call.usd >= *most) {
            let ended = self.speech.out_of_budget(most, self.charged);
            self.print_events(ended)?;
            return Ok(Next::Exit(1));
        }
        let ran = run(command)?;
        let ended = self.speech.tool_ended(command, &ran);
        self.print_events(ended)?;
        Ok(Next::Directive)
    }

    /// Goes on and on with what does nothing.
    fn run_endlessly(&mut self) -> Result<u8, Fault> {
        self.pause = self.pause.max(ENDLESS_INTERVAL);
        let begun = Instant::now();
        while begun.elapsed() < MAX_ENDLESS {
            let next = self.use_tool("true", |_| Ok(Ran { code: Some(0), output: String::new() }))?;
            if let Next::Exit(code) = next {
                return Ok(code);
            }
        }
        Ok(FAILED)
    }

    fn fail(&mut self, status: u16, message: &str) -> Result<u8, Fault> {
        let failed = self.speech.failed(status, message, self.charged);
        self.print_events(failed)?;
        sleep(self.linger);
        Ok(1)
    }

    fn succeed(&mut self, code: u8) -> Result<u8, Fault> {
        let succeeded = self.speech.succeeded(self.charged);
        self.print_events(succeeded)?;
        sleep(self.linger);
        Ok(code)
    }

    fn print_events(&self, events: Vec<Value>) -> Result<(), Fault> {
        events.iter().try_for_each(|event| {
            sleep(self.pause);
            speech::print(event)
        })
    }

    fn print_bytes(&self, bytes: &[u8]) -> Result<(), Fault> {
        sleep(self.pause);
        speech::print_bytes(bytes)
    }
}

fn run(command: &str) -> Result<Ran, Fault> {
    let output = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).output();
    let output = output.map_err(|source| Fault::Run { command: command.to_owned(), source })?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Ran { code: output.status.code(), output: String::from_utf8_lossy(&text).into_owned() })
}
