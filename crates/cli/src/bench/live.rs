//! `amanuensis bench live`: measures how late words appear in live transcription, and the error rate of the text.
//!
//! The benchmark uses a simulated clock. Time that is spent computing is measured and added to the clock. Time spent
//! waiting for audio is added without really waiting.

use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_kernels::Isa;
use amanuensis_score::{Errors, Scorer};
use amanuensis_transcribe::{
    Audio, ComputeType, EngineOptions, Language, LiveEvent, LiveTranscriber, TranscribeOptions, Transcriber,
    UtteranceOptions, Word,
};
use serde_json::{Value, json};

use super::args::BenchLiveArgs;
use super::installed;
use crate::eval::manifest::{self, Clip};
use crate::failure::Failure;
use crate::load::thread_count;

const SAMPLE_RATE_HZ: f64 = 16_000.0;

/// Number of samples in a block. A block is 100 ms of audio, as a client would send it.
const BLOCK_SAMPLES: usize = 1600;

pub fn measure(args: &BenchLiveArgs) -> Result<String, Failure> {
    let clips = manifest::read(&args.manifest)?;
    let threads = thread_count(args.threads);
    let options = EngineOptions { compute_type: ComputeType::Int8, threads, ..EngineOptions::default() };
    let transcriber = Transcriber::load(&installed::model_path(&args.model)?, &options)
        .map_err(|error| Failure::Failed(format!("cannot load the model {:?}: {error}", args.model)))?;
    let vad = installed::vad()?.ok_or_else(|| Failure::Failed("silero-vad is not installed".to_owned()))?;
    let transcriber = transcriber.with_vad(vad);

    let mut sums = Sums::default();
    for clip in clips.iter().filter(|clip| args.language.is_none_or(|language| clip.language == Some(language))) {
        sums.add(&transcriber, clip).map_err(|reason| Failure::Failed(format!("{}: {reason}", clip.id)))?;
    }
    let report = Report::new(&transcriber, threads, sums);
    Ok(if args.json { report.json() } else { report.table() })
}

/// Sums over all recordings (such as their total duration), and the delays of all their words.
#[derive(Default)]
struct Sums {
    /// Duration of the recordings in seconds.
    audio_s: f64,
    /// Time spent computing transcripts, in seconds.
    busy_s: f64,
    /// For each word of the final text: seconds from the end of the word in the audio until it was first shown in its
    /// final spelling.
    provisional: Vec<f64>,
    /// The same delays as in `provisional`, but only of the first word of each utterance.
    first: Vec<f64>,
    /// For each word of the final text: seconds from the end of the word in the audio until the word was committed,
    /// so that it could no longer change.
    committed: Vec<f64>,
    live: Errors,
    file: Errors,
}

impl Sums {
    fn add(&mut self, transcriber: &Transcriber, clip: &Clip) -> Result<(), String> {
        let samples = samples(clip).map_err(|error| error.to_string())?;
        let options = TranscribeOptions { language: clip.language, ..TranscribeOptions::default() };
        let text = self.transcribe_live(transcriber, &options, &samples).map_err(|error| error.to_string())?;
        self.audio_s += samples.len() as f64 / SAMPLE_RATE_HZ;
        let Some(reference) = &clip.reference else { return Ok(()) };
        let audio = Audio::from_samples(samples, SAMPLE_RATE_HZ as u32).map_err(|error| error.to_string())?;
        let file = transcriber.transcribe(audio, &options, &mut |_| ControlFlow::Continue(()));
        let file = file.map_err(|error| error.to_string())?.text();
        let (scorer, language) = (Scorer::new(), clip.language.map_or("en", Language::code));
        self.live += scorer.compare(reference, &text, language);
        self.file += scorer.compare(reference, &file, language);
        Ok(())
    }

    /// Feeds the samples to a [`LiveTranscriber`] in blocks, records the delays of the words, and returns the final
    /// text.
    fn transcribe_live(
        &mut self,
        transcriber: &Transcriber,
        options: &TranscribeOptions,
        samples: &[f32],
    ) -> Result<String, amanuensis_transcribe::Error> {
        let mut live = LiveTranscriber::new(transcriber, options, UtteranceOptions::default())?;
        let mut text = String::new();
        // `now` is the simulated time in seconds. `streamed` is the number of samples that were given to the
        // transcriber so far.
        let (mut now, mut streamed) = (0.0_f64, 0);
        let mut shown = ShownWords::default();
        let mut is_first = true;
        while streamed < samples.len() {
            // Give the transcriber all complete blocks that have arrived by `now`. If there is none, advance the
            // clock to the end of the next block and give it that one.
            let arrived = (now * SAMPLE_RATE_HZ) as usize / BLOCK_SAMPLES * BLOCK_SAMPLES;
            let end = arrived.max(streamed + BLOCK_SAMPLES).min(samples.len());
            now = now.max(end as f64 / SAMPLE_RATE_HZ);
            let start = Instant::now();
            let mut on_event = |event: LiveEvent<'_>| {
                let now = now + start.elapsed().as_secs_f64();
                match event {
                    LiveEvent::UtteranceStarted { .. } => is_first = true,
                    LiveEvent::Words { committed, provisional } => {
                        shown.update(committed.iter().chain(provisional), now);
                        for (word, shown_since) in committed.iter().zip(shown.take(committed.len())) {
                            text += &word.word;
                            self.provisional.push(shown_since - word.end);
                            self.committed.push(now - word.end);
                            if std::mem::take(&mut is_first) {
                                self.first.push(shown_since - word.end);
                            }
                        }
                    }
                    _ => {}
                }
            };
            live.push(&samples[streamed..end], &mut on_event)?;
            streamed = end;
            if streamed == samples.len() {
                live.end_utterance(&mut on_event)?;
            }
            let elapsed = start.elapsed().as_secs_f64();
            now += elapsed;
            self.busy_s += elapsed;
        }
        Ok(text)
    }
}

