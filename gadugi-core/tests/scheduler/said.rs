//! The error at the end of a failed command's output.

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::WarningKind;
use gadugi_core::{Phase, Report, RunRecord};
use gadugi_test_support::fakes::Play;

use crate::harness::{Harness, SECOND, set_up, task};

/// A task whose command of this phase prints this, and exits with this code.
async fn drive(phase: Phase, printed: &str, code: i32) -> RunRecord {
    let ends = Play::Ends(SECOND, ExitStatus::Code(code));
    let harness = Harness::with_robots(vec![task("a", &[])]).prints("a", 1, phase, &[(0, printed)]).spec("a", |spec| {
        spec.setup = Some(set_up());
        spec.check = Some("make test".to_owned());
    });
    let harness = match phase {
        Phase::Setup => harness.plays_setup("a", ends),
        Phase::Check => harness.plays_check("a", 1, ends),
        _ => harness.plays("a", ends),
    };
    harness.drive().await
}

fn said(record: RunRecord) -> Option<String> {
    let said = record.tasks[0].last().expect("an attempt").said.clone();
    let warnings = Report::from(record).warnings;
    let told = warnings.iter().find(|warning| warning.kind == WarningKind::Output).map(|warning| &warning.message);
    assert_eq!(told, said.as_ref().map(|said| format!("its output ends with: {said}")).as_ref());
    said
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_is_told_with_the_last_error_in_its_output() {
    let printed = "fatal: the first\nerror: gpg failed to sign the data\r\na hint that fatal: is no error\n";
    for phase in [Phase::Setup, Phase::Main, Phase::Check] {
        assert_eq!(said(drive(phase, printed, 128).await).as_deref(), Some("error: gpg failed to sign the data"));
        assert_eq!(said(drive(phase, printed, 0).await), None, "it did not fail");
        assert_eq!(said(drive(phase, "no reason", 1).await), None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_led_to_a_fatal_error_is_told_with_it() {
    let printed = "error: gpg failed to sign the data:\n(no output)\n\nfatal: failed to write commit object";
    let told = "error: gpg failed to sign the data; fatal: failed to write commit object";
    assert_eq!(said(drive(Phase::Main, printed, 128).await).as_deref(), Some(told));
}

#[tokio::test(start_paused = true)]
async fn of_a_long_error_the_beginning_is_told_and_none_that_much_output_follows() {
    let long = format!("fatal: {}", "ü".repeat(1000));
    let told = said(drive(Phase::Main, &long, 1).await).expect("an error");
    assert_eq!(told, format!("fatal: {}…", "ü".repeat(193)));
    let far = format!("fatal: long ago\n{}", "x\n".repeat(40 << 10));
    assert_eq!(said(drive(Phase::Main, &far, 1).await), None);
}
