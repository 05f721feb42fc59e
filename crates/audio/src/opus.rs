//! The Opus decoder (RFC 6716, RFC 7845), made available to the demuxing library's list of codecs.

use opus_pure::{ChannelLayout, OpusDecoder, OpusMSDecoder};
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

/// Opus is always decoded at 48 kHz, because the headers of Opus recordings count samples at that rate.
const RATE_HZ: u32 = 48_000;

/// The maximum number of samples per channel in a packet, which is 120 ms.
const MAX_PACKET_SAMPLES: usize = 5760;

/// The fields of the identification header (RFC 7845, 5.1). The `dOps` box of MP4 has the same fields in big-endian
/// order.
struct Head {
    channels: usize,
    pre_skip: u16,
    /// Output gain in dB, as a fixed-point number with 8 fractional bits (Q7.8).
    gain: i16,
    mapping_family: u8,
    /// Number of streams and number of coupled (stereo) streams. A header with mapping family 0 does not state them,
    /// because it always has one stream.
    streams: (u8, u8),
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.strip_prefix(b"OpusHead")?;
        let (fields, table) = head.split_first_chunk::<11>()?;
        let (pre_skip, gain) = ([fields[2], fields[3]], [fields[8], fields[9]]);
        let big_endian = fields[0] == 0;
        Some(Self {
            channels: usize::from(fields[1]),
            pre_skip: if big_endian { u16::from_be_bytes(pre_skip) } else { u16::from_le_bytes(pre_skip) },
            gain: if big_endian { i16::from_be_bytes(gain) } else { i16::from_le_bytes(gain) },
            mapping_family: fields[10],
            streams: table.first_chunk::<2>().map_or((1, 0), |t| (t[0], t[1])),
        })
    }
}

/// Number of samples at 48 kHz to drop at the start of the recording (encoder delay). `None` if `extra_data` is not
/// an Opus header.
pub(crate) fn pre_skip(extra_data: &[u8]) -> Option<u16> {
    Head::parse(extra_data).map(|head| head.pre_skip)
}

/// The decoder for one of the two kinds of channel layout. [`Opus`] turns the output of either decoder into mono.
enum Inner {
    /// The decoder for one or two channels. It mixes stereo to mono itself before synthesis, which halves the cost.
    /// On streams that libopus encoded, the difference between its output and the mean of the two channels is below
    /// -80 dB.
    Mono(Box<OpusDecoder>),
    /// The decoder for three to eight channels, and the number of channels. It returns the channels interleaved.
    Surround(Box<OpusMSDecoder>, usize),
}

/// Decodes Opus packets to mono at 48 kHz.
pub(crate) struct Opus {
    params: AudioCodecParameters,
    inner: Inner,
    gain: f32,
    decoded: Vec<f32>,
    mono: Vec<f32>,
    buffer: AudioBuffer<f32>,
}

impl Opus {
    fn new(params: &AudioCodecParameters) -> Result<Self> {
        let Some(head) = params.extra_data.as_deref().and_then(Head::parse) else {
            return decode_error("opus: no identification header");
        };
        let inner = match (head.mapping_family, head.channels) {
            (0, 1 | 2) => mono_decoder().map(Inner::Mono),
            (1, channels @ 1..=8) => surround_decoder(channels, head.streams),
            _ => return unsupported_error("opus: only channel mappings 0 and 1 are supported"),
        };
        let Some(inner) = inner else {
            return unsupported_error("opus: unusual channel layout");
        };
        let channels = if let Inner::Surround(_, channels) = inner { channels } else { 1 };
        Ok(Self {
            params: params.clone(),
            inner,
            gain: 10f32.powf(f32::from(head.gain) / 256.0 / 20.0),
            decoded: vec![0.0; MAX_PACKET_SAMPLES * channels],
            mono: Vec::with_capacity(MAX_PACKET_SAMPLES),
            buffer: AudioBuffer::new(AudioSpec::new(RATE_HZ, Channels::Discrete(1)), MAX_PACKET_SAMPLES),
        })
    }

