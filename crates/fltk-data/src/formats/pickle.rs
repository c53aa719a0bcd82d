//! Python's pickles, as far as plain data needs them: `None`, numbers, texts, bytes, lists, tuples, dicts, and numpy's arrays. Nothing is run. A pickle is a
//! program that may call any Python function. This reader knows four such functions, and makes their results itself: the three that make an array, and the
//! one by which Python 3 writes bytes for Python 2. Any other function is refused by name, as is any other instruction.
//!
//! Objects are in one list, and refer to each other by their index in it, so an object that refers to itself does no harm. Each instruction makes at most one
//! object, and the number of objects is limited. Bytes stay where they are in the file; those that need decoding take in total no more than the file's size.

use std::{collections::HashMap, ops::Range};

use crate::error::FormatError;

/// The largest number of objects, five times those of CIFAR-100's training file: about 60 MB.
const OBJECTS_MAX: usize = 1 << 20;
/// The largest number of references to objects: each instruction makes at most one, and a list, tuple or dict contains only references that
/// were made. 32 MB.
const REFERENCES_MAX: usize = 4 * OBJECTS_MAX;
/// The longest text of a key, a type name or the like, in bytes.
const NAME_BYTES_MAX: usize = 1 << 10;

/// An index in the list of objects.
pub type Id = usize;

/// A pickle that was read.
#[derive(Debug)]
pub struct Pickle<'a> {
    bytes: &'a [u8],
    objects: Vec<Object>,
    root: Id,
}

#[derive(Clone, Debug)]
enum Object {
    None,
    Bool(bool),
    Int(i64),
    Float,
    /// Bytes or, since Python 2 makes no difference, a text.
    Bytes(Range<usize>),
    /// Bytes that are stored in another form in the file.
    Latin1(Vec<u8>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Dtype(Id),
    /// The state that an array was given: shape, type, whether it is by columns, and bytes.
    Array(Option<Id>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Global {
    Reconstruct,
    Ndarray,
    Dtype,
    Encode,
}

impl<'a> Pickle<'a> {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// [`FormatError::Pickle`], with the offset, if the bytes are cut off or contain an instruction or a name that plain data doesn't need.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut machine = Machine {
            bytes,
            at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            num_references: 0,
            marks: Vec::new(),
            memo: HashMap::new(),
            latin1_left: bytes.len(),
        };
        loop {
            let at = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { bytes, objects: machine.objects, root }),
                Err(problem) => return Err(FormatError::Pickle { at, problem }),
            }
        }
    }

    /// Returns the value under `key` in the outermost dict.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Id> {
        let Object::Dict(entries) = &self.objects[self.root] else { return None };
        entries.iter().rev().find(|(name, _)| self.raw(*name) == Some(key.as_bytes())).map(|(_, value)| *value)
    }

    /// Returns a list of integers.
    #[must_use]
    pub fn ints(&self, id: Id) -> Option<Vec<i64>> {
        let Object::List(items) = &self.objects[id] else { return None };
        let int = |id: &Id| if let Object::Int(value) = self.objects[*id] { Some(value) } else { None };
        items.iter().map(int).collect()
    }

    /// Returns an array of unsigned bytes by rows: its shape, and as many bytes as the shape says.
    #[must_use]
    pub fn byte_array(&self, id: Id) -> Option<(Vec<usize>, &[u8])> {
        let Object::Array(Some(state)) = self.objects[id] else { return None };
        let Object::Tuple(state) = &self.objects[state] else { return None };
        let [_, shape, dtype, by_columns, data] = state[..] else { return None };
        let Object::Tuple(shape) = &self.objects[shape] else { return None };
        let side = |id: &Id| if let Object::Int(side) = self.objects[*id] { usize::try_from(side).ok() } else { None };
        let shape: Vec<usize> = shape.iter().map(side).collect::<Option<_>>()?;
        let is_bytes = matches!(self.objects[dtype], Object::Dtype(name) if self.raw(name) == Some(b"u1"));
        let is_by_rows = matches!(self.objects[by_columns], Object::Bool(false) | Object::Int(0));
        let data = self.raw(data)?;
        let len = shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side))?;
        (is_bytes && is_by_rows && len == data.len()).then_some((shape, data))
    }

    fn raw(&self, id: Id) -> Option<&[u8]> {
        raw(&self.objects[id], self.bytes)
    }
}

fn raw<'a>(object: &'a Object, bytes: &'a [u8]) -> Option<&'a [u8]> {
    match object {
        Object::Bytes(range) => bytes.get(range.clone()),
        Object::Latin1(bytes) => Some(bytes),
        _ => None,
    }
}

