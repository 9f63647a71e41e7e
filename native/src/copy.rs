//! The one copy of a batch on its way through a node, which checks and names it in the same pass.

use napi::bindgen_prelude::Uint8ArraySlice;
use napi::{Error, Result, Status};
use napi_derive::napi;
use xxhash_rust::xxh3::xxh3_128;

/// A block stays in the first-level cache while it is copied and checked.
const BLOCK_BYTES: usize = 16 * 1024;
/// Longer copies are made by one string instruction, which on some processors takes ten times as long where source and target
/// lie unluckily to each other, and a batch lies anywhere; shorter ones are made of vector moves.
const COPY_BYTES: usize = 1024;

/// Copies all parts, one after another, to the begin of `target`; their length. In place of TypedArray.set, which is ten times
/// slower where memory is shared. Throws where the target is too short, or where it shares bytes with a part.
#[napi(catch_unwind)]
pub fn gather(mut target: Uint8ArraySlice, parts: Vec<Uint8ArraySlice>) -> Result<u32> {
    if parts.iter().any(|part| overlap(part.as_ref(), target.as_ref())) {
        return Err(Error::new(Status::InvalidArg, "a part and the target share bytes"));
    }
    // SAFETY: no part overlaps the target, so this is the only reference to its bytes; no other thread writes them meanwhile.
    let target = unsafe { target.as_mut() };
    let mut end = 0;
    for part in &parts {
        let Some(into) = target.get_mut(end..end + part.len()) else {
            return Err(Error::new(Status::InvalidArg, "the target ends before the parts do"));
        };
        copy_pieces(part, into);
        end += part.len();
    }
    Ok(end as u32)
}

/// Copies `source` into `target` at `offset`, and computes CRC32C (going on from `seed`) and XXH3-128 of what was copied.
///
/// Gives both as one text, which is cheaper than an object of two fields: 8 hexadecimal digits of the CRC32C, then 32 of the
/// XXH3-128 in canonical form. Throws where the target is too short, or where both views share bytes.
#[napi(js_name = "copyAndHash", catch_unwind)]
pub fn copy_and_hash(source: Uint8ArraySlice, mut target: Uint8ArraySlice, offset: u32, seed: u32) -> Result<String> {
    let begin = offset as usize;
    let end = begin.checked_add(source.len()).filter(|end| *end <= target.len());
    let Some(end) = end else {
        return Err(Error::new(Status::InvalidArg, "the target ends before the source does"));
    };
    if overlap(source.as_ref(), target.as_ref()) {
        return Err(Error::new(Status::InvalidArg, "source and target share bytes"));
    }
    // SAFETY: the views do not overlap, so this is the only reference to the target's bytes; their owner writes them from no
    // other thread during the call, as the crate's documentation demands.
    let into = unsafe { target.as_mut() }.get_mut(begin..end).unwrap_or_default();
    Ok(copy_blocks(&source, into, seed))
}

fn overlap(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (a.as_ptr_range(), b.as_ptr_range());
    a.start < b.end && b.start < a.end
}

/// The copied bytes are the ones that are hashed: what the caller then writes or sends is what the values are of, even if the
/// source changed on the way. The hash comes last and whole: fed block by block it takes longer than reading the copy again.
fn copy_blocks(source: &[u8], target: &mut [u8], seed: u32) -> String {
    let mut crc = seed;
    for (from, to) in source.chunks(BLOCK_BYTES).zip(target.chunks_mut(BLOCK_BYTES)) {
        copy_pieces(from, to);
        crc = crc32c::crc32c_append(crc, to);
    }
    format!("{crc:08x}{:032x}", xxh3_128(target))
}

/// Both have the same length.
fn copy_pieces(from: &[u8], to: &mut [u8]) {
    for (from, to) in from.chunks(COPY_BYTES).zip(to.chunks_mut(COPY_BYTES)) {
        to.copy_from_slice(from);
    }
}
