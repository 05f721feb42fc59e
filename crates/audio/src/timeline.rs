//! Computes the position of decoded samples in the recording.
//!
//! Encoders add delay before the first sample and padding after the last one. Containers state how much of each must
//! be dropped. Containers with timestamps may also have gaps, for example if a recorder pauses in silence, an audio
//! track starts after its video, or packets are lost. Gaps are filled with silence, so that times in the output equal
//! times in the recording.

use symphonia::core::units::TimeBase;

/// The maximum difference in seconds between a packet's timestamp and the time expected from the number of samples. A
/// packet that is later than that follows a gap.
const GAP_TOLERANCE_S: f64 = 0.1;

/// The maximum of all silence inserted into a recording, in seconds. Damaged timestamps could otherwise cause hours
/// of silence.
const MAX_SILENCE_S: f64 = 3600.0;

/// The timestamp of a packet and the samples to trim from its ends, in ticks (the track's unit of time), as the
/// container states them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PacketTime {
    pub(crate) start: i64,
    pub(crate) trim_start: u64,
    pub(crate) trim_end: u64,
}

/// The times of a whole track as the container states them, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TrackTime {
    /// The length of a tick, the unit of timestamps. If it is `None`, packets follow each other without gaps.
    pub(crate) time_base: Option<TimeBase>,
    /// The encoder delay, in containers whose timestamps include it. It is subtracted from every timestamp.
    pub(crate) skip: f64,
    /// The length of the encoder delay at the start of the first packet.
    pub(crate) delay: f64,
    /// Samples before this time are dropped, and the output starts at time zero. If it is `None`, the output starts
    /// with the first packet.
    pub(crate) begin: Option<f64>,
    /// Samples after this time are dropped.
    pub(crate) end: Option<f64>,
}

/// The result of [`Timeline::place`]: what to do with the samples of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Number of silent samples to insert before the packet.
    pub(crate) silence: u64,
    /// Whether the silence fills a gap in the timestamps. It is false if the silence replaces a lost packet.
    pub(crate) is_gap: bool,
    /// The range of the packet's samples to keep.
    pub(crate) keep: std::ops::Range<usize>,
}

/// The current position in the output, within one track.
pub(crate) struct Timeline {
    track: TrackTime,
    rate: f64,
    /// Length of the output so far in seconds, counted from `origin`.
    position: f64,
    /// The timestamp in seconds at which the output starts. `None` before the first packet.
    origin: Option<f64>,
    /// Samples before this timestamp are dropped. `None` if the container does not state it and no packet has arrived
    /// yet.
    begin: Option<f64>,
    /// Seconds of silence that may still be inserted.
    silence_left: f64,
    /// Whether a packet was lost since the previous decoded one. If so, silence is inserted up to the timestamp of
    /// the next packet, however short the gap is.
    lost: bool,
}

impl Timeline {
    pub(crate) fn new(track: TrackTime, rate: u32) -> Self {
        Self {
            rate: f64::from(rate),
            position: 0.0,
            origin: track.begin.map(|_| 0.0),
            begin: track.begin,
            silence_left: MAX_SILENCE_S,
            lost: false,
            track,
        }
    }

    /// Starts another stream of the same recording. Everything is reset except `silence_left`.
    pub(crate) fn restart(&mut self, track: TrackTime, rate: u32) {
        *self = Self { silence_left: self.silence_left, ..Self::new(track, rate) };
    }

    /// Records that a packet could not be decoded. Silence will replace it, up to the timestamp of the next packet.
    pub(crate) fn lose_packet(&mut self) {
        self.lost = true;
    }

    /// Changes the sample rate. Later timestamps are ignored, because they may count samples of the old rate.
    pub(crate) fn change_rate(&mut self, rate: u32) {
        self.rate = f64::from(rate);
        self.track.time_base = None;
    }

    /// Computes which of the `frames` decoded samples of a packet are kept, and how much silence comes before them.
    /// `earliest` is the time in seconds of the first packet of any track.
    pub(crate) fn place(&mut self, packet: PacketTime, frames: usize, earliest: Option<f64>) -> Placement {
        let Some(base) = self.track.time_base else {
            self.position += frames as f64 / self.rate;
            return Placement { silence: 0, is_gap: false, keep: 0..frames };
        };
        let tick = f64::from(base.numer.get()) / f64::from(base.denom.get());
        let mut start = packet.start as f64 * tick - self.track.skip;
        // Containers with timestamps in milliseconds round a delay of 6.5 ms to 7 ms. So if the first packet starts
        // before zero by the encoder delay, to within a tick, the exact delay is used.
        if self.begin.is_none() && (start + self.track.delay).abs() <= tick {
            start = -self.track.delay;
        }
        let begin = *self.begin.get_or_insert((start + self.track.delay).max(0.0));
        let length = frames as f64 / self.rate;
        // Usually the trim and the samples before `begin` are the same samples, stated twice, so only the larger of
        // the two is dropped.
        let head = (packet.trim_start as f64 * tick).max(begin - start).max(0.0);
        let beyond = self.track.end.map_or(0.0, |end| start + length - end);
        let tail = (packet.trim_end as f64 * tick).max(beyond).max(0.0);
        let first = self.frames(head).min(frames);
        let last = frames.saturating_sub(self.frames(tail)).max(first);
        if first == last {
            return Placement { silence: 0, is_gap: false, keep: first..first };
        }
        let start = start + head;
        let origin = *self.origin.get_or_insert(earliest.map_or(start, |e| e.clamp(0.0, start)));
        let lost = std::mem::take(&mut self.lost);
        let silence = self.silence_before(start - origin, if lost { 0.0 } else { GAP_TOLERANCE_S });
        self.position += (last - first) as f64 / self.rate + silence as f64 / self.rate;
        Placement { silence, is_gap: silence > 0 && !lost, keep: first..last }
    }

