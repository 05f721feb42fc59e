//! Memory for packed weights and for the keys and values of attention. The matrix products read this memory
//! sequentially, many times.
//!
//! The memory is allocated in large pieces, on huge pages if the system supports them. On ordinary 4 KiB pages,
//! address translation (TLB misses) costs a quarter of the read bandwidth.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lines::{LineBf16, LineI8};

/// Size of a huge page in bytes, on x86-64 and most other architectures.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Size in bytes of the memory pieces that an [`Arena`] requests from the allocator. If a single allocation is
/// larger, its piece is larger too.
const PIECE_BYTES: usize = 16 << 20;

mod sealed {
    /// A 64-byte unit of packed weights. Implemented only for types of 64 bytes, aligned to 64, for which all-zero
    /// bytes are a valid value.
    pub trait Line: Copy + Send + Sync {}
}

impl sealed::Line for LineI8 {}
impl sealed::Line for LineBf16 {}

/// Allocates lines (64-byte units of packed weights) from large pieces of memory. A piece is freed when the arena no
/// longer allocates from it and all its allocations are dropped.
#[derive(Default)]
pub struct Arena {
    /// The piece of memory that new allocations are taken from, and how many of its bytes are already in use.
    current: Mutex<Option<(Arc<Piece>, usize)>>,
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").finish_non_exhaustive()
    }
}

impl Arena {
    /// Allocates `length` lines of 64 bytes, filled with zeros.
    pub(crate) fn lines<L: sealed::Line>(&self, length: usize) -> Lines<L> {
        let bytes = length.checked_mul(size_of::<L>()).expect("the size in bytes fits into usize");
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (piece, used) = match current.take() {
            Some((piece, used)) if bytes <= piece.layout.size() - used => (piece, used),
            _ => (Arc::new(Piece::new(bytes)), 0),
        };
        // SAFETY: `used + bytes <= piece.layout.size()`, checked above for a piece in use and ensured by `Piece::new`
        // for a new one. So the pointer stays inside the allocation.
        let start: NonNull<L> = unsafe { piece.start.add(used) }.cast();
        *current = Some((Arc::clone(&piece), used + bytes));
        let mut lines = Lines { start, length, capacity: length, _piece: piece, owned: PhantomData };
        lines.clear();
        lines
    }
}

/// One large piece of memory, aligned to a huge page. It is freed when it is dropped.
struct Piece {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a `Piece` only frees its allocation; it never accesses the memory. The memory is accessed through `Lines`,
// each of which owns its own part.
unsafe impl Send for Piece {}
// SAFETY: a shared `Piece` gives no access to the memory, for the same reason as for `Send`.
unsafe impl Sync for Piece {}

impl Piece {
    fn new(bytes: usize) -> Self {
        let size = bytes.max(PIECE_BYTES).next_multiple_of(HUGE_PAGE_BYTES);
        let layout = Layout::from_size_align(size, HUGE_PAGE_BYTES).expect("the size in bytes fits into isize");
        // SAFETY: the size of the layout is not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // The advice must come before the first access, because the system decides on the page size when a page is
        // first accessed. Errors are ignored: ordinary pages work too, only slower.
        #[cfg(target_os = "linux")]
        // SAFETY: the range is exactly this allocation, and `MADV_HUGEPAGE` does not change its contents.
        unsafe {
            libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE);
        }
        Self { start, layout }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: `new` allocated this memory with this layout. No `Lines` refers to it any more, because each of
        // them holds an `Arc` of the piece.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// An owned slice of 64-byte lines inside a [`Piece`]. It behaves like a boxed slice.
pub(crate) struct Lines<L> {
    start: NonNull<L>,
    length: usize,
    /// Number of lines that are allocated for this slice, at least `length`.
    capacity: usize,
    _piece: Arc<Piece>,
    owned: PhantomData<L>,
}

impl<L: sealed::Line> Lines<L> {
    /// Sets the length to `length` lines of 64 bytes and fills them with zeros. Reuses the memory if it is large
    /// enough, otherwise allocates new memory from `arena`.
    pub(crate) fn reset(&mut self, arena: &Arena, length: usize) {
        if length > self.capacity {
            *self = arena.lines(length);
        } else {
            self.length = length;
            self.clear();
        }
    }

    fn clear(&mut self) {
        // SAFETY: `Arena::lines` reserved `capacity >= length` lines of the piece for this slice alone, and all-zero
        // bytes are a valid line (`sealed::Line`).
        unsafe { self.start.write_bytes(0, self.length) };
    }
}

// SAFETY: like a boxed slice, `Lines` owns its elements, and every line type is `Send` (`sealed::Line`).
unsafe impl<L: sealed::Line> Send for Lines<L> {}
// SAFETY: like a boxed slice, a shared `Lines` gives only shared references to its elements, and every line type is
// `Sync`.
unsafe impl<L: sealed::Line> Sync for Lines<L> {}

impl<L: sealed::Line> Deref for Lines<L> {
    type Target = [L];

    fn deref(&self) -> &[L] {
        // SAFETY: `Arena::lines` reserved this part of the piece for this slice alone, and `clear` initialised
        // `length` lines.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<L: sealed::Line> DerefMut for Lines<L> {
    fn deref_mut(&mut self) -> &mut [L] {
        // SAFETY: as in `deref`, and `&mut self` excludes other references to the lines.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<L> fmt::Debug for Lines<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocated_lines_are_zero_aligned_and_do_not_overlap() {
        let arena = Arena::default();
        let sizes = [3, 1, PIECE_BYTES / 64, 0, 5, 2 * PIECE_BYTES / 64 + 1, 7];
        let mut all: Vec<Lines<LineI8>> = sizes.iter().map(|size| arena.lines(*size)).collect();
        drop(arena);
        for (value, lines) in (1..).zip(&mut all) {
            assert!(lines.iter().all(|line| line.0 == [0; 64]) && lines.as_ptr().is_aligned());
            lines.fill(LineI8([value; 64]));
        }
        for ((value, lines), size) in (1..).zip(&all).zip(sizes) {
            assert!(lines.len() == size && lines.iter().all(|line| line.0 == [value; 64]));
        }
    }

    #[test]
    fn reset_reuses_the_memory_while_it_is_large_enough() {
        let arena = Arena::default();
        let mut lines: Lines<LineI8> = arena.lines(5);
        let start = lines.as_ptr();
        for length in [3, 5, 0, 4] {
            lines.fill(LineI8([1; 64]));
            lines.reset(&arena, length);
            assert!(lines.len() == length && lines.iter().all(|line| line.0 == [0; 64]));
            assert_eq!(lines.as_ptr(), start);
        }
        lines.reset(&arena, 6);
        assert!(lines.len() == 6 && lines.iter().all(|line| line.0 == [0; 64]));
    }
}
