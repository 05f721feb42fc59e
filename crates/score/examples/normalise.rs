//! Normalises the lines of the standard input with the normaliser `english` (the default) or `basic`.
//!
//! `cargo run --release -p amanuensis-score --example normalise -- english < lines.txt`

use std::io::{self, BufRead, BufWriter, Write};

use amanuensis_score::{BasicNormalizer, EnglishNormalizer};

fn main() -> io::Result<()> {
    let english = match std::env::args().nth(1).as_deref() {
        None | Some("english") => true,
        Some("basic") => false,
        Some(_) => return Err(io::Error::other("usage: normalise [english|basic] < LINES")),
    };
    let normalizer = EnglishNormalizer::new();
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        writeln!(out, "{}", if english { normalizer.normalize(&line) } else { BasicNormalizer.normalize(&line) })?;
    }
    out.flush()
}
