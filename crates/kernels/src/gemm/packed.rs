//! How matrices lie in memory: rows of activations, panels of weights.

use crate::arena::Lines;
use crate::norm::layer_norm_row;
use crate::pool::{Disjoint, scratch_of};
use crate::quantise::quantise_row;
use crate::{Aligned, Arena, Context, Pool, Scratch};

/// Output channels in a panel.
pub const PANEL: usize = 16;

/// Four `k` of each of a panel's 16 channels: `[channel * 4 + k % 4]`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LineI8(pub [i8; 64]);

/// Two `k`, in bf16, of each of a panel's 16 channels: `[channel * 2 + k % 2]`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LineBf16(pub [u16; 32]);

impl LineI8 {
    /// Asks the memory for a line at least `distance` lines ahead of this one, in the tile to come: where rows are few,
    /// panels come from afar, and arithmetic would wait for them.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "one instruction in the innermost loops")]
    pub(super) fn prefetch_ahead(line: *const Self, distance: usize) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        /// A page: nearer than this, the line is on its way already.
        const LEAST: usize = 64;
        // SAFETY: prefetching is a hint that reads nothing, whatever the address; every x86-64 processor knows it.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.wrapping_add(distance.max(LEAST)).cast()) };
    }
}

/// One `k` of each of a panel's 16 channels.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LineF32(pub [f32; PANEL]);

const ZERO_F32: LineF32 = LineF32([0.0; PANEL]);

/// A row is padded with zeros to a multiple of these bytes, the depth of an AMX tile.
const K_ALIGNMENT: usize = 64;

pub(crate) fn padded_k(k: usize) -> usize {
    k.next_multiple_of(K_ALIGNMENT)
}

/// A borrowed matrix in rows, in lines of which four bytes a channel are multiplied at once.
#[derive(Clone, Copy, Debug)]
pub struct RowsOf<'a, T> {
    /// `(rows, stride)`; each row is padded with zeros to a whole number of lines.
    pub data: &'a [T],
    /// Elements from one row to the next.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Elements of a row that count, padding included.
    pub padded_k: usize,
}

/// Signed: activations, -127..=127.
pub type RowsI8<'a> = RowsOf<'a, i8>;
/// Unsigned: the weights of attention, 0..=255.
pub type RowsU8<'a> = RowsOf<'a, u8>;
/// The bits of bf16 numbers.
pub type RowsBf16<'a> = RowsOf<'a, u16>;

impl<T> RowsOf<'_, T> {
    /// Lines of a panel that a row is multiplied with.
    pub fn lines(&self) -> usize {
        self.padded_k * size_of::<T>() / 4
    }

    /// Up to `count` rows from `first` on.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn slice(&self, first: usize, count: usize) -> Self {
        let data = &self.data[(first * self.stride).min(self.data.len())..];
        Self { data, rows: count.min(self.rows - first), ..*self }
    }

    /// The number of panels in `b`, which these rows are multiplied with.
    ///
    /// # Panics
    /// If the lengths do not agree: what a kernel may rely on afterwards.
    pub(super) fn panels_of<L>(&self, b: &[L]) -> usize {
        let bytes = self.padded_k.checked_mul(size_of::<T>()).unwrap_or(0);
        assert!(bytes > 0 && bytes.is_multiple_of(K_ALIGNMENT), "rows are not padded");
        let panels = b.len() / self.lines();
        assert!(b.len() == panels * self.lines(), "panels of another depth");
        assert!(holds(self.data, self.rows, self.stride, self.padded_k), "rows end before their time");
        panels
    }

    /// The same, for rows that fill `sums`.
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub(super) fn check<L, S>(&self, b: &[L], sums: &[S]) -> usize {
        let panels = self.panels_of(b);
        assert!(self.rows.checked_mul(panels * PANEL) == Some(sums.len()), "block of another shape");
        panels
    }
}

/// Whether `data` holds `rows` rows of `length`, `stride` apart, whatever these numbers are.
fn holds<T>(data: &[T], rows: usize, stride: usize, length: usize) -> bool {
    let end = rows.checked_sub(1).map(|last| last.checked_mul(stride).and_then(|start| start.checked_add(length)));
    end.is_none_or(|end| end.is_some_and(|end| end <= data.len()))
}

