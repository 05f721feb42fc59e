//! The worker thread that decodes windows. Whenever a batch slot is free, it takes a window from the fair queue and
//! encodes the window. All windows in the batch are decoded together, one token per step.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use amanuensis_engine::{Batch, DecodingResult, EncoderOutput, Engine, Error as EngineError};

use super::decoder::{DecodeFailure, DecodedWindow};
use super::fair_queue::FairQueue;
use super::fallback::DecodeCheck;
use super::job::Job;
use super::request::Request;
use crate::Language;

/// A message from a client to the worker thread.
pub(super) enum Message {
    Window(Box<Job>),
    ClientLeft(u64),
}

/// The load of the worker thread. The worker thread updates it, and other threads read it.
#[derive(Default)]
pub(super) struct Load {
    decoding: AtomicUsize,
    waiting: AtomicUsize,
}

impl Load {
    /// The number of windows that are being decoded in the batch, and the number of windows that wait for a place in
    /// the batch.
    pub(super) fn windows(&self) -> (usize, usize) {
        (self.decoding.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }
}

/// The state of the worker thread.
pub(super) struct Worker<'e> {
    engine: &'e Engine,
    batch: Batch<'e>,
    queue: FairQueue<Job>,
    /// The windows in the batch. The key of each window also identifies the window in `batch`.
    active: HashMap<u64, ActiveWindow>,
    next_key: u64,
    load: &'e Load,
}

/// A window in the batch.
struct ActiveWindow {
    job: Job,
    encoded: EncodedWindow,
    /// The number of finished attempts; 0 during the first attempt.
    attempt: usize,
    /// The best of the hypotheses rejected so far.
    best: Option<DecodeCheck>,
    /// Seconds spent on decoding this window so far, over all attempts.
    decode_s: f64,
}

/// The results of encoding and language detection.
struct EncodedWindow {
    output: EncoderOutput,
    detected: Option<(Language, f32)>,
    encode_s: f64,
}

impl<'e> Worker<'e> {
    pub(super) fn new(engine: &'e Engine, batch_size: usize, load: &'e Load) -> Self {
        let slots = batch_size.max(1);
        // Only clients that have no slot may use the reserve slots. So a short recording does not have to wait until
        // a window of a long recording is finished.
        let queue = FairQueue::new(slots, slots.div_ceil(4));
        Self { engine, batch: Batch::new(engine), queue, active: HashMap::new(), next_key: 0, load }
    }

