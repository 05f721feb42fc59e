//! Tests with damaged, truncated and hostile files. Decoding them yields a clear error or the part that can be
//! decoded, and never a panic, a hang or a large allocation.

mod common;

use amanuensis_audio::{Audio, Error, WarningKind};
use common::{decode, encode, fixture, similarity, speech, wav};
use proptest::prelude::*;

const ALL: [&str; 34] = [
    "speech.wav",
    "ulaw.wav",
    "adpcm-ms.wav",
    "adpcm-ima.wav",
    "speech.aiff",
    "speech.caf",
    "speech.mov",
    "speech.flac",
    "flac.ogg",
    "alac.m4a",
    "stereo.mp3",
    "tagged.mp3",
    "no-xing.mp3",
    "speech.mp2",
    "aac.m4a",
    "index-first.m4a",
    "aac-22k.m4a",
    "fragmented.mp4",
    "stereo.aac",
    "vorbis.ogg",
    "vorbis.webm",
    "silk.opus",
    "hybrid.opus",
    "celt.opus",
    "stereo.opus",
    "surround.opus",
    "chained.opus",
    "opus.webm",
    "opus.mp4",
    "video.mp4",
    "video.mkv",
    "two-tracks.mkv",
    "late.mp4",
    "late.webm",
];

/// The maximum length of the output in seconds. No test file is longer than 2 s, and at most an hour of silence is
/// inserted for gaps.
const MAX_DURATION_S: f64 = 3610.0;

fn kinds(audio: &Audio) -> Vec<WarningKind> {
    audio.warnings().iter().map(|w| w.kind).collect()
}

