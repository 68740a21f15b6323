//! A command that prints without end costs neither memory nor disk beyond the cap.
#![cfg(target_os = "linux")]

#[path = "subprocess/harness.rs"]
#[expect(dead_code, reason = "one test does not use all of it")]
mod harness;

use std::fs;

use harness::Harness;

const GIBIBYTE: u64 = 1 << 30;

/// The largest resident memory of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is measured");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_without_a_newline_is_capped_and_costs_no_memory() {
    let harness = Harness::new();
    harness.run(&harness.argv(&["echo", "warm"])).await;
    let before = peak_memory();
    let end = harness.run(&harness.argv(&["head", "-c", "1073741824", "/dev/zero"])).await;
    let grown = peak_memory() - before;
    assert!(end.status.success());
    assert_eq!(end.output.bytes, GIBIBYTE);
    let kept = (64 << 20) + (16 << 20);
    assert_eq!(end.output.dropped, GIBIBYTE - kept);
    let size = fs::metadata(harness.files().join("output.log")).expect("the log").len();
    let warm = 5;
    let line = "\n[gadugi: 989855744 bytes of output left out here]\n".len() as u64;
    assert_eq!(size, warm + kept + line);
    assert!(grown < 8 << 20, "it grew by {grown} bytes");
}
