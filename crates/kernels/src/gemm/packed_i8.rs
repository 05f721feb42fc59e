//! Int8 matrices packed into panels of 16 output channels.

use crate::arena::Lines;
use crate::disjoint::Disjoint;
use crate::lines::{LineI8, PANEL, padded_k};
use crate::quantise::quantise_row;
use crate::{Arena, Context};

/// Weights `(n, k)` in int8 panels, with one scale for each output channel: `value = q * scale`.
#[derive(Debug)]
pub struct PackedI8 {
    n: usize,
    k: usize,
    lines: Lines<LineI8>,
    scales: Vec<f32>,
}

/// A function `write(channel, quantised, buffer)` that writes the `k` quantised weights of an output channel and
/// returns their scale. `buffer` is scratch memory for this function.
type ChannelWriter<'a> = dyn Fn(usize, &mut [i8], &mut Vec<f32>) -> f32 + Sync + 'a;

impl PackedI8 {
    /// Quantises f32 weights symmetrically and packs them: the largest magnitude of each output channel becomes 127.
    ///
    /// `row(channel, out)` must write the `k` weights of an output channel to `out`. It is called from several
    /// threads.
    pub fn quantise(context: &Context, n: usize, k: usize, row: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Self {
        Self::pack(context, n, k, &|channel, quantised, weights| {
            weights.resize(k, 0.0);
            row(channel, weights);
            quantise_row(context.cpu, weights, quantised)
        })
    }

    /// Packs weights that are already int8, as some files store them.
    ///
    /// `row(channel, out)` must write the `k` values of an output channel to `out` and return their scale. It is
    /// called from several threads.
    pub fn from_int8(context: &Context, n: usize, k: usize, row: &(dyn Fn(usize, &mut [i8]) -> f32 + Sync)) -> Self {
        Self::pack(context, n, k, &|channel, quantised, _| row(channel, quantised))
    }

    /// Creates a matrix of zeros, to be filled through [`PackedI8::parts`].
    pub(crate) fn zeros(arena: &Arena, n: usize, k: usize) -> Self {
        let panels = n.div_ceil(PANEL);
        Self { n, k, lines: arena.lines(panels * padded_k(k) / 4), scales: vec![0.0; panels * PANEL] }
    }

    /// Sets the shape to `(n, k)` and all elements to zero. Reuses the memory if it is large enough.
    pub(crate) fn reset(&mut self, arena: &Arena, n: usize, k: usize) {
        let panels = n.div_ceil(PANEL);
        (self.n, self.k) = (n, k);
        self.lines.reset(arena, panels * padded_k(k) / 4);
        self.scales.clear();
        self.scales.resize(panels * PANEL, 0.0);
    }

    /// The packed lines and the scales, for callers that overwrite all of them.
    pub(crate) fn parts(&mut self) -> (&mut [LineI8], &mut [f32]) {
        (&mut self.lines, &mut self.scales)
    }

    fn pack(context: &Context, n: usize, k: usize, write: &ChannelWriter<'_>) -> Self {
        let panel_lines = padded_k(k) / 4;
        let mut packed = Self::zeros(&context.arena, n, k);
        let shared_scales = Disjoint::new(&mut packed.scales);
        context.pool.chunks_mut(&mut packed.lines, panel_lines, &|panel, lines, _| {
            // SAFETY: `chunks_mut` visits each panel once, and the 16 scales of a panel overlap those of no other
            // panel.
            let scales = unsafe { shared_scales.slice(panel * PANEL, PANEL) };
            let (mut quantised, mut weights) = (vec![0; k], Vec::new());
            for (column, scale) in scales[..PANEL.min(n - panel * PANEL)].iter_mut().enumerate() {
                *scale = write(panel * PANEL + column, &mut quantised, &mut weights);
                write_channel(column, &quantised, lines);
            }
        });
        packed
    }

    /// Number of output channels.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of elements in an output channel, without padding.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The scale of each output channel, padded with zeros to whole panels.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Copies the quantised values of output channel `index` to `out`, `(k)`.
    ///
    /// # Panics
    ///
    /// If there is no such channel, or `out` is not `k` long.
    pub fn channel(&self, index: usize, out: &mut [i8]) {
        assert!(
            index < self.n && out.len() == self.k,
            "channel {index} of {}, {} of {} values",
            self.n,
            out.len(),
            self.k
        );
        let lines = self.panels(index / PANEL, 1);
        for (line, out) in lines.iter().zip(out.chunks_mut(4)) {
            out.copy_from_slice(&line.0[index % PANEL * 4..][..out.len()]);
        }
    }

    /// Borrows `count` panels, starting at panel `first`.
    pub fn panels(&self, first: usize, count: usize) -> &[LineI8] {
        let panel_lines = padded_k(self.k) / 4;
        &self.lines[first * panel_lines..(first + count) * panel_lines]
    }
}

/// Writes the values of one output channel into the lines of its panel. `column` is the number of the channel within
/// the panel, 0 to 15.
pub(crate) fn write_channel(column: usize, values: &[i8], lines: &mut [LineI8]) {
    let (fours, rest) = values.as_chunks::<4>();
    for (line, four) in lines.iter_mut().zip(fours) {
        line.0.as_chunks_mut::<4>().0[column] = *four;
    }
    if !rest.is_empty() {
        lines[fours.len()].0[column * 4..][..rest.len()].copy_from_slice(rest);
    }
}
