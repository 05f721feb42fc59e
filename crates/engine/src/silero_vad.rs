//! Silero VAD (version 6, 16 kHz): the probability of speech for every 32 ms of audio.
//!
//! The input for a chunk of 512 samples consists of the 64 samples before it, the chunk itself, and 64 samples
//! reflected at its end. A short-time Fourier transform turns them into four frames. Four convolutions turn the
//! magnitudes of these frames into one vector, and an LSTM carries its state from chunk to chunk. Everything but the
//! LSTM is computed for many chunks at once.

use std::ops::Range;
use std::path::Path;

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedF32, RowsF32, gemm_f32};
use amanuensis_kernels::lstm::lstm_cell;
use amanuensis_weights::Checkpoint;

use crate::error::Error;
use crate::units::SAMPLES_PER_CHUNK;

/// The number of samples before a chunk that belong to the chunk's input. The same number of samples is reflected at
/// the end of the chunk.
const CONTEXT_SAMPLES: usize = 64;
/// The distance between the starts of two frames, in samples.
const HOP_SAMPLES: usize = 128;
/// The number of frames in a chunk.
const FRAMES_PER_CHUNK: usize = 4;
/// The width of the convolution kernels in frames.
const KERNEL: usize = 3;
/// The number of chunks that are computed together. It gives enough rows for an efficient matrix product, and the
/// results still fit into the L2 cache.
const GROUP_CHUNKS: usize = 32;

/// The voice activity detector with its weights. It computes on the calling thread.
pub struct SileroVad {
    context: Context,
    n_fft: usize,
    /// The matrix of the Fourier transform, `(2 * n_bins, n_fft)`: first the real parts, then the imaginary parts.
    stft: PackedF32,
    convolutions: [Layer; 4],
    /// The weights from the input of the LSTM to its gates, `(4 * units, channels)`. Their bias is the sum of both
    /// biases that the LSTM has.
    input_gates: Layer,
    /// The weights from the hidden state of the LSTM to its gates, `(4 * units, units)`.
    hidden_gates: PackedF32,
    /// The weights of the output layer, `(units)`.
    output: Vec<f32>,
    output_bias: f32,
}

struct Layer {
    weights: PackedF32,
    bias: Vec<f32>,
}

impl Layer {
    fn run(&self, context: &Context, rows: RowsF32<'_>, out: &mut Vec<f32>) {
        out.resize(rows.rows * self.weights.n(), 0.0);
        let epilogue = Epilogue { bias: Some(&self.bias), ..Epilogue::default() };
        gemm_f32(context, rows, &self.weights, &epilogue, Output::Write(out));
    }
}

