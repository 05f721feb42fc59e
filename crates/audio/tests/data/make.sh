#!/bin/sh
# Generates the fixtures of this folder: one short sentence of synthetic speech in every supported format.
# Needs espeak-ng, sox, flac, opus-tools and ffmpeg. Other versions of these produce slightly different files.
# If speech.wav changes, run mel.py afterwards.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -v error -y -bitexact "$@"; }

# The reference, 1 s at 16 kHz; and the same signal at the rates that the fixtures use.
espeak-ng -s 190 -w "$work/speech.wav" "seven wonders"
sox -R "$work/speech.wav" -r 16000 -b 16 -c 1 speech.wav norm -3 trim 0 1 dither -S
for rate in 8000 22050 44100 48000; do sox -R speech.wav -r $rate -b 16 "$work/$rate.wav"; done
sox -R "$work/44100.wav" -c 2 "$work/stereo.wav" remix 1v1.0 1v0.5
in8="$work/8000.wav" in22="$work/22050.wav" in44="$work/44100.wav" in48="$work/48000.wav" stereo="$work/stereo.wav"

# WAV codecs
sox -R "$in8" -e u-law ulaw.wav
sox -R "$in8" -e a-law alaw.wav
sox -R "$in8" -e ms-adpcm adpcm-ms.wav
sox -R "$in8" -e ima-adpcm adpcm-ima.wav

# Other PCM containers, lossless codecs
sox -R "$in8" speech.aiff
ff -i "$in8" -c:a pcm_mulaw speech.caf
ff -i "$in8" -c:a pcm_s16be speech.mov
flac --silent --force --no-padding -o speech.flac "$in8"
ff -i "$in8" -c:a flac flac.ogg
ff -i "$in8" -c:a alac alac.m4a

# MP3, MP2, AAC
ff -i "$stereo" -c:a libmp3lame -b:a 48k stereo.mp3
ff -i "$in22" -c:a libmp3lame -b:a 24k -write_xing 0 no-xing.mp3
ff -i "$in44" -c:a libmp3lame -b:a 48k -id3v2_version 3 -metadata title=seven -metadata comment="$(seq 1 400)" tagged.mp3
ff -i "$in44" -c:a mp2 -b:a 64k speech.mp2
ff -i "$in44" -c:a aac -b:a 32k aac.m4a
ff -i "$in22" -c:a aac -b:a 24k aac-22k.m4a
ff -i aac.m4a -c copy -movflags faststart index-first.m4a
ff -i "$in44" -c:a aac -b:a 32k -movflags frag_keyframe+empty_moov+default_base_moof fragmented.mp4
ff -i "$stereo" -c:a aac -b:a 48k -f adts stereo.aac

# Vorbis, Opus in all its modes
ff -i "$in44" -c:a libvorbis -q:a 0 vorbis.ogg
ff -i "$in44" -c:a libvorbis -q:a 0 vorbis.webm
opusenc --quiet --serial 1 --speech --bitrate 12 "$in48" silk.opus
opusenc --quiet --serial 1 --speech --bitrate 24 --framesize 60 "$in48" hybrid.opus
opusenc --quiet --serial 1 --music --bitrate 48 --framesize 2.5 --max-delay 100 "$in48" celt.opus
sox -R "$in48" "$work/stereo48.wav" remix 1 1v0.5
opusenc --quiet --serial 1 --bitrate 32 "$work/stereo48.wav" stereo.opus
ff -i "$in48" -af 'pan=5.1|FL=c0|FR=0.5*c0|FC=c0|LFE=0.1*c0|BL=0.2*c0|BR=0.2*c0' -c:a libopus -mapping_family 1 -b:a 96k surround.opus
ff -i "$in48" -c:a libopus -b:a 24k opus.webm
ff -i "$in48" -c:a libopus -b:a 24k opus.mp4
# two recordings in one file, one after the other
cat silk.opus > chained.opus
opusenc --quiet --serial 2 --speech --bitrate 12 "$in48" - >> chained.opus

ff -i "$in44" -c:a libmp3lame -b:a 32k mp3.mp4

# Video files
video="-f lavfi -i testsrc2=size=32x32:rate=5:duration=1.5"
ff $video -i "$in44" -c:v mpeg4 -b:v 8k -c:a aac -b:a 32k video.mp4
ff $video -itsoffset 0.5 -i "$in44" -c:v mpeg4 -b:v 8k -c:a aac -b:a 32k late.mp4
ff $video -itsoffset 0.5 -i "$in48" -c:v libvpx -b:v 8k -c:a libopus -b:a 24k late.webm
ff $video -i "$in44" -c:v mpeg4 -b:v 8k -c:a aac -b:a 32k video.mkv
ff $video -c:v mpeg4 -b:v 8k silent.mp4
# the default track in an unsupported codec, then a supported one
ff -i "$in44" -i "$in44" -map 0 -map 1 -c:a:0 ac3 -b:a:0 32k -c:a:1 libmp3lame -b:a:1 32k two-tracks.mkv
