//! A mutable slice whose disjoint parts are written by several threads at once.

use std::marker::PhantomData;

/// A mutable slice that the tasks of one operation divide among themselves.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}
// SAFETY: elements are reachable only through `slice` and `columns`, whose contracts forbid overlapping ranges that are
// alive at once, so no element is accessed by two threads. `T: Send` lets an element be used from the thread that took
// it.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// Borrows the elements `start..start + length`.
    ///
    /// # Safety
    ///
    /// No element may be part of two slices that are alive at once.
    ///
    /// # Panics
    ///
    /// If the range does not lie inside the slice.
    #[allow(clippy::mut_from_ref, reason = "the safety contract keeps the slices disjoint")]
    pub(crate) unsafe fn slice(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start <= self.length && length <= self.length - start, "range outside the slice");
        // SAFETY: the range was just checked to be inside the slice, and by this function's contract it overlaps no
        // other slice that is alive.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }

    /// Borrows a block of `N` columns of a matrix: `count` rows of `N` elements. The first row starts at `start`, and
    /// rows start `stride` elements apart.
    ///
    /// # Safety
    ///
    /// No element may be part of two slices that are alive at once, as for [`Self::slice`]. So if several rows are
    /// alive at once, `stride` must be at least `N`.
    ///
    /// # Panics
    ///
    /// If the final row does not lie inside the slice.
    pub(crate) unsafe fn columns<const N: usize>(
        &self,
        start: usize,
        stride: usize,
        count: usize,
    ) -> impl Iterator<Item = &mut [T; N]> {
        let last = count.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(start));
        let is_inside = last.and_then(|last| last.checked_add(N)).is_some_and(|end| end <= self.length);
        assert!(count == 0 || is_inside, "columns outside the slice");
        // SAFETY: the final row, and so every row, was just checked to be inside the slice. By this function's
        // contract no row overlaps another slice that is alive.
        (0..count).map(move |index| unsafe { &mut *self.start.add(start + index * stride).cast() })
    }
}