    /// Runs until the scheduler and all clients are dropped.
    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        while self.receive(messages) {
            while let Some((_, job)) = self.queue.pop() {
                self.admit(job);
                // While this window was encoded, a window of another client may have arrived that has to be decoded
                // before the windows that are already in the queue.
                if !self.receive(messages) {
                    break;
                }
            }
            if !self.active.is_empty() {
                self.step();
            }
        }
    }

    /// Receives all messages that have arrived. If there is nothing to decode, blocks until a window arrives. Returns
    /// false if there is nothing to decode and all senders are dropped.
    fn receive(&mut self, messages: &Receiver<Message>) -> bool {
        loop {
            let has_work = !self.active.is_empty() || self.queue.n_waiting() > 0;
            let message = if has_work {
                match messages.try_recv() {
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break true,
                    Ok(message) => message,
                }
            } else {
                self.publish_load();
                match messages.recv() {
                    Ok(message) => message,
                    Err(_) => break false,
                }
            };
            match message {
                Message::Window(job) => self.queue.push(job.client, job.request.cost_s, *job),
                Message::ClientLeft(client) => self.queue.remove(client),
            }
        }
    }

    fn publish_load(&self) {
        self.load.decoding.store(self.active.len(), Ordering::Relaxed);
        self.load.waiting.store(self.queue.n_waiting(), Ordering::Relaxed);
    }

    /// Encodes a window and adds it to the batch. If the window was cancelled or encoding fails, frees its batch slot
    /// instead.
    fn admit(&mut self, mut job: Job) {
        let client = job.client;
        if job.is_cancelled() {
            return self.queue.release(client);
        }
        let key = self.next_key;
        self.next_key += 1;
        // The spectrogram takes about a megabyte, so it is freed as soon as the window is encoded.
        let mel = std::mem::take(&mut job.request.mel);
        match self.encode_and_join(key, &mel, &mut job.request) {
            Ok(encoded) => {
                self.active.insert(key, ActiveWindow { job, encoded, attempt: 0, best: None, decode_s: 0.0 });
            }
            Err(failure) => {
                self.queue.release(client);
                job.answer(Err(failure));
            }
        }
    }

    fn encode_and_join(
        &mut self,
        key: u64,
        mel: &[f32],
        request: &mut Request,
    ) -> Result<EncodedWindow, DecodeFailure> {
        let start = Instant::now();
        let output = self.engine.encode_window(mel, request.content_frames)?;
        let encode_s = start.elapsed().as_secs_f64();
        let detected = self.detect_language(&output, request)?;
        let language = request.language.or(detected.map(|(language, _)| language));
        let code = language.filter(|_| self.engine.is_multilingual()).map(|language| language.code().to_owned());
        request.options.language = code;
        request.options.search = request.fallback.search(0, request.seed).unwrap_or(request.options.search);
        request.options.abandon_loops = request.fallback.abandon_loops();
        self.batch.join(key, &output, &request.options)?;
        Ok(EncodedWindow { output, detected, encode_s })
    }

    /// The most probable of the candidate languages, and its probability. `None` if the request specifies the
    /// language.
    fn detect_language(
        &self,
        output: &EncoderOutput,
        request: &Request,
    ) -> Result<Option<(Language, f32)>, DecodeFailure> {
        if request.language.is_some() || !self.engine.is_multilingual() {
            return Ok(None);
        }
        let known = |(code, probability): (String, f32)| Some((Language::from_code(&code)?, probability));
        let is_candidate =
            |(language, _): &(Language, f32)| request.languages.is_empty() || request.languages.contains(language);
        let mut languages = self.engine.detect_language(output)?.into_iter().filter_map(known).filter(is_candidate);
        languages.next().map(Some).ok_or(DecodeFailure::NoLanguage)
    }

    /// Decodes one token of every window in the batch.
    fn step(&mut self) {
        self.drop_cancelled();
        self.publish_load();
        let start = Instant::now();
        let finished = match self.batch.step() {
            Ok(finished) => finished,
            Err(error) => return self.fail_all(&error),
        };
        self.queue.count_step();
        let share = start.elapsed().as_secs_f64() / self.active.len().max(1) as f64;
        self.active.values_mut().for_each(|window| window.decode_s += share);
        for (key, result) in finished {
            self.finish_attempt(key, result);
        }
    }

    fn drop_cancelled(&mut self) {
        self.active.retain(|key, window| {
            let is_cancelled = window.job.is_cancelled();
            if is_cancelled {
                self.batch.leave(*key);
                self.queue.release(window.job.client);
            }
            !is_cancelled
        });
    }

    /// Reports a failed step to the clients of all windows in the batch, because none of these windows can be decoded
    /// further.
    fn fail_all(&mut self, error: &EngineError) {
        for (_, window) in self.active.drain() {
            self.queue.release(window.job.client);
            window.job.answer(Err(DecodeFailure::Step(error.to_string())));
        }
    }

    /// Handles the hypothesis of a finished attempt. If the hypothesis is accepted, sends it as the answer. Otherwise
    /// decodes the window again at the next temperature. After the highest temperature, sends the best hypothesis as
    /// the answer.
    fn finish_attempt(&mut self, key: u64, result: DecodingResult) {
        let Some(mut window) = self.active.remove(&key) else { return };
        let Request { fallback, options, retry_prompt, seed, speech_s, .. } = &mut window.job.request;
        let text = self.engine.vocabulary().decode(&result.tokens);
        let check = fallback.check(result, &text, *speech_s);
        window.attempt += 1;
        let retry = fallback.search(window.attempt, *seed).filter(|_| !check.accepted());
        let best = match window.best.take() {
            Some(best) if !check.accepted() => best.better_of(check),
            _ => check,
        };
        let Some(search) = retry else { return self.answer(window, best) };
        options.search = search;
        options.previous.clone_from(retry_prompt);
        match self.batch.join(key, &window.encoded.output, options) {
            Ok(()) => drop(self.active.insert(key, ActiveWindow { best: Some(best), ..window })),
            Err(error) => {
                self.queue.release(window.job.client);
                window.job.answer(Err(error.into()));
            }
        }
    }

    fn answer(&mut self, window: ActiveWindow, check: DecodeCheck) {
        let ActiveWindow { job, encoded: EncodedWindow { output, detected, encode_s }, decode_s, .. } = window;
        let encoder_output = Some(output).filter(|_| job.request.returns_encoder_output);
        self.queue.release(job.client);
        job.answer(Ok(DecodedWindow { check, encoder_output, detected, encode_s, decode_s }));
    }
}
