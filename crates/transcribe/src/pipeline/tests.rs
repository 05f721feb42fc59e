//! Transcriptions of long recordings with a scripted model.

// Times can be compared exactly, because expected and actual times are computed from the same multiples of 10 ms.
#![allow(clippy::float_cmp)]

mod resume;
pub(crate) mod scripted;

use amanuensis_engine::DecodingResult;

use super::*;
use crate::sample_buffer::tests::SilentSource;
use crate::{Language, Strategy};
use scripted::{ScriptedModel, at, probable, sequential, silent, summary};

#[test]
fn a_sequential_window_begins_at_the_last_timestamp_of_the_one_before() {
    let model = ScriptedModel::new(vec![
        vec![at(0.0), 1, 2, at(4.54), at(4.54), 3, at(27.3), at(28.1), 1],
        vec![at(0.0), 1, at(10.0)],
        vec![at(1.0), 2, at(2.0), at(2.0)],
    ]);
    let transcript = model.transcribe(SilentSource::seconds(62)).unwrap();
    let expected = [(0.0, 4.54, "a b"), (4.54, 27.3, " c."), (27.3, 37.3, "a"), (58.3, 59.3, " b")];
    // The second window begins at the last pair of timestamps in the first window. The third window begins where the
    // second window ends.
    assert_eq!(summary(&transcript), expected);
    let ids_and_seeks: Vec<_> = transcript.segments.iter().map(|segment| (segment.id, segment.seek)).collect();
    assert_eq!(ids_and_seeks, [(0, 0), (1, 0), (2, 2730), (3, 5730)]);
    assert_eq!(transcript.segments[1].tokens, [at(4.54), 3, at(27.3)]);
    assert_eq!((transcript.duration, transcript.is_complete()), (62.0, true));
    // The windows begin at 0 s, 27.3 s, 57.3 s and 59.3 s.
    assert_eq!(model.decoded_languages.borrow().len(), 4);
}

#[test]
fn batched_windows_do_not_depend_on_the_timestamps_before_them() {
    let model = ScriptedModel::new(vec![
        vec![at(0.0), 1, 2, at(4.54), at(4.54), 3, at(25.3), at(26.1), 1],
        vec![at(0.0), 1, at(10.0)],
        vec![at(1.0), 2, at(2.0), at(2.0)],
    ]);
    let options = TranscribeOptions { strategy: Strategy::Batched, ..sequential() };
    let mut done = Vec::new();
    let transcript = model.transcribe_with(SilentSource::seconds(62), &options, &mut |event| {
        if let Event::Progress { done: seconds, .. } = event {
            done.push(seconds);
        }
        ControlFlow::Continue(())
    });
    let transcript = transcript.unwrap();
    // All chunks have the same speech probability, so each window is split as late as possible. The final sentence of
    // the first window has no closing timestamp, so it ends at the end of the window.
    let expected =
        [(0.0, 4.54, "a b"), (4.54, 25.3, " c."), (26.1, 27.96, "a"), (27.96, 37.96, "a"), (56.93, 57.93, " b")];
    assert_eq!(summary(&transcript), expected);
    assert_eq!(transcript.segments.iter().map(|segment| segment.seek).collect::<Vec<_>>(), [0, 0, 0, 2796, 5593]);
    assert_eq!((transcript.duration, transcript.is_complete(), done), (62.0, true, vec![0.0, 27.96, 55.93]));
    assert_eq!(transcript.timings.encode, 1.5);
}

#[test]
fn segments_without_text_or_duration_are_left_out() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 0, at(2.0), at(2.0), 1, at(2.0), at(2.0), 2, at(4.0)]]);
    let transcript = model.transcribe(SilentSource::seconds(5)).unwrap();
    assert_eq!(summary(&transcript), [(2.0, 4.0, " b")]);
}

#[test]
fn times_stay_inside_the_recording() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(2.0), at(2.0), 2, at(6.0), at(7.0), 3, at(8.0)]]);
    let transcript = model.transcribe(SilentSource::seconds(3)).unwrap();
    assert_eq!(summary(&transcript), [(0.0, 2.0, "a"), (2.0, 3.0, " b")]);
}

