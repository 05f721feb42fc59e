"""Makes mel-*.npy: log-mel values of an independent implementation in float64, with librosa's mel filters.

Against the original implementation's (80, 3000) spectrogram of an 11 s recording this one differs by 4.4e-5 at most,
which is the error of the original's float32.

    python3 -m venv venv && venv/bin/pip install numpy librosa && venv/bin/python mel.py
"""

import librosa
import numpy as np


def log_mel(samples, n_mels):
    padded = np.zeros(480000)
    padded[: len(samples)] = samples
    padded = np.pad(padded, 200, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:3000]
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    filters = librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels, dtype=np.float64)
    values = np.log10(np.maximum(power @ filters.T, 1e-10))
    return (np.maximum(values, values.max() - 8) + 4) / 4


def noise():
    """30 s of noise that any language makes alike."""
    state, samples = 1, np.zeros(480000, np.float32)
    for i in range(480000):
        state = (state * 1664525 + 1013904223) % 2**32
        samples[i] = (state >> 8) / 2**24 - 0.5
    return samples


speech = np.fromfile("speech.wav", "<i2", offset=44) / 32768
for n_mels in (80, 128):
    np.save(f"mel-speech-{n_mels}.npy", log_mel(speech, n_mels)[[0, 1, 42, 98, 101, 2999]].astype("<f4"))
np.save("mel-noise-80.npy", log_mel(noise(), 80)[[0, 1, 1500, 2998, 2999]].astype("<f4"))
