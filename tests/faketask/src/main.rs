//! A command that does every bad thing a task can do. Its arguments are verbs, done one after the other:
//!
//! | verb | what it does |
//! |---|---|
//! | `sleep MS` | sleeps |
//! | `await FILE` | waits until the file is there |
//! | `print TEXT` | prints a line |
//! | `flood BYTES` | prints so many bytes, without a newline |
//! | `touch FILE` | makes the file |
//! | `append FILE LINE` | adds a line with one write, so that two who do it at once can be counted |
//! | `pid FILE` | adds the pid as a line |
//! | `commit TEXT FILE` | commits a change of `faketask.txt` to git in the working folder, and adds the commit's id to the file as a line |
//! | `exit N` | exits with the code |
//! | `signal N` | dies by the signal |
//! | `stop-self` | suspends itself |
//! | `ignore-term` | does not hear SIGTERM from here on, nor does what it starts |
//! | `exit-on-term N` | exits with the code when SIGTERM comes |
//! | `trace PID` | holds that process (`parent`: its own parent) as a debugger does, and lets no signal reach it (Linux) |
//! | `bare` | what the next verb starts has no environment |
//! | `mute` | what the next verb starts holds no output open |
//! | `daemon MS FILE` | leaves a daemon behind, in a session of its own, twice forked: it adds its pid to the file, sleeps, and adds the line `outlived` |
//! | `hold-output MS` | leaves a daemon behind that does nothing but hold the output open |
//! | `hop MS` | leaves a process behind that has another pid and session every 300 µs, ignores SIGTERM and has no environment |
//! | `storm N` | leaves N processes behind, each in a session of its own and making its children anew when they die, 5 N processes in all at the most, for at most 20 s |
//!
//! At the end it exits with 0. A verb that it does not know, or cannot do, makes it exit with 64.

use std::process::ExitCode;

fn main() -> ExitCode {
    gadugi_faketask::main()
}
