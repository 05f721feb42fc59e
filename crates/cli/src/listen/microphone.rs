//! Records samples from the default microphone.

use std::sync::mpsc::SyncSender;

use amanuensis_transcribe::{RawFormat, RawStream};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig};

type BlockSender = SyncSender<Result<Vec<f32>, String>>;

/// An open microphone. It records until this value is dropped.
pub struct Microphone(#[allow(dead_code, reason = "the stream records as long as it exists")] Stream);

impl Microphone {
    /// Opens the default microphone and starts recording. Blocks of 16 kHz samples are sent to the queue `blocks`. If
    /// recording fails later, an error is sent to the queue instead.
    pub fn open(blocks: BlockSender) -> Result<Self, String> {
        let device = cpal::default_host().default_input_device().ok_or("the system has no microphone")?;
        let failed = |error: &dyn std::fmt::Display| format!("cannot use the microphone: {error}");
        let supported = device.default_input_config().map_err(|error| failed(&error))?;
        let (format, config) = (supported.sample_format(), supported.config());
        let stream = match format {
            SampleFormat::I16 => record::<i16>(&device, config, blocks),
            SampleFormat::U16 => record::<u16>(&device, config, blocks),
            SampleFormat::I32 => record::<i32>(&device, config, blocks),
            SampleFormat::F32 => record::<f32>(&device, config, blocks),
            other => Err(format!("its sample format {other} is not supported")),
        };
        let stream = stream.map_err(|error| failed(&error))?;
        stream.play().map_err(|error| failed(&error))?;
        Ok(Self(stream))
    }
}

/// Starts recording. All channels are mixed to mono and resampled to 16 kHz.
fn record<T>(device: &cpal::Device, config: StreamConfig, blocks: BlockSender) -> Result<Stream, String>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels).max(1);
    let mut resampler = RawStream::new(RawFormat::F32, config.sample_rate).map_err(|error| error.to_string())?;
    let errors = blocks.clone();
    let on_samples = move |samples: &[T], _: &cpal::InputCallbackInfo| {
        let mean = |frame: &[T]| frame.iter().map(|sample| f32::from_sample(*sample)).sum::<f32>() / channels as f32;
        let bytes: Vec<u8> = samples.chunks_exact(channels).map(mean).flat_map(f32::to_le_bytes).collect();
        let mut block = Vec::new();
        resampler.push(&bytes, &mut block);
        // The audio callback must not wait. If the queue is full, `try_send` fails and these samples are lost.
        let _ = blocks.try_send(Ok(block));
    };
    let on_error = move |error: cpal::Error| {
        let _ = errors.try_send(Err(format!("the microphone failed: {error}")));
    };
    device.build_input_stream(config, on_samples, on_error, None).map_err(|error| error.to_string())
}
