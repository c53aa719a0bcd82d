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
}
