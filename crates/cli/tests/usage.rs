//! Tests of wrong usage, which ends with exit code 2 and a helpful message, and of the help texts.

mod common;

use common::Workspace;

#[test]
fn wrong_usage_is_rejected_before_any_work_is_done() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 1.0);
    workspace.recording("b.wav", 1.0);
    let invalid: &[(&[&str], &[&str])] = &[
        (&[], &["Usage"]),
        (&["sing"], &["sing"]),
        (&["transcribe"], &["<FILE>"]),
        (&["transcribe", "--format", "pdf", "a.wav"], &["pdf", "txt", "json"]),
        (&["transcribe", "--language", "klingon", "a.wav"], &["klingon", "english"]),
        (&["transcribe", ""], &["the name is empty"]),
        (&["transcribe", "--task", "sing", "a.wav"], &["sing", "translate"]),
        (&["transcribe", "--compute-type", "int4", "a.wav"], &["int4", "int8"]),
        (&["transcribe", "--threads", "0", "a.wav"], &["threads"]),
        (&["transcribe", "--format", "txt,srt", "a.wav"], &["--output-dir"]),
        (&["transcribe", "--format", "srt", "a.wav", "b.wav"], &["--output-dir"]),
        (&["transcribe", "--output-dir", "out", "a.wav", "./a.wav"], &["a.wav and ./a.wav", "a.txt"]),
        (&["transcribe", "-", "-"], &["standard input"]),
        (&["transcribe", "--model", "bass", "a.wav"], &["did you mean \"base\"", "./bass"]),
        (&["transcribe", "--model", "./none", "a.wav"], &["./none"]),
        (&["models", "pull"], &["<NAME>"]),
        (&["models", "pull", "tiny", "huge"], &["huge"]),
        (&["models", "path", "huge"], &["huge"]),
        (&["models", "verify", "huge"], &["huge"]),
        (&["models", "remove", "huge"], &["huge"]),
    ];
    for (arguments, messages) in invalid {
        let run = workspace.run(arguments);
        run.ended(2, messages);
        assert!(run.stdout.is_empty(), "{run:?}");
    }
    assert!(!workspace.path("out").exists() && !workspace.path("store").exists());
}

#[test]
fn help_and_version_are_printed_to_standard_output() {
    let workspace = Workspace::new();
    for arguments in [&["--help"][..], &["transcribe", "--help"], &["models", "--help"], &["models", "pull", "-h"]] {
        let run = workspace.run(arguments);
        run.ended(0, &[]);
        assert!(run.stdout.contains("Usage"), "{run:?}");
    }
    let version = workspace.run(&["--version"]);
    assert_eq!(version.stdout, format!("amanuensis {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_help_groups_options_and_hides_the_fake_npu() {
    let workspace = Workspace::new();
    let help = workspace.run(&["transcribe", "--help"]).stdout;
    for heading in ["Input:", "Output:", "Model:", "Decoding:", "Speech detection:", "Subtitles:", "Performance:"] {
        assert!(help.lines().any(|line| line == heading), "no {heading:?} in {help}");
    }
    assert!(!help.contains("npu-fake"), "{help}");
}

#[cfg(not(feature = "npu"))]
#[test]
fn without_the_feature_npu_every_npu_option_is_rejected() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 1.0);
    let transcribe = |arguments: &[&str]| {
        let run = workspace.run(&[&["transcribe", "a.wav"], arguments].concat());
        run.ended(2, &["without NPU support", "feature `npu`"]);
    };
    for device in ["npu", "npu-fake"] {
        transcribe(&["--device", device]);
    }
    transcribe(&["--npu-design", "design"]);
    transcribe(&["--npu-mode", "batched"]);
    workspace.run(&["doctor"]).ended(2, &["feature `npu`"]);
    workspace.run(&["bench", "matmul", "--sizes", "16", "--tiles", "16"]).ended(2, &["feature `npu`"]);
    assert!(workspace.run(&["devices"]).stdout.contains("feature `npu`"));
}
