//! Places of settings in a file, for checks that know only our names of them.

use super::{
    source::Span,
    tree::{Node, Value},
};

/// The tree of a task, and the names of its settings in the file's format.
pub(crate) struct Places<'a> {
    pub root: &'a Node,
    /// The place of the task as a whole.
    pub whole: Span,
    /// Pairs of our dotted path and that of the file's format; paths that aren't listed are the same.
    pub names: &'a [(&'a str, &'a str)],
}

/// A setting as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The place of its value; of its key if the value is a block; of the innermost enclosing block if the setting was left out.
    pub span: Span,
    /// The name of its key.
    pub name: String,
}

impl Places<'_> {
    pub(crate) fn at(&self, path: &str) -> Place {
        let path = self.names.iter().find(|(ours, _)| *ours == path).map_or(path, |(_, theirs)| theirs);
        let mut place = Place { span: self.whole, name: path.rsplit('.').next().unwrap_or(path).to_owned() };
        let mut node = self.root;
        for part in path.split('.') {
            if let Some(entry) = node.entry(part) {
                let is_block = matches!(entry.node.value, Value::Map(_) | Value::List(_));
                place.span = if is_block { entry.key_span } else { entry.node.span };
                node = &entry.node;
            } else if let Some(item) = part.parse().ok().and_then(|index| node.item(index)) {
                place.span = item.span;
                node = item;
            } else {
                break;
            }
        }
        place
    }

    /// Returns the place of a part of the setting `path`, a text of parts between commas or a list of such texts and of numbers, given the index of the
    /// part over all texts.
    pub(crate) fn at_part(&self, path: &str, part: usize) -> Place {
        let num_parts = |item: &Node| if let Value::Text(text) = &item.value { text.split(',').count() } else { 1 };
        let items = match self.node(path).map(|node| &node.value) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        let ends = items.iter().scan(0, |end, item| {
            *end += num_parts(item);
            Some(*end)
        });
        match ends.into_iter().position(|end| part < end) {
            Some(index) => self.at(&format!("{path}.{index}")),
            None => self.at(path),
        }
    }

    fn node(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self.root, |node, part| node.get(part).or_else(|| node.item(part.parse().ok()?)))
    }
}
