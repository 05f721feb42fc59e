//! Decides which window is decoded next. Every client (a recording or a live stream) gets an equal share of the
//! engine, measured in seconds of audio, so that a short recording does not wait until a long recording is finished.
//!
//! The order is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996). The start tag of an item is the number
//! of seconds of audio that its client was served before the item. The queue takes the item with the lowest start tag
//! and sets the virtual time to this tag. When an idle client becomes active again, its start tag is raised to the
//! virtual time, so that idle time does not count as credit.
//!
//! A batch slot holds one window while it is decoded. While the first window of a new client is in the batch, other
//! clients that already hold at least [`MIN_SLOTS`] slots together get only one further slot every
//! [`REFILL_INTERVAL_STEPS`] decoding steps. The batch then gets smaller, and a smaller batch has faster steps. So
//! the first window of the new client finishes sooner, and the other clients lose little time.

use std::collections::{HashMap, VecDeque};

/// While the first item (window to decode) of a new client is in the batch, other clients that hold at least this
/// many batch slots have to wait for further slots.
const MIN_SLOTS: usize = 2;

/// While the first item (window to decode) of a new client is in the batch, clients that hold at least [`MIN_SLOTS`]
/// slots together get only one further slot in this many decoding steps.
const REFILL_INTERVAL_STEPS: usize = 32;

/// The queue of windows that wait to be decoded, called items here. Each client has its own list of items.
pub(super) struct FairQueue<T> {
    clients: HashMap<u64, ClientQueue<T>>,
    /// The virtual time of fair queueing: the highest start tag of all items taken so far, in seconds of audio.
    virtual_time_s: f64,
    /// The number of batch slots that any client may use. A slot holds one window while it is decoded.
    slots: usize,
    /// The number of additional slots that only clients without a slot may use, so that they need not wait.
    reserve_slots: usize,
    slots_in_use: usize,
    /// The number of clients whose first item has a batch slot and is not finished yet.
    clients_on_first_item: usize,
    /// The number of decoding steps since a client that held at least [`MIN_SLOTS`] slots was last given a further
    /// slot.
    steps_since_refill: usize,
}

struct ClientQueue<T> {
    /// The waiting items, each with its cost in seconds of audio.
    waiting: VecDeque<(f64, T)>,
    /// The start tag of the first waiting item: the number of seconds of audio for which this client was served
    /// before the item. When the client became active, the number was raised to the virtual time if that was higher.
    start_tag_s: f64,
    slots_in_use: usize,
    /// Whether this client is new, that is, none of its items has been taken from the queue yet.
    is_new: bool,
    /// Whether the first item of this client has a batch slot and is not finished yet.
    is_on_first_item: bool,
}

impl<T> Default for ClientQueue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), start_tag_s: 0.0, slots_in_use: 0, is_new: true, is_on_first_item: false }
    }
}

impl<T> FairQueue<T> {
    /// Creates a queue with `slots` batch slots for all clients, and `reserve_slots` additional slots that only
    /// clients without a slot may use.
    pub(super) fn new(slots: usize, reserve_slots: usize) -> Self {
        Self {
            clients: HashMap::new(),
            virtual_time_s: 0.0,
            slots,
            reserve_slots,
            slots_in_use: 0,
            clients_on_first_item: 0,
            steps_since_refill: 0,
        }
    }

    /// Adds an item (a window to decode) of `client`. The item costs the client `cost_s` seconds of its share. Items
    /// of the same client are taken in the order in which they were added.
    pub(super) fn push(&mut self, client: u64, cost_s: f64, item: T) {
        let client = self.clients.entry(client).or_default();
        if client.waiting.is_empty() {
            client.start_tag_s = client.start_tag_s.max(self.virtual_time_s);
        }
        client.waiting.push_back((cost_s, item));
    }

