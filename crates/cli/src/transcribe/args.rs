//! The arguments of `amanuensis transcribe`, and their help.

use std::path::PathBuf;

use amanuensis_transcribe::OutputFormat;

use super::subtitles::SubtitleArgs;
use crate::input::Input;
use crate::options::decoding::DecodingArgs;
use crate::options::language::LanguageChoice;
use crate::values;

const ABOUT: &str = "\
Transcribe recordings to text, subtitles or JSON

Input can be WAV, MP3, FLAC, AAC, Ogg, Opus, M4A, MP4, MOV, MKV, WebM, AIFF or CAF; the name of the file does not matter. \
Of a video, the audio track is transcribed. The model is downloaded when it is first used.

Standard input (`-`) and named pipes are copied to a temporary file first, because some formats need random access. \
Transcription starts when the input has ended.";

const HELP: &str = "\
Examples:
  amanuensis transcribe talk.mp3
  amanuensis transcribe --language de --format srt interview.m4a > interview.srt
  amanuensis transcribe --format srt --max-line-width 42 --max-line-count 2 film.mkv > film.srt
  amanuensis transcribe --model small --format txt,vtt,json --output-dir out *.mp4
  ffmpeg -i tape.rm -f wav - | amanuensis transcribe -

Exit codes:
  0    all recordings were transcribed
  1    at least one recording failed; all others were transcribed
  2    wrong usage
  130  stopped by Ctrl-C or SIGTERM

Ctrl-C stops at the next window and keeps the text so far. With --output-dir, that text is written to files such as \
talk.partial.srt. A second Ctrl-C stops immediately.

Environment:
  AMANUENSIS_MODELS  directory of the models (default: in the user's data directory)
  HF_ENDPOINT        URL of a mirror of the Hugging Face Hub
  TMPDIR             directory for temporary files (on Windows: TEMP)";

/// The arguments of `transcribe`.
#[derive(Debug, clap::Args)]
#[command(long_about = ABOUT, after_help = HELP)]
pub struct TranscribeArgs {
    /// Recordings to transcribe; `-` reads standard input
    #[arg(required = true, value_name = "FILE", value_parser = values::recording())]
    pub files: Vec<Input>,

    /// Language spoken in the audio, as a code or a name; `auto` detects it
    #[arg(short, long, default_value = "auto", help_heading = "Input")]
    pub language: LanguageChoice,

    /// Output format
    ///
    /// Several formats can be separated by commas. Several formats need --output-dir.
    #[arg(short, long, value_name = "FORMAT", default_value = "txt", value_delimiter = ',', value_parser = values::output_format(), help_heading = "Output")]
    pub format: Vec<OutputFormat>,

    /// Directory for the output: one file per recording and format, named after the recording [default: print to
    /// standard output]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output_dir: Option<PathBuf>,

    /// Print warnings and errors only
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,

    #[command(flatten)]
    pub subtitles: SubtitleArgs,

    #[command(flatten)]
    pub decoding: DecodingArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        transcribe: TranscribeArgs,
    }

    fn parse(arguments: &[&str]) -> Result<TranscribeArgs, clap::Error> {
        Command::try_parse_from(["command"].iter().chain(arguments)).map(|command| command.transcribe)
    }

    #[test]
    fn by_default_text_is_written_and_the_language_is_detected() {
        let args = parse(&["a.mp3", "-"]).unwrap();
        assert_eq!(args.files, [Input::File("a.mp3".into()), Input::Stdin]);
        assert_eq!((args.language, args.format), (LanguageChoice::Auto, vec![OutputFormat::TXT]));
        assert_eq!(args.decoding.compute_type_name(), "int8");
    }

    #[test]
    fn formats_can_be_repeated_or_separated_by_commas() {
        let names = |arguments: &[&str]| {
            parse(arguments).unwrap().format.into_iter().map(OutputFormat::name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["-f", "srt,json", "--format", "vtt", "a"]), ["srt", "json", "vtt"]);
    }

    #[test]
    fn invalid_values_are_rejected() {
        let invalid: [&[&str]; 12] = [
            &[],
            &[""],
            &["--model", "", "a"],
            &["--language", "klingon", "a"],
            &["--language", "", "a"],
            &["--task", "sing", "a"],
            &["--format", "pdf", "a"],
            &["--format", "", "a"],
            &["--compute-type", "int4", "a"],
            &["--threads", "0", "a"],
            &["--max-line-width", "0", "a"],
            &["--threads", "100000", "a"],
        ];
        for arguments in invalid {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
