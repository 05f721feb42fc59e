//! Decodes a small file of every supported format (made by `tests/data/make.sh`) and checks the length and the
//! signal.

mod common;

use amanuensis_audio::{Audio, SAMPLE_RATE, WarningKind};
use common::{at_8_khz, decode, fixture, similarity, speech};

/// The fields are: file, container, codec, sample rate in Hz, channels, minimum similarity to the reference, and
/// maximum difference in length in seconds.
///
/// If the container does not state the encoder delay (ADTS, MP3 without a Xing header, MP2, AAC in MKV and in
/// fragmented MP4), the audio is late by that delay, as in other players. The padding of the last packet is not read
/// from `WebM`.
type Expected = (&'static str, &'static str, &'static str, u32, usize, f64, f64);

const EXACT: f64 = 0.001;

const FILES: [Expected; 35] = [
    ("speech.wav", "wav", "pcm_s16le", 16_000, 1, 0.9999, EXACT),
    ("ulaw.wav", "wav", "pcm_mulaw", 8_000, 1, 0.98, EXACT),
    ("alaw.wav", "wav", "pcm_alaw", 8_000, 1, 0.98, EXACT),
    ("mp3.mp4", "mp4", "mp3", 44_100, 1, 0.97, 0.05),
    ("adpcm-ms.wav", "wav", "adpcm_ms", 8_000, 1, 0.98, EXACT),
    ("adpcm-ima.wav", "wav", "adpcm_ima_wav", 8_000, 1, 0.98, 0.02),
    ("speech.aiff", "aiff", "pcm_s16be", 8_000, 1, 0.98, EXACT),
    ("speech.caf", "caf", "pcm_mulaw", 8_000, 1, 0.98, EXACT),
    ("speech.mov", "mp4", "pcm_s16be", 8_000, 1, 0.98, EXACT),
    ("speech.flac", "flac", "flac", 8_000, 1, 0.98, EXACT),
    ("flac.ogg", "ogg", "flac", 8_000, 1, 0.98, EXACT),
    ("alac.m4a", "mp4", "alac", 8_000, 1, 0.98, EXACT),
    ("stereo.mp3", "mp3", "mp3", 44_100, 2, 0.98, EXACT),
    ("tagged.mp3", "mp3", "mp3", 44_100, 1, 0.98, EXACT),
    ("no-xing.mp3", "mp3", "mp3", 22_050, 1, 0.9, 0.12),
    ("speech.mp2", "mp2", "mp2", 44_100, 1, 0.9, 0.06),
    ("aac.m4a", "mp4", "aac", 44_100, 1, 0.9, EXACT),
    ("index-first.m4a", "mp4", "aac", 44_100, 1, 0.9, EXACT),
    ("aac-22k.m4a", "mp4", "aac", 22_050, 1, 0.9, EXACT),
    ("fragmented.mp4", "mp4", "aac", 44_100, 1, 0.9, 0.05),
    ("stereo.aac", "aac", "aac", 44_100, 2, 0.9, 0.06),
    ("vorbis.ogg", "ogg", "vorbis", 44_100, 1, 0.97, EXACT),
    ("vorbis.webm", "matroska", "vorbis", 44_100, 1, 0.97, 0.03),
    ("silk.opus", "ogg", "opus", 48_000, 1, 0.9, EXACT),
    ("hybrid.opus", "ogg", "opus", 48_000, 1, 0.95, EXACT),
    ("celt.opus", "ogg", "opus", 48_000, 1, 0.95, EXACT),
    ("stereo.opus", "ogg", "opus", 48_000, 2, 0.95, EXACT),
    ("surround.opus", "ogg", "opus", 48_000, 6, 0.9, 0.03),
    ("opus.webm", "matroska", "opus", 48_000, 1, 0.95, 0.03),
    ("opus.mp4", "mp4", "opus", 48_000, 1, 0.95, 0.03),
    ("video.mp4", "mp4", "aac", 44_100, 1, 0.9, EXACT),
    ("video.mkv", "matroska", "aac", 44_100, 1, 0.9, 0.05),
    ("two-tracks.mkv", "matroska", "mp3", 44_100, 1, 0.97, 0.05),
    ("late.mp4", "mp4", "aac", 44_100, 1, 0.0, 0.6),
    ("late.webm", "matroska", "opus", 48_000, 1, 0.0, 0.6),
];

#[test]
fn every_format_is_decoded() {
    let reference = speech();
    let seconds = reference.len() as f64 / f64::from(SAMPLE_RATE);
    let mut failures = Vec::new();
    for (name, container, codec, rate, channels, min_similarity, tolerance) in FILES {
        let (samples, audio) = decode(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let info = audio.info();
        let stated = (info.container, info.codec, info.sample_rate, info.channels);
        let (alike, lag) = similarity(&reference, &samples);
        let difference = samples.len() as f64 / f64::from(SAMPLE_RATE) - seconds;
        println!("{name}: {stated:?}, similarity {alike:.4} at lag {lag}, {difference:+.4} s, {:?}", audio.warnings());
        let late = lag.unsigned_abs() as f64 / f64::from(SAMPLE_RATE) > tolerance.max(0.0005);
        if stated != (container, codec, rate, channels)
            || alike < min_similarity
            || difference.abs() > tolerance
            || late
        {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "wrong: {failures:?}");
}

#[test]
fn the_name_of_a_file_does_not_matter() {
    let path = std::env::temp_dir().join(format!("amanuensis-audio-{}.wav", std::process::id()));
    std::fs::write(&path, fixture("silk.opus")).unwrap();
    let audio = Audio::open(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(audio.unwrap().info().codec, "opus");
}

#[test]
fn sixteen_kilohertz_mono_passes_bit_for_bit() {
    let (samples, audio) = decode(fixture("speech.wav")).unwrap();
    assert_eq!(samples, speech());
    assert!(audio.warnings().is_empty());
    assert_eq!((audio.expected_duration(), audio.position()), (Some(1.0), 1.0));
}

#[test]
fn the_headers_state_the_duration() {
    for (name, ..) in FILES.iter().filter(|c| !c.0.starts_with("late")) {
        let audio = Audio::from_bytes(fixture(name)).unwrap();
        // Fragmented files and the files of some Matroska muxers do not state their duration.
        if let Some(seconds) = audio.expected_duration() {
            assert!((0.9..1.7).contains(&seconds), "{name}: {seconds} s");
        }
    }
}

#[test]
fn audio_that_starts_after_its_video_gets_leading_silence() {
    for name in ["late.mp4", "late.webm"] {
        let (samples, _) = decode(fixture(name)).unwrap();
        let (alike, lag) = similarity(&speech(), &samples[8000..]);
        // When this WebM file was made, its audio was placed 6.5 ms (104 samples) too early.
        assert!(alike > 0.9 && lag.abs() <= 104, "{name}: {alike} at lag {lag}");
        assert!(samples[..7500].iter().all(|s| s.abs() < 1e-3), "{name}");
    }
}

#[test]
fn joined_files_are_one_recording() {
    let (samples, _) = decode(fixture("chained.opus")).unwrap();
    assert_eq!(samples.len(), 32_000);
    for half in [&samples[..16_000], &samples[16_000..]] {
        let (alike, lag) = similarity(&speech(), half);
        assert!(alike > 0.9 && lag.abs() <= 8, "{alike} at lag {lag}");
    }

    // Joins two MP3 files with different rates and channel counts.
    let joined = [fixture("stereo.mp3"), fixture("no-xing.mp3")].concat();
    let (samples, audio) = decode(joined).unwrap();
    assert!((31_000..35_000).contains(&samples.len()), "{} samples", samples.len());
    assert!(audio.warnings().iter().any(|w| w.kind == WarningKind::RateChanged), "{:?}", audio.warnings());
}

#[test]
fn a_track_that_cannot_be_decoded_is_replaced_by_another() {
    let (_, audio) = decode(fixture("two-tracks.mkv")).unwrap();
    let warning = &audio.warnings()[0];
    assert_eq!(warning.kind, WarningKind::OtherTrack);
    assert!(warning.to_string().contains("AC-3"), "{warning}");
}

#[test]
fn the_core_of_he_aac_is_decoded() {
    // Changes the header of a plain AAC file to that of HE-AAC with the same core.
    let mut bytes = fixture("aac-22k.m4a");
    let plain = [0x13, 0x88, 0x56, 0xe5, 0x00];
    let at = bytes.windows(5).position(|w| w == plain).unwrap();
    bytes[at..at + 5].copy_from_slice(&[0x2b, 0x8a, 0x08, 0x00, 0x00]);
    let (samples, audio) = decode(bytes).unwrap();
    assert_eq!((audio.info().codec, audio.info().sample_rate), ("aac", 22_050));
    assert!(similarity(&speech(), &samples).0 > 0.9);
}

#[test]
fn every_wav_sample_format_is_decoded() {
    let reference = speech();
    let expected = at_8_khz(&reference);
    for (tag, bits) in [(1u16, 8u16), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)] {
        for channels in [1u16, 2, 3, 8] {
            let data = common::encode(&expected, tag, bits, channels);
            let (samples, audio) = decode(common::wav(tag, bits, channels, 8_000, &data)).unwrap();
            assert_eq!(audio.info().channels, usize::from(channels));
            let (alike, lag) = similarity(&reference, &samples);
            assert!(alike > 0.98 && lag == 0, "{tag} {bits} {channels}: {alike} at {lag}");
            assert!(audio.warnings().is_empty(), "{:?}", audio.warnings());
        }
    }
}
