//! Protobuf written from the end to the beginning.
//!
//! Owns the wire format of the few kinds of fields that an answer has, and the buffer that is used again. It knows no message.

use std::cell::Cell;

/// How much room an answer's buffer has at once; growing it would copy what is in it.
pub const BUFFER: usize = 64 * 1024;

pub const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
pub const LENGTH: u32 = 2;

/// Bytes written from the end to the beginning, so that the length of a message is known when it is written before it.
#[derive(Debug, Default)]
pub struct Backwards {
    bytes: Vec<u8>,
    /// Where what was written begins.
    start: usize,
}

thread_local! {
    /// The buffer of an answer that was sent, for the next one: a new one would be cleared first.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Drop for Backwards {
    fn drop(&mut self) {
        if (BUFFER..=4 * BUFFER).contains(&self.bytes.len()) {
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.bytes)));
        }
    }
}

impl Backwards {
    pub fn with_room(room: usize) -> Self {
        let spare = if room < BUFFER { Vec::new() } else { SPARE.take() };
        let bytes = if spare.len() < room { vec![0; room] } else { spare };
        Self { start: bytes.len(), bytes }
    }

    /// What `write` writes, by itself.
    pub fn alone(write: impl FnOnce(&mut Self)) -> Box<[u8]> {
        let mut alone = Self::with_room(1024);
        write(&mut alone);
        alone.written().into()
    }

    pub fn written(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    pub fn put(&mut self, piece: &[u8]) {
        if piece.len() > self.start {
            self.grow(piece.len());
        }
        let end = self.start;
        self.start -= piece.len();
        self.bytes[self.start..end].copy_from_slice(piece);
    }

    #[cold]
    fn grow(&mut self, wanted: usize) {
        let more = self.bytes.len().max(wanted);
        let mut grown = vec![0; self.bytes.len() + more];
        grown[self.start + more..].copy_from_slice(self.written());
        self.start += more;
        self.bytes = grown;
    }

    #[inline]
    pub fn varint(&mut self, mut value: u64) {
        if value < 0x80 {
            return self.put(&value.to_le_bytes()[..1]);
        }
        let (mut bytes, mut length) = ([0_u8; 10], 0);
        loop {
            // The lowest seven bits.
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            bytes[length] = if value > 0 { low | 0x80 } else { low };
            length += 1;
            if value == 0 {
                break;
            }
        }
        self.put(&bytes[..length]);
    }

    pub fn key(&mut self, number: u32, kind: u32) {
        self.varint(u64::from(number << 3 | kind));
    }

    /// A number, left out where it is the default.
    pub fn number(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.varint(value);
            self.key(number, VARINT);
        }
    }

    /// A double, left out where it is the default.
    pub fn double(&mut self, number: u32, value: f64) {
        if value != 0.0 {
            self.put(&value.to_le_bytes());
            self.key(number, EIGHT_BYTES);
        }
    }

    /// A text, left out where it is empty.
    pub fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.item(number, text);
        }
    }

    /// A text of a list.
    pub fn item(&mut self, number: u32, text: &str) {
        self.put(text.as_bytes());
        self.varint(text.len() as u64);
        self.key(number, LENGTH);
    }

    pub fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let before = self.written().len();
        write(self);
        self.varint((self.written().len() - before) as u64);
        self.key(number, LENGTH);
    }
}
