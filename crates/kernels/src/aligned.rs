//! Memory that begins at a cache line. Wide loads and stores that cross two lines cost twice, and the allocator's own
//! alignment makes nearly all of them do so.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

mod sealed {
    /// Every pattern of bits is a value.
    pub trait Number: Copy {
        const ZERO: Self;
    }
}

/// Numbers that can be kept in [`Aligned`].
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

/// A vector of numbers that begins at a cache line.
#[derive(Clone)]
pub struct Aligned<T> {
    /// Room for `length` numbers and no whole line more.
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
    /// Makes this `length` numbers long: those that it had stay, new ones are zero.
    ///
    /// # Panics
    /// If no memory can be that long.
    pub fn resize(&mut self, length: usize) {
        let bytes = length.checked_mul(size_of::<T>()).expect("a length that fits into memory");
        let lines = bytes.div_ceil(size_of::<Line>());
        // Twice the room, as vectors like to grow, would be megabytes that nobody uses.
        self.lines.reserve_exact(lines.saturating_sub(self.lines.len()));
        self.lines.resize(lines, Line([0; 64]));
        let old = std::mem::replace(&mut self.length, length);
        if old < length {
            // The last line may hold what was cut off before.
            self[old..].fill(T::ZERO);
        }
    }

    /// Becomes a copy of `values`.
    pub fn assign(&mut self, values: &[T]) {
        self.resize(values.len());
        self.copy_from_slice(values);
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `length` numbers (`resize`), aligned to more than a number needs; all bits are values.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`.
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
    fn begins_at_a_line_and_what_is_new_is_zero() {
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
