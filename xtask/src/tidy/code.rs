//! Rust source as the rules see it: comments and literals are blanked, and tests are cut off. This is just enough of a lexer for that.

/// Returns the code in `text`: every character of a comment, string or character literal becomes a space; line breaks stay.
pub fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => line_end(&chars, at),
            ('/', Some('*')) => comment_end(&chars, at),
            ('"', _) => string_end(&chars, at),
            ('r', Some('"' | '#')) if !is_word(at.checked_sub(1).and_then(|before| chars.get(before))) => raw_string_end(&chars, at),
            ('\'', _) => char_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Returns `code` up to its unit tests, which by convention are the last item in a file.
pub fn without_tests(code: &str) -> &str {
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let begin = from + found;
        let rest = code[begin + "#[cfg(test)]".len()..].trim_start();
        // With `mod tests;`, the tests are in another file, and the code after it is not a test.
        if rest.starts_with("mod ") && rest.find(['{', ';']).is_some_and(|end| rest[end..].starts_with('{')) {
            return &code[..begin];
        }
        from = begin + 1;
    }
    code
}

fn is_word(c: Option<&char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length)
}

/// Returns the end of a block comment, which may be nested.
fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end < chars.len() {
        match (chars[end], chars.get(end + 1)) {
            ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
            ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
        if depth == 0 {
            break;
        }
    }
    end
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// Returns the end of a raw string, or `at` itself if there is none: `r#type` is a name.
fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let closes = |from: usize| chars[from] == '"' && chars[from + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    (open + 1..chars.len()).find(|&from| closes(from)).map_or(chars.len(), |close| close + 1 + hashes)
}

/// Returns the end of a character literal, or `at` itself if there is none: `'a` is a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (at + 3..chars.len()).find(|&close| chars[close] == '\'').map_or(chars.len(), |close| close + 1),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_kept() {
        let check = |text: &str, expected: &str| {
            let code = without_comments_and_literals(text);
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
            assert_eq!(code.lines().count(), text.lines().count(), "{text}");
            assert_eq!(code.chars().count(), text.chars().count(), "{text}");
        };
        check("a // b\nc", "a c");
        check("/// unsafe\nfn f() {}", "fn f() {}");
        check("a /* b /* c */ d */ e", "a e");
        check("a /* never closed", "a");
        check(r#"f("unsafe", b"x")"#, "f( , b )");
        check(r#"f("\"", '"', '\'', '\\', 'x') y"#, "f( , , , , ) y");
        check(r####"f(r"\", r#"a "quoted" b"#) y"####, "f( , ) y");
        check("fn f<'a>(x: &'a str, r#type: u8, for_r: u8)", "fn f<'a>(x: &'a str, r#type: u8, for_r: u8)");
        check("'\\u{1F600}' 'é' \"never closed", "");
        check("\"two\nlines\" x", "x");
        check("'", "'");
        check("'\\", "");
    }

    #[test]
    fn only_tests_are_cut_off() {
        let check = |code: &str, expected: &str| assert_eq!(without_tests(code), expected);
        check("a\n#[cfg(test)]\nmod tests {\n b }", "a\n");
        check("a\n#[cfg(test)]\nmod testing;\nb", "a\n#[cfg(test)]\nmod testing;\nb");
        check("#[cfg(test)]\nuse x;\nc\n#[cfg(test)]\nmod tests { d }", "#[cfg(test)]\nuse x;\nc\n");
        check("a", "a");
    }
}