    /// Number of silent samples to insert so that the output reaches the time `start`, in seconds from the origin.
    /// Zero if the gap is at most `tolerance` seconds, or longer than the silence that may still be inserted.
    fn silence_before(&mut self, start: f64, tolerance: f64) -> u64 {
        let gap = start - self.position;
        if gap <= tolerance || gap > self.silence_left {
            return 0;
        }
        self.silence_left -= gap;
        self.frames(gap) as u64
    }

    fn frames(&self, seconds: f64) -> usize {
        (seconds * self.rate).round() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn timeline(track: TrackTime, ticks: u32) -> Timeline {
        Timeline::new(TrackTime { time_base: TimeBase::try_new(1, ticks), ..track }, RATE)
    }

    fn at(start: i64) -> PacketTime {
        PacketTime { start, ..PacketTime::default() }
    }

    fn place(timeline: &mut Timeline, packet: PacketTime) -> (u64, std::ops::Range<usize>) {
        let placement = timeline.place(packet, 960, None);
        (placement.silence, placement.keep)
    }

    #[test]
    fn delay_and_padding_are_dropped() {
        let mut ogg_opus = timeline(TrackTime { skip: 312.0 / 48_000.0, ..TrackTime::default() }, RATE);
        assert_eq!(place(&mut ogg_opus, at(0)), (0, 312..960));
        assert_eq!(place(&mut ogg_opus, PacketTime { start: 960, trim_start: 0, trim_end: 100 }), (0, 0..860));

        let mut mp3 = timeline(TrackTime::default(), RATE);
        assert_eq!(place(&mut mp3, PacketTime { start: -1105, trim_start: 960, trim_end: 0 }), (0, 960..960));
        assert_eq!(place(&mut mp3, PacketTime { start: -145, trim_start: 145, trim_end: 0 }), (0, 145..960));

        let mut webm = timeline(TrackTime { delay: 312.0 / 48_000.0, ..TrackTime::default() }, 1000);
        assert_eq!(place(&mut webm, at(-7)), (0, 312..960));
        assert_eq!(place(&mut webm, at(13)), (0, 0..960));

        let mut mp4 = timeline(TrackTime { end: Some(0.03), begin: Some(0.0), ..TrackTime::default() }, RATE);
        assert_eq!(place(&mut mp4, at(0)), (0, 0..960));
        assert_eq!(place(&mut mp4, at(960)), (0, 0..480));
        assert_eq!(place(&mut mp4, at(1920)), (0, 0..0));
    }

    #[test]
    fn gaps_become_silence() {
        let mut clock = timeline(TrackTime::default(), 1000);
        assert_eq!(place(&mut clock, at(5000)), (0, 0..960), "the recording starts with its first packet");
        assert_eq!(place(&mut clock, at(5025)), (0, 0..960), "jitter is no gap");
        assert_eq!(place(&mut clock, at(5540)), (24_000, 0..960));
        clock.lose_packet();
        assert_eq!(place(&mut clock, at(5580)), (960, 0..960), "the duration of a lost packet");
        assert_eq!(place(&mut clock, at(99_999_999)), (0, 0..960), "an implausible timestamp is ignored");
    }

    #[test]
    fn the_silence_limit_applies_to_all_streams_together() {
        let track = TrackTime { time_base: TimeBase::try_new(1, 1000), ..TrackTime::default() };
        let mut clock = Timeline::new(track, RATE);
        let mut silence = 0;
        for _ in 0..10 {
            place(&mut clock, at(0));
            silence += place(&mut clock, at(1_000_000)).0;
            clock.restart(track, RATE);
        }
        assert!((2900..=3600).contains(&(silence / u64::from(RATE))), "{silence} samples");
    }

    #[test]
    fn a_late_audio_track_starts_late() {
        let mut clock = timeline(TrackTime::default(), 1000);
        assert_eq!(clock.place(at(500), 960, Some(0.0)), Placement { silence: 24_000, is_gap: true, keep: 0..960 });
        // The first case is Opus in `WebM`, whose timestamps include the delay. The second is AAC in MP4, where 1 ms
        // of the delay lies before the part that the edit list plays.
        let mut clock = timeline(TrackTime { delay: 312.0 / 48_000.0, ..TrackTime::default() }, 1000);
        assert_eq!(clock.place(at(493), 960, Some(0.0)), Placement { silence: 23_976, is_gap: true, keep: 312..960 });
        let mut clock = timeline(TrackTime { begin: Some(0.25), skip: -0.249, ..TrackTime::default() }, 1000);
        assert_eq!(place(&mut clock, at(0)), (12_000, 48..960));
    }

    #[test]
    fn without_timestamps_packets_follow_each_other() {
        let mut clock = Timeline::new(TrackTime::default(), RATE);
        assert_eq!(place(&mut clock, at(i64::MAX)), (0, 0..960));
        assert_eq!(place(&mut clock, at(i64::MIN)), (0, 0..960));
    }
}