fn message(bytes: Vec<u8>) -> String {
    match decode(bytes) {
        Ok((samples, audio)) => panic!("{} samples of {:?}", samples.len(), audio.info()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_error_describes_files_that_are_not_recordings() {
    assert!(matches!(decode(Vec::new()), Err(Error::Empty)));
    assert!(message(b"Dear diary, today I renamed a file.\n".repeat(40)).contains("found: text"));
    assert!(message(vec![0; 5000]).contains("found: zeros"));
    assert!(message(b"\x89PNG\r\n\x1a\n".to_vec()).contains("a PNG picture"));
    assert!(message((0..5000u32).map(|i| (i * 7919 % 251) as u8).collect()).contains("unknown data"));
    assert!(matches!(Audio::open("/no/such/file.wav"), Err(Error::Open { .. })));
    assert!(matches!(Audio::open(std::env::temp_dir()), Err(Error::Open { .. })));
}

#[test]
fn a_video_without_audio_lists_its_tracks() {
    assert_eq!(message(fixture("silent.mp4")), "no audio track in this mp4 file (found: 1 video track)");
}

#[test]
fn impossible_headers_are_refused() {
    let data = encode(&speech(), 1, 16, 1);
    for rate in [0, 10, 2_000_000_000] {
        assert!(message(wav(1, 16, 1, rate, &data)).contains("Hz"), "{rate} Hz");
    }
    assert!(message(wav(1, 16, 0, 16_000, &data)).contains("channel"));
    for (tag, bits, channels) in
        [(1, 0, 1), (1, 16, u16::MAX), (3, 64, u16::MAX), (2, 4, 9000), (0x55, 16, 1), (1, 12, 1)]
    {
        message(wav(tag, bits, channels, 16_000, &data));
    }
}

#[test]
fn wrong_sizes_lose_no_samples() {
    for (riff, stated) in [(0, 0), (u32::MAX, u32::MAX), (4, 64_000), (36, 0x7fff_ffff), (u32::MAX, 0x7fff_fffe)] {
        let mut bytes = fixture("speech.wav");
        bytes[4..8].copy_from_slice(&u32::to_le_bytes(riff));
        bytes[40..44].copy_from_slice(&u32::to_le_bytes(stated));
        let (samples, audio) = decode(bytes).unwrap();
        assert_eq!(samples, speech(), "{riff}, {stated}");
        let is_truncated = stated > 32_000 && stated != u32::MAX;
        assert_eq!(kinds(&audio).contains(&WarningKind::Truncated), is_truncated, "{riff}, {stated}");
    }
}

#[test]
fn an_outdated_size_in_the_header_loses_no_samples() {
    for (name, at) in [("speech.wav", 40), ("speech.aiff", 0)] {
        let whole = decode(fixture(name)).unwrap().0;
        let mut bytes = fixture(name);
        let at = if at > 0 { at } else { bytes.windows(4).position(|w| w == b"SSND").unwrap() + 4 };
        let stated = 8_000u32;
        let field = if name.ends_with("wav") { stated.to_le_bytes() } else { stated.to_be_bytes() };
        bytes[at..at + 4].copy_from_slice(&field);
        let (samples, audio) = decode(bytes).unwrap();
        assert!(samples == whole, "{name}: {} of {}", samples.len(), whole.len());
        assert_eq!(kinds(&audio), [WarningKind::WrongSize], "{name}");
    }
}

#[test]
fn recordings_with_one_sample_or_none_are_valid() {
    for rate in [8_000, 16_000, 44_100] {
        let (samples, audio) = decode(wav(1, 16, 1, rate, &[0, 64])).unwrap();
        assert!(samples.len() <= 2 && audio.warnings().is_empty());
        let (samples, audio) = decode(wav(1, 16, 1, rate, &[])).unwrap();
        assert!(samples.is_empty() && audio.warnings().is_empty());
    }
}

#[test]
fn nan_and_infinity_become_silence() {
    let mut samples = speech();
    samples[100..110].fill(f32::NAN);
    samples[5000] = f32::INFINITY;
    let (decoded, audio) = decode(wav(3, 32, 1, 16_000, &encode(&samples, 3, 32, 1))).unwrap();
    assert!(decoded[100..110].iter().chain([&decoded[5000]]).all(|s| *s == 0.0));
    assert_eq!(decoded[5001..], samples[5001..]);
    assert_eq!(
        audio.warnings()[0].to_string(),
        "11 sample(s) that are not a number replaced by silence, first at 0.00 s"
    );

    let mut audio = Audio::from_samples(vec![f32::NAN; 10], 16_000).unwrap();
    assert_eq!(audio.next_block().unwrap(), Some(&[0.0; 10][..]));
    assert_eq!(kinds(&audio), [WarningKind::NonFinite]);
}

#[test]
fn a_truncated_file_is_decoded_as_far_as_possible() {
    for name in ALL {
        let whole = decode(fixture(name)).unwrap().0;
        let bytes = fixture(name);
        let cut = bytes[..bytes.len() * 7 / 10].to_vec();
        match decode(cut) {
            Ok((samples, audio)) => {
                // Files of bare MPEG frames and chained streams do not state their length, so truncating them gives
                // no warning.
                assert!(samples.len() <= whole.len() + 2000, "{name}");
                let short = samples.len() * 10 < whole.len() * 9;
                println!("{name}: {} of {}, {:?}", samples.len(), whole.len(), audio.warnings());
                let has_no_length = ["no-xing.mp3", "speech.mp2", "stereo.aac", "chained.opus"].contains(&name);
                assert!(
                    !short || has_no_length || kinds(&audio).contains(&WarningKind::Truncated),
                    "{name}: no warning"
                );
                assert!(
                    samples.len() * 10 > whole.len() * 3 || name == "fragmented.mp4",
                    "{name}: {} of {}",
                    samples.len(),
                    whole.len()
                );
            }
            Err(error) => {
                println!("{name}: {error}");
                // These formats cannot be decoded without their end: MP4 and CAF files have an index there, and these
                // Ogg files have all audio on one page.
                let indexed = ["m4a", "mp4", "mov", "caf", "ogg", "opus"].iter().any(|e| name.ends_with(e));
                assert!(indexed && name != "index-first.m4a", "{name}: {error}");
            }
        }
    }
}

#[test]
fn an_mp4_file_without_index_or_audio_data_is_refused() {
    let find = |bytes: &[u8], name: &[u8]| bytes.windows(4).position(|w| w == name).unwrap() - 4;
    for name in ["index-first.m4a", "fragmented.mp4"] {
        let bytes = fixture(name);
        let media = find(&bytes, b"mdat");
        for cut in [media, media + 5, media + 8] {
            let message = message(bytes[..cut].to_vec());
            assert!(
                message.contains("cut off") && message.contains("all of its audio data is missing"),
                "{name}: {message}"
            );
        }
        let message = message(bytes[..find(&bytes, b"moov") + 100].to_vec());
        assert!(message.contains("cut off") && message.contains("index"), "{name}: {message}");
    }
    for name in ["aac.m4a", "speech.mov", "video.mp4", "opus.mp4"] {
        let bytes = fixture(name);
        let (media, index) = (find(&bytes, b"mdat"), find(&bytes, b"moov"));
        assert!(media < index, "{name}");
        for cut in [media + 4, media + 100, index, index + 7, index + 50, bytes.len() - 1] {
            let message = message(bytes[..cut].to_vec());
            assert!(message.contains("cut off") && message.contains("index"), "{name}: {message}");
        }
        // A recorder that lost power leaves a file like this one: the size of the media data is still zero.
        let mut unfinished = bytes[..index].to_vec();
        unfinished[media..media + 4].fill(0);
        assert!(message(unfinished).contains("never finished"), "{name}");
    }
    // A picture file without audio must not be reported as truncated.
    let picture = b"\0\0\0\x14ftypheic\0\0\0\0mif1\0\0\0\x0cmeta\0\0\0\0\0\0\0\x0cmdat1234".to_vec();
    assert!(!message(picture).contains("cut off"));
}

#[test]
fn damage_in_the_middle_loses_only_the_middle() {
    for name in ["stereo.mp3", "celt.opus", "stereo.aac", "speech.flac", "video.mkv", "aac.m4a"] {
        let whole = decode(fixture(name)).unwrap().0;
        let mut bytes = fixture(name);
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0x55);
        let (samples, audio) = decode(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name}: {} of {}, {:?}", samples.len(), whole.len(), audio.warnings());
        let end = whole.len() * 8 / 10..whole.len() * 99 / 100;
        if samples.len() >= end.end {
            let (alike, lag) = similarity(&whole[end.clone()], &samples[end]);
            // AAC fills some bands with generated noise, which differs from the original after the damaged part.
            let min_similarity = if name.contains("aac") { 0.6 } else { 0.9 };
            assert!(alike > min_similarity && lag.abs() < 500, "{name}: {alike} at lag {lag}");
        } else {
            assert!(!audio.warnings().is_empty(), "{name}");
        }
    }
}

#[test]
fn blocks_have_the_minimum_size_and_nothing_follows_the_end() {
    let mut audio = Audio::from_bytes(fixture("speech.wav")).unwrap();
    assert!(audio.next_block().unwrap().unwrap().len() >= 8_000);
    while audio.next_block().unwrap().is_some() {}
    assert!(audio.next_block().unwrap().is_none());
    is_send(&audio);
}

/// The checksum of an Ogg page (RFC 3533).
fn ogg_checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |s, _| s << 1 ^ if s >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}

#[test]
fn samples_decoded_before_an_error_are_returned_before_it() {
    let whole = decode(fixture("vorbis.ogg")).unwrap().0;
    // Appends a second stream with an impossible rate. Its first page has one packet of 30 bytes, with the rate at byte 12.
    let mut second = fixture("vorbis.ogg");
    second[28 + 12..28 + 16].copy_from_slice(&900u32.to_le_bytes());
    second[22..26].fill(0);
    let checksum = ogg_checksum(&second[..28 + 30]);
    second[22..26].copy_from_slice(&checksum.to_le_bytes());

    let mut audio = Audio::from_bytes([fixture("vorbis.ogg"), second].concat()).unwrap();
    let mut samples = Vec::new();
    let error = loop {
        match audio.next_block() {
            Ok(block) => samples.extend_from_slice(block.expect("an error at the end")),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::SampleRate(900)), "{error}");
    assert!(samples == whole, "{} of {} samples", samples.len(), whole.len());
    assert!(audio.next_block().unwrap().is_none());
}

/// Compiles only for a type that is `Send`. `Audio` must be, because recordings are decoded in a separate thread.
fn is_send<T: Send>(_: &T) {}

/// Decodes hostile bytes and checks the properties that hold for every input, such as the length of the output.
fn survive(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let Ok(mut audio) = Audio::from_bytes(bytes) else { return Ok(()) };
    while let Ok(Some(block)) = audio.next_block() {
        prop_assert!(block.iter().all(|s| s.is_finite()));
        prop_assert!(block.len() < 1 << 22, "a block of {} samples", block.len());
    }
    prop_assert!(audio.position() < MAX_DURATION_S);
    prop_assert!(audio.warnings().len() <= 8);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_with_changed_bytes_do_not_panic(file in 0..ALL.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = fixture(ALL[file]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survive(bytes)?;
    }

    #[test]
    fn files_with_changed_header_bytes_do_not_panic(file in 0..ALL.len(), changes in prop::collection::vec((0usize..700, any::<u8>()), 1..6)) {
        let mut bytes = fixture(ALL[file]);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        survive(bytes)?;
    }

    #[test]
    fn files_with_changed_header_words_do_not_panic(
        file in 0..ALL.len(),
        at in 0usize..1500,
        word in prop::sample::select(vec![0u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0x00ff_ffff, 0xffff_ff00]),
    ) {
        let mut bytes = fixture(ALL[file]);
        let at = at % (bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        survive(bytes)?;
    }

    #[test]
    fn parts_of_files_do_not_panic(file in 0..ALL.len(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let bytes = fixture(ALL[file]);
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        survive(bytes[from.min(to)..from.max(to)].to_vec())?;
    }
}

#[test]
fn blocks_stay_short_if_the_rate_is_low() {
    let mut audio = Audio::from_samples(vec![0.1; 20_000], 1000).unwrap();
    let (mut total, mut longest) = (0, 0);
    while let Some(block) = audio.next_block().unwrap() {
        total += block.len();
        longest = longest.max(block.len());
    }
    assert_eq!(total, 320_000);
    assert!(longest < 40_000, "{longest}");
}
