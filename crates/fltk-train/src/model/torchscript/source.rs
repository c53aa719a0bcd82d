//! The sources in a TorchScript archive, read word by word to find which of libtorch's operations they name.
//!
//! Sources can be written by hand, so it doesn't matter how a word is used: `f = torch.save` counts as a call. This is not a parser: libtorch
//! itself refuses sources that it doesn't understand.

/// Attributes and functions that read or write files, print, or call other processes. A net needs none of them.
const REFUSED: &[&str] = &["from_file", "save", "_print", "Print", "PythonOp", "rpc_async", "rpc_sync", "rpc_remote"];
/// Words that are refused anywhere, for the same reason.
const REFUSED_ANYWHERE: &[&str] = &["print"];
/// The namespaces of operations that nets use in addition to PyTorch's usual ones (`ops.prim.NumToTensor`).
const NAMESPACES: &[&str] = &["aten", "prim"];

/// A token of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name or a keyword.
    Word(&'a str),
    /// A string, without its quotes.
    Text(&'a str),
    /// Any other character that isn't white space.
    Sign(char),
}

/// Operations that draw random numbers, or may.
const DRAWING: &[&str] = &[
    "cauchy_",
    "exponential_",
    "geometric_",
    "gru",
    "log_normal_",
    "lstm",
    "multinomial",
    "normal",
    "normal_",
    "poisson",
    "random_",
    "rnn_relu",
    "rnn_tanh",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "uniform",
    "uniform_",
];
/// Parts of the names of others.
const DRAWING_PARTS: &[&str] = &["bernoulli", "dropout", "rand"];

/// Refuses a source that names something that a net doesn't need, and returns true if it names an operation that draws random numbers.
pub(super) fn check(source: &str) -> Result<bool, String> {
    let tokens = tokens(source)?;
    let mut draws = false;
    let refused = |what: &str| {
        Err(format!("it uses `{what}`, which a net doesn't need\nhint: a module is a program; this one may read or write files"))
    };
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| tokens[at]);
        let after = tokens.get(at + 1).copied();
        let Token::Word(word) = *token else { continue };
        draws |= DRAWING.contains(&word) || DRAWING_PARTS.iter().any(|part| word.contains(part));
        let is_attribute = before == Some(Token::Sign('.'));
        let is_used = is_attribute || after == Some(Token::Sign('('));
        if REFUSED_ANYWHERE.contains(&word) || (is_used && REFUSED.contains(&word)) {
            return refused(word);
        }
        if word == "getattr" {
            check_getattr(&tokens[at + 1..])?;
        }
        if word == "ops" && !is_attribute {
            match (after, tokens.get(at + 2)) {
                (Some(Token::Sign('.')), Some(Token::Word(namespace))) if NAMESPACES.contains(namespace) => {}
                (Some(Token::Sign('.')), Some(Token::Word(namespace))) => return refused(&format!("ops.{namespace}")),
                _ => return refused("ops"),
            }
        }
        let follows = tokens.get(at + 2);
        if word == "torch" && after == Some(Token::Sign('.')) && follows == Some(&Token::Word("classes")) {
            return refused("torch.classes");
        }
    }
    Ok(draws)
}

/// Checks that the attribute given to `getattr`, by the tokens that follow it, is one plain string that isn't refused.
fn check_getattr(tokens: &[Token<'_>]) -> Result<(), String> {
    let mut depth = 0;
    let mut end = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            end = Some(at);
            break;
        }
    }
    match end.and_then(|end| tokens.get(end.checked_sub(2)?..end)) {
        Some([Token::Sign(','), Token::Text(name)])
            if !name.contains('\\') && !REFUSED.contains(name) && !REFUSED_ANYWHERE.contains(name) =>
        {
            Ok(())
        }
        _ => Err("it uses `getattr` with an invalid name, or one that a net doesn't need".to_owned()),
    }
}

fn tokens(source: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = match c {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => {
                let quote = &rest[..1];
                // Three quotes in a row begin a string that may contain line ends; PyTorch never prints them.
                if rest.starts_with(&quote.repeat(3)) {
                    return Err("it has a text of several lines".to_owned());
                }
                let length = text_length(rest, c).ok_or("a text in it has no end")?;
                tokens.push(Token::Text(&rest[1..length - 1]));
                length
            }
            c if is_part(c) => {
                let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..length]));
                length
            }
            // A backslash would remove a line end from the source, and PyTorch never prints one.
            '\\' => return Err("it has a backslash outside of a text".to_owned()),
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token::Sign(c));
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// Returns the bytes of the string that `rest` begins with, including its quotes.
fn text_length(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' => return None,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_nets_is_accepted() {
        for source in [
            "class Sequential(Module):\n  __parameters__ = []\n  __annotations__[\"0\"] = __torch__.torch.nn.modules.flatten.Flatten\n",
            "    _0 = getattr(self, \"0\")\n    return torch.linear(input, weight, bias)\n",
            "    _1 = ops.prim.NumToTensor(torch.size(x, 0))\n    torch.warn(\"print it to a file: save\", 2)\n",
            "    save = torch.add(x, 1) # torch.save\n    saved = self.ops.x\n",
            "    ops.prim.RaiseException(\"it's \\\"print\\\"\")\n",
        ] {
            assert_eq!(check(source), Ok(false), "{source}");
        }
    }

    #[test]
    fn code_that_draws_random_numbers_is_found() {
        for source in [
            "_0 = torch.dropout(x, 0.5, training)",
            "_0 = torch.feature_alpha_dropout(x, 0.5, training)",
            "_0 = ops.aten.native_dropout(x, 0.5, True)",
            "f = torch.scaled_dot_product_attention",
            "_1 = torch.rand_like(x)",
            "x1 = torch.bernoulli_(x)",
            "_0, _1, _2 = torch.lstm(x, [h, c], weights, True, 2, 0.5, True, False, True)",
        ] {
            assert_eq!(check(source), Ok(true), "{source}");
        }
        assert_eq!(check("_0 = torch.batch_norm(x, w, b, m, v, True, 0.1, 1e-05, True)\n_1 = torch.normalize(x)"), Ok(false));
    }

    #[test]
    fn code_foreign_to_nets_is_refused() {
        for (source, word) in [
            ("_0 = torch.save(x, \"a\")", "save"),
            ("f = torch . save", "save"),
            ("f = torch.\\\nsave", "backslash"),
            ("x.save(\"a\")", "save"),
            ("torch.from_file(\"a\", True, 4)", "from_file"),
            ("print(\"a\")", "print"),
            ("p = print", "print"),
            ("ops.aten._print(\"a\")", "_print"),
            ("ops.c10d.barrier()", "ops.c10d"),
            ("o = ops", "ops"),
            ("x : __torch__.torch.classes.cuda.Event", "torch.classes"),
            ("getattr(torch, \"save\")(x, \"a\")", "getattr"),
            ("getattr(torch, \"sa\" \"ve\")", "getattr"),
            ("getattr(torch, \"\\x73ave\")", "getattr"),
            ("getattr(torch, f(\"a\"))", "getattr"),
            ("g = getattr", "getattr"),
            ("x = \"a\\\" # \"; torch.save(x, \"a\")", "save"),
            ("x = \"\"\"a", "several lines"),
            ("x = \"a", "no end"),
        ] {
            let error = check(source).expect_err(source);
            assert!(error.contains(word), "{source}: {error}");
        }
    }
}
