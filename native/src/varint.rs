//! The reader of protobuf's wire format: keys, numbers and lengths, one after another.

/// Bytes of a message, and the offset of the next one to parse.
pub struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl Reader<'_> {
    /// One varint of at most ten bytes that ends at or before `end`; None where there is none, or where it is 2^32 or more.
    /// It may be longer than it need be.
    pub fn varint(&mut self, end: usize) -> Option<u32> {
        let mut value: u128 = 0;
        for count in 0..10 {
            if self.at >= end {
                return None;
            }
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u128::from(byte & 0x7f) << (7 * count);
            if byte < 0x80 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    /// The length of a field that follows; None where the message ends before the field does.
    pub fn length(&mut self) -> Option<usize> {
        let end = self.bytes.len();
        let length = self.varint(end)? as usize;
        (length <= end.saturating_sub(self.at)).then_some(length)
    }
}
