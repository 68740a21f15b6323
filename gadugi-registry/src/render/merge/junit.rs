//! The report of a merge for CI servers: a test case for each task, which fails if it was not merged.

use gadugi_core::merge::{Candidate, MergeRecord};
use quick_junit::{NonSuccessKind, Report as JUnit, TestCase, TestCaseStatus, TestSuite};

use super::words::{merge_result, not_merged};
use crate::render::escape::xml_line;

/// The report of a merge in JUnit XML.
#[must_use]
pub fn merge_junit(record: &MergeRecord) -> String {
    let mut suite = TestSuite::new(format!("merge {}", record.header.merge));
    suite.add_test_cases(record.header.candidates.iter().map(|candidate| case(record, candidate)));
    let mut junit = JUnit::new("gadugi");
    if let Some((_, Some(wall))) = record.ended {
        suite.set_time(wall);
        junit.set_time(wall);
    }
    junit.add_test_suite(suite);
    junit.to_string().expect("cannot fail because it is written to memory, from strings")
}

fn case(record: &MergeRecord, candidate: &Candidate) -> TestCase {
    let task = &candidate.task;
    let is_home = record.merged().contains(task) || record.contained.contains(task);
    let status = if is_home {
        TestCaseStatus::success()
    } else {
        let why = Some(not_merged(record, task)).filter(|why| !why.is_empty());
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("not merged").set_message(xml_line(&why.unwrap_or_else(|| merge_result(record))));
        status
    };
    let mut case = TestCase::new(task.as_str(), status);
    case.set_classname("gadugi.merge");
    case
}