    /// Decodes one packet into `self.mono`.
    fn decode_packet(&mut self, data: &[u8]) -> Result<()> {
        self.mono.clear();
        // An empty packet asks the decoder to conceal a lost packet, but does not state the number of samples to
        // conceal.
        if data.is_empty() {
            return decode_error("opus: empty packet");
        }
        let (frames, channels) = match &mut self.inner {
            Inner::Mono(decoder) => (decoder.decode(data, MAX_PACKET_SAMPLES, &mut self.decoded), 1),
            Inner::Surround(decoder, channels) => {
                (decoder.decode(data, MAX_PACKET_SAMPLES, &mut self.decoded), *channels)
            }
        };
        let Ok(frames) = frames else { return decode_error("opus: invalid packet") };
        let scale = self.gain / channels as f32;
        let samples = &self.decoded[..(frames * channels).min(self.decoded.len())];
        self.mono.extend(samples.chunks_exact(channels).map(|all| all.iter().sum::<f32>() * scale));
        Ok(())
    }
}

fn mono_decoder() -> Option<Box<OpusDecoder>> {
    OpusDecoder::new(RATE_HZ.cast_signed(), 1).ok().map(Box::new)
}

/// Creates a decoder for mapping family 1 (surround sound). Returns `None` unless the header states the numbers of
/// streams that RFC 7845 prescribes for this number of channels.
fn surround_decoder(channels: usize, streams: (u8, u8)) -> Option<Inner> {
    let layout = ChannelLayout::surround(channels, 1).ok()?;
    let expected = (usize::from(streams.0), usize::from(streams.1));
    let decoder = OpusMSDecoder::new(RATE_HZ.cast_signed(), channels, 1).ok()?;
    ((layout.nb_streams, layout.nb_coupled_streams) == expected).then(|| Inner::Surround(Box::new(decoder), channels))
}

impl AudioDecoder for Opus {
    fn reset(&mut self) {
        match &mut self.inner {
            // Cannot fail: the decoder was created with the same settings.
            Inner::Mono(decoder) => drop(decoder.reset_state()),
            Inner::Surround(decoder, _) => drop(decoder.reset_state()),
        }
    }

    fn codec_info(&self) -> &CodecInfo {
        &Self::supported_codecs()[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        self.decode_packet(packet.data)?;
        self.buffer.render_uninit(Some(self.mono.len()));
        self.buffer.copy_from_slice_interleaved(&self.mono);
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

impl RegisterableAudioDecoder for Opus {
    fn try_registry_new(params: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(params)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        &[SupportedAudioCodec {
            id: CODEC_ID_OPUS,
            info: CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] },
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opus_pure::{Application, OpusEncoder};

    fn head(channels: u8, family: &[u8]) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(channels);
        bytes.extend([56, 1, 128, 187, 0, 0, 0, 0]);
        bytes.extend(family);
        bytes
    }

    fn decoder(extra_data: &[u8]) -> Result<Opus> {
        let mut params = AudioCodecParameters::new();
        params.with_extra_data(extra_data.into());
        Opus::new(&params)
    }

    #[test]
    fn headers_of_both_byte_orders_are_parsed() {
        assert_eq!(pre_skip(&head(1, &[0])), Some(312));
        assert_eq!(pre_skip(b"OpusHead\x00\x01\x01\x38\0\0\0\0\0\0\0"), Some(312));
        assert_eq!(pre_skip(b"OpusHead\x01\x01"), None);
        assert_eq!(pre_skip(b"vorbis"), None);
    }

    #[test]
    fn a_stereo_packet_is_mixed_to_mono() {
        let mut encoder = OpusEncoder::new(48_000, 2, Application::Audio).unwrap();
        let mut decoder = decoder(&head(2, &[0])).unwrap();
        let mut packet = [0; 1500];
        for _ in 0..5 {
            let n = encoder.encode(&[0.25; 2 * 960], 960, &mut packet).unwrap();
            decoder.decode_packet(&packet[..n]).unwrap();
            assert_eq!(decoder.mono.len(), 960);
        }
    }

    #[test]
    fn invalid_headers_and_packets_are_refused() {
        for (channels, family) in [(0, &[0][..]), (3, &[0]), (6, &[1, 6, 0]), (2, &[255, 2, 0]), (9, &[1, 5, 4])] {
            assert!(decoder(&head(channels, family)).is_err(), "{channels} channels, {family:?}");
        }
        assert!(decoder(&head(6, &[1, 4, 2])).is_ok());
        let mut decoder = decoder(&head(1, &[0])).unwrap();
        assert!(decoder.decode_packet(&[]).is_err());
        assert!(decoder.decode_packet(&[0xff, 0xff, 0]).is_err());
    }
}
