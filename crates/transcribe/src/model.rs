//! What long-form transcription asks of a model, so that it can be tested with a scripted one.

use amanuensis_engine::Engine;

use crate::scheduler::{Answer, Failure, Request, Scheduler, Ticket};

/// Facts about a model, and the texts of its tokens.
pub(crate) trait Model {
    fn is_multilingual(&self) -> bool;
    fn knows_language(&self, code: &str) -> bool;

    /// Mel frames of a window, 10 ms each.
    fn n_frames(&self) -> usize;

    /// Tokens of context that a window may be given.
    fn context_tokens(&self) -> usize;
    /// The tokens of a text.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// The text of tokens, timestamps left out.
    fn text(&self, tokens: &[u32]) -> String;
    /// The time a token stands for, in seconds from the start of its window.
    fn timestamp(&self, token: u32) -> Option<f64>;
}

/// What reads windows, several at a time.
pub(crate) trait Reader {
    /// A window that was handed over.
    type Ticket;

    /// Windows that are worth handing over before the first is waited for.
    fn batch_size(&self) -> usize;
    fn submit(&self, request: Request) -> Self::Ticket;
    fn wait(&self, ticket: Self::Ticket) -> Result<Answer, Failure>;
}

impl Model for Engine {
    fn is_multilingual(&self) -> bool {
        self.is_multilingual()
    }

    fn knows_language(&self, code: &str) -> bool {
        self.languages().any(|known| known == code)
    }

    fn n_frames(&self) -> usize {
        self.n_frames()
    }

    fn context_tokens(&self) -> usize {
        (self.n_text_ctx() / 2).saturating_sub(1)
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.vocabulary().encode(text)
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.vocabulary().decode(tokens)
    }

    fn timestamp(&self, token: u32) -> Option<f64> {
        self.vocabulary().timestamp(token)
    }
}

impl Reader for Scheduler {
    type Ticket = Ticket;

    fn batch_size(&self) -> usize {
        self.batch_size()
    }

    fn submit(&self, request: Request) -> Ticket {
        self.submit(request)
    }

    fn wait(&self, ticket: Ticket) -> Result<Answer, Failure> {
        ticket.wait()
    }
}
