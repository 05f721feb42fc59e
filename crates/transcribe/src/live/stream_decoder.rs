//! The decoder that all utterances of a stream share.

use amanuensis_audio::LogMel;
use amanuensis_engine::units::Samples;
use amanuensis_engine::{EncoderOutput, Engine, Frames};

use crate::decoding::{Client, DecodedWindow, Prompt, RequestBuilder, WindowDecoder, WindowInput};
use crate::model::Model;
use crate::words::SilenceMap;
use crate::{Error, Language, TranscribeOptions, Transcriber, Word};

/// Decodes the windows of one stream.
pub(super) struct StreamDecoder<'t> {
    transcriber: &'t Transcriber,
    client: Client<'t>,
    options: TranscribeOptions,
    mel: LogMel,
    /// Builds requests for an utterance that still grows. They have no temperature fallback, because the utterance is
    /// decoded again soon.
    partial_requests: RequestBuilder,
    /// Builds requests for the final decode of an utterance.
    final_requests: RequestBuilder,
}

impl<'t> StreamDecoder<'t> {
    /// Registers the stream as a client of the transcriber's scheduler.
    ///
    /// # Errors
    /// [`Error::Audio`] if the model has a number of mel bins that is not supported.
    pub(super) fn new(transcriber: &'t Transcriber, options: &TranscribeOptions) -> Result<Self, Error> {
        // Committed words that are trimmed from the start of a long utterance become the prompt of its next window.
        let options = TranscribeOptions { condition_on_previous_text: true, ..options.clone() };
        let greedy = TranscribeOptions { temperatures: vec![0.0], ..options.clone() };
        Ok(Self {
            transcriber,
            client: transcriber.scheduler().client(),
            mel: LogMel::new(transcriber.engine().n_mels())?,
            partial_requests: RequestBuilder::for_stream(&greedy),
            final_requests: RequestBuilder::for_stream(&options),
            options,
        })
    }

    pub(super) fn engine(&self) -> &'t Engine {
        self.transcriber.engine()
    }

    /// The language given, or English for an English-only model. `None` if the language has to be detected.
    pub(super) fn language(&self) -> Option<Language> {
        if self.engine().is_multilingual() { self.options.language } else { Some(Language::ENGLISH) }
    }

    /// The prompt at the start of an utterance: hot words and the initial prompt.
    pub(super) fn initial_prompt(&self) -> Prompt {
        Prompt::new(self.engine(), &self.options)
    }

    /// The log-mel spectrogram of `samples`, with the shape `(n_frames, n_mels)`, and the silences in it. Samples
    /// that do not fit into one window are ignored.
    ///
    /// # Errors
    /// [`Error::Audio`] if the spectrogram cannot be computed.
    pub(super) fn spectrogram(&mut self, samples: &[f32]) -> Result<(Vec<f32>, SilenceMap), Error> {
        let engine = self.engine();
        let samples = &samples[..samples.len().min(engine.n_frames().samples().0)];
        let n_frames = Samples(samples.len()).whole_frames();
        let mut mel = Vec::new();
        self.mel.window(samples, &mut mel)?;
        mel.truncate(engine.window_frames(n_frames).0 * engine.n_mels());
        let silence_map = SilenceMap::new(Frames::ZERO, n_frames, &mel, engine.n_mels());
        Ok((mel, silence_map))
    }

    /// Decodes a window and waits for the result. `is_final` marks the final decode of an utterance, which uses
    /// temperature fallback.
    ///
    /// # Errors
    /// If the engine fails or the language cannot be detected.
    pub(super) fn decode(&self, input: WindowInput<'_>, is_final: bool) -> Result<DecodedWindow, Error> {
        let requests = if is_final { &self.final_requests } else { &self.partial_requests };
        let ticket = self.client.submit(requests.build(input));
        self.client.wait(ticket).map_err(|failure| failure.into_error(self.transcriber.name()))
    }

    /// The words of a decoded window. Their times are seconds from the start of the window.
    ///
    /// # Errors
    /// If the engine fails.
    pub(super) fn words(
        &self,
        encoder_output: &EncoderOutput,
        language: Language,
        tokens: &[u32],
        silence_map: &SilenceMap,
    ) -> Result<Vec<Word>, Error> {
        let segment = (Frames::ZERO..silence_map.n_frames, tokens);
        let language_and_task = (language, self.options.task);
        let timed =
            Model::words(self.engine(), encoder_output, language_and_task, &[segment], silence_map, Frames::ZERO)?;
        Ok(timed.into_iter().flat_map(|segment| segment.words).collect())
    }
}
