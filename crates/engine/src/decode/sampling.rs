//! Reproducible sampling. The random number for a token depends only on the seed, the temperature, the number of the
//! hypothesis (candidate token sequence) and the position of the token in it. So results do not depend on the order
//! of computation or on the other windows in the batch.

/// The values from which the random number for a token is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) seed: u64,
    pub(super) temperature: f32,
    /// The number of the hypothesis among those that are sampled for the window.
    pub(super) hypothesis: usize,
    /// The position of the token, counted from the end of the prompt.
    pub(super) position: usize,
}

impl Draw {
    /// The random number, uniformly distributed in `0..1`.
    pub(super) fn uniform(self) -> f32 {
        let parts = [u64::from(self.temperature.to_bits()), self.hypothesis as u64, self.position as u64];
        let bits = parts.into_iter().fold(mix(self.seed), |state, part| mix(state ^ part));
        // An f32 has 24 significant bits.
        (bits >> 40) as f32 / (1_u32 << 24) as f32
    }
}

/// A function that turns similar numbers into unrelated ones: the finaliser of `SplitMix64` (Steele, Lea and Flood,
/// OOPSLA 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Picks the first token at which the cumulative sum of `probabilities` exceeds `uniform`, a number in `0..1`.
pub(super) fn pick(probabilities: &[f32], uniform: f32) -> usize {
    let mut remaining = uniform;
    for (token, probability) in probabilities.iter().enumerate() {
        remaining -= probability;
        if remaining < 0.0 {
            return token;
        }
    }
    // Because of rounding, the probabilities may add up to less than 1. If so, the last token with a probability
    // above 0 is picked.
    probabilities.iter().rposition(|probability| *probability > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_picked_in_proportion_to_their_probability() {
        let probabilities = [0.0, 0.5, 0.0, 0.3, 0.2, 0.0];
        let mut counts = [0; 6];
        for position in 0..10_000 {
            let draw = Draw { seed: 3, temperature: 0.4, hypothesis: position % 5, position };
            counts[pick(&probabilities, draw.uniform())] += 1;
        }
        assert_eq!((counts[0], counts[2], counts[5]), (0, 0, 0));
        for (count, expected) in [(counts[1], 5000), (counts[3], 3000), (counts[4], 2000)] {
            assert!(i32::abs(count - expected) < 200, "{counts:?}");
        }
        assert_eq!(pick(&probabilities, 1.0), 4);
    }

    #[test]
    fn every_part_of_a_draw_changes_its_random_number() {
        let draw = Draw { seed: 1, temperature: 0.2, hypothesis: 0, position: 0 };
        let others = [
            Draw { seed: 2, ..draw },
            Draw { temperature: 0.4, ..draw },
            Draw { hypothesis: 1, ..draw },
            Draw { position: 1, ..draw },
        ];
        assert!(others.iter().all(|other| other.uniform().to_bits() != draw.uniform().to_bits()));
        assert_eq!(draw.uniform().to_bits(), draw.uniform().to_bits());
        assert!((0..1000).all(|seed| (0.0..1.0).contains(&Draw { seed, ..draw }.uniform())));
    }
}
