//! Whose window is next: callers have equal shares of the recordings' seconds, so that a short recording does not wait
//! for a long one.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): a clock shows what the caller who is served now has had;
//! who comes, or comes back, begins at the clock. And who holds places enough lets some time go by before the next while the
//! first item of another is served: what is short is done sooner for that, and what is long hardly later.

use std::collections::{HashMap, VecDeque};

/// Places enough.
const ENOUGH: usize = 2;

/// Steps between two items of a caller with places enough while another's first is served.
const PAUSE: usize = 32;

/// What callers wait for.
pub(crate) struct Turns<T> {
    callers: HashMap<u64, Caller<T>>,
    /// Seconds that the caller who was served last had had.
    clock: f64,
    /// Places for all, and some more for callers that have none.
    places: usize,
    spare: usize,
    taken: usize,
    /// Callers whose first item is being served.
    fresh: usize,
    /// Steps since a caller with places enough had another.
    steps: usize,
}

struct Caller<T> {
    /// With the seconds of each.
    waiting: VecDeque<(f64, T)>,
    /// Seconds that were served.
    served: f64,
    /// Places taken.
    taken: usize,
    /// Whether it is new here, and whether its first item is being served.
    is_new: bool,
    is_fresh: bool,
}

impl<T> Default for Caller<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), served: 0.0, taken: 0, is_new: true, is_fresh: false }
    }
}

impl<T> Turns<T> {
    /// `places` for all; callers that have none may take as many as `spare` more.
    pub(crate) fn new(places: usize, spare: usize) -> Self {
        Self { callers: HashMap::new(), clock: 0.0, places, spare, taken: 0, fresh: 0, steps: 0 }
    }

    /// `caller` wants `item`, which is so many `seconds` long; items of a caller stay in order.
    pub(crate) fn push(&mut self, caller: u64, seconds: f64, item: T) {
        let clock = self.clock;
        let caller = self.callers.entry(caller).or_default();
        if caller.waiting.is_empty() {
            caller.served = caller.served.max(clock);
        }
        caller.waiting.push_back((seconds, item));
    }

    /// The next item, and its caller, who has a place from now on; none if there is no item or no place for one.
    pub(crate) fn next(&mut self) -> Option<(u64, T)> {
        let (places, taken, fresh, steps) = (self.places, self.taken, self.fresh, self.steps);
        let may = |caller: &Caller<T>| {
            let places = if caller.taken == 0 { places + self.spare } else { places };
            let others_are_fresh = fresh > usize::from(caller.is_fresh);
            let pauses = caller.taken >= ENOUGH && others_are_fresh && steps < PAUSE;
            taken < places && !pauses && !caller.waiting.is_empty()
        };
        let waiting = self.callers.iter_mut().filter(|(_, caller)| may(caller));
        // Who came first is who has the lower number.
        let (&number, caller) = waiting.min_by(|a, b| a.1.served.total_cmp(&b.1.served).then(a.0.cmp(b.0)))?;
        let (seconds, item) = caller.waiting.pop_front()?;
        self.clock = self.clock.max(caller.served);
        if caller.taken >= ENOUGH {
            self.steps = 0;
        }
        if std::mem::take(&mut caller.is_new) {
            caller.is_fresh = true;
            self.fresh += 1;
        }
        caller.served += seconds;
        caller.taken += 1;
        self.taken += 1;
        Some((number, item))
    }

    /// `caller` gives a place back.
    pub(crate) fn done(&mut self, caller: u64) {
        self.taken -= 1;
        if let Some(caller) = self.callers.get_mut(&caller) {
            caller.taken -= 1;
            self.fresh -= usize::from(std::mem::take(&mut caller.is_fresh));
        }
    }

    /// Those who have places are served for a step.
    pub(crate) fn step(&mut self) {
        self.steps = self.steps.saturating_add(1);
    }

    /// `caller` will not come back, nor wants what waits. Its places are still to be given back.
    pub(crate) fn leave(&mut self, caller: u64) {
        let left = self.callers.remove(&caller);
        self.fresh -= usize::from(left.is_some_and(|caller| caller.is_fresh));
    }

    /// Items that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.callers.values().map(|caller| caller.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The callers of the next items, one place after the other.
    fn served(turns: &mut Turns<u32>, count: usize) -> Vec<u64> {
        let serve = |_| {
            let (caller, _) = turns.next()?;
            turns.done(caller);
            Some(caller)
        };
        (0..count).map_while(serve).collect()
    }

    #[test]
    fn shares_are_equal_in_seconds() {
        let mut turns = Turns::new(1, 0);
        for item in 0..12 {
            turns.push(1, 30.0, item);
            turns.push(2, 10.0, item);
        }
        let order = served(&mut turns, 12);
        assert_eq!(order.iter().filter(|caller| **caller == 1).count(), 3);
    }

    #[test]
    fn who_comes_later_waits_for_one_and_cannot_claim_the_past() {
        let mut turns = Turns::new(1, 0);
        for item in 0..20 {
            turns.push(1, 30.0, item);
        }
        served(&mut turns, 10);
        for item in 0..4 {
            turns.push(2, 30.0, item);
        }
        assert_eq!(served(&mut turns, 5), [2, 1, 2, 1, 2]);
    }

    #[test]
    fn places_are_limited_and_some_are_kept_for_newcomers() {
        let mut turns = Turns::new(2, 1);
        for item in 0..4 {
            turns.push(1, 30.0, item);
        }
        assert!(turns.next().is_some() && turns.next().is_some() && turns.next().is_none());
        turns.push(2, 5.0, 7);
        turns.push(2, 5.0, 8);
        assert_eq!(turns.next(), Some((2, 7)));
        assert_eq!((turns.next(), turns.taken, turns.waiting()), (None, 3, 3));
        turns.leave(1);
        assert_eq!((turns.taken, turns.waiting()), (3, 1));
        turns.done(1);
        turns.done(1);
        assert_eq!(turns.next(), Some((2, 8)));
    }

    #[test]
    fn who_has_enough_pauses_for_who_is_new() {
        let mut turns = Turns::new(4, 1);
        (0..9).for_each(|item| turns.push(1, 30.0, item));
        let filled = std::iter::from_fn(|| turns.next()).count();
        assert_eq!(filled, 4, "alone, nobody pauses");
        turns.push(2, 5.0, 7);
        assert_eq!(turns.next(), Some((2, 7)));
        turns.done(1);
        turns.done(1);
        turns.step();
        assert_eq!(turns.next(), None);
        (0..PAUSE).for_each(|_| turns.step());
        assert_eq!((turns.next(), turns.next()), (Some((1, 4)), None));
        turns.done(2);
        assert_eq!(turns.next(), Some((1, 5)));
    }

    #[test]
    fn items_of_a_caller_stay_in_order() {
        let mut turns = Turns::new(8, 0);
        (0..5).for_each(|item| turns.push(3, 1.0, item));
        let items: Vec<u32> = std::iter::from_fn(|| turns.next()).map(|(_, item)| item).collect();
        assert_eq!(items, [0, 1, 2, 3, 4]);
    }
}
