//! Which line of a CSV file a record begins in, as an editor numbers lines. (The reader of CSV knows where it went on reading: after `\r\n` and before
//! blank lines and remarks that is an earlier line.)

/// The lines of a text, gone through from its beginning.
pub struct Lines<'a> {
    text: &'a [u8],
    comment: u8,
    byte: usize,
    /// From 1.
    line: u64,
}

impl<'a> Lines<'a> {
    /// Those of `text`, in which a line that begins with `comment` is a remark.
    pub fn of(text: &'a str, comment: u8) -> Self {
        Self { text: text.as_bytes(), comment, byte: 0, line: 1 }
    }

    /// The line of the first record at `byte` or after it. No earlier byte can be asked for then.
    pub fn of_record_at(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        while self.byte < byte {
            self.step();
        }
        while let Some(&first) = self.text.get(self.byte) {
            match first {
                b'\r' | b'\n' => self.step(),
                _ if first == self.comment && self.is_line_start() => self.skip_line(),
                _ => break,
            }
        }
        self.line
    }

    fn is_line_start(&self) -> bool {
        self.byte == 0 || matches!(self.text[self.byte - 1], b'\r' | b'\n')
    }

    fn skip_line(&mut self) {
        while self.text.get(self.byte).is_some_and(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.byte += 1;
        }
    }

    /// One byte on. A line ends with `\n`, `\r\n` or, as on very old machines, `\r`.
    fn step(&mut self) {
        let is_end = match self.text[self.byte] {
            b'\n' => true,
            b'\r' => self.text.get(self.byte + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += u64::from(is_end);
        self.byte += 1;
    }
}
