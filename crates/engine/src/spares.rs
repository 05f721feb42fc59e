//! Memory that is lent to a window or a sequence and comes back when that ends: megabytes made anew for every window
//! would cost page faults, and leave holes that the heap never closes.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

type Shelf<T> = Arc<Mutex<Vec<T>>>;

/// Values that nobody uses at the moment; never more than were in use at once.
#[derive(Debug)]
pub(crate) struct Spares<T> {
    shelf: Shelf<T>,
    /// What is done to a value that comes back.
    tidy: fn(&mut T),
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self::tidied(|_| {})
    }
}

impl<T> Spares<T> {
    /// None yet; what comes back is made fit to be kept.
    pub(crate) fn tidied(tidy: fn(&mut T)) -> Self {
        Self { shelf: Arc::default(), tidy }
    }

    /// A spare value as its last user left it, or a new one.
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> Lent<T> {
        // A shelf is valid between any two statements, so a poisoned one is as good as any.
        let spare = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent { value: Some(spare.unwrap_or_else(make)), shelf: Arc::clone(&self.shelf), tidy: self.tidy }
    }
}

/// A value that goes back where it came from.
#[derive(Debug)]
pub(crate) struct Lent<T> {
    /// None only while it is dropped.
    value: Option<T>,
    shelf: Shelf<T>,
    tidy: fn(&mut T),
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("only dropping takes the value")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("only dropping takes the value")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.value.iter_mut().for_each(self.tidy);
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).extend(self.value.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_lent_again() {
        let spares = Spares::default();
        let mut first = spares.take(|| vec![0]);
        let second = spares.take(|| vec![1]);
        first.push(7);
        drop(first);
        assert_eq!(*spares.take(|| vec![2]), [0, 7]);
        drop(second);
        assert_eq!(spares.shelf.lock().unwrap().len(), 2);
    }

    #[test]
    fn what_is_given_back_is_tidied() {
        let spares = Spares::tidied(|value: &mut Vec<i32>| value.truncate(1));
        drop(spares.take(|| vec![1, 2, 3]));
        assert_eq!(*spares.take(Vec::new), [1]);
    }
}