impl SileroVad {
    /// Loads the weights from a directory or a weight file.
    ///
    /// # Errors
    /// If the weights cannot be read, or are not those of this network.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(path)?;
        let context = Context::new(1)?;
        let [n_rows, _, n_fft] = shape(&checkpoint, "stft_conv.weight")?;
        if n_fft != 2 * HOP_SAMPLES || n_rows % 2 != 0 {
            return Err(inconsistent(&checkpoint, "its Fourier transform has another length"));
        }
        // Layer 3 has two input frames per chunk, and only one of its output frames is needed. Layer 4 has one input
        // frame. Kernel taps outside of these frames would be multiplied by zeros, so they are left out.
        let convolution = |index: usize, taps: Range<usize>| convolution(&checkpoint, &context, index, taps);
        let convolutions = [convolution(1, 0..3)?, convolution(2, 0..3)?, convolution(3, 1..3)?, convolution(4, 1..2)?];
        let values = |name: &str| Ok::<_, Error>(checkpoint.tensor(name)?.to_f32());
        let matrix = |name: &str| {
            let [n, k] = shape(&checkpoint, name)?;
            let all = values(name)?;
            Ok::<_, Error>(PackedF32::pack(&context.pool, n, k, &|row, out| out.copy_from_slice(&all[row * k..][..k])))
        };
        let mut gate_bias = values("lstm_cell.bias_ih")?;
        gate_bias.iter_mut().zip(values("lstm_cell.bias_hh")?).for_each(|(sum, bias)| *sum += bias);
        let stft = values("stft_conv.weight")?;
        let stft = PackedF32::pack(&context.pool, n_rows, n_fft, &|row, out| {
            out.copy_from_slice(&stft[row * n_fft..][..n_fft]);
        });
        let detector = Self {
            n_fft,
            stft,
            convolutions,
            input_gates: Layer { weights: matrix("lstm_cell.weight_ih")?, bias: gate_bias },
            hidden_gates: matrix("lstm_cell.weight_hh")?,
            output: values("final_conv.weight")?,
            output_bias: values("final_conv.bias")?.first().copied().unwrap_or(0.0),
            context,
        };
        if !detector.layers_fit_together() {
            return Err(inconsistent(&checkpoint, "its layers do not fit together"));
        }
        Ok(detector)
    }

    /// Whether the output width of each layer is the input width of the next layer, and each bias has one value per
    /// output.
    fn layers_fit_together(&self) -> bool {
        let [one, two, three, four] = &self.convolutions;
        let units = self.hidden_gates.k();
        let widths = [
            (self.stft.n() / 2 * KERNEL, one.weights.k()),
            (one.weights.n() * KERNEL, two.weights.k()),
            (two.weights.n() * 2, three.weights.k()),
            (three.weights.n(), four.weights.k()),
            (four.weights.n(), self.input_gates.weights.k()),
            (4 * units, self.input_gates.weights.n()),
            (4 * units, self.hidden_gates.n()),
            (units, self.output.len()),
        ];
        let layers = self.convolutions.iter().chain([&self.input_gates]);
        widths.iter().all(|(output, input)| output == input)
            && layers.into_iter().all(|layer| layer.bias.len() == layer.weights.n())
    }

    /// Creates the detector's state for a new recording.
    pub fn stream(&self) -> VadStream<'_> {
        let units = self.hidden_gates.k();
        VadStream {
            detector: self,
            pending: vec![0.0; CONTEXT_SAMPLES],
            cell: vec![0.0; units],
            hidden: vec![0.0; units],
            buffers: Default::default(),
        }
    }
}

impl std::fmt::Debug for SileroVad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SileroVad").finish_non_exhaustive()
    }
}

/// Loads convolution layer `index` with only the given taps (positions of its kernel). In the file, the taps of each
/// input channel are adjacent; in the result, the channels of each tap are adjacent.
fn convolution(checkpoint: &Checkpoint, context: &Context, index: usize, taps: Range<usize>) -> Result<Layer, Error> {
    let name = format!("conv{index}.weight");
    let [n, channels, kernel] = shape(checkpoint, &name)?;
    if kernel != KERNEL {
        return Err(inconsistent(checkpoint, "its convolutions have another width"));
    }
    let all = checkpoint.tensor(&name)?.to_f32();
    let weights = PackedF32::pack(&context.pool, n, taps.len() * channels, &|channel, out| {
        for (at, out) in out.iter_mut().enumerate() {
            let (tap, input) = (taps.start + at / channels, at % channels);
            *out = all[(channel * channels + input) * KERNEL + tap];
        }
    });
    Ok(Layer { weights, bias: checkpoint.tensor(&format!("conv{index}.bias"))?.to_f32() })
}

fn inconsistent(checkpoint: &Checkpoint, problem: &str) -> Error {
    let problem = format!("{problem}: is this the voice activity detector?");
    Error::Inconsistent { directory: checkpoint.directory().to_owned(), problem }
}

/// The shape of a tensor, which must have `N` dimensions.
fn shape<const N: usize>(checkpoint: &Checkpoint, name: &str) -> Result<[usize; N], Error> {
    let tensor = checkpoint.tensor(name)?;
    tensor.shape().try_into().map_err(|_| Error::Inconsistent {
        directory: checkpoint.directory().to_owned(),
        problem: format!("{name} has {} dimensions, not {N}", tensor.shape().len()),
    })
}

