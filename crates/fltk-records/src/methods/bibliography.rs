//! BibTeX of what catalogues name: an entry of a catalogue says its publications in one line, such as
//! `McMahan et al., Communication-Efficient Learning of ..., 2017, arXiv:1602.05629`. What the line doesn't say is not in the BibTeX either: no journal, no further authors.

mod publication;

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::catalogue::{Catalogues, Entry};

use self::publication::Publication;

/// PyTorch, whose kernels, in libtorch, compute.
const PYTORCH: &str = "Paszke et al., PyTorch: An Imperative Style, High-Performance Deep Learning Library, 2019, arXiv:1912.01703";

/// The key of the entry of this program.
const FLTK: &str = "fltk";

/// The publications that were cited.
#[derive(Clone)]
pub(super) struct Bibliography<'a> {
    pub catalogues: &'a Catalogues,
    /// By key.
    cited: BTreeMap<String, Publication>,
    /// The versions of this program, if it was cited.
    fltk: Option<BTreeSet<String>>,
}

impl<'a> Bibliography<'a> {
    pub fn new(catalogues: &'a Catalogues) -> Self {
        Self { catalogues, cited: BTreeMap::new(), fltk: None }
    }

    /// Returns the citation of the publications of an entry, after a space; nothing if it has none.
    pub fn cite(&mut self, entry: Option<&Entry>) -> String {
        self.cite_all(entry.map_or("", |entry| entry.paper))
    }

    /// Returns the citation of PyTorch, after a space.
    pub fn cite_pytorch(&mut self) -> String {
        self.cite_all(PYTORCH)
    }

    /// Returns the citation of these versions of this program, after a space.
    pub fn cite_fltk(&mut self, versions: BTreeSet<String>) -> String {
        self.fltk = Some(versions);
        citation(&[FLTK.to_owned()])
    }

    fn cite_all(&mut self, papers: &str) -> String {
        let keys: Vec<String> = papers.split("; ").filter_map(Publication::parse).map(|found| self.key(found)).collect();
        if keys.is_empty() { String::new() } else { citation(&keys) }
    }

    /// Adds a publication unless it is there, and returns its key.
    fn key(&mut self, mut publication: Publication) -> String {
        if publication.title.is_none() {
            publication.title = self.title_of(&publication);
        }
        let key = publication.key();
        let mut suffixes = 'b'..='z';
        let mut free = key.clone();
        while self.cited.get(&free).is_some_and(|other| !other.is_same(&publication)) {
            let Some(suffix) = suffixes.next() else { break };
            free = format!("{key}{suffix}");
        }
        self.cited.entry(free.clone()).or_insert(publication);
        free
    }

    /// Returns the title that another entry of the catalogues gives to the same publication.
    fn title_of(&self, publication: &Publication) -> Option<String> {
        let papers = entries(self.catalogues).flat_map(|entry| entry.paper.split("; "));
        papers.filter_map(Publication::parse).find(|other| other.has_identifier_of(publication) && other.title.is_some())?.title
    }

    /// Returns the entries that were cited, by key.
    pub fn bibtex(&self) -> String {
        let fltk = self.fltk.as_ref().map(|versions| {
            let versions: Vec<String> = versions.iter().map(|version| latex(version)).collect();
            let note = format!("Version {}", versions.join(", "));
            bibtex_entry(FLTK, &[("author", "{The fltk maintainers}".to_owned()), ("title", "{fltk}".to_owned()), ("note", note)])
        });
        let cited = self.cited.iter().map(|(key, publication)| publication.bibtex(key));
        fltk.into_iter().chain(cited).collect::<Vec<_>>().join("\n")
    }
}

/// Returns every entry that may have a title for a publication.
fn entries(catalogues: &Catalogues) -> impl Iterator<Item = &'static Entry> {
    fn of<T: AsRef<Entry> + 'static>(entries: impl Iterator<Item = &'static T>) -> impl Iterator<Item = &'static Entry> {
        entries.map(AsRef::as_ref)
    }
    of(catalogues.strategies.iter())
        .chain(of(catalogues.partitioners.iter()))
        .chain(of(catalogues.selections.iter()))
        .chain(of(catalogues.attacks.iter()))
        .chain(of(catalogues.datasets.iter()))
        .chain(of(catalogues.nets.iter()))
}

fn citation(keys: &[String]) -> String {
    format!(" [{}]", keys.iter().map(|key| format!("@{key}")).collect::<Vec<_>>().join("; "))
}

fn bibtex_entry(key: &str, fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("  {name} = {{{value}}}")).collect();
    format!("@misc{{{key},\n{}\n}}\n", fields.join(",\n"))
}

/// Returns a text that is nothing but text in LaTeX.
fn latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            // A lone brace would end the field, escaped or not: BibTeX counts braces before LaTeX reads them.
            '{' => escaped.push_str("\\textbraceleft "),
            '}' => escaped.push_str("\\textbraceright "),
            '&' | '%' | '$' | '#' | '_' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_are_cited_once_and_titles_found_elsewhere() {
        let catalogues = fltk_catalogue::catalogues();
        let mut bibliography = Bibliography::new(catalogues);
        let strategy = catalogues.strategies.get("FedAvg").unwrap();
        let partitioner = catalogues.partitioners.get("shard").unwrap();
        let key = " [@mcmahan2017communication]";
        assert_eq!(bibliography.cite(Some(&strategy.entry)), key);
        // It names the publication without its title.
        assert!(!partitioner.entry.paper.contains("Communication"));
        assert_eq!(bibliography.cite(Some(&partitioner.entry)), key);
        assert_eq!(bibliography.bibtex().matches("@misc").count(), 1);
        assert_eq!(bibliography.cite(None), "");
    }

    #[test]
    fn every_publication_of_the_catalogues_is_read() {
        for entry in entries(fltk_catalogue::catalogues()).filter(|entry| !entry.paper.is_empty()) {
            for paper in entry.paper.split("; ") {
                let publication = Publication::parse(paper).unwrap_or_else(|| panic!("`{paper}` of `{}`", entry.name));
                let key = publication.key();
                assert!(key.chars().all(|c| c.is_ascii_alphanumeric()), "{key}");
                assert!(publication.bibtex(&key).contains(&format!("  year = {{{}}}", publication.year)), "{paper}");
            }
        }
    }

    #[test]
    fn different_publications_have_different_keys() {
        let catalogues = fltk_catalogue::catalogues();
        let mut bibliography = Bibliography::new(catalogues);
        assert_eq!(bibliography.cite_all("Li et al., One Thing, 2020, arXiv:1"), " [@li2020one]");
        assert_eq!(
            bibliography.cite_all("Li et al., One Other Thing, 2020, arXiv:2; Li et al., One Thing, 2020, arXiv:1"),
            " [@li2020oneb; @li2020one]"
        );
    }

    #[test]
    fn hostile_versions_stay_within_their_field() {
        let mut bibliography = Bibliography::new(fltk_catalogue::catalogues());
        bibliography.cite_fltk(BTreeSet::from(["1}, x = {\\input{a}%$#_&~^\n@misc{b".to_owned()]));
        let bibtex = bibliography.bibtex();
        let note = bibtex.lines().find(|line| line.contains("note")).unwrap();
        let commands = ["\\textbackslash{}", "\\textasciitilde{}", "\\textasciicircum{}"];
        let without = commands.iter().fold(note.to_owned(), |note, command| note.replace(command, ""));
        assert_eq!((without.matches('{').count(), without.matches('}').count()), (1, 1), "{note}");
        assert_eq!(bibtex.matches("\n@misc").count(), 0, "{bibtex}");
    }
}