#[test]
fn a_tail_too_short_for_speech_is_not_decoded() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(1.86), at(1.86)], vec![at(0.0), 2, at(0.1)]]);
    let transcript = model.transcribe(SilentSource::seconds(2)).unwrap();
    assert_eq!(summary(&transcript), [(0.0, 1.86, "a")]);
    assert!(transcript.warnings.is_empty());
}

#[test]
fn a_recording_too_short_for_speech_is_empty_with_a_warning() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(1.0)]]);
    let mut events = Vec::new();
    let source = SilentSource { blocks: vec![1600], warnings: vec!["cut off".to_owned()], ..SilentSource::default() };
    let transcript = model
        .transcribe_with(source, &sequential(), &mut |event| {
            events.push(format!("{event:?}"));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((transcript.segments.len(), transcript.duration, transcript.is_complete()), (0, 0.1, true));
    assert_eq!((transcript.language, transcript.text()), (None, String::new()));
    assert_eq!(transcript.warnings, ["cut off", "the recording is too short for speech (100 ms)"]);
    assert_eq!(events.len(), 2);
}

#[test]
fn silent_windows_have_no_segments() {
    let model = ScriptedModel::new(vec![Vec::new(), vec![at(0.0), 1, at(2.0)]]);
    model.hypotheses.borrow_mut()[0] = Ok(silent());
    assert_eq!(summary(&model.transcribe(SilentSource::seconds(40)).unwrap()), [(30.0, 32.0, "a")]);
    // A hypothesis with a high log-probability is kept, even if the no-speech probability is high.
    let model = ScriptedModel::new(vec![Vec::new()]);
    model.hypotheses.borrow_mut()[0] = Ok(DecodingResult { avg_logprob: -0.5, ..silent() });
    assert_eq!(summary(&model.transcribe(SilentSource::seconds(40)).unwrap()), [(0.0, 3.0, "a")]);
}

#[test]
fn a_gap_is_decoded_again_and_its_text_is_ignored_if_improbable() {
    let options = TranscribeOptions::default();
    let text = vec![at(0.0), 2, at(2.0)];
    for (avg_logprob, expected) in [(-0.9, vec![(0.0, 4.0, "a"), (4.0, 6.0, " b")]), (-1.2, vec![(0.0, 4.0, "a")])] {
        let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(4.0)]]);
        model.hypotheses.borrow_mut().push(Ok(DecodingResult { avg_logprob, ..probable(text.clone()) }));
        let mut on_event = |_: Event<'_>| ControlFlow::Continue(());
        let source = SilentSource::seconds(8);
        let mut pipeline = Pipeline::new(model.parts(), source, &options, &mut on_event);
        // Without a voice activity detector, the whole recording counts as speech. Treat it as speech that a detector
        // found, so that speech without a segment is decoded again.
        pipeline.windows.set_uses_vad();
        assert_eq!(summary(&pipeline.run(Vec::new()).unwrap()), expected);
    }
}

#[test]
fn only_the_first_text_begins_with_the_prefix() {
    for strategy in [Strategy::Sequential, Strategy::Batched] {
        let only_the_prefix = vec![at(0.0), 0, 1, 2, at(27.0)];
        let model = ScriptedModel::new(vec![
            Vec::new(),
            only_the_prefix,
            vec![at(0.0), 1, at(27.0)],
            vec![at(0.0), 2, at(27.0)],
        ]);
        model.hypotheses.borrow_mut()[0] = Ok(silent());
        let options = TranscribeOptions {
            strategy,
            language: Some(Language::ENGLISH),
            prefix: Some("ab".to_owned()),
            ..TranscribeOptions::default()
        };
        let transcript =
            model.transcribe_with(SilentSource::seconds(140), &options, &mut |_| ControlFlow::Continue(()));
        assert_eq!(transcript.unwrap().segments.len(), 2);
        // The prefix stays in use after a silent window, and after a window whose text is only the prefix.
        let prefixes = model.prefixes.borrow();
        assert!(prefixes.len() >= 4);
        for (index, prefix) in prefixes.iter().enumerate() {
            assert_eq!(*prefix, if index < 3 { vec![0, 1, 2] } else { Vec::new() }, "window {index}, {strategy:?}");
        }
    }
}

