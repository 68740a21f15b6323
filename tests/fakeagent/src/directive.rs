use std::str::FromStr;
use std::time::Duration;

use crate::fault::Fault;

/// A line of the script; the crate's documentation says what each does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Directive {
    Say(String),
    Run(String),
    Tokens {
        input: u64,
        output: u64,
    },
    Cost(f64),
    Slow(Duration),
    Fail {
        status: u16,
        message: String,
    },
    Limit(Duration),
    Refused {
        status: u16,
        times: u32,
        pause: Duration,
    },
    UsedUp(Duration),
    Linger(Duration),
    Endless,
    Garbage,
    Cut,
    Exit(u8),
    End(u8),
    Once {
        key: String,
        directive: Box<Directive>,
    },
    /// As it was written, for it is kept as that; it can be read.
    OnResume(String),
}

/// The directives in a prompt.
pub(crate) fn script(prompt: &str) -> Result<Vec<Directive>, Fault> {
    prompt.lines().filter_map(|line| line.trim().strip_prefix("fake:")).map(|line| line.trim().parse()).collect()
}

impl FromStr for Directive {
    type Err = Fault;

    fn from_str(line: &str) -> Result<Self, Fault> {
        Self::read(line).map_err(|why| Fault::Directive { line: line.to_owned(), why })
    }
}

impl Directive {
    fn read(line: &str) -> Result<Self, &'static str> {
        let (verb, rest) = cut(line);
        Ok(match verb {
            "" => return Err("a directive is missing"),
            "say" | "run" if rest.is_empty() => return Err("it says nothing"),
            "endless" | "garbage" | "cut" if !rest.is_empty() => return Err("it takes no more words"),
            "say" => Self::Say(rest.to_owned()),
            "run" => Self::Run(rest.to_owned()),
            "tokens" => {
                let (input, output) = cut(rest);
                Self::Tokens { input: number(input)?, output: number(output)? }
            }
            "cost" => match number::<f64>(rest)? {
                cost if cost.is_finite() && cost >= 0.0 => Self::Cost(cost),
                _ => return Err("nothing costs that"),
            },
            "slow" => Self::Slow(Duration::from_millis(number(rest)?)),
            "fail" => {
                let (status, message) = cut(rest);
                Self::Fail { status: number(status)?, message: message.to_owned() }
            }
            "limit" => Self::Limit(Duration::from_secs(number(rest)?)),
            "refused" => {
                let (status, rest) = cut(rest);
                let (times, pause) = cut(rest);
                let pause = Duration::from_millis(number(pause)?);
                Self::Refused { status: number(status)?, times: number(times)?, pause }
            }
            "used-up" => Self::UsedUp(Duration::from_secs(number(rest)?)),
            "linger" => Self::Linger(Duration::from_secs(number(rest)?)),
            "endless" => Self::Endless,
            "garbage" => Self::Garbage,
            "cut" => Self::Cut,
            "exit" => Self::Exit(number(rest)?),
            "end" => Self::End(number(rest)?),
            "once" => {
                let (key, directive) = cut(rest);
                Self::Once { key: key.to_owned(), directive: Box::new(Self::read(directive)?) }
            }
            "on-resume" => {
                Self::read(rest)?;
                Self::OnResume(rest.to_owned())
            }
            _ => return Err("there is no such directive"),
        })
    }
}

/// The first word, and the rest.
fn cut(line: &str) -> (&str, &str) {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (first, rest.trim_start())
}

fn number<T: FromStr>(word: &str) -> Result<T, &'static str> {
    word.parse().map_err(|_| "a number is missing, wrong or too large")
}
