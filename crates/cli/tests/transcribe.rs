//! End-to-end tests of `amanuensis transcribe` with a model of random weights: outputs, errors and exit codes.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use common::{Run, WITHOUT_VAD_AND_FALLBACK, Workspace, names_in};
use serde_json::Value;

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.model("gibberish");
    workspace
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Parses a JSON transcript and removes the durations of the computation, because they differ from run to run.
fn without_timings(text: &str) -> Value {
    let mut transcript = json(text);
    transcript.as_object_mut().unwrap().remove("timings");
    transcript
}

#[test]
fn text_is_printed_to_standard_output() {
    let workspace = workspace();
    workspace.recording("talk.wav", 3.0);
    let run = workspace.run(&["transcribe", "--model", "./gibberish", "talk.wav"]);
    run.ended(0, &[]);
    assert!(run.stderr.is_empty() && !run.stdout.trim().is_empty(), "{run:?}");

    let transcript = workspace.run(&["transcribe", "--model", "gibberish", "--format", "json", "talk.wav"]);
    let transcript = json(&transcript.stdout);
    let lines: Vec<&str> =
        transcript["segments"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap().trim()).collect();
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn every_format_is_written_to_a_file() {
    let workspace = workspace();
    workspace.recording("a talk.wav", 40.0);
    workspace.recording("b.wav", 2.0);
    let formats = ["--format", "txt,srt,vtt", "--format", "tsv,json", "--output-dir", "new/out"];
    let arguments = [&["transcribe", "--model", "gibberish", "a talk.wav", "b.wav"][..], &formats].concat();
    let run = workspace.run(&arguments);
    run.ended(0, &[]);
    assert!(run.stdout.is_empty() && run.stderr.is_empty(), "{run:?}");
    let stems = ["a talk", "b"].into_iter();
    let expected: Vec<String> =
        stems.flat_map(|stem| ["json", "srt", "tsv", "txt", "vtt"].map(|format| format!("{stem}.{format}"))).collect();
    assert_eq!(names_in(&workspace.path("new/out")), expected);

    let read = |name: &str| fs::read_to_string(workspace.path("new/out").join(name)).unwrap();
    assert!(read("b.srt").starts_with("1\n00:00:0") && read("b.vtt").starts_with("WEBVTT\n"));
    assert!(read("b.tsv").starts_with("start\tend\ttext\n"));
    let transcript = json(&read("a talk.json"));
    let fields: Vec<&String> = transcript.as_object().unwrap().keys().collect();
    let order = ["task", "language", "duration", "text", "segments", "model", "timings"];
    assert!(order.iter().all(|field| fields.iter().any(|name| name == field)) && fields.len() == order.len());
    assert_eq!((&transcript["language"], &transcript["model"]), (&"english".into(), &"gibberish".into()));
    assert_eq!(transcript["duration"], 40.0);
    let mut previous_start = 0.0;
    for (id, segment) in transcript["segments"].as_array().unwrap().iter().enumerate() {
        let (start, end) = (segment["start"].as_f64().unwrap(), segment["end"].as_f64().unwrap());
        assert_eq!(segment["id"], id);
        assert!(previous_start <= start && start <= end && end <= 40.0, "{segment}");
        previous_start = start;
    }
}

#[test]
fn standard_input_gives_the_same_transcript_as_a_file() {
    let workspace = workspace();
    let path = workspace.recording("talk.wav", 3.0);
    let arguments = ["transcribe", "--model", "gibberish", "--format", "json"];
    let from_file = workspace.run(&[&arguments[..], &["talk.wav"]].concat());
    let stdin = || fs::File::open(&path).unwrap();
    let piped = workspace.amanuensis(&[&arguments[..], &["-"]].concat()).stdin(stdin()).output().unwrap();
    assert_eq!(without_timings(&Run::of(&piped).stdout), without_timings(&from_file.stdout));

    let to_files = [&arguments[..], &["-", "--output-dir", "out"]].concat();
    Run::of(&workspace.amanuensis(&to_files).stdin(stdin()).output().unwrap()).ended(0, &[]);
    assert_eq!(names_in(&workspace.path("out")), ["stdin.json"]);
    let empty = workspace.amanuensis(&["transcribe", "--model", "gibberish", "-"]).stdin(Stdio::null()).output();
    Run::of(&empty.unwrap()).ended(1, &["error: standard input: ", "empty"]);
}

#[test]
fn a_recording_that_fails_is_reported_and_the_others_are_transcribed() {
    let workspace = workspace();
    workspace.recording("good.wav", 2.0);
    fs::write(workspace.path("text.wav"), "Dear diary, this is no recording at all.").unwrap();
    fs::write(workspace.path("empty.mp3"), "").unwrap();
    fs::create_dir(workspace.path("folder")).unwrap();
    let inputs = ["missing.wav", "text.wav", "good.wav", "empty.mp3", "folder"];
    let run = workspace.run(&[&["transcribe", "--model", "gibberish", "-o", "out"][..], &inputs].concat());
    run.ended(1, &["error: missing.wav: ", "error: text.wav: ", "error: empty.mp3: ", "error: folder: "]);
    assert_eq!(run.stderr.lines().count(), 4, "{run:?}");
    assert_eq!(names_in(&workspace.path("out")), ["good.txt"]);
}

#[test]
fn texts_of_several_recordings_have_headers() {
    let workspace = workspace();
    workspace.recording("a.wav", 2.0);
    workspace.recording("b.wav", 3.0);
    let both = ["transcribe", "--model", "gibberish", "a.wav", "b.wav"];
    let run = workspace.run(&both);
    run.ended(0, &[]);
    assert!(run.stdout.starts_with("==> a.wav <==\n") && run.stdout.contains("\n\n==> b.wav <==\n"), "{run:?}");
    let run = workspace.run(&[&both[..], &["--format", "json"]].concat());
    let durations: Vec<f64> = run.stdout.lines().map(|line| json(line)["duration"].as_f64().unwrap()).collect();
    assert_eq!(durations.len(), 2);
    assert!(durations[0] < durations[1]);
}

#[test]
fn a_missing_recording_is_reported_before_the_model_is_downloaded() {
    let workspace = Workspace::new();
    let run = workspace.run(&["transcribe", "missing.wav"]);
    run.ended(1, &["missing.wav"]);
    assert!(!run.stderr.contains("fetching"), "{run:?}");
    workspace.run(&["transcribe", "https://example.org/talk.mp3"]).ended(1, &["download it first"]);
    let run = workspace.run(&["transcribe", "\u{1b}[31mred\n.wav"]);
    run.ended(1, &["error: \\u{1b}[31mred\\n.wav: "]);
    workspace.recording("talk.wav", 1.0);
    let offline = workspace.run(&["transcribe", "--offline", "talk.wav"]);
    offline.ended(1, &["base", "not installed"]);
    assert!(!workspace.path("store").exists());
}

#[test]
fn an_output_that_cannot_be_written_is_reported_before_the_model_is_downloaded() {
    let workspace = Workspace::new();
    workspace.recording("talk.wav", 1.0);
    fs::create_dir_all(workspace.path("out/talk.srt")).unwrap();
    let run = workspace.run(&["transcribe", "--format", "txt,srt", "--output-dir", "out", "talk.wav"]);
    run.ended(1, &["error: talk.wav: cannot write out/talk.srt: is a directory"]);
    assert!(!run.stderr.contains("fetching"), "{run:?}");
    assert_eq!(names_in(&workspace.path("out")), ["talk.srt"]);

    // In this directory of Linux, no user can create files, not even root.
    if cfg!(target_os = "linux") {
        let run = workspace.run(&["transcribe", "--output-dir", "/proc/self", "talk.wav"]);
        run.ended(1, &["error: cannot write into the directory /proc/self: "]);
        assert!(!run.stderr.contains("fetching") && !run.stderr.contains(".amanuensis-"), "{run:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_transcript_that_does_not_fit_on_the_disk_is_printed() {
    let workspace = workspace();
    workspace.recording("talk.wav", 60.0);
    let program = workspace.amanuensis(&[]).get_program().to_owned();
    let transcribe = |shell: &str, formats: &str| {
        // The shell limits the size of files. So writing a file fails, as it does on a full disk.
        let arguments = ["transcribe", "--model", "gibberish", "--format", formats, "--output-dir", "out", "talk.wav"];
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &format!("trap '' XFSZ; {shell}; exec \"$@\""), "sh"])
            .arg(&program)
            .args(arguments)
            .args(WITHOUT_VAD_AND_FALLBACK);
        Run::of(&command.current_dir(workspace.path("")).output().unwrap())
    };
    let run = transcribe("ulimit -f 1", "json,txt");
    run.ended(1, &["error: talk.wav: cannot write out/talk.json: ", "; it went to the standard output instead"]);
    assert!(!run.stderr.contains(".amanuensis-") && !run.stderr.contains("talk.txt"), "{run:?}");
    assert_eq!(names_in(&workspace.path("out")), ["talk.txt"]);
    let (heading, document) = run.stdout.split_once('\n').unwrap();
    assert_eq!(heading, "==> out/talk.json <==");
    assert_eq!(json(document)["duration"], 60.0);
    let run = transcribe("ulimit -f 0; exec >/dev/full", "txt");
    run.ended(1, &["cannot write out/talk.txt: ", "nor can it be written to the standard output"]);
}

#[test]
fn options_that_the_model_does_not_support_are_wrong_usage() {
    let workspace = workspace();
    workspace.recording("talk.wav", 1.0);
    let arguments = ["transcribe", "--model", "gibberish", "talk.wav"];
    workspace.run(&[&arguments[..], &["--language", "de"]].concat()).ended(2, &["English only", "german"]);
    workspace.run(&[&arguments[..], &["--task", "translate"]].concat()).ended(2, &["cannot translate"]);
    let suppress = |token: &str| workspace.run(&[&arguments[..], &["--suppress-tokens", token]].concat());
    suppress("-1,1535").ended(2, &["there is no token 1535", "\"gibberish\" has 1535"]);
    suppress("-1,1534").ended(0, &[]);
    workspace.run(&[&arguments[..], &["--language", "English"]].concat()).ended(0, &[]);
    fs::write(workspace.path("gibberish/model.bin"), "no model").unwrap();
    workspace.run(&arguments).ended(1, &["cannot load the model", "model.bin"]);
}

#[test]
fn a_recording_that_is_too_short_gives_an_empty_transcript() {
    let workspace = workspace();
    workspace.recording("blip.wav", 0.05);
    let run = workspace.run(&["transcribe", "--model", "gibberish", "--format", "json", "blip.wav"]);
    run.ended(0, &["warning: blip.wav: ", "too short"]);
    assert_eq!(json(&run.stdout)["segments"], Value::Array(Vec::new()));
}

#[test]
fn a_closed_pipe_ends_the_program_without_an_error() {
    let workspace = workspace();
    workspace.long_recording("long.wav", 3600);
    let mut command = workspace.amanuensis(&["transcribe", "--model", "gibberish", "long.wav"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(!first.is_empty());
    Run::of(&child.wait_with_output().unwrap()).ended(0, &[]);
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_program_and_keeps_the_text_so_far() {
    let workspace = workspace();
    workspace.long_recording("long.wav", 4 * 3600);
    workspace.recording("next.wav", 1.0);
    for signal in ["-INT", "-TERM"] {
        let mut command = workspace.amanuensis(&["transcribe", "--model", "gibberish", "long.wav", "next.wav"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while text.lines().count() < 3 {
            assert!(stdout.read_line(&mut text).unwrap() > 0, "{text}");
        }
        let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        stdout.read_to_string(&mut text).unwrap();
        let messages = ["long.wav: interrupted; kept the first", "recordings not started: 1"];
        Run::of(&child.wait_with_output().unwrap()).ended(130, &messages);
        assert!(text.starts_with("==> long.wav <==\n") && !text.contains("next.wav"), "{text}");
    }
}
