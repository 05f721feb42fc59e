//! Vectors whose elements start at a cache line (64 bytes). A wide load or store that touches two cache lines takes
//! twice as long as one inside a single cache line. The allocator aligns memory to only 16 bytes, so without this
//! type nearly every 64-byte access would touch two cache lines.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

mod sealed {
    /// Implemented only for types in which every bit pattern is a valid value. [`super::Aligned`] relies on this.
    pub trait Number: Copy {
        const ZERO: Self;
    }
}

/// Number types that [`Aligned`] can hold.
pub trait Number: sealed::Number + fmt::Debug {}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(
            impl sealed::Number for $type {
                const ZERO: Self = 0 as Self;
            }
            impl Number for $type {}
        )*
    };
}
numbers!(i8, u8, u16, i32, f32);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A vector of numbers that starts at a cache line.
#[derive(Clone)]
pub struct Aligned<T> {
    /// The memory of the vector: exactly as many 64-byte lines as `length` numbers need.
    lines: Vec<Line>,
    length: usize,
    numbers: PhantomData<T>,
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), length: 0, numbers: PhantomData }
    }
}

impl<T: Number> Aligned<T> {
    /// Sets the number of elements to `length`. Existing elements keep their values, and new elements are zero.
    ///
    /// # Panics
    ///
    /// If the size in bytes overflows.
    pub fn resize(&mut self, length: usize) {
        let bytes = length.checked_mul(size_of::<T>()).expect("the size in bytes fits into usize");
        let lines = bytes.div_ceil(size_of::<Line>());
        // `Vec` would double its capacity to grow, which wastes megabytes for buffers of this size.
        self.lines.reserve_exact(lines.saturating_sub(self.lines.len()));
        self.lines.resize(lines, Line([0; 64]));
        let old = std::mem::replace(&mut self.length, length);
        if old < length {
            // The final 64-byte line may still hold numbers from before an earlier call made the vector shorter, so
            // set all new elements to zero.
            self[old..].fill(T::ZERO);
        }
    }

    /// Replaces the contents by a copy of `values`.
    pub fn assign(&mut self, values: &[T]) {
        self.resize(values.len());
        self.copy_from_slice(values);
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `resize` keeps enough initialised lines for `length` numbers. Lines are aligned to 64 bytes, more
        // than any `Number` needs, and every bit pattern is a valid `Number`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `length` numbers are initialised, aligned and valid, as explained in `deref`. `&mut self` excludes
        // other references to them.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

impl<T: Number> fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_starts_at_a_cache_line_and_new_numbers_are_zero() {
        let mut numbers = Aligned::<i32>::default();
        for length in [1, 40, 3, 17, 100, 0, 5] {
            let kept = numbers.len().min(length);
            numbers.resize(length);
            assert_eq!(numbers.as_ptr().addr() % size_of::<Line>(), 0);
            assert_eq!(numbers[..kept], vec![7; kept]);
            assert_eq!(numbers[kept..], vec![0; length - kept]);
            numbers.fill(7);
        }
        numbers.assign(&[1, 2]);
        assert_eq!(*numbers, [1, 2]);
    }
}
