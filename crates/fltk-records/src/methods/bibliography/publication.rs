//! A publication, read from the line in which a catalogue names it.

use super::{bibtex_entry, latex};

/// A publication, as far as its line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    /// Surnames, or names.
    authors: Vec<String>,
    /// True if there are more, which the line doesn't name.
    has_more_authors: bool,
    pub title: Option<String>,
    pub year: String,
    arxiv: Option<String>,
    doi: Option<String>,
    /// Anything else, such as the conference.
    other: Vec<String>,
}

impl Publication {
    /// Reads `AUTHORS, TITLE, YEAR, ...` or `AUTHORS YEAR, TITLE, ...`, in which the title may be missing; `None` if there is no year.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(", ").map(str::trim).collect();
        let (authors, year, title, rest) = match fields.iter().position(|field| is_year(field)) {
            // A title may contain commas.
            Some(at) => (fields.first()?.to_string(), fields[at], fields[1..at.max(1)].join(", "), &fields[at + 1..]),
            None => {
                let ends_in_year = |field: &&str| field.rsplit_once(' ').is_some_and(|(_, year)| is_year(year));
                let at = fields.iter().position(ends_in_year)?;
                let (last, year) = fields[at].rsplit_once(' ')?;
                let authors = [&fields[..at], &[last]].concat().join(", ");
                let rest = &fields[at + 1..];
                let title = rest.first().filter(|field| !is_identifier(field) && !is_place(field)).copied().unwrap_or_default();
                (authors, year, title.to_owned(), &rest[usize::from(!title.is_empty())..])
            }
        };
        let after = |prefix: &str| rest.iter().find_map(|field| field.strip_prefix(prefix)).map(str::to_owned);
        let has_more_authors = authors.ends_with(" et al.");
        let authors = authors.trim_end_matches(" et al.").replace(" and ", ", ");
        Some(Self {
            authors: authors.split(", ").map(str::to_owned).collect(),
            has_more_authors,
            title: Some(title).filter(|title| !title.is_empty()),
            year: year.to_owned(),
            arxiv: after("arXiv:"),
            doi: after("doi:"),
            other: rest.iter().filter(|field| !is_identifier(field) && !is_place(field)).map(|field| (*field).to_owned()).collect(),
        })
    }

    /// Returns a key for citations: first author, year, and the first word of the title that isn't a small one.
    pub fn key(&self) -> String {
        let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let title = self.title.as_deref().unwrap_or_default();
        let words =
            title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !["", "a", "an", "the", "on"].contains(&&*word.to_lowercase()));
        let author = self.authors.first().map(String::as_str).unwrap_or_default();
        format!("{}{}{}", letters(author), self.year, letters(words.into_iter().next().unwrap_or_default()))
    }

    /// Returns true if both are the same publication, perhaps named in another way.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other || self.has_identifier_of(other)
    }

    /// Returns true if both have the same number in arXiv or the same DOI.
    pub fn has_identifier_of(&self, other: &Self) -> bool {
        (self.arxiv.is_some() && self.arxiv == other.arxiv) || (self.doi.is_some() && self.doi == other.doi)
    }

    /// Returns its entry in BibTeX.
    pub fn bibtex(&self, key: &str) -> String {
        let mut authors: Vec<String> = self.authors.iter().map(|author| latex_name(author)).collect();
        authors.extend(self.has_more_authors.then(|| "others".to_owned()));
        let mut fields = vec![("author", authors.join(" and "))];
        // Braces keep the case of its letters.
        fields.extend(self.title.as_ref().map(|title| ("title", format!("{{{}}}", latex(title)))));
        fields.push(("year", self.year.clone()));
        fields.extend((!self.other.is_empty()).then(|| ("howpublished", latex(&self.other.join(", ")))));
        if let Some(arxiv) = &self.arxiv {
            fields.push(("eprint", latex(arxiv)));
            fields.push(("archiveprefix", "arXiv".to_owned()));
        }
        fields.extend(self.doi.as_ref().map(|doi| ("doi", doi.clone())));
        bibtex_entry(key, &fields)
    }
}

/// Returns a name in BibTeX; of several words, in braces, so that the last is not taken for the surname.
fn latex_name(name: &str) -> String {
    if name.contains(' ') { format!("{{{}}}", latex(name)) } else { latex(name) }
}

fn is_year(field: &str) -> bool {
    field.len() == 4 && field.bytes().all(|c| c.is_ascii_digit())
}

fn is_identifier(field: &str) -> bool {
    field.starts_with("arXiv:") || field.starts_with("doi:")
}

/// Returns true if a field names a place in the publication, which a list of references doesn't have.
fn is_place(field: &str) -> bool {
    ["algorithm ", "section ", "equation ", "table ", "appendix "].iter().any(|place| field.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, key: &str, expected: &str) {
        let publication = Publication::parse(line).unwrap();
        assert_eq!(publication.key(), key);
        assert_eq!(publication.bibtex("k"), format!("@misc{{k,\n{expected}\n}}\n"));
    }

    #[test]
    fn both_forms_of_lines_are_read() {
        check(
            "El Mhamdi et al., The Hidden Vulnerability, in Byzantium, 2018, arXiv:1802.07927, algorithm 1",
            "elmhamdi2018hidden",
            "  author = {{El Mhamdi} and others},\n  title = {{The Hidden Vulnerability, in Byzantium}},\n  year = {2018},\n  eprint = {1802.07927},\n  archiveprefix = {arXiv}",
        );
        check(
            "Kingma and Ba, Adam: A Method for 100 % & more, 2014, doi:10.1/a_b",
            "kingma2014adam",
            "  author = {Kingma and Ba},\n  title = {{Adam: A Method for 100 \\% \\& more}},\n  year = {2014},\n  doi = {10.1/a_b}",
        );
        check(
            "Li, Sahu and Smith 2020, Federated Optimization, MLSys, arXiv:1812.06127, section 5.1",
            "li2020federated",
            "  author = {Li and Sahu and Smith},\n  title = {{Federated Optimization}},\n  year = {2020},\n  howpublished = {MLSys},\n  eprint = {1812.06127},\n  \
             archiveprefix = {arXiv}",
        );
        check(
            "Hsu et al. 2019, arXiv:1909.06335",
            "hsu2019",
            "  author = {Hsu and others},\n  year = {2019},\n  eprint = {1909.06335},\n  archiveprefix = {arXiv}",
        );
        check("Rosenblatt 1958", "rosenblatt1958", "  author = {Rosenblatt},\n  year = {1958}");
        assert_eq!(Publication::parse("a tutorial"), None);
    }
}