/// The state of the detector for one recording.
pub struct VadStream<'v> {
    detector: &'v SileroVad,
    /// The [`CONTEXT_SAMPLES`] samples that were processed most recently, followed by the samples that are not
    /// processed yet.
    pending: Vec<f32>,
    /// The cell state of the LSTM.
    cell: Vec<f32>,
    /// The hidden state of the LSTM.
    hidden: Vec<f32>,
    /// The input and the output of the current layer. They swap their roles after each layer.
    buffers: [Vec<f32>; 2],
}

impl VadStream<'_> {
    /// Adds 16 kHz mono samples. Appends the probability of speech for each processed chunk of 32 ms to
    /// `probabilities`. Up to about one second of samples waits for later calls, because chunks are processed in
    /// groups.
    pub fn push(&mut self, samples: &[f32], probabilities: &mut Vec<f32>) {
        self.pending.extend_from_slice(samples);
        while self.pending.len() >= CONTEXT_SAMPLES + GROUP_CHUNKS * SAMPLES_PER_CHUNK {
            self.process(GROUP_CHUNKS, probabilities);
        }
    }

    /// Processes all complete chunks that are still waiting, for callers that need low latency, and appends their
    /// probabilities. The values are the same as without this call.
    pub fn flush(&mut self, probabilities: &mut Vec<f32>) {
        let chunks = (self.pending.len() - CONTEXT_SAMPLES) / SAMPLES_PER_CHUNK;
        if chunks > 0 {
            self.process(chunks, probabilities);
        }
    }

    /// Processes the rest of the recording and appends its probabilities. The final chunk is padded with silence.
    pub fn finish(&mut self, probabilities: &mut Vec<f32>) {
        let chunks = (self.pending.len() - CONTEXT_SAMPLES).div_ceil(SAMPLES_PER_CHUNK);
        self.pending.resize(CONTEXT_SAMPLES + chunks * SAMPLES_PER_CHUNK, 0.0);
        if chunks > 0 {
            self.process(chunks, probabilities);
        }
    }

    /// Processes the next `chunks` chunks of the pending samples, and appends their probabilities.
    fn process(&mut self, chunks: usize, probabilities: &mut Vec<f32>) {
        let SileroVad { context, n_fft, stft, convolutions, input_gates, .. } = self.detector;
        let [input, out] = &mut self.buffers;
        frames(&self.pending, chunks, *n_fft, input);
        self.pending.drain(..chunks * SAMPLES_PER_CHUNK);
        out.resize(chunks * FRAMES_PER_CHUNK * stft.n(), 0.0);
        gemm_f32(context, RowsF32::new(input, *n_fft), stft, &Epilogue::default(), Output::Write(out));

        let n_bins = stft.n() / 2;
        let magnitude = |row: &[f32], out: &mut [f32]| {
            let (real, imaginary) = row.split_at(n_bins);
            for (out, (real, imaginary)) in out.iter_mut().zip(real.iter().zip(imaginary)) {
                *out = (real * real + imaginary * imaginary).sqrt();
            }
        };
        let relu = |row: &[f32], out: &mut [f32]| {
            out.iter_mut().zip(row).for_each(|(out, value)| *out = value.max(0.0));
        };
        let [one, two, three, four] = convolutions;
        unfold(out, (stft.n(), n_bins), 1, &magnitude, input);
        one.run(context, RowsF32::new(input, one.weights.k()), out);
        unfold(out, (one.weights.n(), one.weights.n()), 2, &relu, input);
        two.run(context, RowsF32::new(input, two.weights.k()), out);
        for layer in [three, four, input_gates] {
            input.resize(out.len(), 0.0);
            relu(out, input);
            layer.run(context, RowsF32::new(input, layer.weights.k()), out);
        }
        self.run_lstm(probabilities);
    }

    /// Runs the LSTM and appends the probability for each chunk. `buffers[1]` must contain the input gates of each
    /// chunk.
    fn run_lstm(&mut self, probabilities: &mut Vec<f32>) {
        let SileroVad { context, hidden_gates, output, output_bias, .. } = self.detector;
        let [_, input_gates] = &mut self.buffers;
        let epilogue = Epilogue::default();
        for gates in input_gates.chunks_exact_mut(hidden_gates.n()) {
            let row = RowsF32::new(&self.hidden, hidden_gates.k());
            gemm_f32(context, row, hidden_gates, &epilogue, Output::Add(gates));
            lstm_cell(context.cpu, gates, &mut self.cell, &mut self.hidden);
            let logit: f32 = self.hidden.iter().zip(output).map(|(unit, weight)| unit.max(0.0) * weight).sum();
            probabilities.push(1.0 / (1.0 + (-logit - output_bias).exp()));
        }
    }
}

