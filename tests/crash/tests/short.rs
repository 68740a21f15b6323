//! The short round, which kills at every crash point once.

use std::process::Command;

#[test]
fn whatever_is_killed_nothing_is_lost_begun_twice_or_left_behind() {
    let output = Command::new(env!("CARGO_BIN_EXE_gadugi-crash")).arg("short").output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