/// The words that are shown but may still change, each with the time in seconds when it was first shown. Words are
/// stored in lower case and without punctuation.
#[derive(Default)]
struct ShownWords(Vec<(String, f64)>);

impl ShownWords {
    /// Replaces the shown words with `words` at the time `now`. A word that is unchanged at its position keeps its
    /// old time.
    fn update<'w>(&mut self, words: impl Iterator<Item = &'w Word>, now: f64) {
        let mut count = 0;
        for (index, word) in words.enumerate() {
            count = index + 1;
            let letters: String =
                word.word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            match self.0.get_mut(index) {
                Some((shown, _)) if *shown == letters => {}
                Some(entry) => *entry = (letters, now),
                None => self.0.push((letters, now)),
            }
        }
        self.0.truncate(count);
    }

    /// Removes the first `count` words from the list, and returns the time when each of them was first shown.
    fn take(&mut self, count: usize) -> Vec<f64> {
        self.0.drain(..count).map(|(_, since)| since).collect()
    }
}

fn samples(clip: &Clip) -> Result<Vec<f32>, amanuensis_transcribe::AudioError> {
    let mut audio = Audio::open(&clip.path)?;
    let mut samples = Vec::new();
    while let Some(block) = audio.next_block()? {
        samples.extend_from_slice(block);
    }
    Ok(samples)
}

/// The results of the benchmark over all recordings, ready to be printed.
struct Report<'a> {
    model: &'a str,
    isa: Isa,
    threads: usize,
    audio_s: f64,
    busy_s: f64,
    delays: [Delays; 3],
    live: Errors,
    file: Errors,
}

/// The distribution (median and 95th percentile) of one kind of delay, such as the delay until a word is first shown.
struct Delays {
    /// The name of this delay in the JSON report.
    key: &'static str,
    label: &'static str,
    words: usize,
    median_s: f64,
    p95_s: f64,
}

impl Delays {
    fn new(key: &'static str, label: &'static str, mut delays: Vec<f64>) -> Self {
        let (median_s, p95_s) = (quantile(&mut delays, 0.5), quantile(&mut delays, 0.95));
        Self { key, label, words: delays.len(), median_s, p95_s }
    }
}

impl<'a> Report<'a> {
    fn new(transcriber: &'a Transcriber, threads: usize, sums: Sums) -> Self {
        let Sums { audio_s, busy_s, provisional, first, committed, live, file } = sums;
        let delays = [
            Delays::new("provisional", "provisional", provisional),
            Delays::new("first_of_turn", "first of utterance", first),
            Delays::new("committed", "committed", committed),
        ];
        let isa = transcriber.engine().isa();
        Self { model: transcriber.name(), isa, threads, audio_s, busy_s, delays, live, file }
    }

    fn json(&self) -> String {
        let delay = |Delays { key, words, median_s, p95_s, .. }: &Delays| {
            ((*key).to_owned(), json!({"words": words, "median_s": median_s, "p95_s": p95_s}))
        };
        let delays: serde_json::Map<String, Value> = self.delays.iter().map(delay).collect();
        format!(
            "{}\n",
            json!({
                "model": self.model, "isa": self.isa.name(), "threads": self.threads, "audio_s": self.audio_s,
                "busy_share": self.busy_s / self.audio_s, "delays": delays, "words_compared": self.live.units,
                "error_rate_percent": {"live": percent(self.live), "file": percent(self.file)},
            })
        )
    }

    fn table(&self) -> String {
        let Self { model, isa, threads, audio_s, busy_s, .. } = self;
        let mut table = vec![format!("{model}, {isa}, {threads} thread(s), {audio_s:.0} s of speech")];
        table.push(format!("{:<24}{:>8}{:>10}{:>10}", "delay of words", "words", "median", "95 %"));
        for Delays { label, words, median_s, p95_s, .. } in &self.delays {
            table.push(format!("{label:<24}{words:>8}{median_s:>8.2} s{p95_s:>8.2} s"));
        }
        table.push(format!("{:<24}{:>26.1} %", "time spent computing", 100.0 * busy_s / audio_s));
        table.push(format!("{:<24}{:>26.2} %", "error rate, live", percent(self.live)));
        table.push(format!("{:<24}{:>26.2} %", "error rate, as files", percent(self.file)));
        table.join("\n") + "\n"
    }
}

/// Returns the error rate: errors in percent of the words (in some languages, characters) of the reference text.
fn percent(errors: Errors) -> f64 {
    100.0 * errors.total() as f64 / errors.units.max(1) as f64
}

/// Returns the quantile of `values`: the median if `quantile` is 0.5, the maximum if it is 1. NaN if `values` is
/// empty.
fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * quantile).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let word = |text: &str| Word { word: text.to_owned(), start: 0.0, end: 0.0, probability: 1.0 };
        text.split(' ').map(word).collect()
    }

    #[test]
    fn an_unchanged_word_keeps_the_time_when_it_was_first_shown() {
        let mut shown = ShownWords::default();
        shown.update(words("ask not.").iter(), 1.0);
        shown.update(words("Ask not what").iter(), 2.0);
        shown.update(words("ask knot").iter(), 3.0);
        assert_eq!(shown.0, [("ask".to_owned(), 1.0), ("knot".to_owned(), 3.0)]);
    }

    #[test]
    fn the_median_is_the_middle_value() {
        assert!((quantile(&mut [3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
