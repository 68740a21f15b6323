//! Bits flip in the files of a run. Readers report the same as before, or damage; a resumed run ends no task in a way that it
//! did not end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::{Round, kill_child, wait_for_started};
use crate::harness::{Answer, Harness};
use crate::oracle::Harm;
use crate::report::Tally;

/// Number of bits that flip in the files of one finished run, one at a time.
const FLIPS: usize = 48;

/// Number of times that a run is interrupted, damaged and resumed, for each of these.
const RESUMPTIONS: usize = 2;

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    let mut tally = finished(round)?;
    for number in 0..RESUMPTIONS {
        let name = format!("{}-resumed-{number}", round.name);
        let number = round.number * RESUMPTIONS + number + 1_000_000;
        tally.add(resumed(&Round { name, number, installation: round.installation, ..*round })?);
    }
    tally.rounds = 1;
    Ok(tally)
}

fn finished(round: &Round<'_>) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::None, |harness, random, tally| {
        harness.gadugi(&["run", "../tasks"])?;
        let Some(run) = harness.run_folders()?.pop() else { return Err(io::Error::other("there was no run")) };
        let sound = readings(harness)?;
        for _ in 0..FLIPS {
            let file = any_file(&run, random)?;
            let before = fs::read(&file)?;
            let bit = flip(&file, &before, random)?;
            let damaged = readings(harness)?;
            fs::write(&file, &before)?;
            let told = format!("{} with bit {bit} flipped", file.strip_prefix(&run).unwrap_or(&file).display());
            for (sound, damaged) in sound.iter().zip(&damaged) {
                let same = sound.code == damaged.code && sound.out == damaged.out;
                if damaged.code.is_none_or(|code| code > 4) {
                    tally.broken.push(format!("{told}: {:?} {}", damaged.code, damaged.err));
                } else if !same && !reports_damage(damaged) {
                    tally.broken.push(format!("{told}: read as something else, without a word"));
                } else if !same {
                    tally.count("noticed", 1);
                }
            }
            tally.count("flips", 1);
        }
        Ok(())
    })
}

/// Whether a call has said that something is damaged: to people, or in its JSON.
fn reports_damage(answer: &Answer) -> bool {
    let runs: Value = serde_json::from_str(&answer.out).unwrap_or_default();
    let in_json = runs.as_array().into_iter().flatten().filter_map(|run| run["damage"].as_array());
    !answer.err.is_empty() || in_json.into_iter().any(|damage| !damage.is_empty())
}

fn readings(harness: &Harness<'_>) -> io::Result<[Answer; 2]> {
    Ok([harness.gadugi(&["report", "--format", "json"])?, harness.gadugi(&["ps", "--all", "--json"])?])
}

/// An interrupted run whose tasks have ended, with one bit flipped, is resumed or refused.
fn resumed(round: &Round<'_>) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::Tasks, |harness, random, tally| {
        let mut child = harness.start_run()?;
        wait_for_started(harness, &mut child, random.usize(1..5))?;
        tally.kills += usize::from(kill_child(&mut child)?);
        // What runs comes to its end unseen.
        sleep(Duration::from_millis(600));
        let Some(run) = harness.run_folders()?.pop() else { return Ok(()) };
        let file = any_file(&run, random)?;
        let before = fs::read(&file)?;
        let bit = flip(&file, &before, random)?;
        tally.count("flips", 1);
        let answer = harness.gadugi(&["resume"])?;
        if !matches!(answer.code, Some(0 | 1 | 4)) {
            let file = file.strip_prefix(&run).unwrap_or(&file).display();
            tally.broken.push(format!("{file} with bit {bit} flipped: {:?} {}", answer.code, answer.err));
        }
        if answer.code == Some(4) {
            tally.count("refused", 1);
            fs::write(&file, &before)?;
            harness.gadugi(&["resume"])?;
        }
        Ok(())
    })
}

/// Flips one bit of a file; says which.
fn flip(file: &Path, before: &[u8], random: &mut fastrand::Rng) -> io::Result<usize> {
    let bit = random.usize(0..before.len() * 8);
    let mut damaged = before.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    fs::write(file, damaged)?;
    Ok(bit)
}

/// A file of a run that says something about it: not a log, nor what is executed or printed.
fn any_file(run: &Path, random: &mut fastrand::Rng) -> io::Result<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let is_told = path.extension().is_some_and(|extension| extension == "json" || extension == "jsonl");
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && is_told && entry.metadata()?.len() > 0 {
                files.push(path);
            }
        }
    }
    files.sort();
    random.choice(files).ok_or_else(|| io::Error::other("a run has files"))
}
