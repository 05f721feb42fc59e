//! Creates the decoder for each codec, and names the codecs.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_AC3, CODEC_ID_AC4, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_MONKEYS_AUDIO, CODEC_ID_MUSEPACK,
    CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW, CODEC_ID_SPEEX, CODEC_ID_TRUEHD, CODEC_ID_TTA, CODEC_ID_WAVPACK,
    CODEC_ID_WMA,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::{Error, Result};

use crate::guard::guard;
use crate::opus::Opus;

/// The maximum number of channels. Decoders allocate memory according to the headers, so larger numbers are refused.
const MAX_CHANNELS: usize = 64;
/// The maximum number of samples in a packet, over all channels together.
const MAX_SAMPLES_PER_PACKET: u64 = 1 << 22;

fn registry() -> CodecRegistry {
    let mut registry = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut registry);
    registry.register_audio_decoder::<Opus>();
    registry
}

/// Creates a decoder for a track with the codec parameters `params`.
pub(crate) fn decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>> {
    let channels = params.channels.as_ref().map_or(1, Channels::count);
    if channels > MAX_CHANNELS {
        return Err(Error::Unsupported("too many channels"));
    }
    let frames = params.max_frames_per_packet.max(params.frames_per_block).unwrap_or(0);
    if frames.saturating_mul(channels as u64) > MAX_SAMPLES_PER_PACKET {
        return Err(Error::Unsupported("packets too long"));
    }
    if params.codec == CODEC_ID_AAC && channels > 2 {
        return Err(Error::Unsupported("AAC of more than two channels"));
    }
    let mut params = core_of_he_aac(params).unwrap_or_else(|| params.clone());
    if matches!(params.codec, CODEC_ID_PCM_ALAW | CODEC_ID_PCM_MULAW) {
        // The samples of a mu-law or A-law file have 8 bits, and CAF and MOV headers state this number here. The
        // decoder expects 16, the size of its output. So the fields are cleared.
        (params.bits_per_sample, params.bits_per_coded_sample) = (None, None);
    }
    // The timeline removes encoder delay and padding, in the same way for all codecs.
    let options = AudioDecoderOptions::default().gapless(false);
    guard(|| registry().make_audio_decoder(&params, &options))
}

/// The name of a codec, for error messages.
pub(crate) fn name(codec: AudioCodecId) -> &'static str {
    if let Some(known) = registry().get_audio_decoder(codec) {
        return known.codec.info.short_name;
    }
    let others = [
        (CODEC_ID_AC3, "AC-3"),
        (CODEC_ID_EAC3, "E-AC-3"),
        (CODEC_ID_AC4, "AC-4"),
        (CODEC_ID_DCA, "DTS"),
        (CODEC_ID_TRUEHD, "TrueHD"),
        (CODEC_ID_SPEEX, "Speex"),
        (CODEC_ID_MUSEPACK, "Musepack"),
        (CODEC_ID_WMA, "WMA"),
        (CODEC_ID_WAVPACK, "WavPack"),
        (CODEC_ID_MONKEYS_AUDIO, "Monkey's Audio"),
        (CODEC_ID_TTA, "TTA"),
    ];
    others.iter().find(|(id, _)| *id == codec).map_or("in an unknown codec", |(_, name)| name)
}

/// The parameters of the AAC-LC core of an HE-AAC track; `None` for other codecs.
///
/// HE-AAC (ISO 14496-3, 1.6.5) is AAC-LC at half the rate, with side data to rebuild the upper half of the spectrum
/// and the second channel. The decoder supports AAC-LC only, and the core is good enough for speech.
fn core_of_he_aac(params: &AudioCodecParameters) -> Option<AudioCodecParameters> {
    const LC: u64 = 2;
    const SBR: u64 = 5;
    const PS: u64 = 29;

    let mut bits = Bits { bytes: params.extra_data.as_deref().filter(|_| params.codec == CODEC_ID_AAC)?, position: 0 };
    let frequency = |bits: &mut Bits| {
        let index = bits.take(4)?;
        if index == 15 { Some((index << 24 | bits.take(24)?, 28)) } else { Some((index, 4)) }
    };
    let outer = bits.take(5)?;
    if outer != SBR && outer != PS {
        return None;
    }
    let (core_frequency, frequency_len) = frequency(&mut bits)?;
    let channels = bits.take(4)?;
    frequency(&mut bits)?;
    if bits.take(5)? != LC {
        return None;
    }
    // The AudioSpecificConfig of the core has these bit fields: object type, frequency, channels, frame length flag,
    // and two zeros.
    let config = ((LC << frequency_len | core_frequency) << 4 | channels) << 3 | bits.take(1)? << 2;
    let len: usize = 5 + frequency_len + 4 + 3;
    let padded = config << (64 - len);
    let mut core = params.clone();
    core.with_extra_data(padded.to_be_bytes()[..len.div_ceil(8)].into());
    Some(core)
}

/// Reads bit fields from bytes. The most significant bit of each byte comes first.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, n: usize) -> Option<u64> {
        let mut value = 0;
        for at in self.position..self.position + n {
            let byte = *self.bytes.get(at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - at % 8) & 1);
        }
        self.position += n;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(extra_data: &[u8]) -> Option<Vec<u8>> {
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_AAC).with_extra_data(extra_data.into());
        core_of_he_aac(&params).map(|core| core.extra_data.unwrap().to_vec())
    }

    #[test]
    fn he_aac_is_decoded_as_its_lc_core() {
        // The input is an HE-AAC configuration: core at 22.05 kHz, stereo, output at 44.1 kHz. The result is AAC-LC,
        // 22.05 kHz, stereo.
        assert_eq!(core(&[0x2b, 0x92, 0x08, 0x00]), Some(vec![0x13, 0x90]));
        // This is a configuration of HE-AAC v2, whose AAC-LC core is mono.
        assert_eq!(core(&[0xeb, 0x8a, 0x08, 0x00]), Some(vec![0x13, 0x88]));
        // These configurations give `None`: plain AAC-LC has no core to extract, and the second one is truncated.
        assert_eq!(core(&[0x12, 0x10]), None);
        assert_eq!(core(&[0x2b]), None);
    }

    #[test]
    fn headers_that_claim_too_much_are_refused() {
        let refusal = |channels, frames| {
            let mut params = AudioCodecParameters::new();
            params.for_codec(CODEC_ID_PCM_MULAW).with_sample_rate(8000).with_max_frames_per_packet(frames);
            params.with_channels(Channels::Discrete(channels));
            decoder(&params).err().map(|error| error.to_string())
        };
        assert!(refusal(1, u64::MAX).unwrap().contains("too long"));
        assert!(refusal(65, 1).unwrap().contains("too many"));
        assert!(refusal(64, 1 << 20).unwrap().contains("too long"));
        assert_eq!(refusal(64, 1152), None);
        assert_eq!(refusal(1, 1 << 20), None);
    }
}
