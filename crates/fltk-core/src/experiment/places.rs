//! Where a setting was written, for checks that know it by our name only.

use super::{
    source::Span,
    tree::{Node, Value},
};

/// The tree of a task, and how its settings are called there.
pub(crate) struct Places<'a> {
    pub root: &'a Node,
    /// Where the task as a whole is.
    pub whole: Span,
    /// Our dotted path to that of the file's format; paths that aren't listed are the same.
    pub names: &'a [(&'a str, &'a str)],
}

/// A setting as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its value; its key when that is a block; the innermost block around it when it was left out.
    pub span: Span,
    /// Its key.
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