/// A borrowed f32 matrix in rows, which may overlap (the windows of a convolution).
#[derive(Clone, Copy, Debug)]
pub struct RowsF32<'a> {
    /// Row `r` is `data[r * stride..][..k]`.
    pub data: &'a [f32],
    /// Elements from one row to the next.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Elements in a row.
    pub k: usize,
}

impl<'a> RowsF32<'a> {
    /// A plain `(rows, k)` matrix.
    ///
    /// # Panics
    /// If `k` is zero or does not divide the length.
    pub fn new(data: &'a [f32], k: usize) -> Self {
        assert!(k > 0 && data.len().is_multiple_of(k), "{} elements are no rows of {k}", data.len());
        Self { data, stride: k, rows: data.len() / k, k }
    }

    /// One row.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.k]
    }

    /// What a kernel that multiplies these rows with `b` into `out` may rely on afterwards.
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub(super) fn check(&self, b: PanelsF32<'_>, out: &[f32]) {
        let width = b.count.checked_mul(PANEL);
        assert!(width.and_then(|width| self.rows.checked_mul(width)) == Some(out.len()), "block of another shape");
        assert!(holds(self.data, self.rows, self.stride, self.k), "rows end before their time");
        assert!(holds(b.lines, b.count, b.stride, self.k), "panels end before their time");
    }

    /// `count` rows from `first` on.
    #[must_use]
    pub fn slice(&self, first: usize, count: usize) -> Self {
        Self { data: &self.data[(first * self.stride).min(self.data.len())..], rows: count, ..*self }
    }
}

/// Borrowed f32 panels. A product over fewer `k` than a panel has lines takes the first ones.
#[derive(Clone, Copy, Debug)]
pub struct PanelsF32<'a> {
    /// Panel `p` is `lines[p * stride..][..k]`.
    pub lines: &'a [LineF32],
    /// Lines from one panel to the next.
    pub stride: usize,
    /// Number of panels.
    pub count: usize,
}

/// Activations `(rows, k)` in int8, one scale a row: `value = q * scale`.
#[derive(Clone, Debug, Default)]
pub struct QuantisedRows {
    rows: usize,
    k: usize,
    stride: usize,
    data: Aligned<i8>,
    scales: Vec<f32>,
    /// Values on their way to becoming this, kept for their memory.
    values: Aligned<f32>,
}

impl QuantisedRows {
    /// Makes this a matrix of the given shape; contents are left undefined until each row is written.
    pub fn reset(&mut self, rows: usize, k: usize) {
        // An odd number of cache lines from row to row: else rows would crowd into a few sets of the cache.
        let stride = padded_k(k) | K_ALIGNMENT;
        if (self.k, self.stride) != (k, stride) {
            // The padding at the end of each row must be zero, and rows now end elsewhere.
            self.data.resize(0);
        }
        self.data.resize(rows * stride);
        self.scales.resize(rows, 0.0);
        (self.rows, self.k, self.stride) = (rows, k, stride);
    }

    /// Becomes `source`, each row quantised with its own scale.
    pub fn assign(&mut self, context: &Context, source: RowsF32<'_>) {
        self.reset(source.rows, source.k);
        self.fill(&context.pool, &|row, quantised, _| quantise_row(context.cpu, source.row(row), quantised));
    }

    /// Becomes the layer norm of `source`, quantised; `weight` and `bias` are `(k)`.
    pub fn assign_layer_norm(&mut self, context: &Context, source: RowsF32<'_>, weight: &[f32], bias: &[f32]) {
        self.reset(source.rows, source.k);
        self.fill(&context.pool, &|row, quantised, scratch| {
            let normalised = scratch_of(&mut scratch.block, source.k);
            layer_norm_row(context.cpu, source.row(row), weight, bias, normalised);
            quantise_row(context.cpu, normalised, quantised)
        });
    }

