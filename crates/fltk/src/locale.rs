//! The characters that the user's terminal can show.

use std::env;

/// Returns true if a terminal can show more than ASCII, by the user's locale.
#[must_use]
pub fn is_unicode() -> bool {
    says_unicode(&["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).ok()))
}

/// Decides it by the values of `LC_ALL`, `LC_CTYPE` and `LANG`: the first that is set counts. Where none is, as in most containers, the terminal is that of somebody
/// elsewhere, and today's terminals show UTF-8.
fn says_unicode(variables: &[Option<String>]) -> bool {
    let set = variables.iter().flatten().find(|value| !value.is_empty());
    set.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_variable_that_is_set_decides() {
        let check = |variables: [&str; 3], expected: bool| {
            let variables = variables.map(|value| Some(value.to_owned()).filter(|value| value != "unset"));
            assert_eq!(says_unicode(&variables), expected, "{variables:?}");
        };
        check(["unset"; 3], true);
        check(["unset", "unset", "en_US.UTF-8"], true);
        check(["", "unset", "C"], false);
        check(["C.utf8", "C", "C"], true);
        check(["POSIX", "unset", "en_US.UTF-8"], false);
        check(["unset", "de_DE.ISO-8859-1", "en_US.UTF-8"], false);
    }
}
