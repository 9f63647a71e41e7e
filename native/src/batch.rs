//! The scan of a RecordBatch: the verdicts of `scanBatch` in src/format/batch.ts, word for word, and nothing per record that
//! outlives the scan. That file says what the columns are and which batches are refused; this one must change with it.

use std::cell::RefCell;
use std::ops::Range;

use napi::Either;
use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;

use crate::varint::Reader;

const WIRE_VARINT: u32 = 0;
const WIRE_BYTES: u32 = 2;
const ID_BYTES: u64 = 16;
/// gzip and zstd: src/base/compression.ts.
const CODEC_MAX: u32 = 2;
/// Elements of a column that is kept from one scan to the next.
const KEPT_ELEMENTS: usize = 4 * 65_536;

/// Why a batch is refused.
#[napi(object)]
pub struct BatchFault {
    /// "MALFORMED", "RECORD_TOO_LARGE" or "BATCH_TOO_LARGE".
    pub code: String,
    /// For people, the same text as the portable scan's.
    pub reason: String,
}

/// The bounds of a batch, from src/base/limits.ts.
struct Limits {
    batch_bytes: usize,
    records: usize,
    record_bytes: u64,
    tags_per_record: u32,
    type_bytes: usize,
    tag_bytes: usize,
    uncompressed_bytes: u64,
}

type Verdict<T> = Result<T, BatchFault>;

fn malformed<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(BatchFault { code: "MALFORMED".to_owned(), reason: reason.into() })
}

fn batch_too_large<T>(reason: String) -> Verdict<T> {
    Err(BatchFault { code: "BATCH_TOO_LARGE".to_owned(), reason })
}

thread_local! {
    /// Used again for every batch, so that a scan allocates nothing.
    static SCRATCH: RefCell<Columns> = RefCell::new(Columns::default());
}

/// Checks a batch from end to end. The number of its records, or the first fault in the order in which the portable scan looks.
#[napi(js_name = "scanBatch", catch_unwind)]
pub fn scan_batch(
    bytes: Uint8ArraySlice,
    batch_bytes_max: u32,
    records_max: u32,
    record_bytes_max: u32,
    tags_per_record_max: u32,
    type_bytes_max: u32,
    tag_bytes_max: u32,
    uncompressed_bytes_max: u32,
) -> Either<u32, BatchFault> {
    let limits = Limits {
        batch_bytes: batch_bytes_max as usize,
        records: records_max as usize,
        record_bytes: u64::from(record_bytes_max),
        tags_per_record: tags_per_record_max,
        type_bytes: type_bytes_max as usize,
        tag_bytes: tag_bytes_max as usize,
        uncompressed_bytes: u64::from(uncompressed_bytes_max),
    };
    let verdict = SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut columns) => columns.scan(&bytes, &limits),
        Err(_) => Columns::default().scan(&bytes, &limits),
    });
    match verdict {
        Ok(count) => Either::A(count),
        Err(fault) => Either::B(fault),
    }
}

/// The columns of one batch. Dictionaries and bytes are kept as ranges of the batch.
#[derive(Default)]
struct Columns {
    value_lengths: Vec<u32>,
    types: Vec<Range<usize>>,
    type_indexes: Vec<u32>,
    tags: Vec<Range<usize>>,
    tag_counts: Vec<u32>,
    tag_indexes: Vec<u32>,
    metadata_lengths: Vec<u32>,
    metadata: Option<Range<usize>>,
    ids: Option<Range<usize>>,
    values: Option<Range<usize>>,
    compression: Option<u32>,
    uncompressed_size: Option<u32>,
}

impl Columns {
    fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Verdict<u32> {
        if bytes.len() > limits.batch_bytes {
            return batch_too_large(format!(
                "the batch has {} bytes, the limit is {}",
                bytes.len(),
                limits.batch_bytes
            ));
        }
        self.reset();
        let mut reader = Reader { bytes, at: 0 };
        while reader.at < bytes.len() {
            let Some(key) = reader.varint(bytes.len()) else {
                return malformed("a field's number is cut short or out of range");
            };
            self.field(&mut reader, key >> 3, key & 7)?;
        }
        self.check_columns(limits)?;
        check_dictionary(bytes, &self.types, "type", limits.type_bytes)?;
        check_dictionary(bytes, &self.tags, "tag", limits.tag_bytes)?;
        self.check_records(limits)?;
        // At most limits.records, which is a u32.
        Ok(self.value_lengths.len() as u32)
    }

    fn reset(&mut self) {
        for column in [
            &mut self.value_lengths,
            &mut self.type_indexes,
            &mut self.tag_counts,
            &mut self.tag_indexes,
            &mut self.metadata_lengths,
        ] {
            empty(column);
        }
        empty(&mut self.types);
        empty(&mut self.tags);
        self.metadata = None;
        self.ids = None;
        self.values = None;
        self.compression = None;
        self.uncompressed_size = None;
    }

