//! Rust text without its comments and literals, so that a rule about code does not trip over prose.
//!
//! Lines stay where they were. This is no parser: it knows comments, strings, raw strings and character literals, which
//! is all that can hide a word.

/// The text with every comment, string and character literal blanked out, line by line as before.
pub fn only(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(&bytes, at);
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(
                bytes[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(text: &[char], at: usize) -> usize {
    let starts = |what: &str| {
        what.chars()
            .enumerate()
            .all(|(i, c)| text.get(at + i) == Some(&c))
    };
    let after_word = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    if starts("//") {
        return find(text, at, "\n").unwrap_or(text.len());
    }
    if starts("/*") {
        return block_comment_end(text, at);
    }
    if starts("\"") {
        return quoted_end(text, at + 1, '"');
    }
    if (text[at] == 'r' || starts("br")) && !after_word {
        let hashes_at = at + if text[at] == 'b' { 2 } else { 1 };
        let hashes = text[hashes_at..].iter().take_while(|c| **c == '#').count();
        if text.get(hashes_at + hashes) == Some(&'"') {
            let close = format!("\"{}", "#".repeat(hashes));
            return find(text, hashes_at + hashes + 1, &close)
                .map_or(text.len(), |end| end + close.len());
        }
    }
    // A lifetime has no closing quote one character (or one escape) later.
    if text[at] == '\'' && (text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\'')) {
        return quoted_end(text, at + 1, '\'');
    }
    at
}

fn quoted_end(text: &[char], mut at: usize, quote: char) -> usize {
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn block_comment_end(text: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn find(text: &[char], from: usize, what: &str) -> Option<usize> {
    let what: Vec<char> = what.chars().collect();
    (from..text.len()).find(|at| text[*at..].starts_with(&what))
}

/// Whether a line of code has this word by itself, not inside a longer name.
pub fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_go_and_code_stays() {
        let cases = [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("b \" c", d)"#, "f(        , d)"),
            (r##"f(r#"b " c"#, d)"##, "f(          , d)"),
            ("c == '\"' && d", "c ==     && d"),
            ("fn a<'x>(b: &'x str) {}", "fn a<'x>(b: &'x str) {}"),
            ("for r in b {}", "for r in b {}"),
        ];
        for (text, expected) in cases {
            assert_eq!(only(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(only("a\n/* b\nc */\nd").lines().nth(3), Some("d"));
    }

    #[test]
    fn word_is_whole() {
        assert!(has_word("x = unsafe { y }", "unsafe"));
        assert!(!has_word("unsafe_code = 1", "unsafe"));
    }
}
