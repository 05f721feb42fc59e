#!/usr/bin/env python3
"""Compares the normalisers of this crate with the Python package `whisper-normalizer`.

    python3 -m venv VENV && VENV/bin/pip install whisper-normalizer
    VENV/bin/python crates/score/tests/agreement.py [--sentences N] [--golden FILE] [MANIFEST.jsonl ...]

Generates sentences with numbers, money, ordinals, contractions, titles, brackets, British spellings and stray symbols
from a fixed seed, and adds the references of the manifests. Normalises each with both normalisers of the package and of
the crate, prints how many differ and the first differences, and exits with 1 if any differ. `--golden` writes the file
that the crate's tests compare with: 200 lines with the sentence, a tab, and its English normal form by the package.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys

from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

CRATE = pathlib.Path(__file__).resolve().parent.parent
SPELLINGS = [line.split("\t")[0] for line in (CRATE / "src/english/spellings.tsv").read_text().splitlines()]
ONES = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
POWERS = """hundred thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion
decillion""".split()
ENDS = """zeroth first second third fourth fifth sixth seventh eighth eightth ninth nineth tenth eleventh twelfth twentieth
thirtieth fortieth hundredth thousandth millionth ones twos sixes sevens twenties sixties nineties hundreds thousands
millions""".split()
OTHERS = """zero oh o and and and point point double triple minus negative plus positive dollars dollar cents cent pounds
euros percent per half a""".split()
WORDS = """the of to in he was that it his her with as had for she not at but be on they have him which said from all
this by you were there are been their one so would what when we who an my out up them into no more could then do now
first time only men great people years year day house long came about made hundred before did little must after good
well over down should because any old where most made such here même naïve café straße 東京 слово""".split()
CONTRACTIONS = """won't can't let's ain't y'all wanna kinda sorta dunno gotta gonna i'ma imma woulda coulda shoulda cause
ma'am mr mr. Mrs. st St. dr Dr. prof capt gov ald gen sen rep pres rev hon asst assoc lt col jr sr esq he'd she's they're
we'll isn't 't I've I'm you'd 's don't Bob's hmm mm mhm uh um Uh, um... 'tis rock'n'roll o'clock""".split() + [
    "he'd been", "she's been", "they'd gone", "he's gone", "I'd done", "he's got", "she 's", "do n't", "l' été"]
PIECES = ["[laughs]", "(coughs)", "<noise>", "[a (b] c)", "()", "(", ")", "[", "]", "<", "...", "..", "?!", "-", "--", "%",
          "$", "€", "£", "¢", "¢5", "5%", "% 5", "$%", "a.b", "3.", ".5", "v1.2.3", "#1", "@", "&", "½", "²", "№", "١٢",
          "٣.٥", "३", "ﬁ", "Ａ１", "œuvre", "Łódź", "e\u0301", "\u200b", "\u00a0", "\u3000", "_", "a_b", "1_000", "İ",
          "ΟΔΟΣ", "’", "“so”", "it’s", "\u0301", "ß", "ẞ", "ǅ", "🙂", "。", "、", "हिन्दी", "ไทย", "\u001f", "1", "1s", "$1",
          "0", "00", "007", "1.0", "1.05", "$0.07", "$0.7", "£0.123", "0 point 5", "1st", "1 st", "2nd", "3 rd", "1960s",
          "1960 s", "4 th", "5 stars", "b2b", "x86", "mp3s", "1,000", "1,2,3", "12,345,678.90", "$1,000,000", "1, 000",
          "¢ 5", "$2 and ¢7", "€3 ¢45", "$2 ¢123", "and a half", "and  a half", "half and half", "10:30", "1/2", "+5",
          "-7", "+ 3", "- 3", "1e5", "1.5m", "20km", "5'10\"", "1-2", "'", "''", " '"]


