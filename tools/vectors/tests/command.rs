//! The command as a user calls it: its last line and its exit code.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

fn vectors(files: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vectors")).args(files).output().unwrap()
}

fn public(kind: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    folder.join(format!("{kind}_public.json"))
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn passing_files_end_with_the_totals_and_code_0() {
    let output = vectors(&[&public("inject"), &public("probabilistic")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(last_line(&output), "59 passed, 0 failed, 0 skipped");
}

#[test]
fn a_failing_case_is_named_and_gives_code_1() {
    let text = std::fs::read_to_string(public("inject")).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("inject_changed.json");
    std::fs::write(&file, text.replacen("x-b3-sampled", "x-b3-other", 1)).unwrap();
    let output = vectors(&[&file]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(last_line(&output), "37 passed, 1 failed, 0 skipped");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.starts_with("FAILED inject_changed.json "), "{shown}");
}

#[test]
fn a_file_that_cannot_be_run_gives_code_2() {
    let nothing = Path::new("no such file.json");
    let source = public("inject").with_file_name("SOURCE.md");
    for file in [nothing, &source] {
        let output = vectors(&[file]);
        assert_eq!(output.status.code(), Some(2));
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(vectors(&[]).status.code(), Some(2));
}
