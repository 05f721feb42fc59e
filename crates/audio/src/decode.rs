//! Decodes packets to mono samples at the recording's own rate.

use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::{Error as FormatError, Result as FormatResult};
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_AIFF, FORMAT_ID_MP2, FORMAT_ID_MP3, FORMAT_ID_OGG, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;

use crate::container::{self, AudioTrack, StreamInfo};
use crate::error::{Error, WarningKind, Warnings};
use crate::guard::{guard, is_fatal};
use crate::input::Input;
use crate::mix::{Mixer, Repaired};
use crate::mp4::{self, Edit};
use crate::timeline::{PacketTime, Timeline, TrackTime};
use crate::{codecs, mkv, opus, riff};

/// After this many consecutive packets that cannot be decoded, a new decoder is created. This helps with a file that
/// was joined from several files, because the codec's settings can change within it.
const DAMAGED_BEFORE_NEW_DECODER: u32 = 2;

/// A recording that is shorter than its header states causes a warning only if the missing part exceeds two limits.
/// This one is a fraction of the stated length; the other is a length in seconds.
const MIN_SHORTFALL_FRACTION: f64 = 0.03;
const MIN_SHORTFALL_S: f64 = 0.25;

/// An open container and the decoder of its audio track.
pub(crate) struct Recording {
    reader: Box<dyn FormatReader>,
    /// `None` after a panic in the decoder or after several damaged packets. For the next packet, a new decoder is
    /// created.
    decoder: Option<Box<dyn AudioDecoder>>,
    params: AudioCodecParameters,
    info: StreamInfo,
    track: Track,
    timeline: Timeline,
    mixer: Mixer,
    edits: Vec<Edit>,
    rate: u32,
    /// The length of the recording in seconds that the headers state.
    expected: Option<f64>,
    /// The length of this track in seconds. `None` unless the headers state it exactly and for this track alone.
    expected_of_track: Option<f64>,
    /// Whether to drop the next output of the decoder. A Vorbis block overlaps with the previous one, so without a
    /// previous block the decoder returns only half a block, which is useless.
    drops_half_block: bool,
    /// The time in seconds of the first packet in the file, whichever track that packet belongs to.
    earliest: Option<f64>,
    damaged_in_a_row: u32,
    /// The size of the file in bytes.
    len: u64,
    /// The total size in bytes of the packets read so far, of all tracks.
    demuxed: u64,
    ended: bool,
    last_cause: String,
}

/// A decoded packet: `silence` zeros, followed by the samples that `Recording::next` wrote to its argument `mono`.
pub(crate) struct DecodedPacket {
    pub(crate) rate: u32,
    /// Number of channels before mixing to mono.
    pub(crate) channels: usize,
    pub(crate) silence: u64,
    /// Whether the silence fills a gap in the container's timestamps. It is false if the silence replaces damaged
    /// packets.
    pub(crate) is_gap: bool,
    pub(crate) repaired: Repaired,
}

impl Recording {
    /// Opens a container and its audio track.
    pub(crate) fn open(mut input: Input, warnings: &mut Warnings) -> Result<Self, Error> {
        let cut = |detail| (WarningKind::Truncated, detail);
        let repairs = [riff::repair(&mut input)?, mkv::repair(&mut input)?.map(cut), mp4::repair(&mut input)?.map(cut)];
        for (kind, detail) in repairs.into_iter().flatten() {
            warnings.add(kind, 1, None, detail);
        }
        let edits = mp4::edits(&mut input)?;
        let len = input.len();
        let reader = container::open(input)?;
        let AudioTrack { track, params, decoder, info } = container::choose_track(&*reader, warnings)?;
        let rate = info.sample_rate;
        let time = track_time(&*reader, &track, &params, &edits);
        let expected_of_track = track_seconds(&track, time);
        let expected = expected_of_track.or_else(|| media_seconds(&*reader));
        let expected_of_track = expected_of_track
            .or(expected.filter(|_| reader.tracks().len() == 1))
            .filter(|_| !is_estimate(&*reader, &track));
        let drops_half_block = starts_with_half_block(&*reader, &params);
        Ok(Self {
            reader,
            decoder: Some(decoder),
            params,
            info,
            track,
            timeline: Timeline::new(time, rate),
            mixer: Mixer::default(),
            edits,
            rate,
            expected,
            expected_of_track,
            drops_half_block,
            earliest: None,
            damaged_in_a_row: 0,
            len,
            demuxed: 0,
            ended: false,
            last_cause: "it holds no audio data".to_owned(),
        })
    }