/// Writes the frames of each chunk to `out`, `(chunks * FRAMES_PER_CHUNK, n_fft)`. The final frame of a chunk is
/// completed with reflected samples.
fn frames(samples: &[f32], chunks: usize, n_fft: usize, out: &mut Vec<f32>) {
    out.clear();
    for chunk in 0..chunks {
        let input = &samples[chunk * SAMPLES_PER_CHUNK..][..CONTEXT_SAMPLES + SAMPLES_PER_CHUNK];
        for frame in 0..FRAMES_PER_CHUNK - 1 {
            out.extend_from_slice(&input[frame * HOP_SAMPLES..][..n_fft]);
        }
        let last = &input[(FRAMES_PER_CHUNK - 1) * HOP_SAMPLES..];
        out.extend_from_slice(last);
        out.extend(last.iter().rev().skip(1).take(n_fft - last.len()));
    }
}

/// Writes the input rows of a convolution (im2col). For every `step`th frame of a chunk, an input row contains the
/// frame before it, the frame itself and the frame after it. Frames outside of the chunk are zeros. `rows` contains a
/// row of `row_len` values for each frame, and `map` turns such a row into the `width` values of the frame.
fn unfold(
    rows: &[f32],
    (row_len, width): (usize, usize),
    step: usize,
    map: &dyn Fn(&[f32], &mut [f32]),
    out: &mut Vec<f32>,
) {
    let chunks = rows.len() / (FRAMES_PER_CHUNK * row_len);
    out.clear();
    out.resize(chunks * FRAMES_PER_CHUNK / step * KERNEL * width, 0.0);
    let centres = (0..chunks * FRAMES_PER_CHUNK).step_by(step);
    for (centre, out) in centres.zip(out.chunks_exact_mut(KERNEL * width)) {
        let frame_in_chunk = centre % FRAMES_PER_CHUNK;
        for (tap, out) in out.chunks_exact_mut(width).enumerate() {
            // This tap of the kernel reads the frame `frame_in_chunk + tap - 1` of the chunk.
            if (1..=FRAMES_PER_CHUNK).contains(&(frame_in_chunk + tap)) {
                map(&rows[(centre + tap - 1) * row_len..][..row_len], out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_a_chunk_include_earlier_samples_and_a_reflected_end() {
        let samples: Vec<f32> = (0..CONTEXT_SAMPLES + 2 * SAMPLES_PER_CHUNK).map(|i| i as f32).collect();
        let mut out = Vec::new();
        frames(&samples, 2, 256, &mut out);
        assert_eq!(out.len(), 2 * FRAMES_PER_CHUNK * 256);
        assert_eq!(out[256..258], [128.0, 129.0]);
        let last = &out[3 * 256..4 * 256];
        assert_eq!((last[0], last[191], last[192], last[255]), (384.0, 575.0, 574.0, 511.0));
        assert_eq!(out[4 * 256].to_bits(), 512_f32.to_bits());
    }

    #[test]
    fn convolutions_do_not_read_frames_of_other_chunks() {
        let rows: Vec<f32> = (1..=8).map(|i| i as f32).collect();
        let mut out = Vec::new();
        let copy = |row: &[f32], out: &mut [f32]| out.copy_from_slice(row);
        unfold(&rows, (1, 1), 2, &copy, &mut out);
        // The input has two chunks of four frames. Frames outside of a chunk are zeros.
        assert_eq!(out, [0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 0.0, 5.0, 6.0, 6.0, 7.0, 8.0]);
        unfold(&rows, (1, 1), 1, &copy, &mut out);
        assert_eq!(out[6..12], [2.0, 3.0, 4.0, 3.0, 4.0, 0.0]);
    }
}