    fn field(&mut self, reader: &mut Reader, field: u32, wire_type: u32) -> Verdict<()> {
        match field {
            1 => column(reader, &mut self.value_lengths, "value_lengths", wire_type),
            2 => dictionary_entry(reader, &mut self.types, "types", wire_type),
            3 => column(reader, &mut self.type_indexes, "type_indexes", wire_type),
            4 => dictionary_entry(reader, &mut self.tags, "tags", wire_type),
            5 => column(reader, &mut self.tag_counts, "tag_counts", wire_type),
            6 => column(reader, &mut self.tag_indexes, "tag_indexes", wire_type),
            7 => column(reader, &mut self.metadata_lengths, "metadata_lengths", wire_type),
            8 => singular_bytes(reader, &mut self.metadata, "metadata", wire_type),
            9 => singular_bytes(reader, &mut self.ids, "ids", wire_type),
            10 => {
                if self.compression.is_some() {
                    return malformed("compression occurs twice");
                }
                self.compression = number(reader, wire_type).filter(|codec| *codec <= CODEC_MAX);
                match self.compression {
                    Some(_) => Ok(()),
                    None => malformed("the compression is not one that this version knows"),
                }
            }
            11 => {
                if self.uncompressed_size.is_some() {
                    return malformed("uncompressed_size occurs twice");
                }
                self.uncompressed_size = number(reader, wire_type);
                match self.uncompressed_size {
                    Some(_) => Ok(()),
                    None => malformed("uncompressed_size is cut short or out of range"),
                }
            }
            15 => singular_bytes(reader, &mut self.values, "values", wire_type),
            _ => malformed(format!("field {field} is not one of RecordBatch")),
        }
    }

    /// Lengths of the columns against each other.
    fn check_columns(&self, limits: &Limits) -> Verdict<()> {
        let count = self.value_lengths.len();
        if count == 0 {
            return malformed("the batch has no record");
        }
        if count > limits.records {
            return batch_too_large(format!("the batch has {count} records, the limit is {}", limits.records));
        }
        let per_record = [
            ("type_indexes", &self.type_indexes),
            ("tag_counts", &self.tag_counts),
            ("metadata_lengths", &self.metadata_lengths),
        ];
        for (name, column) in per_record {
            if !column.is_empty() && column.len() != count {
                return malformed(format!("{name} has {} elements for {count} records", column.len()));
            }
        }
        if sum(&self.tag_counts) != self.tag_indexes.len() as u64 {
            let length = self.tag_indexes.len();
            return malformed(format!("tag_indexes has {length} elements and tag_counts asks for another number"));
        }
        self.check_values(limits)?;
        if sum(&self.metadata_lengths) != length_of(&self.metadata) {
            return malformed("metadata_lengths do not add up to the length of metadata");
        }
        let ids_length = length_of(&self.ids);
        if ids_length != 0 && ids_length != count as u64 * ID_BYTES {
            return malformed(format!("ids has not {ID_BYTES} bytes for each record"));
        }
        Ok(())
    }

    fn check_values(&self, limits: &Limits) -> Verdict<()> {
        let sum = sum(&self.value_lengths);
        let length = length_of(&self.values);
        let size = self.uncompressed_size.unwrap_or(0);
        if self.compression.unwrap_or(0) == 0 {
            if size > 0 {
                return malformed("uncompressed_size is not 0 and nothing is compressed");
            }
            if sum != length {
                return malformed("value_lengths do not add up to the length of values");
            }
            return Ok(());
        }
        if sum != u64::from(size) {
            return malformed("value_lengths do not add up to uncompressed_size");
        }
        if sum > limits.uncompressed_bytes {
            return batch_too_large(format!(
                "the batch has {sum} bytes of values before compression, the limit is {}",
                limits.uncompressed_bytes
            ));
        }
        if length == 0 {
            return malformed("values is compressed and empty");
        }
        Ok(())
    }

