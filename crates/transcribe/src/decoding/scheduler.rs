//! The handle of the worker thread that decodes windows. There is one worker thread, and it decodes the windows of
//! all recordings and live streams together in one batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use amanuensis_engine::Engine;

use super::decoder::{DecodeFailure, DecodedWindow, WindowDecoder};
use super::job::{Job, Ticket};
use super::request::Request;
use super::worker::{Load, Message, Worker};

/// Starts the worker thread, and registers clients that submit windows to the thread.
pub(crate) struct Scheduler {
    /// The channel to the worker thread. `None` only while the scheduler is dropped, because closing the channel ends
    /// the thread.
    messages: Option<Sender<Message>>,
    worker: Option<JoinHandle<()>>,
    batch_size: usize,
    next_client: AtomicU64,
    n_clients: AtomicUsize,
    load: Arc<Load>,
}

impl Scheduler {
    /// Starts a worker thread that decodes up to `batch_size` windows at once.
    ///
    /// # Panics
    /// If the system cannot start another thread.
    pub(crate) fn new(engine: Arc<Engine>, batch_size: usize) -> Self {
        let (sender, receiver) = channel();
        let load = Arc::new(Load::default());
        let worker_load = Arc::clone(&load);
        let work = move || Worker::new(&engine, batch_size, &worker_load).run(&receiver);
        let worker = std::thread::Builder::new().name("amanuensis-batch".to_owned()).spawn(work);
        Self {
            messages: Some(sender),
            worker: Some(worker.expect("the system can start a thread")),
            batch_size,
            next_client: AtomicU64::new(0),
            n_clients: AtomicUsize::new(0),
            load,
        }
    }

    /// The maximum number of windows that are decoded at once.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of windows that are being decoded in the batch now, and the number of windows that wait for a place
    /// in the batch.
    pub(crate) fn windows(&self) -> (usize, usize) {
        self.load.windows()
    }

    /// Registers a client for one recording or live stream. From now on the client gets its share of the decoding
    /// time.
    pub(crate) fn client(&self) -> Client<'_> {
        self.n_clients.fetch_add(1, Ordering::Relaxed);
        Client { scheduler: self, number: self.next_client.fetch_add(1, Ordering::Relaxed) }
    }

    fn send(&self, message: Message) {
        if let Some(messages) = &self.messages {
            // Sending fails only if the worker thread has panicked. `Ticket::wait` then returns
            // `DecodeFailure::Stopped`.
            let _ = messages.send(message);
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.messages = None;
        // A panic of the worker thread can be ignored here: every client that waits for an answer gets an error from
        // `Ticket::wait`.
        let _ = self.worker.take().map(JoinHandle::join);
    }
}

/// A recording or live stream that shares the engine with other clients.
pub(crate) struct Client<'s> {
    scheduler: &'s Scheduler,
    number: u64,
}

impl WindowDecoder for Client<'_> {
    type Ticket = Ticket;

    /// The number of windows that this client may submit at the same time. All clients share the slots of the batch,
    /// so each client gets fewer slots if there are more clients. This limits the memory that waiting windows need.
    fn slots(&self) -> usize {
        let n_clients = self.scheduler.n_clients.load(Ordering::Relaxed).max(1);
        (2 * self.scheduler.batch_size / n_clients).clamp(1, self.scheduler.batch_size)
    }

    fn submit(&self, request: Request) -> Ticket {
        let (job, ticket) = Job::new(self.number, request);
        self.scheduler.send(Message::Window(Box::new(job)));
        ticket
    }

    fn wait(&self, ticket: Ticket) -> Result<DecodedWindow, DecodeFailure> {
        ticket.wait()
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.scheduler.n_clients.fetch_sub(1, Ordering::Relaxed);
        self.scheduler.send(Message::ClientLeft(self.number));
    }
}
