//! The thread that runs the engine for everybody: windows of one recording, or of many callers, share its steps.
//!
//! Windows wait, by callers, until a place in the batch is free (`turns.rs` says whose is next); then they are encoded, and
//! decoded together with whatever else is there. A window whose ticket is dropped is given up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use amanuensis_engine::{Batch, DecodeOptions, DecodingResult, EncoderOutput, Engine, Error as EngineError, Frames};

use crate::attempts::{Attempts, Judged};
use crate::turns::Turns;
use crate::{Error, Language};

/// A window to be read.
pub(crate) struct Request {
    /// `(n_frames, n_mels)`, as many frames as [`Engine::window_frames`] says.
    pub(crate) mel: Vec<f32>,
    /// As many of them as are of a recording; the rest is silence.
    pub(crate) frames: usize,
    /// How much of the recording it holds.
    pub(crate) seconds: f64,
    /// The language spoken; to be detected where a multilingual model is given none.
    pub(crate) language: Option<Language>,
    /// The languages that can be detected; any, where there is none.
    pub(crate) languages: Vec<Language>,
    /// How to decode it the first time; language and search are left to the scheduler.
    pub(crate) options: DecodeOptions,
    /// What takes the place of [`DecodeOptions::previous`] where it has to be decoded again.
    pub(crate) previous_again: Vec<u32>,
    /// How to decode it, and when to do so again.
    pub(crate) attempts: Arc<Attempts>,
    /// What chance begins with in this window.
    pub(crate) seed: u64,
    /// Whether the answer is to hold the window.
    pub(crate) wants_window: bool,
    /// Seconds in which somebody speaks, where that is known.
    pub(crate) voiced: Option<f64>,
}

/// What was read in a window.
pub(crate) struct Answer {
    pub(crate) judged: Judged,
    /// What was encoded, where it is asked for.
    pub(crate) window: Option<EncoderOutput>,
    /// The language and its probability, where it was detected.
    pub(crate) detected: Option<(Language, f32)>,
    /// Seconds that the encoder took.
    pub(crate) encode: f64,
    /// Seconds of decoding; of a step that several windows shared, each has its share.
    pub(crate) decode: f64,
}

/// Why a window could not be read.
#[derive(Debug)]
pub(crate) enum Failure {
    Engine(EngineError),
    /// A step that windows shared went wrong, for this reason.
    Step(String),
    /// The model recognises none of the languages known here.
    NoLanguage,
    /// The thread is gone, which takes a panic in it.
    Stopped,
}

impl Failure {
    /// What callers are told; `model` is the model's name.
    pub(crate) fn into_error(self, model: &str) -> Error {
        match self {
            Self::Engine(error) => Error::Engine(error),
            Self::Step(reason) => Error::Step(reason),
            Self::NoLanguage => Error::NoLanguageDetected { model: model.to_owned() },
            Self::Stopped => Error::Stopped,
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// A window that was handed over.
pub(crate) struct Ticket {
    reply: Receiver<Result<Answer, Failure>>,
    /// Alive as long as somebody waits for the answer.
    _wanted: Arc<()>,
}

impl Ticket {
    pub(crate) fn wait(self) -> Result<Answer, Failure> {
        self.reply.recv().unwrap_or(Err(Failure::Stopped))
    }
}

/// What the thread is told.
enum Message {
    Window(Box<Job>),
    /// A caller has gone.
    Left(u64),
}

struct Job {
    caller: u64,
    request: Request,
    reply: Sender<Result<Answer, Failure>>,
    wanted: Weak<()>,
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }

    fn answer(&self, answer: Result<Answer, Failure>) {
        // Whoever gave the window up does not want to hear of it.
        let _ = self.reply.send(answer);
    }
}

/// An engine at work for everybody who holds it.
pub(crate) struct Scheduler {
    /// None only while it is dropped.
    queue: Option<Sender<Message>>,
    worker: Option<JoinHandle<()>>,
    batch_size: usize,
    next_caller: AtomicU64,
    load: Arc<Load>,
}

/// How much there is to do.
#[derive(Default)]
struct Load {
    callers: AtomicUsize,
    decoding: AtomicUsize,
    waiting: AtomicUsize,
}

impl Scheduler {
    /// Starts a thread that decodes up to `batch_size` windows at once.
    ///
    /// # Panics
    /// If the system has no thread left.
    pub(crate) fn new(engine: Arc<Engine>, batch_size: usize) -> Self {
        let (queue, messages) = channel();
        let load = Arc::new(Load::default());
        let shown = Arc::clone(&load);
        let work = move || Worker::new(&engine, batch_size, &shown).run(&messages);
        let worker = std::thread::Builder::new().name("amanuensis-batch".to_owned()).spawn(work);
        let worker = Some(worker.expect("the system has a thread left"));
        Self { queue: Some(queue), worker, batch_size, next_caller: AtomicU64::new(0), load }
    }

    /// Windows that are decoded at once.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Windows that are being decoded, and those that wait.
    pub(crate) fn windows(&self) -> (usize, usize) {
        (self.load.decoding.load(Ordering::Relaxed), self.load.waiting.load(Ordering::Relaxed))
    }

    /// Somebody with a recording, who has a share of the engine from now on.
    pub(crate) fn caller(&self) -> Caller<'_> {
        self.load.callers.fetch_add(1, Ordering::Relaxed);
        Caller { scheduler: self, number: self.next_caller.fetch_add(1, Ordering::Relaxed) }
    }

    fn tell(&self, message: Message) {
        // If the thread is gone, so is the other end of every answer, and waiting for one says so.
        if let Some(queue) = &self.queue {
            let _ = queue.send(message);
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.queue = None;
        // A panic of the thread was told to whoever waited for an answer.
        let _ = self.worker.take().map(JoinHandle::join);
    }
}

/// Somebody whose recording is read.
pub(crate) struct Caller<'s> {
    scheduler: &'s Scheduler,
    number: u64,
}

impl Caller<'_> {
    /// Hands a window over.
    pub(crate) fn submit(&self, request: Request) -> Ticket {
        let (reply, answer) = channel();
        let wanted = Arc::new(());
        let job = Job { caller: self.number, request, reply, wanted: Arc::downgrade(&wanted) };
        self.scheduler.tell(Message::Window(Box::new(job)));
        Ticket { reply: answer, _wanted: wanted }
    }

