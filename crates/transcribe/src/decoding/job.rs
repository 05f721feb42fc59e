//! Connects a client with the worker thread that decodes windows. A job is a request that is sent to the thread. A
//! ticket receives the answer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use super::decoder::{DecodeFailure, DecodedWindow};
use super::request::Request;

type Reply = Result<DecodedWindow, DecodeFailure>;

/// A request, together with the channel for its answer.
pub(super) struct Job {
    pub(super) client: u64,
    pub(super) request: Request,
    reply: Sender<Reply>,
    ticket: Weak<()>,
}

/// The client's handle to a submitted window, with which it waits for the answer. Dropping the ticket cancels the
/// window.
pub(crate) struct Ticket {
    reply: Receiver<Reply>,
    /// This value only shows that the ticket still exists. The job holds a weak reference to this value, so the job
    /// can detect that the ticket was dropped.
    _alive: Arc<()>,
}

impl Job {
    pub(super) fn new(client: u64, request: Request) -> (Self, Ticket) {
        let (sender, receiver) = channel();
        let alive = Arc::new(());
        let job = Self { client, request, reply: sender, ticket: Arc::downgrade(&alive) };
        (job, Ticket { reply: receiver, _alive: alive })
    }

    /// Whether the ticket was dropped.
    pub(super) fn is_cancelled(&self) -> bool {
        self.ticket.strong_count() == 0
    }

    /// Sends the answer to the ticket.
    pub(super) fn answer(&self, reply: Reply) {
        // Sending fails only if the ticket was dropped. In that case nobody needs the answer.
        let _ = self.reply.send(reply);
    }
}

impl Ticket {
    /// Blocks until the window is decoded, and returns the result.
    pub(crate) fn wait(self) -> Reply {
        self.reply.recv().unwrap_or(Err(DecodeFailure::Stopped))
    }
}
