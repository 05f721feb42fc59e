//! Decodes the real recordings in the folder that `AMANUENSIS_TEST_DATA` names.

mod common;

use amanuensis_audio::Audio;
use common::{drain, test_data};

/// The value of `key` in a flat JSON object on one line. The manifest contains no other JSON.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.split_once(&format!("\"{key}\": "))?.1;
    Some(rest.split([',', '}']).next()?.trim_matches('"'))
}

#[test]
fn every_recording_is_as_long_as_its_manifest_says() {
    let Some(data) = test_data() else { return };
    let speech = data.join("speech");
    let manifest = std::fs::read_to_string(speech.join("manifest.jsonl")).unwrap();
    let mut files = 0;
    for line in manifest.lines().filter(|l| !l.trim().is_empty()) {
        let name = field(line, "file").unwrap();
        let expected: f64 = field(line, "seconds").unwrap().parse().unwrap();
        let (samples, audio) = drain(Audio::open(speech.join(name)).unwrap()).unwrap();
        let seconds = samples.len() as f64 / 16_000.0;
        assert!((seconds - expected).abs() < 0.1, "{name}: {seconds} s, not {expected} s; {:?}", audio.warnings());
        assert!(audio.warnings().is_empty(), "{name}: {:?}", audio.warnings());
        assert!(samples.iter().any(|s| s.abs() > 0.01), "{name} is silent");
        files += 1;
    }
    assert!(files > 0);
}