    /// Writes each row by `write(row, quantised, scratch) -> scale`, in parallel.
    pub(super) fn fill(&mut self, pool: &Pool, write: &(dyn Fn(usize, &mut [i8], &mut Scratch) -> f32 + Sync)) {
        let (rows, k, stride) = (self.rows, self.k, self.stride);
        let (data, scales) = (Disjoint::new(&mut self.data), Disjoint::new(&mut self.scales));
        pool.run(rows, &|row, scratch| {
            // SAFETY: each row is visited once, and rows do not overlap.
            let (quantised, scale) = unsafe { (data.slice(row * stride, k), scales.slice(row, 1)) };
            scale[0] = write(row, quantised, scratch);
        });
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements in a row, padding left out.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The scale of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The values of one row.
    pub fn row(&self, index: usize) -> &[i8] {
        &self.data[index * self.stride..][..self.k]
    }

    /// `count` rows from `first` on, as a kernel takes them.
    pub fn slice(&self, first: usize, count: usize) -> RowsI8<'_> {
        let data = &self.data[first * self.stride..(first + count) * self.stride];
        RowsI8 { data, stride: self.stride, rows: count, padded_k: padded_k(self.k) }
    }

    /// Memory for values that are quantised afterwards; back with [`Self::keep_values`].
    pub(super) fn take_values(&mut self) -> Aligned<f32> {
        std::mem::take(&mut self.values)
    }

    pub(super) fn keep_values(&mut self, values: Aligned<f32>) {
        self.values = values;
    }

    /// All parts for a writer that fills rows from several threads: `(data, stride, scales)`.
    pub(super) fn parts(&mut self) -> (&mut [i8], usize, &mut [f32]) {
        (&mut self.data, self.stride, &mut self.scales)
    }
}

/// Weights `(n, k)` in int8 panels, one scale an output channel: `value = q * scale`.
#[derive(Debug)]
pub struct PackedI8 {
    n: usize,
    k: usize,
    lines: Lines<LineI8>,
    scales: Vec<f32>,
}

/// Writes the quantised weights of an output channel and returns their scale; the vector is for the writer's own use.
type ChannelWriter<'a> = dyn Fn(usize, &mut [i8], &mut Vec<f32>) -> f32 + Sync + 'a;

impl PackedI8 {
    /// Quantises f32 weights, symmetric, the largest magnitude of each output channel becoming 127.
    /// `row(channel, out)` writes the `k` weights of a channel; it is called from several threads.
    pub fn quantise(context: &Context, n: usize, k: usize, row: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Self {
        Self::pack(context, n, k, &|channel, quantised, weights| {
            weights.resize(k, 0.0);
            row(channel, weights);
            quantise_row(context.cpu, weights, quantised)
        })
    }

    /// Takes weights that a file already holds in int8. `row(channel, out)` writes the `k` values of a channel and
    /// returns its scale.
    pub fn from_int8(context: &Context, n: usize, k: usize, row: &(dyn Fn(usize, &mut [i8]) -> f32 + Sync)) -> Self {
        Self::pack(context, n, k, &|channel, quantised, _| row(channel, quantised))
    }

    /// All zeros, for [`PackedI8::parts`] to fill.
    pub(crate) fn zeros(arena: &Arena, n: usize, k: usize) -> Self {
        let panels = n.div_ceil(PANEL);
        Self { n, k, lines: arena.lines(panels * padded_k(k) / 4), scales: vec![0.0; panels * PANEL] }
    }

    /// Becomes `(n, k)`, all zeros, in the same memory if there is enough of it.
    pub(crate) fn reset(&mut self, arena: &Arena, n: usize, k: usize) {
        let panels = n.div_ceil(PANEL);
        (self.n, self.k) = (n, k);
        self.lines.reset(arena, panels * padded_k(k) / 4);
        self.scales.clear();
        self.scales.resize(panels * PANEL, 0.0);
    }

    /// `(lines, scales)`, to be overwritten.
    pub(crate) fn parts(&mut self) -> (&mut [LineI8], &mut [f32]) {
        (&mut self.lines, &mut self.scales)
    }

    fn pack(context: &Context, n: usize, k: usize, write: &ChannelWriter<'_>) -> Self {
        let panel_lines = padded_k(k) / 4;
        let mut packed = Self::zeros(&context.arena, n, k);
        let shared_scales = Disjoint::new(&mut packed.scales);
        context.pool.chunks_mut(&mut packed.lines, panel_lines, &|panel, lines, _| {
            // SAFETY: each panel is visited once, and its 16 scales belong to it alone.
            let scales = unsafe { shared_scales.slice(panel * PANEL, PANEL) };
            let (mut quantised, mut weights) = (vec![0; k], Vec::new());
            for (column, scale) in scales[..PANEL.min(n - panel * PANEL)].iter_mut().enumerate() {
                *scale = write(panel * PANEL + column, &mut quantised, &mut weights);
                place(column, &quantised, lines);
            }
        });
        packed
    }

    /// Output channels.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Elements in a channel, padding left out.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The scale of each output channel, padded with zeros to whole panels.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The values of an output channel, `(k)`.
    ///
    /// # Panics
    /// If there is no such channel, or `out` has another length.
    pub fn channel(&self, index: usize, out: &mut [i8]) {
        assert!(index < self.n && out.len() == self.k, "no such channel, or one of another depth");
        let lines = self.panels(index / PANEL, 1);
        for (line, out) in lines.iter().zip(out.chunks_mut(4)) {
            out.copy_from_slice(&line.0[index % PANEL * 4..][..out.len()]);
        }
    }

    /// `count` panels from `first` on.
    pub fn panels(&self, first: usize, count: usize) -> &[LineI8] {
        let panel_lines = padded_k(self.k) / 4;
        &self.lines[first * panel_lines..(first + count) * panel_lines]
    }
}

/// Writes the values of one output channel, `column` of its panel, into the panel's lines.
pub(crate) fn place(column: usize, values: &[i8], lines: &mut [LineI8]) {
    let (fours, rest) = values.as_chunks::<4>();
    for (line, four) in lines.iter_mut().zip(fours) {
        line.0.as_chunks_mut::<4>().0[column] = *four;
    }
    if !rest.is_empty() {
        lines[fours.len()].0[column * 4..][..rest.len()].copy_from_slice(rest);
    }
}

/// Weights, keys or values `(n, k)` in f32 panels.
#[derive(Clone, Debug)]
pub struct PackedF32 {
    n: usize,
    k: usize,
    lines: Vec<LineF32>,
}

impl PackedF32 {
    /// All zeros, for [`PackedF32::set_channel`] and [`PackedF32::set_element`] to fill.
    pub fn zeros(n: usize, k: usize) -> Self {
        Self { n, k, lines: vec![ZERO_F32; n.div_ceil(PANEL) * k] }
    }

