//! The line of a CSV file in which a record begins, as an editor numbers lines. (The CSV reader only knows where it resumed reading: after `\r\n`, and
//! before blank lines and comments, that is an earlier line.)

/// A cursor over the lines of a text, which only moves forward.
pub struct Lines<'a> {
    text: &'a [u8],
    comment: u8,
    byte: usize,
    /// The current line, from 1.
    line: u64,
}

impl<'a> Lines<'a> {
    /// The lines of `text`, in which a line that begins with `comment` is a comment.
    pub fn of(text: &'a str, comment: u8) -> Self {
        Self { text: text.as_bytes(), comment, byte: 0, line: 1 }
    }

    /// Returns the line of the first record at or after `byte`. Later calls can't ask for an earlier byte.
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

    /// Moves forward by one byte. A line ends with `\n`, `\r\n` or, as on very old machines, `\r`.
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
