//! A pool of buffers that are reused from window to window. Allocating megabytes for every window would cost page faults
//! and fragment the heap.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

type FreeList<T> = Arc<Mutex<Vec<T>>>;

/// A pool of values that are reused. It keeps the values that are not in use. The pool never holds more values than
/// were in use at the same time.
#[derive(Debug)]
pub(crate) struct BufferPool<T> {
    free: FreeList<T>,
    /// Called on a value before it returns to the pool.
    reset: fn(&mut T),
}

impl<T> Default for BufferPool<T> {
    fn default() -> Self {
        Self::with_reset(|_| {})
    }
}

impl<T> BufferPool<T> {
    /// Creates an empty pool that calls `reset` on every value that is returned to it.
    pub(crate) fn with_reset(reset: fn(&mut T)) -> Self {
        Self { free: Arc::default(), reset }
    }

    /// Takes a value from the pool. The value has the contents that its previous user left in it. If the pool is
    /// empty, `make` creates a value.
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> Pooled<T> {
        // A thread that panics cannot leave the list in an invalid state, so a poisoned lock is used as it is.
        let reused = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Pooled { value: Some(reused.unwrap_or_else(make)), free: Arc::clone(&self.free), reset: self.reset }
    }
}

/// A value from a pool. It returns to the pool when it is dropped.
#[derive(Debug)]
pub(crate) struct Pooled<T> {
    /// The value is `None` only while it is being dropped.
    value: Option<T>,
    free: FreeList<T>,
    reset: fn(&mut T),
}

impl<T> Deref for Pooled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("only `drop` takes the value")
    }
}

impl<T> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("only `drop` takes the value")
    }
}

impl<T> Drop for Pooled<T> {
    fn drop(&mut self) {
        self.value.iter_mut().for_each(self.reset);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).extend(self.value.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_values_are_reused() {
        let pool = BufferPool::default();
        let mut first = pool.take(|| vec![0]);
        let second = pool.take(|| vec![1]);
        first.push(7);
        drop(first);
        assert_eq!(*pool.take(|| vec![2]), [0, 7]);
        drop(second);
        assert_eq!(pool.free.lock().unwrap().len(), 2);
    }

    #[test]
    fn dropped_values_are_reset() {
        let pool = BufferPool::with_reset(|value: &mut Vec<i32>| value.truncate(1));
        drop(pool.take(|| vec![1, 2, 3]));
        assert_eq!(*pool.take(Vec::new), [1]);
    }
}