    /// Places in the batch that there may be for this caller: where there are many, each hands over less at a time, so that
    /// what waits does not fill the memory.
    pub(crate) fn places(&self) -> usize {
        let callers = self.scheduler.load.callers.load(Ordering::Relaxed).max(1);
        (2 * self.scheduler.batch_size / callers).clamp(1, self.scheduler.batch_size)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.scheduler.load.callers.fetch_sub(1, Ordering::Relaxed);
        self.scheduler.tell(Message::Left(self.number));
    }
}

struct Worker<'e> {
    engine: &'e Engine,
    batch: Batch<'e>,
    /// Windows that wait for a place.
    turns: Turns<Job>,
    /// The windows in the batch, by ticket.
    active: HashMap<u64, Active>,
    next_ticket: u64,
    load: &'e Load,
}

struct Active {
    job: Job,
    begun: Begun,
    /// How often it was decoded before.
    attempt: usize,
    /// The best of the texts that did not pass.
    best: Option<Judged>,
    /// Seconds of decoding so far.
    decode: f64,
}

/// A window that has joined the batch.
struct Begun {
    window: EncoderOutput,
    detected: Option<(Language, f32)>,
    /// Seconds that the encoder took.
    encode: f64,
}

impl<'e> Worker<'e> {
    fn new(engine: &'e Engine, batch_size: usize, load: &'e Load) -> Self {
        let places = batch_size.max(1);
        // Enough that a short recording need not wait until one of the windows of a long one has ended.
        let turns = Turns::new(places, places.div_ceil(4));
        Self { engine, batch: Batch::new(engine), turns, active: HashMap::new(), next_ticket: 0, load }
    }

    /// Works until nobody is left to hand windows over.
    fn run(&mut self, messages: &Receiver<Message>) {
        while self.listen(messages) {
            while let Some((_, job)) = self.turns.next() {
                self.admit(job);
                // Somebody may have come whose turn is before the next.
                if !self.listen(messages) {
                    break;
                }
            }
            if !self.active.is_empty() {
                self.step();
            }
        }
    }

    /// Takes in what callers have said; waits for it if there is nothing else to do. False when there is nothing to do and
    /// nobody left.
    fn listen(&mut self, messages: &Receiver<Message>) -> bool {
        loop {
            let has_work = !self.active.is_empty() || self.turns.waiting() > 0;
            let message = if has_work {
                match messages.try_recv() {
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break true,
                    Ok(message) => message,
                }
            } else {
                self.show();
                match messages.recv() {
                    Ok(message) => message,
                    Err(_) => break false,
                }
            };
            match message {
                Message::Window(job) => self.turns.push(job.caller, job.request.seconds, *job),
                Message::Left(caller) => self.turns.leave(caller),
            }
        }
    }

