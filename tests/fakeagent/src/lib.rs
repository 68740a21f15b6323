//! Scripted stand-ins for coding agents: one executable that is Claude Code where it is called `claude`, and Codex
//! where it is called `codex`. It asks no model. What it does stands in its prompt, and what it prints has the fields of
//! the real ones' output that Gadugi reads.
//!
//! # Calling it
//! As the real ones: `claude -p --output-format stream-json --verbose`, with its prompt on standard input or else as
//! the last argument, and `--resume ID`; `codex exec --json -`, with its prompt on standard input or, without the `-`, as
//! the last argument, and `codex exec resume ID`. `--model` is what it says that it asks; `--max-budget-usd` ends a call that
//! would use a tool when it has cost so much; `--version` prints one. All other flags are taken, and change nothing.
//!
//! [`Installed::new`] puts it into a folder for `PATH`. Cargo tells a test only the path of a bin of its own package, so
//! a package whose tests need agents has a bin that calls [`main`]:
//!
//! ```ignore
//! let agents = Installed::new(Path::new(env!("CARGO_BIN_EXE_my-fakeagent")), &folder)?;
//! command.env("PATH", agents.search_path()?);
//! ```
//!
//! # The script
//! Each line of the prompt that begins with `fake:` holds a directive. They are done one after the other. With the end
//! of them it ends well, and with its result. One that it does not know makes it exit with 64 and say so before it does
//! any of them; so does a call that it does not understand.
//!
//! | directive | what it does |
//! |---|---|
//! | `say TEXT` | a message |
//! | `run COMMAND` | a tool's use, which really runs `sh -c COMMAND` in the working folder, until its output ends |
//! | `tokens IN OUT` | so many are charged, with the next message or tool; several add up, and the result has them all. That of Codex has those of the whole conversation |
//! | `cost USD` | so much is charged; several add up in the result, which has that of the whole conversation, and that of the call beside it. Codex tells no cost |
//! | `slow MS` | from here on, pauses before each event |
//! | `fail STATUS MESSAGE` | ends: the model's API has answered with this status. Exits with 1 |
//! | `limit SECONDS` | ends: refused with 429, and twice again, each time with a pause of so long, which it does not make. Exits with 1 |
//! | `refused STATUS TIMES MS` | is refused so often, each time with such a pause, and goes on then. Status 0: no network |
//! | `used-up SECONDS` | ends: the plan is used up for so long. Exits with 1 |
//! | `linger SECONDS` | goes on for so long when it has printed its result, whichever comes |
//! | `endless` | uses tools until it is killed, every 10 ms or as `slow` says, for ten minutes at most |
//! | `garbage` | lines that are no JSON, no UTF-8, of unknown types or other shapes, and one of a MiB |
//! | `cut` | ends in the middle of a line, without a result. Exits with 0 |
//! | `exit N` | ends at once, without a result, and exits with the code |
//! | `end N` | ends well and with its result, and exits with the code |
//! | `once KEY DIRECTIVE` | does it only in the first call that comes to this key, of all in its folder |
//! | `on-resume DIRECTIVE` | does it not now, but in each later call that resumes this session, before what that one's prompt says |
//!
//! What is to be done on resuming is kept when a call begins, whatever becomes of that call; what is kept stays as it is,
//! however often it is said again. `on-resume once KEY DIRECTIVE` is done by one of the calls that resume, and
//! `on-resume on-resume DIRECTIVE` from the second on.
//!
//! # What it remembers
//! In the folder `fakeagent` beside the executable as it was called: a line in `calls.jsonl` for each call
//! ([`Installed::calls`] reads them), the sessions with what they were charged, and the keys that were seen.

mod calls;
mod command_line;
mod directive;
mod fault;
mod install;
mod play;
mod speech;
mod state;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

pub use calls::Call;
pub use install::Installed;

use command_line::{Agent, Invocation};
use fault::Fault;
use state::State;

/// The exit code for a call or a directive that it does not know, or could not do.
const FAILED: u8 = 64;

/// Is the agent that this process is called as, and does what its prompt says.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            let mut text = format!("fakeagent: {fault}");
            let mut source = fault.source();
            while let Some(error) = source {
                text = format!("{text}: {error}");
                source = error.source();
            }
            // Where there is nobody to hear it, the exit code says it.
            writeln!(io::stderr(), "{text}").ok();
            ExitCode::from(FAILED)
        }
    }
}

fn run() -> Result<u8, Fault> {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let agent = Agent::called(&called)?;
    let state = State::beside(&called, std::env::var_os("PATH"))?;
    let argv: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let asked = command_line::read(agent, &argv);
    let mut call = Call::new(agent, argv)?;
    if let Ok(Invocation::ToWork(work)) = &asked {
        call.prompt = Some(work.prompt.read()?);
        call.resumed.clone_from(&work.resume);
        call.session = match &work.resume {
            None => Some(state.new_session(agent)?),
            Some(id) => state.knows_session(agent, id).then(|| id.clone()),
        };
    }
    state.record(&call)?;
    match asked? {
        Invocation::ForVersion => {
            writeln!(io::stdout(), "{}", agent.version()).map_err(Fault::Print)?;
            Ok(0)
        }
        Invocation::ToWork(work) => match &call.session {
            Some(session) => play::play(agent, &work, session, call.prompt.as_deref().unwrap_or_default(), &state),
            None => speech::refuse_to_resume(agent, call.resumed.as_deref().unwrap_or_default()),
        },
    }
}