#[test]
fn the_language_is_that_of_the_first_window_with_speech() {
    let model = ScriptedModel::new(vec![Vec::new(), vec![at(0.0), 1, at(2.0)], vec![at(0.0), 1, at(2.0)]]);
    model.hypotheses.borrow_mut()[0] = Ok(silent());
    *model.languages.borrow_mut() = vec!["en", "de", "en"];
    let mut detected = Vec::new();
    let transcript = model.transcribe_with(SilentSource::seconds(75), &sequential(), &mut |event| {
        if let Event::Language { language, probability } = event {
            detected.push((language.code(), probability));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(transcript.unwrap().language.map(Language::code), Some("de"));
    assert_eq!(detected, [("de", 0.4)]);
    let languages: Vec<_> = model.decoded_languages.borrow().iter().map(|code| code.clone().unwrap()).collect();
    assert_eq!(languages, ["en", "de", "de"]);
}

#[test]
fn a_silent_recording_has_no_language() {
    let model = ScriptedModel::new(vec![Vec::new(), vec![at(0.0), 0, at(2.0)]]);
    model.hypotheses.borrow_mut()[0] = Ok(silent());
    let transcript = model.transcribe(SilentSource::seconds(40)).unwrap();
    assert_eq!((transcript.language, transcript.segments.len()), (None, 0));
}

#[test]
fn english_only_models_do_not_detect_the_language() {
    let model = ScriptedModel { multilingual: false, ..ScriptedModel::new(vec![vec![at(0.0), 1, at(2.0)]]) };
    let transcript = model.transcribe(SilentSource::seconds(3)).unwrap();
    assert_eq!(transcript.language, Some(Language::ENGLISH));
    assert_eq!(*model.decoded_languages.borrow(), [Some("en".to_owned())]);
}

#[test]
fn a_cancelled_transcription_keeps_its_segments() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(2.0), at(2.0), 2, at(3.0)]; 3]);
    let transcript = model.transcribe_with(SilentSource::seconds(75), &sequential(), &mut |event| {
        if matches!(event, Event::Segment(segment) if segment.id == 2) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let transcript = transcript.unwrap();
    assert_eq!((transcript.segments.len(), &transcript.ending), (4, &Ending::Cancelled));
    assert_eq!(transcript.duration, 60.0);
}

#[test]
fn segments_before_a_read_error_are_kept() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(2.0)]]);
    let transcript = model.transcribe(SilentSource { fails: true, ..SilentSource::seconds(5) }).unwrap();
    assert_eq!(summary(&transcript), [(0.0, 2.0, "a")]);
    assert_eq!(transcript.duration, 5.0);
    assert!(matches!(&transcript.ending, Ending::Failed(reason) if reason.contains("cable pulled")));
    assert!(model.transcribe(SilentSource { fails: true, ..SilentSource::seconds(0) }).is_err());
}

#[test]
fn segments_before_a_decoding_error_are_kept() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(2.0)], Vec::new()]);
    model.hypotheses.borrow_mut()[1] = Err("klingon");
    let transcript = model.transcribe(SilentSource::seconds(50)).unwrap();
    assert_eq!((summary(&transcript), transcript.duration), (vec![(0.0, 2.0, "a")], 30.0));
    assert!(matches!(&transcript.ending, Ending::Failed(reason) if reason.contains("klingon")));

    let model = ScriptedModel::new(vec![Vec::new()]);
    model.hypotheses.borrow_mut()[0] = Err("klingon");
    assert!(model.transcribe(SilentSource::seconds(50)).is_err());
}

#[test]
fn progress_is_reported_before_every_window() {
    let model = ScriptedModel::new(vec![vec![at(0.0), 1, at(20.0), at(20.0)], vec![at(0.0), 1, at(2.0)]]);
    let mut done = Vec::new();
    let transcript = model.transcribe_with(SilentSource::seconds(45), &sequential(), &mut |event| {
        if let Event::Progress { done: seconds, total: None } = event {
            done.push(seconds);
        }
        ControlFlow::Continue(())
    });
    assert!(transcript.unwrap().is_complete());
    assert_eq!(done, [0.0, 20.0]);
}