    /// Indexes and sizes, record by record. A column that is absent counts as zeros.
    fn check_records(&self, limits: &Limits) -> Verdict<()> {
        let mut tags_left = self.tag_indexes.as_slice();
        for (index, value_length) in self.value_lengths.iter().enumerate() {
            let mut size = u64::from(*value_length);
            size += u64::from(self.metadata_lengths.get(index).copied().unwrap_or(0));
            let kind = self.type_indexes.get(index).copied().unwrap_or(0) as usize;
            if kind > 0 {
                match self.types.get(kind - 1) {
                    Some(range) => size += range.len() as u64,
                    None => {
                        return malformed(format!("record {index} names type {kind}, which the batch does not have"));
                    }
                }
            }
            let count = self.tag_counts.get(index).copied().unwrap_or(0);
            if count > limits.tags_per_record {
                let limit = limits.tags_per_record;
                return malformed(format!("record {index} has {count} tags, the limit is {limit}"));
            }
            // The counts add up to the number of indexes: check_columns saw to it.
            let (own, rest) = tags_left.split_at_checked(count as usize).unwrap_or((tags_left, &[]));
            tags_left = rest;
            for tag in own {
                match self.tags.get(*tag as usize) {
                    Some(range) => size += range.len() as u64,
                    None => return malformed(format!("record {index} names tag {tag}, which the batch does not have")),
                }
            }
            if size > limits.record_bytes {
                let limit = limits.record_bytes;
                let reason = format!("record {index} has {size} bytes, the limit is {limit}");
                return Err(BatchFault { code: "RECORD_TOO_LARGE".to_owned(), reason });
            }
        }
        Ok(())
    }
}

/// The rare huge column is given back rather than kept for ever.
fn empty<T>(column: &mut Vec<T>) {
    column.clear();
    column.shrink_to(KEPT_ELEMENTS);
}

fn sum(column: &[u32]) -> u64 {
    column.iter().map(|element| u64::from(*element)).sum()
}

fn length_of(range: &Option<Range<usize>>) -> u64 {
    range.as_ref().map_or(0, |range| range.len() as u64)
}

/// A piece of a column: many elements packed, or one alone.
fn column(reader: &mut Reader, column: &mut Vec<u32>, name: &str, wire_type: u32) -> Verdict<()> {
    let broken = || malformed(format!("an element of {name} is cut short or out of range"));
    if wire_type == WIRE_VARINT {
        let end = reader.bytes.len();
        return match reader.varint(end) {
            Some(value) => {
                column.push(value);
                Ok(())
            }
            None => broken(),
        };
    }
    if wire_type != WIRE_BYTES {
        return malformed(format!("{name} has wire type {wire_type}"));
    }
    let Some(length) = reader.length() else {
        return malformed(format!("{name} is longer than the batch"));
    };
    if packed(reader, column, length) { Ok(()) } else { broken() }
}

/// False where an element is cut short or out of range.
fn packed(reader: &mut Reader, column: &mut Vec<u32>, length: usize) -> bool {
    // Each element has a byte or more, so this is room enough.
    column.reserve(length);
    let end = reader.at + length;
    while reader.at < end {
        match reader.bytes.get(reader.at) {
            Some(byte) if *byte < 0x80 => {
                column.push(u32::from(*byte));
                reader.at += 1;
            }
            _ => match reader.varint(end) {
                Some(value) => column.push(value),
                None => return false,
            },
        }
    }
    true
}

fn dictionary_entry(reader: &mut Reader, entries: &mut Vec<Range<usize>>, name: &str, wire_type: u32) -> Verdict<()> {
    if wire_type != WIRE_BYTES {
        return malformed(format!("{name} has wire type {wire_type}"));
    }
    let Some(length) = reader.length() else {
        return malformed(format!("an element of {name} is longer than the batch"));
    };
    entries.push(reader.at..reader.at + length);
    reader.at += length;
    Ok(())
}

fn singular_bytes(reader: &mut Reader, range: &mut Option<Range<usize>>, name: &str, wire_type: u32) -> Verdict<()> {
    if wire_type != WIRE_BYTES {
        return malformed(format!("{name} has wire type {wire_type}"));
    }
    if range.is_some() {
        return malformed(format!("{name} occurs twice"));
    }
    let Some(length) = reader.length() else {
        return malformed(format!("{name} is longer than the batch"));
    };
    *range = Some(reader.at..reader.at + length);
    reader.at += length;
    Ok(())
}

/// A field that is one number; None where it is cut short, out of range or something else.
fn number(reader: &mut Reader, wire_type: u32) -> Option<u32> {
    let end = reader.bytes.len();
    if wire_type == WIRE_VARINT { reader.varint(end) } else { None }
}

fn check_dictionary(bytes: &[u8], entries: &[Range<usize>], name: &str, bytes_max: usize) -> Verdict<()> {
    for (index, range) in entries.iter().enumerate() {
        let length = range.len();
        if length > bytes_max {
            return malformed(format!("{name} {index} has {length} bytes, the limit is {bytes_max}"));
        }
        // As strict as a TextDecoder that is fatal: no surrogates, nothing above U+10FFFF or longer than it need be.
        if std::str::from_utf8(bytes.get(range.clone()).unwrap_or_default()).is_err() {
            return malformed(format!("{name} {index} is not valid UTF-8"));
        }
    }
    Ok(())
}
