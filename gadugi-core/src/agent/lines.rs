//! Splits output that comes in pieces into lines.

/// Bytes of a line; a longer one is skipped. No agent prints one, and other programs must not fill the memory.
const LONGEST: usize = 16 << 20;

/// A splitter of output into lines, which may arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// Whether the current line is too long, so that its rest is skipped.
    too_long: bool,
}

impl Lines {
    /// Takes the next bytes, and passes each line that ends in them to `read`, without its line break.
    pub fn feed(&mut self, mut bytes: &[u8], mut read: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if self.begun.is_empty() && !self.too_long {
                read(&bytes[..end]);
            } else {
                self.keep(&bytes[..end]);
                self.end(&mut read);
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Ends the output, and passes a last line without line break to `read`.
    pub fn finish(&mut self, mut read: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            self.end(&mut read);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.too_long |= self.begun.len() + bytes.len() > LONGEST;
        if self.too_long {
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, read: &mut impl FnMut(&[u8])) {
        if !std::mem::take(&mut self.too_long) {
            read(&self.begun);
        }
        self.begun.clear();
    }
}