/// Python's pickle machine, without the functions that it can call.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// The number of references that were ever put on the stack.
    num_references: usize,
    /// The heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// The number of bytes that may still be decoded from texts: an honest file decodes fewer bytes than it has.
    latin1_left: usize,
}

const CUT_OFF: &str = "it ends in the middle of an instruction";

impl<'a> Machine<'a> {
    /// Runs one instruction. Returns the result if that was the last one.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let opcode = self.byte()?;
        match opcode {
            // PROTO, FRAME
            0x80 => {
                let version = self.byte()?;
                if version > 5 {
                    return Err(format!("it is of version {version}, and 5 is the newest that is known"));
                }
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'.' => return self.pop().map(Some),
            b'0' => {
                self.pop()?;
            }
            b'N' => self.push(Object::None)?,
            0x88 => self.push(Object::Bool(true))?,
            0x89 => self.push(Object::Bool(false))?,
            b'K' => {
                let value = self.number(1)?;
                self.push_int(value)?;
            }
            b'M' => {
                let value = self.number(2)?;
                self.push_int(value)?;
            }
            b'J' => {
                let value = self.number(4)?;
                self.push(Object::Int(i64::from(value as u32 as i32)))?;
            }
            // LONG1: here, a two's complement of up to eight bytes.
            0x8a => {
                let len = usize::from(self.byte()?);
                let range = self.take(len)?;
                let bytes = &self.bytes[range];
                if len > 8 {
                    return Err(format!("it has a number of {len} bytes, which is too long"));
                }
                let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
                let mut whole = [fill; 8];
                whole[..len].copy_from_slice(bytes);
                self.push(Object::Int(i64::from_le_bytes(whole)))?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Object::Float)?;
            }
            // Texts and bytes: SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE; BINSTRING, BINBYTES, BINUNICODE; BINBYTES8, BINUNICODE8.
            b'U' | b'C' | 0x8c => self.bytes_of(1)?,
            b'T' | b'B' | b'X' => self.bytes_of(4)?,
            0x8e | 0x8d => self.bytes_of(8)?,
            b']' => self.push(Object::List(Vec::new()))?,
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b')' => self.push(Object::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let items = self.pop_last(usize::from(opcode - 0x84))?;
                self.push(Object::Tuple(items))?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Object::Tuple(items))?;
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Object::List(items))?;
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Object::Dict(pairs(&items)?))?;
            }
            b'a' => {
                let items = self.pop_last(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_last(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }
            // Memory: BINPUT, LONG_BINPUT, MEMOIZE; BINGET, LONG_BINGET.
            b'q' | b'r' => {
                let place = self.number(if opcode == b'q' { 1 } else { 4 })? as u32;
                self.remember(place)?;
            }
            0x94 => {
                let place = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.remember(place)?;
            }
            b'h' | b'j' => {
                let place = self.number(if opcode == b'h' { 1 } else { 4 })? as u32;
                let id = *self.memo.get(&place).ok_or_else(|| format!("it reads a memo entry that it never wrote ({place})"))?;
                self.push_id(id)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let names = self.pop_last(2)?;
                let text = |id: Id| raw(&self.objects[id], self.bytes).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                let (Some(module), Some(name)) = (text(names[0]), text(names[1])) else {
                    return Err("it names a function by a value that isn't text".to_owned());
                };
                self.global(&module, &name)?;
            }
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => return Err(format!("it has the instruction {}, which plain data doesn't need; it was not executed", name_of(other))),
        }
        Ok(None)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Reconstruct,
            ("numpy", "ndarray") => Global::Ndarray,
            ("numpy", "dtype") => Global::Dtype,
            ("_codecs", "encode") => Global::Encode,
            _ => {
                let name: String = format!("{module}.{name}").chars().take(100).flat_map(char::escape_debug).collect();
                return Err(format!("it names `{name}` of Python, which plain data doesn't need; it was not called"));
            }
        };
        self.push(Object::Global(global))
    }

    /// Replaces a known function and its arguments by the result.
    fn call(&mut self) -> Result<(), String> {
        let called = self.pop_last(2)?;
        let (Object::Global(global), Object::Tuple(arguments)) = (&self.objects[called[0]], &self.objects[called[1]]) else {
            return Err("it calls an unknown function; it was not called".to_owned());
        };
        let made = match (global, arguments.as_slice()) {
            (Global::Reconstruct, [class, ..]) if matches!(self.objects[*class], Object::Global(Global::Ndarray)) => Object::Array(None),
            (Global::Dtype, [name, ..]) => Object::Dtype(*name),
            // Python 3 writes bytes for Python 2 like this: as the text of the same characters.
            (Global::Encode, [text, encoding]) if raw(&self.objects[*encoding], self.bytes) == Some(b"latin1") => {
                let text = raw(&self.objects[*text], self.bytes).and_then(|bytes| std::str::from_utf8(bytes).ok());
                let bytes = text.and_then(|text| text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>());
                let bytes = bytes.ok_or("it has a text that can't be converted to bytes")?;
                self.latin1_left = self.latin1_left.checked_sub(bytes.len()).ok_or("it converts more text to bytes than it has")?;
                Object::Latin1(bytes)
            }
            _ => return Err(format!("it calls {global:?} differently than numpy and Python do")),
        };
        self.push(made)
    }

    /// Gives an array or a type its state.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop_last(1)?[0];
        let Some(&built) = self.stack.last() else { return Err("it builds nothing".to_owned()) };
        match &mut self.objects[built] {
            Object::Array(of) => *of = Some(state),
            // This is the byte order and the like, which doesn't matter for unsigned bytes.
            Object::Dtype(_) => {}
            _ => return Err("it sets the state of something other than an array; it was not executed".to_owned()),
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        match self.stack.last().map(|id| &mut self.objects[*id]) {
            Some(Object::List(list)) => list.extend(items),
            _ => return Err("it appends to something other than a list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        match self.stack.last().map(|id| &mut self.objects[*id]) {
            Some(Object::Dict(entries)) => entries.extend(pairs(items)?),
            _ => return Err("it sets an item of something other than a dict".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<(), String> {
        let id = *self.stack.last().ok_or("it remembers nothing")?;
        self.memo.insert(place, id);
        if self.memo.len() > OBJECTS_MAX { Err(too_many()) } else { Ok(()) }
    }

    fn push(&mut self, object: Object) -> Result<(), String> {
        if self.objects.len() >= OBJECTS_MAX {
            return Err(too_many());
        }
        self.objects.push(object);
        self.push_id(self.objects.len() - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), String> {
        if self.stack.len() >= OBJECTS_MAX || self.num_references >= REFERENCES_MAX {
            return Err(too_many());
        }
        self.num_references += 1;
        self.stack.push(id);
        Ok(())
    }

    fn push_int(&mut self, value: u64) -> Result<(), String> {
        self.push(Object::Int(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    /// Pushes a text or bytes whose length is a number of `width` bytes.
    fn bytes_of(&mut self, width: usize) -> Result<(), String> {
        let len = usize::try_from(self.number(width)?).map_err(|_| CUT_OFF)?;
        let range = self.take(len)?;
        self.push(Object::Bytes(range))
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.pop_last(1).map(|ids| ids[0])
    }

    /// Pops the last `num` entries of the stack, but none from before a mark.
    fn pop_last(&mut self, num: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(num) {
            Some(from) if from >= floor => Ok(self.stack.split_off(from)),
            _ => Err("it pops from an empty stack".to_owned()),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let from = self.marks.pop().ok_or("it goes back to a mark that it never set")?;
        Ok(self.stack.split_off(from.min(self.stack.len())))
    }

    fn byte(&mut self) -> Result<u8, String> {
        let range = self.take(1)?;
        Ok(self.bytes[range.start])
    }

    /// Reads a little-endian number.
    fn number(&mut self, width: usize) -> Result<u64, String> {
        let range = self.take(width)?;
        Ok(self.bytes[range].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn take(&mut self, len: usize) -> Result<Range<usize>, String> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len()).ok_or(CUT_OFF)?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn line(&mut self) -> Result<String, String> {
        let rest: &'a [u8] = &self.bytes[self.at..];
        let len = rest.iter().take(NAME_BYTES_MAX).position(|byte| *byte == b'\n').ok_or("it has a name without an end")?;
        self.at += len + 1;
        Ok(String::from_utf8_lossy(&rest[..len]).into_owned())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    } else {
        Err("it has a key without a value".to_owned())
    }
}

fn too_many() -> String {
    format!("it has more than {OBJECTS_MAX} objects")
}

/// Returns the name that Python's `pickletools` uses.
fn name_of(opcode: u8) -> String {
    let name = match opcode {
        b'P' => "PERSID",
        b'Q' => "BINPERSID",
        b'i' => "INST",
        b'o' => "OBJ",
        0x81 => "NEWOBJ",
        0x92 => "NEWOBJ_EX",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x8f => "EMPTY_SET",
        0x90 => "ADDITEMS",
        0x91 => "FROZENSET",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        0x8b => "LONG4",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'F' => "FLOAT",
        b'I' => "INT",
        b'L' => "LONG",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'p' => "PUT",
        b'g' => "GET",
        _ => return format!("{opcode:#04x}"),
    };
    format!("{name} ({opcode:#04x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        Pickle::read(bytes).expect_err("refused").to_string()
    }

    /// The pickle of `{'labels': [3, 300, -1], 'data': numpy.array([[1, 2], [3, 4]], 'u1')}` as Python 2 wrote it.
    const PYTHON_2: &[u8] = b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x03M\x2c\x01J\xff\xff\xff\xffeU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85q\x07U\x01b\x87q\x08Rq\x09(K\x01K\x02K\x02\x86q\x0acnumpy\ndtype\nq\x0bU\x02u1q\x0cK\x00K\x01\x87q\x0dRq\x0e(K\x03U\x01|q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89U\x04\x01\x02\x03\x04tq\x11bu.";

    #[test]
    fn plain_pickles_are_read() {
        let pickle = Pickle::read(PYTHON_2).expect("plain");
        assert_eq!(pickle.ints(pickle.get("labels").expect("there")), Some(vec![3, 300, -1]));
        assert_eq!(pickle.byte_array(pickle.get("data").expect("there")), Some((vec![2, 2], [1, 2, 3, 4].as_slice())));
        assert_eq!(pickle.get("else"), None);
        assert_eq!(pickle.ints(pickle.get("data").expect("there")), None);
    }

    #[test]
    fn pickles_with_code_are_refused_with_name_and_position() {
        let check = |bytes: &[u8], expected: &[&str]| {
            let said = refused(bytes);
            assert!(expected.iter().all(|words| said.contains(words)), "{said}");
        };
        check(b"cos\nsystem\n(U\x02lstR.", &["byte 0", "`os.system`", "not called"]);
        check(b"\x80\x02]cposix\nsystem\n.", &["byte 3", "`posix.system`"]);
        check(b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93.", &["`builtins.eval`"]);
        check(b"(ios\nsystem\n.", &["byte 1", "INST"]);
        check(b"N)\x81.", &["byte 2", "NEWOBJ"]);
        check(b"\x80\x02\x82\x01.", &["EXT1"]);
        check(b"N)R.", &["an unknown function"]);
        check(b"]Nb.", &["other than an array"]);
        check(b"\x80\x09N.", &["version 9"]);
        check(b"c\x1b[31m\nx\n.", &["`\\u{1b}[31m.x`"]);
    }

    #[test]
    fn truncated_and_altered_pickles_never_panic() {
        for len in 0..PYTHON_2.len() {
            refused(&PYTHON_2[..len]);
        }
        for place in 0..PYTHON_2.len() {
            for byte in 0..=255 {
                let mut bytes = PYTHON_2.to_vec();
                bytes[place] = byte;
                if let Ok(pickle) = Pickle::read(&bytes) {
                    let _ = pickle.get("labels").map(|id| pickle.ints(id));
                    let _ = pickle.get("data").map(|id| pickle.byte_array(id));
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        assert!(refused(&vec![b'N'; OBJECTS_MAX + 2]).contains("more than 1048576 objects"));
        let gets: Vec<u8> = b"]q\x00".iter().copied().chain(b"h\x00".repeat(OBJECTS_MAX + 1)).collect();
        assert!(refused(&gets).contains("more than 1048576 objects"));
        // A list is extended by references to itself again and again.
        let fills: Vec<u8> = b"]q\x00".iter().copied().chain(b"(h\x00h\x00h\x00h\x00e".repeat(OBJECTS_MAX)).collect();
        assert!(refused(&fills).contains("more than 1048576 objects"));
        // One text is turned into bytes again and again.
        let encode = [b"(c_codecs\nencode\nq\x00X\x64\x00\x00\x00".as_slice(), &[b'a'; 100], b"q\x01U\x06latin1q\x02"].concat();
        let texts: Vec<u8> = encode.iter().copied().chain(b"h\x00h\x01h\x02\x86R".repeat(100)).chain(*b"t.").collect();
        assert!(refused(&texts).contains("more text to bytes than it has"));
        let once: Vec<u8> = encode.iter().copied().chain(*b"h\x00h\x01h\x02\x86Rt.").collect();
        Pickle::read(&once).expect("plain");
        assert!(refused(b"T\xff\xff\xff\xffx.").contains("ends in the middle"));
        assert!(refused(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffx.").contains("ends in the middle"));
        // This list contains itself.
        Pickle::read(b"]q\x00h\x00a.").expect("plain, if odd");
    }
}