    pub(crate) fn info(&self) -> &StreamInfo {
        &self.info
    }

    pub(crate) fn expected(&self) -> Option<f64> {
        self.expected
    }

    /// The most recent error message of the demuxer or decoder. It becomes part of [`Error::NothingDecoded`].
    pub(crate) fn last_cause(&self) -> &str {
        &self.last_cause
    }

    /// Whether the header states a length of zero, in a format whose header always states the length.
    pub(crate) fn is_empty_by_its_header(&self) -> bool {
        let states_length = matches!(self.reader.format_info().format, FORMAT_ID_WAVE | FORMAT_ID_AIFF);
        states_length && self.track.duration.is_some_and(|d| d.get() == 0)
    }

    /// Decodes the next packet and replaces the contents of `mono` by its samples. Returns `None` at the end of the
    /// recording. `seconds` is the length decoded so far; warnings state it as the time of the damage.
    pub(crate) fn next(&mut self, mono: &mut Vec<f32>, seconds: f64, warnings: &mut Warnings) -> Option<DecodedPacket> {
        while !self.ended {
            mono.clear();
            let packet = self.next_packet(seconds, warnings)?;
            let Some(repaired) = self.decode(&packet, mono, seconds, warnings) else { continue };
            if std::mem::take(&mut self.drops_half_block) {
                continue;
            }
            let placement = self.timeline.place(self.packet_time(&packet), mono.len(), self.earliest);
            mono.truncate(placement.keep.end);
            mono.drain(..placement.keep.start);
            if mono.is_empty() {
                continue;
            }
            return Some(DecodedPacket {
                rate: self.rate,
                channels: self.mixer.channels(),
                silence: placement.silence,
                is_gap: placement.is_gap,
                repaired,
            });
        }
        None
    }

    /// Reads the next packet of the audio track. Returns `None` at the end of the recording.
    fn next_packet(&mut self, seconds: f64, warnings: &mut Warnings) -> Option<Packet> {
        loop {
            let reader = &mut self.reader;
            match guard(|| reader.next_packet()) {
                Ok(Some(packet)) => {
                    // A hostile container can yield the same packets, or empty packets, forever. So an empty packet
                    // counts as one byte.
                    self.demuxed += (packet.data.len() as u64).max(1);
                    if self.demuxed > self.len.saturating_mul(2).saturating_add(1 << 20) {
                        self.end(seconds, warnings, Some("the file repeats the same packets without end"));
                        return None;
                    }
                    self.note_earliest(&packet);
                    if packet.track_id == self.track.id {
                        return Some(packet);
                    }
                }
                Ok(None) => {
                    self.end(seconds, warnings, None);
                    return None;
                }
                Err(FormatError::ResetRequired) => {
                    if let Err(error) = self.start_next_stream(seconds, warnings) {
                        self.end(seconds, warnings, Some(&error.to_string()));
                        return None;
                    }
                }
                Err(error) => {
                    self.end(seconds, warnings, Some(&container::cause(&error)));
                    return None;
                }
            }
        }
    }

    /// Decodes one packet and mixes it to mono. Returns `None` if the packet is damaged.
    fn decode(
        &mut self,
        packet: &Packet,
        mono: &mut Vec<f32>,
        seconds: f64,
        warnings: &mut Warnings,
    ) -> Option<Repaired> {
        let decoded = match self.try_decode(packet, mono) {
            Err(error) if is_fatal(&error) || self.damaged_in_a_row == DAMAGED_BEFORE_NEW_DECODER => {
                self.decoder = None;
                self.try_decode(packet, mono)
            }
            decoded => decoded,
        };
        match decoded {
            Ok((rate, repaired)) => {
                self.damaged_in_a_row = 0;
                self.note_rate(rate, seconds, warnings);
                Some(repaired)
            }
            Err(error) => {
                self.damaged_in_a_row = self.damaged_in_a_row.saturating_add(1);
                self.timeline.lose_packet();
                self.last_cause = container::cause(&error);
                warnings.add(WarningKind::DamagedPackets, 1, Some(seconds), self.last_cause.clone());
                None
            }
        }
    }