    /// Takes the next item from the queue, and returns it with the number of its client. The item occupies a slot
    /// until [`Self::release`] is called. Returns `None` if no client with a waiting item may take a slot now.
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        let number = self.next_client()?;
        let client = self.clients.get_mut(&number)?;
        let (cost_s, item) = client.waiting.pop_front()?;
        self.virtual_time_s = self.virtual_time_s.max(client.start_tag_s);
        if client.slots_in_use >= MIN_SLOTS {
            self.steps_since_refill = 0;
        }
        if std::mem::take(&mut client.is_new) {
            client.is_on_first_item = true;
            self.clients_on_first_item += 1;
        }
        client.start_tag_s += cost_s;
        client.slots_in_use += 1;
        self.slots_in_use += 1;
        Some((number, item))
    }

    /// Among the clients that may take a slot, finds the client whose first waiting item has the lowest start tag. If
    /// several clients have the same start tag, returns the one with the lowest number. Returns `None` if no client
    /// may take a slot.
    fn next_client(&self) -> Option<u64> {
        let waiting =
            self.clients.iter().filter(|(_, client)| !client.waiting.is_empty() && self.may_take_slot(client));
        let next = waiting.min_by(|a, b| a.1.start_tag_s.total_cmp(&b.1.start_tag_s).then(a.0.cmp(b.0)))?;
        Some(*next.0)
    }

    fn may_take_slot(&self, client: &ClientQueue<T>) -> bool {
        let slots = if client.slots_in_use == 0 { self.slots + self.reserve_slots } else { self.slots };
        let another_is_on_first_item = self.clients_on_first_item > usize::from(client.is_on_first_item);
        let waits_for_newcomer = client.slots_in_use >= MIN_SLOTS
            && another_is_on_first_item
            && self.steps_since_refill < REFILL_INTERVAL_STEPS;
        self.slots_in_use < slots && !waits_for_newcomer
    }

    /// Frees one batch slot of `client`, because an item of this client is finished.
    pub(super) fn release(&mut self, client: u64) {
        self.slots_in_use -= 1;
        if let Some(client) = self.clients.get_mut(&client) {
            client.slots_in_use -= 1;
            self.clients_on_first_item -= usize::from(std::mem::take(&mut client.is_on_first_item));
        }
    }

    /// Records that the batch has decoded one more step.
    pub(super) fn count_step(&mut self) {
        self.steps_since_refill = self.steps_since_refill.saturating_add(1);
    }

    /// Removes a client and its waiting items. The slots of its running items stay in use until they are released.
    pub(super) fn remove(&mut self, client: u64) {
        let removed = self.clients.remove(&client);
        self.clients_on_first_item -= usize::from(removed.is_some_and(|client| client.is_on_first_item));
    }

    /// The number of waiting items of all clients together.
    pub(super) fn n_waiting(&self) -> usize {
        self.clients.values().map(|client| client.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes and immediately releases up to `count` items, one at a time. Returns the client of each item.
    fn served(queue: &mut FairQueue<u32>, count: usize) -> Vec<u64> {
        let serve = |_| {
            let (client, _) = queue.pop()?;
            queue.release(client);
            Some(client)
        };
        (0..count).map_while(serve).collect()
    }

    #[test]
    fn clients_get_equal_shares_in_seconds_of_audio() {
        let mut queue = FairQueue::new(1, 0);
        for item in 0..12 {
            queue.push(1, 30.0, item);
            queue.push(2, 10.0, item);
        }
        let order = served(&mut queue, 12);
        assert_eq!(order.iter().filter(|client| **client == 1).count(), 3);
    }

    #[test]
    fn a_new_client_is_served_next_but_then_gets_only_its_share() {
        let mut queue = FairQueue::new(1, 0);
        for item in 0..20 {
            queue.push(1, 30.0, item);
        }
        served(&mut queue, 10);
        for item in 0..4 {
            queue.push(2, 30.0, item);
        }
        assert_eq!(served(&mut queue, 5), [2, 1, 2, 1, 2]);
    }

    #[test]
    fn reserve_slots_are_for_clients_without_a_slot() {
        let mut queue = FairQueue::new(2, 1);
        for item in 0..4 {
            queue.push(1, 30.0, item);
        }
        assert!(queue.pop().is_some() && queue.pop().is_some() && queue.pop().is_none());
        queue.push(2, 5.0, 7);
        queue.push(2, 5.0, 8);
        assert_eq!(queue.pop(), Some((2, 7)));
        assert_eq!((queue.pop(), queue.slots_in_use, queue.n_waiting()), (None, 3, 3));
        queue.remove(1);
        assert_eq!((queue.slots_in_use, queue.n_waiting()), (3, 1));
        queue.release(1);
        queue.release(1);
        assert_eq!(queue.pop(), Some((2, 8)));
    }

    #[test]
    fn a_client_with_two_slots_waits_for_further_ones_while_a_newcomer_is_served() {
        let mut queue = FairQueue::new(4, 1);
        (0..9).for_each(|item| queue.push(1, 30.0, item));
        let filled = std::iter::from_fn(|| queue.pop()).count();
        assert_eq!(filled, 4, "a client that is alone does not wait");
        queue.push(2, 5.0, 7);
        assert_eq!(queue.pop(), Some((2, 7)));
        queue.release(1);
        queue.release(1);
        queue.count_step();
        assert_eq!(queue.pop(), None);
        (0..REFILL_INTERVAL_STEPS).for_each(|_| queue.count_step());
        assert_eq!((queue.pop(), queue.pop()), (Some((1, 4)), None));
        queue.release(2);
        assert_eq!(queue.pop(), Some((1, 5)));
    }

    #[test]
    fn the_items_of_a_client_stay_in_order() {
        let mut queue = FairQueue::new(8, 0);
        (0..5).for_each(|item| queue.push(3, 1.0, item));
        let items: Vec<u32> = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
        assert_eq!(items, [0, 1, 2, 3, 4]);
    }
}