    fn show(&self) {
        self.load.decoding.store(self.active.len(), Ordering::Relaxed);
        self.load.waiting.store(self.turns.waiting(), Ordering::Relaxed);
    }

    /// Encodes a window and lets it join the batch.
    fn admit(&mut self, mut job: Job) {
        let caller = job.caller;
        if !job.is_wanted() {
            return self.turns.done(caller);
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        // The spectrogram is a megabyte that nobody needs once it is encoded.
        let mel = std::mem::take(&mut job.request.mel);
        match self.begin(ticket, &mel, &mut job.request) {
            Ok(begun) => drop(self.active.insert(ticket, Active { job, begun, attempt: 0, best: None, decode: 0.0 })),
            Err(failure) => {
                self.turns.done(caller);
                job.answer(Err(failure));
            }
        }
    }

    fn begin(&mut self, ticket: u64, mel: &[f32], request: &mut Request) -> Result<Begun, Failure> {
        let start = Instant::now();
        let window = self.engine.encode_window(mel, Frames(request.frames))?;
        let encode = start.elapsed().as_secs_f64();
        let is_asked = request.language.is_none() && self.engine.is_multilingual();
        let detected = if is_asked {
            let languages = self.engine.detect_language(&window)?.into_iter();
            let known = |(code, probability): (String, f32)| Some((Language::from_code(&code)?, probability));
            let is_candidate =
                |(language, _): &(Language, f32)| request.languages.is_empty() || request.languages.contains(language);
            Some(languages.filter_map(known).find(is_candidate).ok_or(Failure::NoLanguage)?)
        } else {
            None
        };
        let language = request.language.or(detected.map(|(language, _)| language));
        let code = language.filter(|_| self.engine.is_multilingual()).map(|language| language.code().to_owned());
        request.options.language = code;
        request.options.search = request.attempts.search(0, request.seed).unwrap_or(request.options.search);
        request.options.abandon_loops = request.attempts.abandon_loops();
        self.batch.join(ticket, &window, &request.options)?;
        Ok(Begun { window, detected, encode })
    }

    /// Takes the batch one token further.
    fn step(&mut self) {
        self.active.retain(|ticket, active| {
            let is_wanted = active.job.is_wanted();
            if !is_wanted {
                self.batch.leave(*ticket);
                self.turns.done(active.job.caller);
            }
            is_wanted
        });
        self.show();
        let start = Instant::now();
        let finished = match self.batch.step() {
            Ok(finished) => finished,
            Err(error) => return self.fail(&error),
        };
        self.turns.step();
        let share = start.elapsed().as_secs_f64() / self.active.len().max(1) as f64;
        self.active.values_mut().for_each(|active| active.decode += share);
        for (ticket, decoded) in finished {
            self.finish(ticket, decoded);
        }
    }

    /// Answers everybody that their windows cannot be decoded.
    fn fail(&mut self, error: &EngineError) {
        for (_, active) in self.active.drain() {
            self.turns.done(active.job.caller);
            active.job.answer(Err(Failure::Step(error.to_string())));
        }
    }

    /// Answers with the text of a window, or has it decoded again if the text does not pass.
    fn finish(&mut self, ticket: u64, decoded: DecodingResult) {
        let Some(mut active) = self.active.remove(&ticket) else { return };
        let Request { attempts, options, previous_again, seed, voiced, .. } = &mut active.job.request;
        let judged = {
            let text = self.engine.vocabulary().decode(&decoded.tokens);
            attempts.judge(decoded, &text, *voiced)
        };
        active.attempt += 1;
        let again = attempts.search(active.attempt, *seed).filter(|_| !judged.passes());
        let best =
            if judged.passes() { judged } else { active.best.take().map_or(judged.clone(), |best| best.or(judged)) };
        let Some(search) = again else {
            let Active { job, begun: Begun { window, detected, encode }, decode, .. } = active;
            let window = Some(window).filter(|_| job.request.wants_window);
            self.turns.done(job.caller);
            return job.answer(Ok(Answer { judged: best, window, detected, encode, decode }));
        };
        options.search = search;
        options.previous.clone_from(previous_again);
        match self.batch.join(ticket, &active.begun.window, options) {
            Ok(()) => drop(self.active.insert(ticket, Active { best: Some(best), ..active })),
            Err(error) => {
                self.turns.done(active.job.caller);
                active.job.answer(Err(error.into()));
            }
        }
    }
}