def number(rng: random.Random) -> str:
    """A number as people say it, or as they do not."""
    def below_hundred() -> str:
        if rng.random() < 0.5:
            return rng.choice(ONES)
        return rng.choice(TENS) + rng.choice(["", " ", "-", " "]).join(["", rng.choice(ONES[:9])]) * rng.randint(0, 1)

    def below_thousand() -> str:
        hundreds = f"{rng.choice(ONES[:9] + ['a'])} hundred {rng.choice(['', 'and '])}" * rng.randint(0, 1)
        return hundreds + below_hundred()

    kind = rng.randrange(9)
    if kind == 0:
        return " ".join(rng.choice(ONES[:9] + ["oh", "zero", "o", "double", "triple"]) for _ in range(rng.randint(2, 7)))
    if kind == 1:
        return f"{below_hundred()} {below_hundred()}"
    if kind == 2:
        return f"{below_thousand()} point " + " ".join(rng.choice(ONES[:9] + ["zero", "oh"]) for _ in range(rng.randint(1, 4)))
    if kind == 3:
        return f"{rng.choice(ONES)} {rng.choice(POWERS)} and a half"
    if kind == 4:
        return f"{rng.randint(0, 10 ** rng.randint(1, 7)):{rng.choice(['', ','])}}{rng.choice(['', '.5', '.25', '.00'])}"
    if kind == 5:
        return f"{rng.randint(0, 999)}{rng.choice(['', '.5', '.125'])} {rng.choice(POWERS)}"
    if kind == 6:
        return f"{below_hundred()}{rng.choice([' ', '-'])}{rng.choice(ENDS)}"
    powers = [power for power in reversed(POWERS[1:]) if rng.random() < 0.2]
    return " ".join([f"{below_thousand()} {power}" for power in powers] + [below_thousand()])


def amount(rng: random.Random) -> str:
    """A number with a unit or a sign."""
    return rng.choice([
        "{} dollars", "{} pounds and {} cents", "{} euros", "{} cents", "${}", "£{} million", "€{}", "{} percent", "{} per cent",
        "{}%", "minus {}", "plus {} or minus {}", "negative {}", "{} and a half", "{} and a half percent", "{} dollars {} cents",
        "the {}s", "{}th", "{}-{}", "{} to {}", "{} point {}", "{}, {} and {}", "{} per {}", "{}.", "({})", "{} hundredths",
    ]).format(*(number(rng) for _ in range(3)))


def sentence(rng: random.Random) -> str:
    """Some words; every third sentence holds whatever words numbers are made of, in any order."""
    if rng.random() < 0.33:
        words = [rng.choice(rng.choice([ONES, TENS, POWERS, ENDS, OTHERS, OTHERS, WORDS, PIECES])) for _ in range(rng.randint(1, 12))]
    else:
        words = []
        for _ in range(rng.randint(2, 12)):
            make = rng.choice([lambda: rng.choice(WORDS)] * 4 + [
                lambda: rng.choice(CONTRACTIONS), lambda: rng.choice(SPELLINGS), lambda: rng.choice(PIECES),
                lambda: number(rng), lambda: amount(rng)])
            word = make() + rng.choice([""] * 8 + [",", ".", "?", ";", "'s", "..."])
            words.append(rng.choice([str, str, str, str.capitalize, str.upper])(word))
    return rng.choice([" "] * 9 + ["  "]).join(words)


def references(manifest: pathlib.Path) -> list[str]:
    entries = [json.loads(line) for line in manifest.read_text().splitlines() if line.strip()]
    return [" ".join(entry["reference"].split("\n")) for entry in entries if entry.get("reference")]


def ours(lines: list[str], normalizer: str) -> list[str]:
    command = ["cargo", "run", "--quiet", "--release", "-p", "amanuensis-score", "--example", "normalise", "--", normalizer]
    run = subprocess.run(command, cwd=CRATE, input="".join(f"{line}\n" for line in lines), stdout=subprocess.PIPE,
                         check=True, encoding="utf-8")
    return run.stdout.split("\n")[:-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", nargs="*", type=pathlib.Path)
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--golden", type=pathlib.Path)
    options = parser.parse_args()
    rng = random.Random(20221206)
    made = [sentence(rng) for _ in range(options.sentences)]
    spelt = [" ".join(SPELLINGS[at:at + 10]) for at in range(0, len(SPELLINGS), 10)]
    real = [text for manifest in options.manifests for text in references(manifest)]
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    if options.golden:
        lines = [line for line in made if line.isprintable()][:200]
        options.golden.write_text("".join(f"{line}\t{english(line)}\n" for line in lines))
    different = 0
    for name, original in (("english", english), ("basic", basic)):
        for kind, lines in (("generated", made), ("spellings", spelt), ("references", real)):
            expected = [original(line) for line in lines]
            wrong = [pair for pair in zip(lines, expected, ours(lines, name), strict=True) if pair[1] != pair[2]]
            print(f"{name:8} {kind:10} {len(lines):5} compared, {len(wrong)} different")
            for line, theirs, our in wrong[:5]:
                print(f"  text   {line!r}\n  theirs {theirs!r}\n  ours   {our!r}")
            different += len(wrong)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
