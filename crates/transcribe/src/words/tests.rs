use proptest::prelude::*;

use super::*;

fn stretch(times: Range<usize>, tokens: &[&str]) -> Stretch {
    Stretch { times, tokens: tokens.iter().map(|token| token.as_bytes().to_vec()).collect() }
}

fn alignment(times: &[usize]) -> Alignment {
    let probabilities = (1..times.len()).map(|index| 1.0 / index as f32).collect();
    Alignment { times: times.to_vec(), probabilities }
}

fn listened(position: usize, frames: usize, silences: &[Range<usize>]) -> Listened {
    Listened { position, frames, silences: silences.to_vec() }
}

/// Word, start and end of each word.
fn shown(spoken: &[Spoken]) -> Vec<(&str, f64, f64)> {
    spoken.iter().flat_map(|spoken| &spoken.words).map(|word| (word.word.as_str(), word.start, word.end)).collect()
}

#[test]
fn words_have_the_times_of_their_tokens() {
    let stretches = [stretch(0..200, &[" He", "llo", ",", " 42", "!"]), stretch(200..300, &[" Yes"])];
    let alignment = alignment(&[10, 30, 50, 60, 100, 110, 140]);
    let spoken = words_of(&stretches, &alignment, "en", &listened(1000, 400, &[]), 0);
    let expected = [(" Hello,", 10.1, 10.5), (" 42!", 10.6, 11.0), (" Yes", 11.1, 11.4)];
    assert_eq!(shown(&spoken), expected);
    assert_eq!((spoken[0].times.clone(), spoken[1].times.clone()), (10..100, 110..140));
    // The mean of its own tokens, 1 and 1/2, without the punctuation.
    assert_eq!(spoken[0].words[0].probability.to_bits(), 0.75_f32.to_bits());
}

#[test]
fn characters_are_words_where_there_are_no_spaces() {
    let stretches = [stretch(0..100, &["你", "好", "。"])];
    let spoken = words_of(&stretches, &alignment(&[10, 30, 50, 60]), "zh", &listened(0, 100, &[]), 0);
    assert_eq!(shown(&spoken), [("你", 0.1, 0.3), ("好。", 0.3, 0.5)]);
}

#[test]
fn a_word_after_a_sentence_is_not_endless_unless_it_is_heard_to_be() {
    let stretches = [stretch(0..400, &[" a", " b", ".", " c", " d"])];
    let alignment = alignment(&[10, 40, 70, 72, 272, 302]);
    let start_of_c = |silences: &[Range<usize>]| {
        words_of(&stretches, &alignment, "en", &listened(0, 400, silences), 0)[0].words[2].start
    };
    assert!((start_of_c(&[]) - 2.12).abs() < 1e-9);
    assert!((start_of_c(&[0..5, 70..95]) - 0.95).abs() < 1e-9);
}

#[test]
fn the_first_word_after_a_pause_is_cut_and_timestamps_are_believed_against_overlong_words() {
    // Nothing heard: the first word seems to last for three seconds, until 3.2 s.
    let stretches = [stretch(300..450, &[" a", " b", " c", " d"])];
    let times = alignment(&[20, 320, 350, 380, 600]);
    let spoken = words_of(&stretches, &times, "en", &listened(0, 700, &[]), 0);
    // The median of 300, 30, 30 and 220 is not believed beyond 70: the first word is cut to 140 frames, then begins with
    // its segment; the last ends with it, but keeps the median length.
    assert_eq!(spoken[0].times, 250..450);
}

#[test]
fn nothing_begins_before_the_segment_before_has_ended() {
    let stretches = [stretch(0..50, &[" a", " b"]), stretch(50..80, &[])];
    let spoken = words_of(&stretches, &alignment(&[0, 20, 40]), "en", &listened(1000, 100, &[]), 1030);
    assert_eq!(shown(&spoken), [(" a", 10.3, 10.34), (" b", 10.34, 10.4)]);
    assert_eq!((&spoken[1].times, spoken[1].words.len()), (&(50..80), 0));
    let late = words_of(&stretches, &alignment(&[0, 20, 40]), "en", &listened(1000, 100, &[]), 1200);
    assert_eq!(shown(&late), [(" a", 11.0, 11.0), (" b", 11.0, 11.0)]);
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> =
        vec![b" a", b"b", b".", b" ", b" \"", b" (", b"!", b" 7", "好".as_bytes(), b"\xe2\x82", b"\xac", b"\xff"];
    prop::sample::select(known).prop_map(<[u8]>::to_vec)
}

proptest! {
    #[test]
    fn words_are_the_text_and_in_order(
        stretches in prop::collection::vec(
            ((0_usize..500, 0_usize..500), prop::collection::vec(token(), 0..12)), 0..5),
        steps in prop::collection::vec(prop_oneof![Just(0_usize), 1_usize..80], 61),
        mut edges in prop::collection::vec(0_usize..600, 0..10),
        frames in 1_usize..600,
        earliest in 0_usize..1500,
        spaced in any::<bool>(),
    ) {
        let stretches: Vec<Stretch> = stretches
            .into_iter()
            .map(|((a, b), tokens)| Stretch { times: a.min(b)..a.max(b), tokens })
            .collect();
        let count = stretches.iter().map(|stretch| stretch.tokens.len()).sum::<usize>();
        let mut time = 0;
        let times: Vec<usize> = steps[..=count].iter().map(|step| { time += step; time }).collect();
        edges.sort_unstable();
        edges.dedup();
        let silences: Vec<_> = edges.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end).collect();
        let (position, language) = (900, if spaced { "en" } else { "ja" });
        let spoken = words_of(&stretches, &alignment(&times), language, &listened(position, frames, &silences), earliest);
        prop_assert_eq!(spoken.len(), stretches.len());
        let mut before = earliest.clamp(position, position + frames);
        for (stretch, spoken) in stretches.iter().zip(&spoken) {
            let text: String = spoken.words.iter().map(|word| word.word.as_str()).collect();
            prop_assert_eq!(text, String::from_utf8_lossy(&stretch.tokens.concat()).into_owned());
            let [start, end] = [spoken.times.start, spoken.times.end].map(|frame| position + frame);
            prop_assert!(before <= start && start <= end && end <= position + frames);
            let mut latest = Frames(start).seconds();
            for word in &spoken.words {
                prop_assert!(latest <= word.start && word.start <= word.end && word.end <= Frames(end).seconds());
                prop_assert!((0.0..=1.0).contains(&word.probability));
                latest = word.end;
            }
            before = end;
        }
    }
}
