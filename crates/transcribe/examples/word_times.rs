//! Prints the words of a recording of up to 30 s with their times, one a line: start, end, probability, word.
//!
//! `cargo run --release --example word_times -- MODEL LANGUAGE FILE...`

use std::path::Path;

use amanuensis_audio::{Audio, HOP_LENGTH, LogMel};
use amanuensis_engine::{ComputeType, DecodeOptions, Engine, EngineOptions, Task};
use amanuensis_transcribe::{Listened, Stretch, words_of};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("no model")?;
    let language = arguments.next().ok_or("no language")?;
    let engine = Engine::load(Path::new(&model), &EngineOptions { compute_type: ComputeType::Int8, threads: 2 })?;
    let spoken = Some(language.clone()).filter(|_| engine.is_multilingual());
    let options = DecodeOptions { language: spoken, task: Task::Transcribe, timestamps: true };
    let mut mel = LogMel::new(engine.n_mels())?;
    for file in arguments {
        let mut audio = Audio::open(&file)?;
        let mut samples = Vec::new();
        while let Some(block) = audio.next_block()? {
            samples.extend_from_slice(block);
        }
        samples.truncate(16_000 * 30);
        let mut spectrogram = Vec::new();
        mel.window(&samples, &mut spectrogram)?;
        let window = engine.encode(&spectrogram)?;
        let tokens = engine.decode(&window, &options)?.tokens;
        let vocabulary = engine.vocabulary();
        let listened = Listened::new(0, samples.len() / HOP_LENGTH, &spectrogram, engine.n_mels());
        let frame_of = |token: &u32| Some((vocabulary.timestamp(*token)? * 100.0) as usize);
        // Segments lie between timestamps.
        let mut stretches = Vec::new();
        for part in tokens.chunk_by(|a, b| !(vocabulary.is_timestamp(*a) && vocabulary.is_timestamp(*b))) {
            let start = part.first().and_then(frame_of).unwrap_or(0);
            let end = part.last().and_then(frame_of).unwrap_or(listened.frames).max(start);
            stretches.push(Stretch::new(start..end, part, vocabulary));
        }
        let text: Vec<u32> = tokens.into_iter().filter(|token| vocabulary.is_text(*token)).collect();
        let start = std::time::Instant::now();
        let alignment = engine.align(&window, &options, &text, listened.frames)?;
        eprintln!("{file}: {} tokens aligned in {:.1} ms", text.len(), 1e3 * start.elapsed().as_secs_f64());
        println!("# {file}");
        for spoken in words_of(&stretches, &alignment, &language, &listened, 0) {
            for word in spoken.words {
                println!("{:.2}\t{:.2}\t{:.3}\t{}", word.start, word.end, word.probability, word.word);
            }
        }
    }
    Ok(())
}
