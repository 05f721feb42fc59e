//! `amanuensis bench live`: how long words take that are spoken into a stream, and what that costs in accuracy.
//!
//! Nobody waits for the recordings to play: what has been said by the time that a reading ends is reckoned. All
//! computing is real.

use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_score::{Errors, Scorer};
use amanuensis_transcribe::{
    Audio, ComputeType, EngineOptions, Language, LiveEvent, LiveTranscriber, TranscribeOptions, Transcriber,
    UtteranceOptions, Word,
};
use serde_json::{Value, json};

use super::args::BenchLiveArgs;
use super::{installed, installed_detector, threads};
use crate::eval::manifest::{self, Clip};
use crate::failure::Failure;

const SAMPLE_RATE: f64 = 16_000.0;

/// Samples that come at a time: 100 ms, as a client would send them.
const BLOCK: usize = 1600;

pub fn measure(args: &BenchLiveArgs) -> Result<String, Failure> {
    let clips = manifest::read(&args.manifest)?;
    let engine =
        EngineOptions { compute_type: ComputeType::Int8, threads: threads(args.threads), ..EngineOptions::default() };
    let transcriber = Transcriber::load(&installed(&args.model)?, &engine)
        .map_err(|error| Failure::Failed(format!("cannot load the model {:?}: {error}", args.model)))?;
    let detector = installed_detector()?;
    let detector = detector.ok_or_else(|| Failure::Failed("silero-vad is not installed".to_owned()))?;
    let transcriber = transcriber.with_vad(detector);

    let mut sums = Sums::default();
    for clip in clips.iter().filter(|clip| args.language.is_none_or(|language| clip.language == Some(language))) {
        sums.add(&transcriber, clip).map_err(|reason| Failure::Failed(format!("{}: {reason}", clip.id)))?;
    }
    let Sums { audio, busy, mut provisional, mut settled, mut first, live, file } = sums;
    let rate = |errors: Errors| 100.0 * errors.total() as f64 / errors.units.max(1) as f64;
    let delays = [("provisional", &mut provisional), ("first_of_turn", &mut first), ("settled", &mut settled)];
    let delays = delays.map(|(name, delays)| (name, delays.len(), quantile(delays, 0.5), quantile(delays, 0.95)));
    let isa = transcriber.engine().isa();
    if args.json {
        let delays: serde_json::Map<String, Value> = delays
            .iter()
            .map(|(name, words, median, p95)| {
                ((*name).to_owned(), json!({"words": words, "median_s": median, "p95_s": p95}))
            })
            .collect();
        return Ok(format!(
            "{}\n",
            json!({
                "model": transcriber.name(), "isa": isa.name(), "threads": engine.threads, "audio_s": audio,
                "busy_share": busy / audio, "delays": delays, "words_compared": live.units,
                "error_rate_percent": {"live": rate(live), "file": rate(file)},
            })
        ));
    }
    let mut table =
        vec![format!("{}, {isa}, {} thread(s), {audio:.0} s of speech", transcriber.name(), engine.threads)];
    table.push(format!("{:<24}{:>8}{:>10}{:>10}", "delay of words", "words", "median", "95 %"));
    for (name, words, median, p95) in delays {
        table.push(format!("{:<24}{words:>8}{median:>8.2} s{p95:>8.2} s", name.replace('_', " ")));
    }
    table.push(format!("{:<24}{:>26.1} %", "time spent reading", 100.0 * busy / audio));
    table.push(format!("{:<24}{:>26.2} %", "errors live", rate(live)));
    table.push(format!("{:<24}{:>26.2} %", "errors as a file", rate(file)));
    Ok(table.join("\n") + "\n")
}

/// All recordings together.
#[derive(Default)]
struct Sums {
    /// Seconds of the recordings, and of computing.
    audio: f64,
    busy: f64,
    /// Seconds from the end of a word until it was there as it stayed; of the first words of turns; until it was settled.
    provisional: Vec<f64>,
    first: Vec<f64>,
    settled: Vec<f64>,
    live: Errors,
    file: Errors,
}

