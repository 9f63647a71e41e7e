//! Where memory lies. Only native code knows: JavaScript sees offsets into a buffer, never the buffer's address.

use napi::bindgen_prelude::Uint8ArraySlice;
use napi::{Error, Result, Status};
use napi_derive::napi;

/// Bytes from the begin of the view to the next address that is a multiple of `boundary`, a power of two: 0 where it begins at
/// one. The result may be larger than the view.
///
/// The bytes of a buffer never move, so the answer holds for the life of the buffer.
#[napi(js_name = "offsetToBoundary", catch_unwind)]
pub fn offset_to_boundary(bytes: Uint8ArraySlice, boundary: u32) -> Result<u32> {
    if !boundary.is_power_of_two() {
        return Err(Error::new(Status::InvalidArg, "the boundary must be a power of two"));
    }
    let mask = boundary as usize - 1;
    let address = bytes.as_ptr() as usize;
    Ok((address.wrapping_neg() & mask) as u32)
}
