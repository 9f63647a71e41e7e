//! CRC32C, which guards everything on disk against rot and torn writes.

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;

/// CRC32C (Castagnoli) of `bytes`, by the processor's instruction where it has one.
///
/// `seed` is the checksum of the bytes before these, 0 at the beginning. A panic becomes an exception of the caller.
#[napi(js_name = "crc32c", catch_unwind)]
pub fn crc32c(bytes: Uint8ArraySlice, seed: u32) -> u32 {
    crc32c::crc32c_append(seed, &bytes)
}
