//! Helpers for the command-line tests. They run the program, create a small model with random weights, and create
//! recordings.
#![allow(dead_code)] // Each test file uses only some of these helpers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use amanuensis_weights::fixture::write_random_model;
use tempfile::TempDir;

/// Options of `transcribe` that disable voice activity detection and temperature fallback, so that every window of
/// the recording is decoded exactly once and the decoded text is always accepted.
pub const WITHOUT_VAD_AND_FALLBACK: [&str; 3] =
    ["--vad-filter=false", "--temperature=0", "--compression-ratio-threshold=none"];

/// A temporary directory for one test, deleted when this is dropped. It contains an empty model store.
pub struct Workspace(TempDir);

impl Workspace {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command that runs the program in this directory, with a model hub that cannot be reached. `transcribe` gets
    /// the options [`WITHOUT_VAD_AND_FALLBACK`], because the recordings of these tests are tones and the model's text
    /// is gibberish. With the default options, voice activity detection would skip the tones, and temperature
    /// fallback would reject the text.
    pub fn amanuensis(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amanuensis"));
        command.args(arguments).current_dir(self.0.path());
        if arguments.first() == Some(&"transcribe") {
            command.args(WITHOUT_VAD_AND_FALLBACK);
        }
        command.env("AMANUENSIS_MODELS", self.path("store")).env("HF_ENDPOINT", "http://127.0.0.1:1");
        command.env_remove("HF_TOKEN");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.amanuensis(arguments).output().unwrap())
    }

    /// Writes an English-only model with random weights. Its text is gibberish, but always the same for the same
    /// audio.
    pub fn model(&self, name: &str) {
        let directory = self.path(name);
        fs::create_dir(&directory).unwrap();
        write_random_model(&directory).unwrap();
    }

    /// Writes a 16-bit WAV file at 16 kHz that contains a tone whose pitch rises and falls.
    pub fn recording(&self, name: &str, seconds: f32) -> PathBuf {
        let n = (16_000.0 * seconds) as u32;
        let sample = |i: u32| {
            let t = f64::from(i) / 16_000.0;
            (8000.0 * (2000.0 * t + 300.0 * (3.0 * t).sin()).sin()) as i16
        };
        let mut wav = wav_header(n * 2, 16_000, 16);
        wav.extend((0..n).flat_map(|i| sample(i).to_le_bytes()));
        let path = self.path(name);
        fs::write(&path, wav).unwrap();
        path
    }

    /// Writes a mono 8-bit WAV file at 8 kHz whose sample bytes are all zero. The file is sparse, so it takes up
    /// almost no disk space.
    pub fn long_recording(&self, name: &str, seconds: u32) {
        let path = self.path(name);
        let bytes = 8000 * seconds;
        fs::write(&path, wav_header(bytes, 8000, 8)).unwrap();
        fs::File::options().write(true).open(path).unwrap().set_len(44 + u64::from(bytes)).unwrap();
    }
}

/// The header of a mono WAV file whose samples take up `bytes` bytes. `rate` is the sample rate in Hz, and `bits` the
/// size of a sample.
pub fn wav_header(bytes: u32, rate: u32, bits: u16) -> Vec<u8> {
    let width = u32::from(bits / 8);
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1_u16, 1].into_iter().flat_map(u16::to_le_bytes));
    wav.extend([rate, rate * width].into_iter().flat_map(u32::to_le_bytes));
    wav.extend([bits / 8, bits].into_iter().flat_map(u16::to_le_bytes));
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    wav
}

/// The exit code of the program, and what it wrote to standard output and standard error.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Asserts that the program exited with `code`, and that its standard error contains all of these messages.
    #[track_caller]
    pub fn ended(&self, code: i32, messages: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for message in messages {
            assert!(self.stderr.contains(message), "no {message:?} in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

/// The names of the files in a directory, sorted.
pub fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
