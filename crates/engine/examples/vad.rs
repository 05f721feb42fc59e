//! Prints the probability of speech for every 32 ms of audio on standard output, and the speed on standard error.
//!
//! Usage: `vad WEIGHTS < samples.f32`. The input is 16 kHz mono audio as headerless little-endian f32 samples.

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use amanuensis_engine::SileroVad;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let weights: PathBuf = std::env::args_os().nth(1).ok_or("usage: vad WEIGHTS < samples.f32")?.into();
    let detector = SileroVad::load(&weights)?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let samples: Vec<f32> = bytes.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)).collect();
    let start = Instant::now();
    let mut probabilities = Vec::new();
    let mut stream = detector.stream();
    stream.push(&samples, &mut probabilities);
    stream.finish(&mut probabilities);
    let (audio, wall) = (samples.len() as f64 / 16_000.0, start.elapsed().as_secs_f64());
    eprintln!("{audio:.1} s of audio in {wall:.4} s: {:.0} times real time", audio / wall);
    for probability in probabilities {
        println!("{probability:.6}");
    }
    Ok(())
}
