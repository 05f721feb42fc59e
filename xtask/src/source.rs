//! Splits each line of Rust source into code and comment, so that a rule can check only one of the two. The contents
//! of strings and character literals belong to neither.

/// One line of a source file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The code of the line, without comments and without the contents of strings.
    pub code: String,
    /// The comments of the line, including the slashes.
    pub comment: String,
    /// Whether the line is inside `#[cfg(test)] mod ... { }`.
    pub in_tests: bool,
}

/// What the lexer is reading at a character: code, a comment or a literal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    /// Inside a block comment, with the nesting depth of the comment.
    BlockComment(usize),
    /// Inside a string with backslash escapes.
    Text,
    /// Inside a raw string, with the number of `#` that end the string.
    RawText(usize),
}

/// Splits a source file into lines.
pub fn lines(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next, used) = step(state, &chars[..at], &chars[at..]);
        for &c in &chars[at..at + used] {
            let line = lines.last_mut().expect("there is a first line");
            match (state, next) {
                _ if c == '\n' => lines.push(Line::default()),
                (State::Code, State::Code) if used == 1 => line.code.push(c),
                (State::LineComment | State::BlockComment(_), _) | (_, State::LineComment) => line.comment.push(c),
                // A string becomes a space in `code`, so that the code before it and after it stays separate.
                _ => line.code.push(' '),
            }
        }
        state = next;
        at += used;
    }
    mark_tests(&mut lines);
    lines
}

/// Reads the next token of the source. Returns the state after it, and the number of characters of the token.
fn step(state: State, before: &[char], rest: &[char]) -> (State, usize) {
    match (state, rest) {
        (State::Code, ['/', '/', ..]) => (State::LineComment, 2),
        (State::Code, ['/', '*', ..]) => (State::BlockComment(1), 2),
        (State::Code, ['"', ..]) => (State::Text, 1),
        (State::Code, ['\'', ..]) => (State::Code, char_literal(rest).unwrap_or(1)),
        (State::Code, ['r', ..]) if starts_literal(before) => match raw_string(rest) {
            Some(hashes) => (State::RawText(hashes), hashes + 2),
            None => (State::Code, 1),
        },
        (State::LineComment, ['\n', ..]) | (State::Text, ['"', ..]) => (State::Code, 1),
        (State::BlockComment(1), ['*', '/', ..]) => (State::Code, 2),
        (State::BlockComment(depth), ['*', '/', ..]) => (State::BlockComment(depth - 1), 2),
        (State::BlockComment(depth), ['/', '*', ..]) => (State::BlockComment(depth + 1), 2),
        (State::Text, ['\\', _, ..]) => (State::Text, 2),
        (State::RawText(hashes), ['"', end @ ..]) if end.iter().take_while(|&&c| c == '#').count() >= hashes => {
            (State::Code, 1 + hashes)
        }
        _ => (state, 1),
    }
}

/// The length in characters of the character literal at the beginning of `rest`. `None` if the quote starts a
/// lifetime.
fn char_literal(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', _, tail @ ..] => tail.iter().position(|&c| c == '\'').map(|end| end + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

/// Whether an `r` after the characters `before` can begin a raw string. It can if it is the first character of a
/// token, or follows the `b` or `c` of `br""` or `cr""`.
fn starts_literal(before: &[char]) -> bool {
    let in_word = |c: Option<&char>| c.is_some_and(|&c| is_word(c));
    match before {
        [head @ .., 'b' | 'c'] => !in_word(head.last()),
        _ => !in_word(before.last()),
    }
}

/// The number of `#` with which the raw string at the beginning of `rest` opens. `None` if `rest` does not begin with
/// a raw string.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some(hashes)
}

fn mark_tests(lines: &mut [Line]) {
    let mut at = 0;
    while at < lines.len() {
        if lines[at].code.trim() == "#[cfg(test)]"
            && let Some(module) = lines[at + 1..].iter().position(|line| !line.code.trim_start().starts_with("#["))
            && lines[at + 1 + module].code.trim_start().starts_with("mod ")
            && lines[at + 1 + module].code.contains('{')
        {
            let mut depth = 0;
            for line in &mut lines[at..] {
                line.in_tests = true;
                at += 1;
                let closes = line.code.contains('}');
                depth += line.code.matches('{').count();
                depth -= line.code.matches('}').count().min(depth);
                if closes && depth == 0 {
                    break;
                }
            }
        } else {
            at += 1;
        }
    }
}

/// Whether a character can be part of an identifier.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The byte positions in `code` at which the occurrences of `word` end. Only whole words count.
pub fn ends_of(word: &str, code: &str) -> Vec<usize> {
    let is_whole = |&(start, found): &(usize, &str)| {
        !code[..start].ends_with(is_word) && !code[start + found.len()..].starts_with(is_word)
    };
    code.match_indices(word).filter(is_whole).map(|(start, found)| start + found.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        lines(text).into_iter().map(|line| line.code.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn comments_are_not_code() {
        assert_eq!(code("a // b\n/* c\n /* d */ e */ f"), ["a", "", "f"]);
        let split = lines("x(); // why\n/// doc");
        assert_eq!((split[0].comment.as_str(), split[1].comment.as_str()), ("// why", "/// doc"));
    }

    #[test]
    fn strings_are_not_code() {
        assert_eq!(code(r##"a("x \" // y", b"z", r"\", br#"" q"#, c)"##), ["a( , b , , b , c)"]);
        assert_eq!(code("a(\"\", b)"), ["a( , b)"]);
        assert_eq!(code("a(\"one \\\n two\", b)"), ["a(", ", b)"]);
        assert_eq!(code("fr(\"x\") + r#fn"), ["fr( ) + r#fn"]);
    }

    #[test]
    fn character_literals_are_distinguished_from_lifetimes() {
        assert_eq!(code("f::<'a>('\"', '\\'', '\\u{7f}', b'/', 'static)"), ["f::<'a>( , , , b , 'static)"]);
    }

    #[test]
    fn test_modules_are_marked() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {\n }\n}\nfn c() {}\n#[cfg(test)]\nuse d;";
        let marks: Vec<bool> = lines(text).iter().map(|line| line.in_tests).collect();
        assert_eq!(marks, [false, true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn only_whole_words_are_found() {
        assert_eq!(ends_of("net", "net::internet net_x planet (net)"), [3, 31]);
    }
}
