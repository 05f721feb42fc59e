//! Memory for what is kept and read over and over: weights, keys and values.
//!
//! It comes in large pieces, on huge pages where the system has them. With ordinary pages, a stream of weights stops for
//! an address every 4 KiB, which costs a quarter of the bandwidth.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::gemm::{LineBf16, LineI8};

/// The size of a huge page, on x86-64 and most others.
const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a piece, unless more are asked for at once.
const PIECE: usize = 16 << 20;

mod sealed {
    /// 64 bytes, aligned to 64, zeros being a value.
    pub trait Line: Copy + Send + Sync {}
}

impl sealed::Line for LineI8 {}
impl sealed::Line for LineBf16 {}

/// Hands out lines of large pieces. A piece is given back to the system with the last lines in it.
#[derive(Default)]
pub struct Arena {
    /// The piece in use, and how much of it was handed out.
    current: Mutex<Option<(Arc<Piece>, usize)>>,
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").finish_non_exhaustive()
    }
}

impl Arena {
    /// `length` lines, all zero.
    pub(crate) fn lines<L: sealed::Line>(&self, length: usize) -> Lines<L> {
        let bytes = length.checked_mul(size_of::<L>()).expect("a length that fits into memory");
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (piece, used) = match current.take() {
            Some((piece, used)) if bytes <= piece.layout.size() - used => (piece, used),
            _ => (Arc::new(Piece::new(bytes)), 0),
        };
        // SAFETY: `used + bytes` lies within the piece.
        let start: NonNull<L> = unsafe { piece.start.add(used) }.cast();
        *current = Some((Arc::clone(&piece), used + bytes));
        let mut lines = Lines { start, length, capacity: length, _piece: piece, owned: PhantomData };
        lines.clear();
        lines
    }
}

struct Piece {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a piece is only an address to be given back; its contents belong to the `Lines`.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    fn new(bytes: usize) -> Self {
        let size = bytes.max(PIECE).next_multiple_of(HUGE_PAGE);
        let layout = Layout::from_size_align(size, HUGE_PAGE).expect("a length that fits into memory");
        // SAFETY: the size is not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // Before the first touch, which is when pages are made. That the system may not do it is no failure.
        #[cfg(target_os = "linux")]
        // SAFETY: the range is this piece, and the call changes nothing of what it holds.
        unsafe {
            libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE);
        }
        Self { start, layout }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; all `Lines` in it are gone, for each holds the piece.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Lines in a piece, owned like a boxed slice.
pub(crate) struct Lines<L> {
    start: NonNull<L>,
    length: usize,
    /// Lines that are reserved.
    capacity: usize,
    _piece: Arc<Piece>,
    owned: PhantomData<L>,
}

impl<L: sealed::Line> Lines<L> {
    /// Becomes `length` lines, all zero, in the same memory if there is enough of it.
    pub(crate) fn reset(&mut self, arena: &Arena, length: usize) {
        if length > self.capacity {
            *self = arena.lines(length);
        } else {
            self.length = length;
            self.clear();
        }
    }

    fn clear(&mut self) {
        // SAFETY: `Arena::lines` gave `capacity >= length` lines of the piece to nobody else; zeros are lines.
        unsafe { self.start.write_bytes(0, self.length) };
    }
}

// SAFETY: like a boxed slice, this owns its lines, which can be sent.
unsafe impl<L: sealed::Line> Send for Lines<L> {}
// SAFETY: like a boxed slice, this gives out its lines by shared reference only through a shared reference.
unsafe impl<L: sealed::Line> Sync for Lines<L> {}

impl<L: sealed::Line> Deref for Lines<L> {
    type Target = [L];

    fn deref(&self) -> &[L] {
        // SAFETY: `Arena::lines` gave this part of the piece to nobody else, and `clear` initialised every line.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<L: sealed::Line> DerefMut for Lines<L> {
    fn deref_mut(&mut self) -> &mut [L] {
        // SAFETY: as in `deref`.
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
    fn lines_are_zero_aligned_and_apart() {
        let arena = Arena::default();
        let sizes = [3, 1, PIECE / 64, 0, 5, 2 * PIECE / 64 + 1, 7];
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
    fn lines_keep_their_memory_while_it_is_enough() {
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