    /// Becomes `(n, k)`, all zeros, in the same memory if there is enough of it.
    pub(crate) fn reset(&mut self, n: usize, k: usize) {
        (self.n, self.k) = (n, k);
        self.lines.clear();
        self.lines.resize(n.div_ceil(PANEL) * k, ZERO_F32);
    }

    /// Packs weights; `row(channel, out)` writes the `k` weights of a channel and is called from several threads.
    pub fn pack(pool: &Pool, n: usize, k: usize, row: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Self {
        let mut packed = Self::zeros(n, k);
        pool.chunks_mut(&mut packed.lines, k, &|panel, lines, _| {
            let mut weights = vec![0.0; k];
            for column in 0..PANEL.min(n - panel * PANEL) {
                row(panel * PANEL + column, &mut weights);
                for (line, weight) in lines.iter_mut().zip(&weights) {
                    line.0[column] = *weight;
                }
            }
        });
        packed
    }

    /// Output channels.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Elements in a channel.
    pub fn k(&self) -> usize {
        self.k
    }

    /// `count` panels from `first` on.
    pub fn panels(&self, first: usize, count: usize) -> PanelsF32<'_> {
        PanelsF32 { lines: &self.lines[first * self.k..(first + count) * self.k], stride: self.k, count }
    }

    /// Writes one output channel, all `k` of it.
    ///
    /// # Panics
    /// If `values` is not `k` long or `channel` is out of range.
    pub fn set_channel(&mut self, channel: usize, values: &[f32]) {
        assert!(channel < self.n && values.len() == self.k, "a channel of another shape");
        let panel = &mut self.lines[channel / PANEL * self.k..][..self.k];
        for (line, value) in panel.iter_mut().zip(values) {
            line.0[channel % PANEL] = *value;
        }
    }

    /// Writes element `index` of every output channel.
    ///
    /// # Panics
    /// If `values` is not `n` long or `index` is out of range.
    pub fn set_element(&mut self, index: usize, values: &[f32]) {
        assert!(index < self.k && values.len() == self.n, "an element of another shape");
        for (panel, values) in values.chunks(PANEL).enumerate() {
            self.lines[panel * self.k + index].0[..values.len()].copy_from_slice(values);
        }
    }
}
