//! Lines and panels: the units in which packed matrices are stored.
//!
//! A *panel* is 16 output channels of a packed matrix. It is stored as consecutive 64-byte *lines*; a line holds the
//! same few `k` of all 16 channels. [`crate::gemm`] explains why this layout suits every instruction set.

/// Number of output channels in a panel.
pub const PANEL: usize = 16;

/// A line of int8 weights: four consecutive `k` of each of a panel's 16 channels. The index is `channel * 4 + k % 4`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LineI8(pub [i8; 64]);

/// A line of bf16 weights, as bits: two consecutive `k` of each of a panel's 16 channels. The index is `channel * 2 +
/// k % 2`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LineBf16(pub [u16; 32]);

/// A line of f32 weights: one `k` of each of a panel's 16 channels. The index is `channel`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LineF32(pub [f32; PANEL]);

impl LineI8 {
    /// Prefetches a later line of a panel into the L2 cache: the one that lies `distance` lines after `line`, or 64
    /// lines after it if `distance` is less than 64.
    ///
    /// A product of few rows reads its panels from L3 or from memory. Without the prefetch, the arithmetic would wait
    /// for these reads.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "one instruction in the innermost loops")]
    pub(crate) fn prefetch_ahead(line: *const Self, distance: usize) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        /// The number of lines in a page of 4 KiB. The hardware prefetcher already loads lines that are nearer than
        /// this.
        const MIN_LINES: usize = 64;
        // SAFETY: prefetching is a hint that reads no memory and cannot fault, whatever the address. Every x86-64
        // processor has the instruction. `wrapping_add` may leave the allocation because the pointer is never
        // dereferenced.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.wrapping_add(distance.max(MIN_LINES)).cast()) };
    }
}

/// Along `k`, rows and panels are padded with zeros to a multiple of this many bytes: the depth of an AMX tile.
pub(crate) const K_ALIGNMENT: usize = 64;

/// The depth `k` of an int8 matrix, rounded up to include the padding.
pub(crate) fn padded_k(k: usize) -> usize {
    k.next_multiple_of(K_ALIGNMENT)
}
