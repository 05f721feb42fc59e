//! Whether somebody speaks: the network of Silero VAD (version 6, 16 kHz), which hears 32 ms at a time and remembers what
//! came before in a cell of long short-term memory.
//!
//! A chunk of 512 samples, 64 before it, and 64 reflected at its end make four frames of a short-time Fourier transform.
//! Four convolutions make one vector of their magnitudes. All this is done for many chunks at once; only the recurrence
//! goes step by step.

use std::path::Path;

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedF32, RowsF32, gemm_f32};
use amanuensis_kernels::lstm::lstm_cell;
use amanuensis_weights::Checkpoint;

use crate::Error;

use crate::units::SAMPLES_PER_CHUNK as CHUNK;
/// Samples before a chunk that are heard with it, and samples reflected at its end.
const CONTEXT: usize = 64;
/// Samples from one frame to the next, and frames of a chunk.
const HOP: usize = 128;
const FRAMES: usize = 4;
/// Frames that a convolution sees at once.
const KERNEL: usize = 3;
/// Chunks that are computed together: enough rows for a product, few enough for the results to stay in L2.
const GROUP: usize = 32;

/// A loaded network. It computes on the thread of its caller.
pub struct SileroVad {
    context: Context,
    n_fft: usize,
    /// `(2 * n_bins, n_fft)`: real parts, then imaginary ones.
    stft: PackedF32,
    convolutions: [Layer; 4],
    /// `(4 * units, channels)`; the bias is that of input and hidden state together.
    input_gates: Layer,
    /// `(4 * units, units)`.
    hidden_gates: PackedF32,
    /// `(units)`.
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
    /// Loads the weights in a directory, or a weight file.
    ///
    /// # Errors
    /// Where they cannot be read, or are not of this network.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(path)?;
        let context = Context::new(1)?;
        let inconsistent = |problem: &str| Error::Inconsistent {
            directory: checkpoint.directory().to_owned(),
            problem: format!("{problem}: is this a voice detector?"),
        };
        let values = |name: &str| Ok::<_, Error>(checkpoint.tensor(name)?.to_f32());
        let [n_rows, _, n_fft] = shape(&checkpoint, "stft_conv.weight")?;
        if n_fft != 2 * HOP || n_rows % 2 != 0 {
            return Err(inconsistent("its transform has another length"));
        }
        // What a convolution sees of one channel lies together in the file, and here of one frame. Where there is only one
        // frame or two, the taps for the frames beside them meet nothing but zeros.
        let convolution = |index: usize, taps: std::ops::Range<usize>| {
            let name = format!("conv{index}.weight");
            let [n, channels, kernel] = shape(&checkpoint, &name)?;
            if kernel != KERNEL {
                return Err(inconsistent("its convolutions have another width"));
            }
            let all = values(&name)?;
            let weights = PackedF32::pack(&context.pool, n, taps.len() * channels, &|channel, out| {
                for (at, out) in out.iter_mut().enumerate() {
                    let (tap, input) = (taps.start + at / channels, at % channels);
                    *out = all[(channel * channels + input) * KERNEL + tap];
                }
            });
            Ok(Layer { weights, bias: values(&format!("conv{index}.bias"))? })
        };
        let matrix = |name: &str| {
            let [n, k] = shape(&checkpoint, name)?;
            let all = values(name)?;
            Ok::<_, Error>(PackedF32::pack(&context.pool, n, k, &|row, out| out.copy_from_slice(&all[row * k..][..k])))
        };
        let mut gate_bias = values("lstm_cell.bias_ih")?;
        gate_bias.iter_mut().zip(values("lstm_cell.bias_hh")?).for_each(|(sum, bias)| *sum += bias);
        let stft = values("stft_conv.weight")?;
        let detector = Self {
            n_fft,
            stft: PackedF32::pack(&context.pool, n_rows, n_fft, &|row, out| {
                out.copy_from_slice(&stft[row * n_fft..][..n_fft]);
            }),
            convolutions: [convolution(1, 0..3)?, convolution(2, 0..3)?, convolution(3, 1..3)?, convolution(4, 1..2)?],
            input_gates: Layer { weights: matrix("lstm_cell.weight_ih")?, bias: gate_bias },
            hidden_gates: matrix("lstm_cell.weight_hh")?,
            output: values("final_conv.weight")?,
            output_bias: values("final_conv.bias")?.first().copied().unwrap_or(0.0),
            context,
        };
        if detector.is_whole() { Ok(detector) } else { Err(inconsistent("its layers do not fit together")) }
    }

    /// Whether each layer takes what the one before gives.
    fn is_whole(&self) -> bool {
        let [one, two, three, four] = &self.convolutions;
        let units = self.hidden_gates.k();
        let chain = [
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
        chain.iter().all(|(given, taken)| given == taken)
            && layers.into_iter().all(|layer| layer.bias.len() == layer.weights.n())
    }

    /// Listens to a recording from its beginning.
    pub fn stream(&self) -> VadStream<'_> {
        let units = self.hidden_gates.k();
        VadStream {
            detector: self,
            pending: vec![0.0; CONTEXT],
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

fn shape<const N: usize>(checkpoint: &Checkpoint, name: &str) -> Result<[usize; N], Error> {
    let tensor = checkpoint.tensor(name)?;
    tensor.shape().try_into().map_err(|_| Error::Inconsistent {
        directory: checkpoint.directory().to_owned(),
        problem: format!("{name} has {} dimensions, not {N}", tensor.shape().len()),
    })
}

/// A recording that is listened to.
pub struct VadStream<'v> {
    detector: &'v SileroVad,
    /// The last samples that were heard, [`CONTEXT`] of them, and those that wait.
    pending: Vec<f32>,
    cell: Vec<f32>,
    hidden: Vec<f32>,
    /// Inputs and outputs of the layers, in turns.
    buffers: [Vec<f32>; 2],
}

impl VadStream<'_> {
    /// Takes the next samples, 16 kHz mono, and appends the probability that somebody speaks for each chunk of 32 ms that
    /// was heard. A second of samples or so waits for what follows.
    pub fn push(&mut self, samples: &[f32], probabilities: &mut Vec<f32>) {
        self.pending.extend_from_slice(samples);
        while self.pending.len() >= CONTEXT + GROUP * CHUNK {
            self.listen(GROUP, probabilities);
        }
    }

    /// Hears every whole chunk that waits, for those who cannot wait for what follows. The probabilities are the same.
    pub fn flush(&mut self, probabilities: &mut Vec<f32>) {
        let chunks = (self.pending.len() - CONTEXT) / CHUNK;
        if chunks > 0 {
            self.listen(chunks, probabilities);
        }
    }

    /// The recording ends: hears what waits, the last chunk filled up with silence.
    pub fn finish(&mut self, probabilities: &mut Vec<f32>) {
        let chunks = (self.pending.len() - CONTEXT).div_ceil(CHUNK);
        self.pending.resize(CONTEXT + chunks * CHUNK, 0.0);
        if chunks > 0 {
            self.listen(chunks, probabilities);
        }
    }

    fn listen(&mut self, chunks: usize, probabilities: &mut Vec<f32>) {
        let SileroVad { context, n_fft, stft, convolutions, input_gates, hidden_gates, output, output_bias } =
            self.detector;
        let [input, out] = &mut self.buffers;
        frames(&self.pending, chunks, *n_fft, input);
        self.pending.drain(..chunks * CHUNK);
        out.resize(chunks * FRAMES * stft.n(), 0.0);
        gemm_f32(context, RowsF32::new(input, *n_fft), stft, &Epilogue::default(), Output::Write(out));

        let n_bins = stft.n() / 2;
        let magnitude = |row: &[f32], out: &mut [f32]| {
            let (real, imaginary) = row.split_at(n_bins);
            for (out, (real, imaginary)) in out.iter_mut().zip(real.iter().zip(imaginary)) {
                *out = (real * real + imaginary * imaginary).sqrt();
            }
        };
        let rectify = |row: &[f32], out: &mut [f32]| {
            out.iter_mut().zip(row).for_each(|(out, value)| *out = value.max(0.0));
        };
        let [one, two, three, four] = convolutions;
        neighbours(out, (stft.n(), n_bins), 1, &magnitude, input);
        one.run(context, RowsF32::new(input, one.weights.k()), out);
        neighbours(out, (one.weights.n(), one.weights.n()), 2, &rectify, input);
        two.run(context, RowsF32::new(input, two.weights.k()), out);
        for layer in [three, four, input_gates] {
            input.resize(out.len(), 0.0);
            rectify(out, input);
            layer.run(context, RowsF32::new(input, layer.weights.k()), out);
        }
        let epilogue = Epilogue::default();
        for gates in out.chunks_exact_mut(hidden_gates.n()) {
            let row = RowsF32::new(&self.hidden, hidden_gates.k());
            gemm_f32(context, row, hidden_gates, &epilogue, Output::Add(gates));
            lstm_cell(context.cpu, gates, &mut self.cell, &mut self.hidden);
            let heard: f32 = self.hidden.iter().zip(output).map(|(unit, weight)| unit.max(0.0) * weight).sum();
            probabilities.push(1.0 / (1.0 + (-heard - output_bias).exp()));
        }
    }
}