    /// Decodes one packet and mixes it to mono. Returns the sample rate of the packet and the number of repaired
    /// samples. Creates a decoder if there is none. If that fails, returns the error, and the packet counts as
    /// damaged.
    fn try_decode(&mut self, packet: &Packet, mono: &mut Vec<f32>) -> FormatResult<(u32, Repaired)> {
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => codecs::decoder(&self.params)?,
        };
        let mixer = &mut self.mixer;
        let decoded = guard(|| {
            let buffer = decoder.decode(packet)?;
            let repaired = mixer.mix(&buffer, mono);
            Ok((buffer.spec().rate(), repaired))
        });
        // After a panic the state of the decoder is unknown, so the decoder must not be used again.
        if !decoded.as_ref().is_err_and(is_fatal) {
            self.decoder = Some(decoder);
        }
        decoded
    }

    /// Handles a change of the sample rate to `rate`. A change before the first sample only corrects a wrong header,
    /// so it causes no warning.
    fn note_rate(&mut self, rate: u32, seconds: f64, warnings: &mut Warnings) {
        if rate == self.rate {
            return;
        }
        if seconds > 0.0 {
            warn_of_rate(self.rate, rate, seconds, warnings);
            self.timeline.change_rate(rate);
        } else {
            let time = track_time(&*self.reader, &self.track, &self.params, &self.edits);
            self.timeline.restart(time, rate);
        }
        self.rate = rate;
    }

    /// Starts the next stream of a chained Ogg file, which has its own headers.
    fn start_next_stream(&mut self, seconds: f64, warnings: &mut Warnings) -> Result<(), Error> {
        let AudioTrack { track, params, decoder, info } = container::choose_track(&*self.reader, warnings)?;
        if info.sample_rate != self.rate {
            warn_of_rate(self.rate, info.sample_rate, seconds, warnings);
            self.rate = info.sample_rate;
        }
        self.timeline.restart(track_time(&*self.reader, &track, &params, &self.edits), self.rate);
        (self.track, self.params, self.decoder) = (track, params, Some(decoder));
        self.earliest = None;
        (self.expected_of_track, self.expected) = (None, None);
        Ok(())
    }

    fn packet_time(&self, packet: &Packet) -> PacketTime {
        let mut trim_end = packet.trim_end.get();
        let format = self.reader.format_info().format;
        if matches!(format, FORMAT_ID_MP3 | FORMAT_ID_MP2) && trim_end > u64::from(self.track.padding.unwrap_or(0)) {
            // A container cannot trim more from the end than the encoder's padding. A longer trim means that the
            // length was estimated badly, or that a second file was appended. So it is ignored.
            trim_end = 0;
        }
        PacketTime { start: packet.pts.get(), trim_start: packet.trim_start.get(), trim_end }
    }

    fn note_earliest(&mut self, packet: &Packet) {
        let base = self.reader.tracks().iter().find(|t| t.id == packet.track_id).and_then(|t| t.time_base);
        if let (Some(base), None) = (base, self.earliest) {
            self.earliest = Some(packet.pts.get() as f64 * seconds_per_tick(base));
        }
    }

    /// Ends the recording. `cause` is the error that ended it, or `None` if the file ended normally.
    fn end(&mut self, seconds: f64, warnings: &mut Warnings, cause: Option<&str>) {
        self.ended = true;
        if let Some(cause) = cause {
            cause.clone_into(&mut self.last_cause);
            warnings.add(WarningKind::Truncated, 1, Some(seconds), cause);
        } else if let Some(expected) = self.shortfall(seconds) {
            let detail = format!("the headers state {expected:.1} s");
            warnings.add(WarningKind::Truncated, 1, Some(seconds), detail);
        }
    }

    /// Returns the length in seconds that the headers state, if the recording of length `seconds` is clearly shorter
    /// than that. Otherwise returns `None`.
    fn shortfall(&self, seconds: f64) -> Option<f64> {
        // If the headers state one length for all tracks together, this track may simply be shorter than the others.
        // That length is used only if more than a tenth of the file was not read.
        let is_partly_unread = self.demuxed < self.len - self.len / 10;
        let expected = self.expected_of_track.or(self.expected.filter(|_| is_partly_unread))?;
        let missing = expected - seconds;
        (missing > MIN_SHORTFALL_S && missing > expected * MIN_SHORTFALL_FRACTION).then_some(expected)
    }
}

