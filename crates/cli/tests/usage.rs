//! Wrong usage ends with exit code 2 and says what to do.

mod common;

use common::Workspace;

#[test]
fn nonsense_is_refused_before_anything_is_done() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 1.0);
    workspace.recording("b.wav", 1.0);
    let refused: &[(&[&str], &[&str])] = &[
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
    for (arguments, messages) in refused {
        let run = workspace.run(arguments);
        run.ended(2, messages);
        assert!(run.stdout.is_empty(), "{run:?}");
    }
    assert!(!workspace.path("out").exists() && !workspace.path("store").exists());
}

#[test]
fn help_and_version_go_to_the_standard_output() {
    let workspace = Workspace::new();
    for arguments in [&["--help"][..], &["transcribe", "--help"], &["models", "--help"], &["models", "pull", "-h"]] {
        let run = workspace.run(arguments);
        run.ended(0, &[]);
        assert!(run.stdout.contains("Usage"), "{run:?}");
    }
    let version = workspace.run(&["--version"]);
    assert_eq!(version.stdout, format!("amanuensis {}\n", env!("CARGO_PKG_VERSION")));
}