impl Sums {
    fn add(&mut self, transcriber: &Transcriber, clip: &Clip) -> Result<(), String> {
        let samples = samples(clip).map_err(|error| error.to_string())?;
        let options = TranscribeOptions { language: clip.language, ..TranscribeOptions::default() };
        let (text, busy) = self.listen(transcriber, &options, &samples).map_err(|error| error.to_string())?;
        self.audio += samples.len() as f64 / SAMPLE_RATE;
        self.busy += busy;
        let Some(reference) = &clip.reference else { return Ok(()) };
        let audio = Audio::from_samples(samples, SAMPLE_RATE as u32).map_err(|error| error.to_string())?;
        let file = transcriber.transcribe(audio, &options, &mut |_| ControlFlow::Continue(()));
        let file = file.map_err(|error| error.to_string())?.text();
        let (scorer, language) = (Scorer::new(), clip.language.map_or("en", Language::code));
        self.live += scorer.compare(reference, &text, language);
        self.file += scorer.compare(reference, &file, language);
        Ok(())
    }

    /// Plays the samples to the model; gives the text, and the seconds that it took.
    fn listen(
        &mut self,
        transcriber: &Transcriber,
        options: &TranscribeOptions,
        samples: &[f32],
    ) -> Result<(String, f64), amanuensis_transcribe::Error> {
        let mut live = LiveTranscriber::new(transcriber, options, UtteranceOptions::default())?;
        let (mut text, mut busy) = (String::new(), 0.0);
        // The time of the stream, and what of it was handed over.
        let (mut now, mut given) = (0.0_f64, 0);
        let mut shown: Vec<(String, f64)> = Vec::new();
        let mut is_first = true;
        while given < samples.len() {
            let come = (now * SAMPLE_RATE) as usize / BLOCK * BLOCK;
            let end = come.max(given + BLOCK).min(samples.len());
            now = now.max(end as f64 / SAMPLE_RATE);
            let start = Instant::now();
            let mut hear = |event: LiveEvent<'_>| {
                let now = now + start.elapsed().as_secs_f64();
                match event {
                    LiveEvent::TurnBegins { .. } => is_first = true,
                    LiveEvent::Words { settled, provisional } => {
                        let words = settled.iter().chain(provisional);
                        note(&mut shown, words, now);
                        for (word, (_, seen)) in settled.iter().zip(shown.drain(..settled.len())) {
                            text += &word.word;
                            self.provisional.push(seen - word.end);
                            self.settled.push(now - word.end);
                            if std::mem::take(&mut is_first) {
                                self.first.push(seen - word.end);
                            }
                        }
                    }
                    _ => {}
                }
            };
            live.push(&samples[given..end], &mut hear)?;
            given = end;
            if given == samples.len() {
                live.end_turn(&mut hear)?;
            }
            let took = start.elapsed().as_secs_f64();
            (now, busy) = (now + took, busy + took);
        }
        Ok((text, busy))
    }
}

/// Notes since when each of these words has been there.
fn note<'w>(shown: &mut Vec<(String, f64)>, words: impl Iterator<Item = &'w Word>, now: f64) {
    let mut count = 0;
    for (at, word) in words.enumerate() {
        count = at + 1;
        let sound: String = word.word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        match shown.get_mut(at) {
            Some((before, _)) if *before == sound => {}
            Some(before) => *before = (sound, now),
            None => shown.push((sound, now)),
        }
    }
    shown.truncate(count);
}

fn samples(clip: &Clip) -> Result<Vec<f32>, amanuensis_transcribe::AudioError> {
    let mut audio = Audio::open(&clip.path)?;
    let mut samples = Vec::new();
    while let Some(block) = audio.next_block()? {
        samples.extend_from_slice(block);
    }
    Ok(samples)
}

/// The value below which this share of the values lies.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let word = |text: &str| Word { word: text.to_owned(), start: 0.0, end: 0.0, probability: 1.0 };
        text.split(' ').map(word).collect()
    }

    #[test]
    fn a_word_is_there_from_when_it_stays() {
        let mut shown = Vec::new();
        note(&mut shown, words("ask not.").iter(), 1.0);
        note(&mut shown, words("Ask not what").iter(), 2.0);
        note(&mut shown, words("ask knot").iter(), 3.0);
        assert_eq!(shown, [("ask".to_owned(), 1.0), ("knot".to_owned(), 3.0)]);
    }

    #[test]
    fn quantiles() {
        assert!((quantile(&mut [3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
