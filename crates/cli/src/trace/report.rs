//! Formats a trace as tables or as JSON.

use std::fmt::{Display, Write as _};

use serde_json::{Value, json};

use super::side::Side;
use super::stages::{Comparison, FailedStage, Stage, Step, Token, Trace};
use super::statistics::{Difference, Statistics};
use super::window::Window;
use crate::input::Input;

const SAMPLE_RATE_HZ: f64 = 16_000.0;

/// A trace (the values that models computed for a window), with its inputs and its outcome.
pub struct Report<'a> {
    pub audio: &'a Input,
    pub window: &'a Window,
    pub sides: &'a [Side],
    pub trace: &'a Trace,
    pub tolerance: f32,
    pub failure: Option<&'a FailedStage>,
}

impl Report<'_> {
    fn seconds(&self) -> f64 {
        self.window.samples.len() as f64 / SAMPLE_RATE_HZ
    }

    pub fn table(&self) -> String {
        let Trace { language, mel, encoder, prompt, steps } = self.trace;
        let mut lines = vec![format!("{}, {:.2} s from {:.2} s on", self.audio, self.seconds(), self.window.start)];
        for (name, side) in ["model", "against"].into_iter().zip(self.sides) {
            let arithmetic = side.compute_type.map(|compute_type| format!(", {compute_type}")).unwrap_or_default();
            lines.push(format!("{name:<12}{}, {}{arithmetic}", side.model, side.runtime));
        }
        lines.extend(language.as_ref().map(|code| format!("{:<12}{code}", "language")));
        let prompt = prompt.iter().map(|token| format!("{} {}", token.id, token.text)).collect::<Vec<_>>();
        lines.push(format!("{:<12}{}", "prompt", prompt.join(", ")));
        lines.push(String::new());
        lines.push(format!(
            "{:<8}{:>9}{:>9}{:>11}{:>11}{:>11}{:>11}{:>12}",
            "stage", "rms diff", "max diff", "min", "max", "mean", "std", "not finite"
        ));
        for (name, Stage { statistics, difference }) in [("mel", mel), ("encoder", encoder)] {
            let Statistics { min, max, mean, std, non_finite } = statistics;
            let [rms, largest] = difference_columns(difference.as_ref());
            lines.push(format!(
                "{name:<8}{rms:>9}{largest:>9}{min:>11.4}{max:>11.4}{mean:>11.4}{std:>11.4}{non_finite:>12}"
            ));
        }
        lines.push(String::new());
        lines.push(format!(
            "{:>4}{:>9}{:>9}{:>9}{:>8}{:>7}  {:<16}{:>9}  most probable; caches",
            "step", "rms diff", "max diff", "uncached", "ms", "token", "text", "log-prob"
        ));
        for (index, step) in steps.iter().enumerate() {
            lines.push(row(index + 1, step));
        }
        lines.push(String::new());
        let verdict = match self.failure {
            None => format!("every stage is within {}", self.tolerance),
            Some(FailedStage { name, reason }) => format!("{name}: {reason}"),
        };
        lines.push(verdict);
        lines.join("\n") + "\n"
    }

    pub fn json(&self) -> String {
        let Trace { language, mel, encoder, prompt, steps } = self.trace;
        let side = |side: &Side| {
            json!({
                "model": side.model, "runtime": side.runtime.to_string(),
                "compute_type": side.compute_type.map(|compute_type| compute_type.to_string()),
            })
        };
        let failure = self.failure.map(|stage| json!({ "stage": stage.name, "reason": stage.reason }));
        let report = json!({
            "audio": self.audio.to_string(), "start": self.window.start, "seconds": self.seconds(),
            "language": language, "tolerance": self.tolerance,
            "sides": self.sides.iter().map(side).collect::<Vec<_>>(),
            "mel": stage_json(mel), "encoder": stage_json(encoder),
            "prompt": prompt.iter().map(token_json).collect::<Vec<_>>(),
            "steps": (1..).zip(steps).map(step_json).collect::<Vec<_>>(),
            "failure": failure,
        });
        format!("{report}\n")
    }
}

/// Formats one decoding step as a row of the table.
fn row(number: usize, step: &Step) -> String {
    let Step { chosen: (token, logprob), top, caches, ms, cached_difference, difference } = step;
    let [rms, largest] = difference_columns(difference.as_ref());
    let [uncached, _] = difference_columns(Some(cached_difference));
    let mut line = format!(
        "{number:>4}{rms:>9}{largest:>9}{uncached:>9}{ms:>8.1}{:>7}  {:<16}{logprob:>9.3} ",
        token.id,
        quoted(token)
    );
    for (token, logprob) in top {
        // Writing to a string cannot fail.
        let _ = write!(line, " {} {logprob:.2},", quoted(token));
    }
    let mut shapes: Vec<String> = Vec::new();
    for (_, shape) in caches {
        let shape = format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    line.pop();
    format!("{line}; {}", shapes.join(" "))
}

/// Formats the difference between the models as two table columns: its root mean square and its largest value. The
/// columns are empty if there is no second model. The first column is "differs" if the values cannot be compared.
fn difference_columns(difference: Option<&Comparison>) -> [String; 2] {
    match difference {
        None => [String::new(), String::new()],
        Some(Ok(Difference { rms, largest })) => [rms, largest].map(|ratio| format!("{ratio:.1e}")),
        Some(Err(_)) => ["differs".to_owned(), String::new()],
    }
}

fn quoted(token: &Token) -> impl Display {
    format!("{:?}", token.text)
}

fn stage_json(Stage { statistics, difference }: &Stage) -> Value {
    let Statistics { min, max, mean, std, non_finite } = statistics;
    json!({
        "min": min, "max": max, "mean": mean, "std": std, "non_finite": non_finite, "difference": difference_json(difference.as_ref()),
    })
}

fn step_json((number, step): (usize, &Step)) -> Value {
    let Step { chosen: (token, logprob), top, caches, ms, cached_difference, difference } = step;
    let top = top.iter().map(|(token, logprob)| json!({ "token": token.id, "text": token.text, "logprob": logprob }));
    let caches = caches.iter().map(|(name, shape)| json!({ "name": name, "shape": shape }));
    json!({
        "step": number, "token": token.id, "text": token.text, "logprob": logprob, "ms": ms,
        "cached_difference": difference_json(Some(cached_difference)), "difference": difference_json(difference.as_ref()),
        "top": top.collect::<Vec<_>>(), "caches": caches.collect::<Vec<_>>(),
    })
}

fn token_json(token: &Token) -> Value {
    json!({ "token": token.id, "text": token.text })
}

/// The difference between the models as JSON. `null` if there is no second model, or the values cannot be compared.
fn difference_json(difference: Option<&Comparison>) -> Value {
    let difference = difference.and_then(|difference| difference.as_ref().ok());
    json!(difference.map(|Difference { rms, largest }| json!({ "rms": rms, "largest": largest })))
}