fn warn_of_rate(before: u32, after: u32, seconds: f64, warnings: &mut Warnings) {
    warnings.add(WarningKind::RateChanged, 1, Some(seconds), format!("{before} Hz to {after} Hz"));
}

/// Whether no header states the length, so that the demuxer estimated it from the bit rate of the first frames.
fn is_estimate(reader: &dyn FormatReader, track: &Track) -> bool {
    match reader.format_info().format {
        FORMAT_ID_MP2 | FORMAT_ID_ADTS => true,
        FORMAT_ID_MP3 => track.delay.is_none(),
        _ => false,
    }
}

fn seconds_per_tick(base: TimeBase) -> f64 {
    f64::from(base.numer.get()) / f64::from(base.denom.get())
}

/// The encoder delay, the start and the end of the track, as the container states them.
fn track_time(reader: &dyn FormatReader, track: &Track, params: &AudioCodecParameters, edits: &[Edit]) -> TrackTime {
    let delay = params.extra_data.as_deref().and_then(opus::pre_skip).map_or(0.0, |n| f64::from(n) / 48_000.0);
    let time = TrackTime { time_base: track.time_base, delay, ..TrackTime::default() };
    match reader.format_info().format {
        FORMAT_ID_OGG => TrackTime { skip: delay, ..time },
        _ => match edits.iter().find(|e| e.track_id == track.id) {
            Some(edit) => TrackTime {
                skip: edit.skip - edit.lead,
                begin: Some(edit.lead),
                end: edit.length.map(|length| edit.lead + length),
                ..time
            },
            None => time,
        },
    }
}

/// Whether the decoder returns only half a block for the first packet, and this half must be dropped. This is so for
/// Vorbis, whose blocks overlap. Ogg files already state the half block as a trim, so only other containers count.
fn starts_with_half_block(reader: &dyn FormatReader, params: &AudioCodecParameters) -> bool {
    params.codec == CODEC_ID_VORBIS && reader.format_info().format != FORMAT_ID_OGG
}

/// The length of the track in seconds that its headers state.
fn track_seconds(track: &Track, time: TrackTime) -> Option<f64> {
    let length = || Some(track.duration?.get() as f64 * seconds_per_tick(track.time_base?) - time.skip);
    time.end.or_else(length).filter(|s| *s > 0.0)
}

/// The length of the whole file in seconds that its headers state.
fn media_seconds(reader: &dyn FormatReader) -> Option<f64> {
    let media = reader.media_info();
    Some(media.duration?.get() as f64 * seconds_per_tick(media.time_base?)).filter(|s| *s > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use symphonia::core::codecs::audio::well_known::CODEC_ID_AC3;
    use symphonia::core::units::{Duration, Timestamp};

    #[test]
    fn packets_count_as_damaged_while_no_new_decoder_can_be_created() {
        let bytes = include_bytes!("../tests/data/silk.opus");
        let mut warnings = Warnings::default();
        let input = Input::new(Box::new(std::io::Cursor::new(&bytes[..]))).unwrap();
        let mut recording = Recording::open(input, &mut warnings).unwrap();
        recording.params.for_codec(CODEC_ID_AC3);
        recording.damaged_in_a_row = DAMAGED_BEFORE_NEW_DECODER;
        let damaged = Packet::new(recording.track.id, Timestamp::new(0), Duration::ZERO, Vec::new());
        for lost in 1..3 {
            assert!(recording.decode(&damaged, &mut Vec::new(), 0.0, &mut warnings).is_none());
            assert_eq!(recording.damaged_in_a_row, DAMAGED_BEFORE_NEW_DECODER + lost);
            assert_eq!(warnings.as_slice()[0].kind, WarningKind::DamagedPackets);
            assert_eq!(warnings.as_slice()[0].count, u64::from(lost));
        }
        assert!(recording.decoder.is_none(), "the old decoder must not be used again");
    }
}