/// The frames of each chunk, `(chunks * FRAMES, n_fft)`; the last one ends with samples reflected.
fn frames(samples: &[f32], chunks: usize, n_fft: usize, out: &mut Vec<f32>) {
    out.clear();
    for chunk in 0..chunks {
        let heard = &samples[chunk * CHUNK..][..CONTEXT + CHUNK];
        for frame in 0..FRAMES - 1 {
            out.extend_from_slice(&heard[frame * HOP..][..n_fft]);
        }
        let last = &heard[(FRAMES - 1) * HOP..];
        out.extend_from_slice(last);
        out.extend(last.iter().rev().skip(1).take(n_fft - last.len()));
    }
}

/// For every `step`th frame of each chunk the one before it, itself and the one after it, side by side, with zeros where
/// there is none. `rows` are `row` long each; `read` makes `width` values of one.
fn neighbours(
    rows: &[f32],
    (row, width): (usize, usize),
    step: usize,
    read: &dyn Fn(&[f32], &mut [f32]),
    out: &mut Vec<f32>,
) {
    let chunks = rows.len() / (FRAMES * row);
    out.clear();
    out.resize(chunks * FRAMES / step * KERNEL * width, 0.0);
    let middles = (0..chunks * FRAMES).step_by(step);
    for (middle, out) in middles.zip(out.chunks_exact_mut(KERNEL * width)) {
        let within = middle % FRAMES;
        for (tap, out) in out.chunks_exact_mut(width).enumerate() {
            // The frame `within + tap - 1` of the chunk.
            if (1..=FRAMES).contains(&(within + tap)) {
                read(&rows[(middle + tap - 1) * row..][..row], out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_framed_with_what_was_before_and_a_reflection() {
        let samples: Vec<f32> = (0..CONTEXT + 2 * CHUNK).map(|i| i as f32).collect();
        let mut out = Vec::new();
        frames(&samples, 2, 256, &mut out);
        assert_eq!(out.len(), 2 * FRAMES * 256);
        assert_eq!(out[256..258], [128.0, 129.0]);
        let last = &out[3 * 256..4 * 256];
        assert_eq!((last[0], last[191], last[192], last[255]), (384.0, 575.0, 574.0, 511.0));
        assert_eq!(out[4 * 256].to_bits(), 512_f32.to_bits());
    }

    #[test]
    fn frames_have_neighbours_within_their_chunk() {
        let rows: Vec<f32> = (1..=8).map(|i| i as f32).collect();
        let mut out = Vec::new();
        let copy = |row: &[f32], out: &mut [f32]| out.copy_from_slice(row);
        neighbours(&rows, (1, 1), 2, &copy, &mut out);
        assert_eq!(out, [0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 0.0, 5.0, 6.0, 6.0, 7.0, 8.0]);
        neighbours(&rows, (1, 1), 1, &copy, &mut out);
        assert_eq!(out[6..12], [2.0, 3.0, 4.0, 3.0, 4.0, 0.0]);
    }
}
