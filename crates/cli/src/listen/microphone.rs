//! The default microphone.

use std::sync::mpsc::SyncSender;

use amanuensis_transcribe::{RawFormat, RawStream};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig};

type Blocks = SyncSender<Result<Vec<f32>, String>>;

/// A microphone at work, until it is dropped.
pub struct Microphone(#[allow(dead_code, reason = "it is there to be kept")] Stream);

impl Microphone {
    /// Sends what the system's default microphone hears, or why it has stopped to.
    pub fn open(blocks: Blocks) -> Result<Self, String> {
        let device = cpal::default_host().default_input_device().ok_or("the system has no microphone")?;
        let failed = |error: &dyn std::fmt::Display| format!("cannot use the microphone: {error}");
        let supported = device.default_input_config().map_err(|error| failed(&error))?;
        let (format, config) = (supported.sample_format(), supported.config());
        let stream = match format {
            SampleFormat::I16 => record::<i16>(&device, config, blocks),
            SampleFormat::U16 => record::<u16>(&device, config, blocks),
            SampleFormat::I32 => record::<i32>(&device, config, blocks),
            SampleFormat::F32 => record::<f32>(&device, config, blocks),
            other => Err(format!("its samples are {other}, which are not known here")),
        };
        let stream = stream.map_err(|error| failed(&error))?;
        stream.play().map_err(|error| failed(&error))?;
        Ok(Self(stream))
    }
}

fn record<T>(device: &cpal::Device, config: StreamConfig, blocks: Blocks) -> Result<Stream, String>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels).max(1);
    let mut raw = RawStream::new(RawFormat::F32, config.sample_rate).map_err(|error| error.to_string())?;
    let errors = blocks.clone();
    let hear = move |samples: &[T], _: &cpal::InputCallbackInfo| {
        let mean = |frame: &[T]| frame.iter().map(|sample| f32::from_sample(*sample)).sum::<f32>() / channels as f32;
        let bytes: Vec<u8> = samples.chunks_exact(channels).map(mean).flat_map(f32::to_le_bytes).collect();
        let mut heard = Vec::new();
        raw.push(&bytes, &mut heard);
        // The sound card does not wait: what there is no room for is lost.
        let _ = blocks.try_send(Ok(heard));
    };
    let fail = move |error: cpal::Error| {
        let _ = errors.try_send(Err(format!("the microphone failed: {error}")));
    };
    device.build_input_stream(config, hear, fail, None).map_err(|error| error.to_string())
}
